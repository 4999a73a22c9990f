"""All roles as threads of one process (`--inline`): for tests and tiny machines.

The same cores, stages and ports as in a server of processes, with other addresses. There is no
supervisor to start a fallen role again: any error ends the whole server, loudly. Only agentd is a
process of its own, since it has to outlive mistakes, and is started again when it ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pykka

from ..actors.link import CRASHED, log_crash
from ..actors.play import tell_ping
from ..actors.roles import AGENT, SPECS, Stagehand
from ..actors.stage import Stage
from ..actors.supervise import RESTART, SIGNALS
from ..actors.supervisor import STOP_WAVE_S
from ..jobs.errors import CallsheetError, UserError
from ..messages.figures import RoleStanding, Told, told
from ..messages.post import LEDGER, WEB
from ..webui.app import WebServer
from ..webui.services import WebSettings
from ..wire.trial import Trial

log = logging.getLogger("callsheet.inline")

AGENT_AGAIN_S = 1.0
AGENT_STOP_S = 2.0


class _Fallen(CallsheetError):
    """A role ended by an error of ours; it has been logged."""


class InlineLink:
    """The link of a role that shares its process; see `actors.link.Link`."""

    def __init__(self, fell: Callable[[BaseException], None]) -> None:
        self.is_closed = threading.Event()
        self.is_ready = threading.Event()
        self.figures = ""
        self._fell = fell

    def ready(self, detail: str = "") -> None:
        """See `Link`."""
        del detail
        self.is_ready.set()

    def beat(self, figures: str = "") -> None:
        """Keep what the stage counts; nobody counts beats here."""
        self.figures = figures

    def health(self, sentence: str) -> None:
        """Log it."""
        log.warning("%s", sentence or "well again")

    def unusable(self, sentence: str) -> None:
        """End the server with the sentence."""
        self.is_closed.set()
        self._fell(UserError(sentence))

    def crashed(self, role: str, error: BaseException) -> None:
        """Log it and end the server."""
        log_crash(role, error)
        self.is_closed.set()
        self._fell(_Fallen(f"{role}: {type(error).__name__}: {error}"))

    def closed(self) -> None:
        """See `Link`."""
        self.is_closed.set()


class InlineServer:
    """See the module. `run` belongs to the main thread; `stop` may be called from any."""

    def __init__(
        self,
        hand: Stagehand,
        roles: tuple[str, ...],
        web: WebSettings,
        agent_command: Callable[[int], list[str]] | None,
        trial: tuple[str, ...] = (),
    ) -> None:
        self._hand = hand
        self._roles = roles
        self._web_settings = web
        self._agent_command = agent_command
        self._trial = trial
        self._links: dict[str, InlineLink] = {}
        self._refs: dict[str, pykka.ActorRef[Any]] = {}
        self._falls: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._restart = False
        self._web: WebServer | None = None

    def run(self, announce: Callable[[str], None]) -> int:
        """Serve until stopped; `announce` gets the console's address.

        Returns:
            The exit status, `RESTART` when it was told to begin anew.

        Raises:
            UserError: something the user can mend keeps it from working.
        """
        before = {number: signal.signal(number, self._on_stop) for number in SIGNALS}
        agent = threading.Thread(target=self._keep_agent, name="agent-keeper")
        try:
            self._web = WebServer(self._web_settings)
            self._web.figures.ask = self._ask_figures
            self._start(LEDGER)
            for role in self._roles:
                if role != LEDGER and not self._stopping.is_set():
                    self._start(role)
            if not self._stopping.is_set():
                if self._agent_command is not None:
                    agent.start()
                announce(self._web.urls[0])
                self._web.run(self._start_web)
        finally:
            self._stopping.set()
            self._stop_stages()
            if agent.ident is not None:
                agent.join()
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._status()

    def stop(self) -> None:
        """Begin the orderly stop."""
        self._stopping.set()
        if self._web is not None:
            self._web.stop()

    # --- inside ---------------------------------------------------------------------------------

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        wrong = Trial(self._trial).wait() if number == signal.SIGHUP else ""
        if wrong:
            log.error("it goes on as it is, for it could not begin anew: %s", wrong)
            return
        log.info("told to end by %s", signal.Signals(number).name)
        self._restart = number == signal.SIGHUP
        self.stop()

    def _fell(self, error: BaseException) -> None:
        self._falls.put(error)
        self.stop()

    def _start(self, role: str) -> None:
        link = self._links[role] = InlineLink(self._fell)
        self._refs[role] = self._hand.start(role, link)
        while not link.is_ready.wait(0.05):
            if self._stopping.is_set():
                return

    def _start_web(self, core: Any) -> Callable[[Any], None]:
        asyncio.get_running_loop()
        link = self._links[WEB] = InlineLink(self._fell)
        ref = Stage.start(self._hand.script(WEB, lambda _: core), link)
        self._refs[WEB] = ref
        return ref.tell

    def _ask_figures(self) -> Told:
        """Return what the stages said when they were asked before, and ask them again."""
        for ref in self._refs.values():
            tell_ping(ref)
        links = self._links.items()
        standing = {
            role: RoleStanding(ready=link.is_ready.is_set(), starts=1) for role, link in links
        }
        standing["inline"] = RoleStanding(pid=os.getpid(), ready=True, starts=1)
        return told(standing, {role: link.figures for role, link in links if link.figures})

    def _stop_stages(self) -> None:
        """Stop the stages wave by wave, as the supervisor does its processes."""
        for wave in sorted({SPECS[role].stop_wave for role in self._refs}):
            roles = [role for role in self._refs if SPECS[role].stop_wave == wave]
            for role in roles:
                if self._refs[role].is_alive():
                    self._refs[role].stop(block=False)
            for role in roles:
                self._links[role].is_closed.wait(STOP_WAVE_S)

    def _status(self) -> int:
        """Return 0, or what the first fall means."""
        if self._falls.empty():
            return RESTART if self._restart else 0
        error = self._falls.get()
        if isinstance(error, UserError):
            raise error
        return CRASHED

    def _keep_agent(self) -> None:
        """Keep agentd running until the server stops."""
        assert self._agent_command is not None
        while not self._stopping.is_set():
            ours, theirs = socket.socketpair()
            theirs.set_inheritable(True)
            command = self._agent_command(theirs.fileno())
            process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
            theirs.close()
            while process.poll() is None and not self._stopping.wait(0.1):
                pass
            # Closing the line is how agentd learns that its server ends; it is asked first.
            if process.poll() is None:
                process.terminate()
            ours.close()
            try:
                process.wait(AGENT_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if not self._stopping.is_set():
                log.warning("%s ended: exit status %s", AGENT, process.returncode)
                self._stopping.wait(AGENT_AGAIN_S)
