"""Setting agents up on hosts: install, start, status, stop. The same steps here and over SSH.

Called by `agent_host_commands.py`, for several hosts at a time, each in a thread of its own. Every
step says what it does before it does it; the first that fails ends the host's part with a sentence.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, Protocol

import msgspec

from ..agentd.options import as_name
from ..jobs.errors import UserError
from . import agent_scripts as scripts
from .agent_shells import Ran, Shell

FOLDER = ".local/share/callsheet-agentd"
PYTHONS = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")
POLL_S = 0.5
# Whether agentd still runs is asked less often than whether the server hears of it.
CHECK_S = 2.0

Tell = Callable[[str], None]


class HostFailed(UserError):
    """A step did not succeed on a host."""

    def __init__(self, step: str, said: str) -> None:
        super().__init__(f"{step}: {said}")


class Office(Protocol):
    """The server, as far as it is asked here; each thread has one of its own."""

    def token(self, group: str) -> str:
        """Return a new token for an agent of a group."""

    def address(self) -> str:
        """Return where agents of other hosts come in."""

    def agent(self, agent_id: str) -> dict[str, Any] | None:
        """Return an agent that the server knows, None when it knows none of this id."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for, for each host alike.

    `server` None: as the server says it. `command`: an agentd that is there already, as words.
    `wheel`: a file's name and content; else `requirement` is what pip is given. `by`: systemd,
    background or auto. `options`: further ones of agentd.
    """

    group: str = ""
    server: str | None = None
    agent_id: str | None = None
    folder: str = FOLDER
    python: str | None = None
    command: tuple[str, ...] = ()
    wheel: tuple[str, bytes] | None = None
    requirement: str | None = None
    with_ssh: bool = False
    by: str = "auto"
    options: tuple[str, ...] = ()
    wait_s: float = 60.0


class Found(msgspec.Struct, kw_only=True):
    """What is so on a host; `state` is what the server says of its agent."""

    host: str
    ok: bool = True
    agent_id: str = ""
    group: str = ""
    state: str = ""
    pid: int = 0
    installed: bool = False
    by: str = ""
    folder: str = ""
    remarks: list[str] = []
    error: str = ""


class Steps:
    """The steps on one host."""

    def __init__(self, shell: Shell, office: Office, plan: Plan, tell: Tell) -> None:
        self._shell, self._office, self._plan, self._tell = shell, office, plan, tell
        name = Path(plan.folder).name
        own = "" if name == Path(FOLDER).name else f"-{as_name(name)}"
        self.unit = f"callsheet-agentd{own}.service"
        self._seen: dict[str, str] = {}

    def install(self, *, start: bool) -> Found:
        """Install an agent, lay its folder out, and start it if that is asked for."""
        self._look()
        command = self._plan.command or self._installed()
        self._tell("looking at the command")
        if self._run(scripts.TRY, *command).status:
            raise HostFailed(shlex.join(command), "is not the callsheet-agentd that was expected")
        self._put("run", self._run_text(command).encode(), "700")
        self._seen["installed"] = "yes"
        return self.start() if start else self._found()

    def start(self) -> Found:
        """Start an agent that is installed, anew if it runs; return when the server hears of it."""
        if not self._seen:
            self._look()
        if "installed" not in self._seen:
            raise HostFailed("start", f"no agent is installed in {self._plan.folder}")
        self._let_in()
        self._tell("starting")
        by = self._by()
        folder = self._seen["folder"]
        unit = scripts.UNIT.format(folder=folder, run=f"{folder}/run")
        said = self._do("start", scripts.START, by, stdin=unit.encode() if by == "systemd" else b"")
        remarks = [value for name, value in _pairs(said) if name == "remark"]
        agent = self._await()
        self._do("token", scripts.REMOVE_TOKEN)
        self._look()
        found = self._found(agent)
        found.remarks = remarks
        return found

    def run_here(self) -> NoReturn:
        """Make an agent of this host ready, and become it."""
        self.install(start=False)
        self._let_in()
        run = f"{self._seen['folder']}/run"
        os.execv(run, [run])  # noqa: S606 - a script of ours

    def stop(self) -> Found:
        """End agentd, if it runs; its processes go on."""
        self._look()
        self._tell("ending the agent")
        self._do("stop", scripts.STOP)
        self._look()
        return self._found()

    def status(self) -> Found:
        """Look, and change nothing."""
        self._look()
        agent_id = self._membership().get("agent_id", "")
        return self._found(self._office.agent(agent_id) if agent_id else None)

    # --- parts ----------------------------------------------------------------------------------

    def _let_in(self) -> None:
        """Have what a start needs: a token the first time, and nobody in its place."""
        if "membership" not in self._seen:
            self._tell("asking for a token")
            self._put("token", self._office.token(self._plan.group).encode(), "600")
        if "pid" in self._seen:
            self._tell("ending the agent that runs")
            self._do("stop", scripts.STOP)

    def _look(self) -> None:
        self._tell("looking")
        pythons = (self._plan.python,) if self._plan.python else PYTHONS
        self._seen = dict(_pairs(self._do("look", scripts.LOOK, *pythons)))

    def _installed(self) -> tuple[str, ...]:
        """Install agentd into its virtual environment; return its command."""
        if "python" not in self._seen:
            named = self._plan.python or "python3"
            expected = "a Python from 3.11 on with venv and ensurepip: see --python, --command"
            raise HostFailed(named, f"cannot be used there: expected {expected}")
        self._tell("making a virtual environment")
        self._do("virtual environment", scripts.MAKE_VENV, self._seen["python"])
        extra = "[ssh]" if self._plan.with_ssh else ""
        what = f"{self._plan.requirement}"
        if self._plan.wheel is not None:
            name, content = self._plan.wheel
            self._tell(f"sending {name}")
            self._put(name, content, "600")
            what = f"file:{name}{extra}"
        self._tell("installing")
        self._do("pip install", scripts.INSTALL, what)
        return (f"{self._seen['folder']}/venv/bin/callsheet-agentd",)

    def _run_text(self, command: tuple[str, ...]) -> str:
        plan, folder = self._plan, self._seen["folder"]
        words = [
            *command,
            *("--server", plan.server or self._office.address()),
            *("--spool", f"{folder}/spool"),
            *("--token-file", f"{folder}/token"),
            *("--log-level", "INFO"),
            *plan.options,
        ]
        # One that is enrolled knows its name, and takes no other.
        if "membership" not in self._seen:
            words += ["--agent-id", self._agent_id()]
        return scripts.RUN.format(folder=shlex.quote(folder), command=shlex.join(words))

    def _agent_id(self) -> str:
        known = self._membership().get("agent_id")
        return known or self._plan.agent_id or as_name(self._seen["hostname"])

    def _membership(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads(self._seen.get("membership", "{}"))
        except ValueError:
            return {}
        return found

    def _by(self) -> str:
        if self._plan.by != "auto":
            return self._plan.by
        return "systemd" if "systemd" in self._seen else "background"

    def _await(self) -> dict[str, Any]:
        """Wait until the server hears of the agent."""
        agent_id = self._agent_id()
        self._tell(f"waiting for the server to hear of {agent_id}")
        end_s = time.monotonic() + self._plan.wait_s
        check_s = time.monotonic()
        while True:
            agent = self._office.agent(agent_id)
            now_s = time.monotonic()
            if now_s >= check_s:
                check_s = now_s + CHECK_S
                ran = self._run(scripts.CHECK)
                if ran.status:
                    raise HostFailed("agentd ended", ran.said)
                if (
                    agent is not None
                    and agent["connected"]
                    and str(agent["pid"]) == ran.out.strip()
                ):
                    return agent
            if now_s > end_s:
                said = f"the server has not heard of {agent_id} for {self._plan.wait_s:g} s"
                raise HostFailed("start", f"{said}; its log is {self._seen['folder']}/log")
            time.sleep(POLL_S)

    def _found(self, agent: dict[str, Any] | None = None) -> Found:
        membership = self._membership()
        return Found(
            host=self._shell.name,
            agent_id=membership.get("agent_id", ""),
            group=membership.get("group_id", ""),
            state=agent["state"] if agent else "",
            pid=int(self._seen.get("pid", 0)),
            installed="installed" in self._seen,
            by=self._seen.get("by", "background" if "pid" in self._seen else ""),
            folder=self._seen["folder"],
        )

    def _put(self, name: str, content: bytes, mode: str) -> None:
        self._do(f"writing {name}", scripts.PUT, name, mode, stdin=content)

    def _do(self, step: str, script: str, *args: str, stdin: bytes = b"") -> str:
        ran = self._run(script, *args, stdin=stdin)
        if ran.status:
            raise HostFailed(step, ran.said)
        return ran.out

    def _run(self, script: str, *args: str, stdin: bytes = b"") -> Ran:
        return self._shell.run(script, self._plan.folder, self.unit, *args, stdin=stdin)


def _pairs(text: str) -> list[tuple[str, str]]:
    found = [line.partition("=") for line in text.splitlines()]
    return [(name, value) for name, equals, value in found if equals]
