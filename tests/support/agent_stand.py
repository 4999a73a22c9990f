"""A real agentd under a test: its own folder, a ROUTER in the place of the runner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq
from keepers import children_of, keepers_of
from warm import popen

from callsheet.jobs.programs import BoundProcess
from callsheet.messages.agents import (
    AgentHello,
    AgentWelcome,
    ForgetProcess,
    OutputChunk,
    OutputTaken,
    ProcessEnded,
    ProcessLost,
    ProcessRefused,
    ProcessStarted,
    StartProcess,
)
from callsheet.messages.codec import RUNNER_READER, pack

PATIENCE_S = 60.0
PEER = b"agent/stand"


def a_process(*argv: str, **fields: Any) -> BoundProcess:
    return BoundProcess(argv=argv, **fields)


def a_shell(command: str, **fields: Any) -> BoundProcess:
    return BoundProcess(argv=("/bin/sh", "-c", command), **fields)


class AgentStand:
    """`messages` holds what the agent said and nobody has waited for yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.epoch = 1
        self.options: list[str] = []
        self.python = sys.executable
        # What goes before agentd, to make it another user; its environment, None for ours.
        self.prefix: list[str] = []
        self.environ: dict[str, str] | None = None
        self.inherited: tuple[int, ...] = ()  # descriptors that agentd is given
        self.process: subprocess.Popen[bytes] | None = None
        self.messages: list[Any] = []
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._socket.setsockopt(zmq.LINGER, 0)
        self.endpoint = f"ipc://{folder}/agents"
        self._socket.bind(self.endpoint)

    # --- life -----------------------------------------------------------------------------------

    def start(self, **environ: str) -> AgentHello:
        """Start agentd and return its introduction."""
        hello = self.start_unanswered(**environ)
        self.send(AgentWelcome(epoch=self.epoch, server_id="stand"))
        return hello

    def start_unanswered(self, **environ: str) -> AgentHello:
        """Start agentd and return its introduction, to which nothing is said."""
        self.launch(**environ)
        hello: AgentHello = self.wait(AgentHello)
        return hello

    def launch(self, **environ: str) -> None:
        """Start agentd, and wait for nothing."""
        command = [*self.prefix, self.python, "-m", "callsheet.agentd.daemon"]
        command += [
            "--server",
            self.endpoint,
            "--spool",
            str(self.spool),
            "--agent-id",
            "stand",
            "--log-level",
            "ERROR",
        ]
        command += self.options
        base = dict(os.environ) if self.environ is None else self.environ
        self.process = popen(command, env={**base, **environ}, pass_fds=self.inherited)

    @property
    def pid(self) -> int:
        """The pid of the agentd that was started last."""
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL agentd; its keepers and jobs live on. What it said is not heard any more."""
        self.kill_heard()
        self.messages.clear()

    def kill_heard(self) -> None:
        """SIGKILL agentd; what it said before is there to be waited for."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.drain()

    def keepers(self) -> list[int]:
        """Return the pids of its keepers."""
        return keepers_of(self.spool)

    def close(self) -> None:
        """End everything that was started here."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        children = [child for pid in self.keepers() for child in children_of(pid)]
        for pid in [*self.keepers(), *children]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._socket.close()
        self._context.term()

    # --- messages -------------------------------------------------------------------------------

    def send(self, *messages: Any) -> None:
        for frame in pack(messages):
            self._socket.send_multipart([PEER, frame])

    def drain(self) -> None:
        """Read what has come."""
        while self._socket.poll(0):
            self._read()

    def _read(self) -> None:
        peer, frame = self._socket.recv_multipart()
        assert peer == PEER
        self.messages += RUNNER_READER.unpack(frame)

    def wait(self, kind: Any, holds: Callable[[Any], bool] = lambda _: True) -> Any:
        """Wait for a message of a kind and return it; those before it stay."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for message in self.messages:
                if isinstance(message, kind) and holds(message):
                    self.messages.remove(message)
                    return message
            left_s = deadline - time.monotonic()
            said = [type(message).__name__ for message in self.messages]
            assert left_s > 0, f"waited {PATIENCE_S:.0f} s for {kind}: only {said} came"
            if self._socket.poll(int(left_s * 1e3)):
                self._read()

    def command(self, run_id: str, program: BoundProcess, **fields: Any) -> StartProcess:
        fields.setdefault("not_after_us", time.time_ns() // 1_000 + 600_000_000)
        return StartProcess(epoch=self.epoch, run_id=run_id, attempt=1, program=program, **fields)

    def run(self, run_id: str, program: BoundProcess, **fields: Any) -> None:
        """Command a start."""
        self.send(self.command(run_id, program, **fields))

    def started(self, run_id: str) -> ProcessStarted:
        return self.wait(ProcessStarted, lambda m: m.run_id == run_id)

    def ended(self, run_id: str) -> ProcessEnded | ProcessLost | ProcessRefused:
        """Wait for what became of a run, taking its output if there is some to take."""
        kinds = (ProcessEnded, ProcessLost, ProcessRefused, OutputChunk)
        while True:
            message = self.wait(kinds, lambda m: m.run_id == run_id)
            if not isinstance(message, OutputChunk):
                return message
            self.take(message.run_id, message.offset + len(message.data))

    def take(self, run_id: str, upto: int) -> None:
        """Say that the output is stored up to an offset."""
        self.send(OutputTaken(epoch=self.epoch, run_id=run_id, attempt=1, name="output", upto=upto))

    def result(self, run_id: str, program: BoundProcess, **fields: Any) -> Any:
        """Run a program and return what became of it."""
        self.run(run_id, program, **fields)
        return self.ended(run_id)

    def forget(self, run_id: str) -> None:
        self.send(ForgetProcess(epoch=self.epoch, run_id=run_id, attempt=1))


def lives(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def until(holds: Callable[[], Any], what: str) -> Any:
    """Wait until `holds()` is true."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s for {what}"
        time.sleep(0.02)
