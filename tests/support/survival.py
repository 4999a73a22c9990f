"""Agentd and its keepers are killed again and again under processes that live on.

The jobs write their own evidence, one line when they begin and one before they end, and what the
agent says in the end is held against that alone. A run is *hit* when a keeper was killed that had
begun to start it and had not recorded its end: of such a run alone may be told that it is lost.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from agent_stand import PATIENCE_S, AgentStand, a_shell, lives, until
from keepers import kill_keeper

from callsheet.messages.agents import (
    AgentHello,
    AgentWelcome,
    OutputChunk,
    ProcessEnded,
    ProcessLost,
    ProcessRefused,
    ProcessStarted,
)

# Signals in the place of an exit code: what ends a run itself must be told as exactly that.
BY_SIGNAL = (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV)

# It prints while it lives, and at its end notes how many lines that were.
JOB = """\
end() { printf 'end %s %s\\n' "$1" "$n" >> __E__; }
printf 'start %s\\n' "$$" >> __E__
n=0
while __HOLD__; do n=$((n + 1)); echo "__RUN__ line $n"; sleep __NAP__; done
echo "__RUN__ last"
end __CODE__
"""


class Evidence(NamedTuple):
    """What a job wrote: how often it began, as which pids, its end (None: none yet), its lines."""

    pids: list[int]
    status: int | None
    lines: int


class Victims(NamedTuple):
    """How often which kind was killed."""

    agents: int = 0
    keepers: int = 0
    together: int = 0


class Survival:
    """`seed` decides the instants and the victims; it is told with what is found."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.stand = AgentStand(folder)
        self.random = random.Random(seed)
        self.evidence = folder / "evidence"
        self.evidence.mkdir()
        self.go = folder / "go"
        self.go.mkdir()
        self.codes: dict[str, int] = {}
        self.commands: dict[str, Any] = {}
        self.told: dict[str, set[int]] = {}  # run -> the pids that the agent has said it has
        self.results: dict[str, ProcessEnded | ProcessLost] = {}
        self.outputs: dict[str, bytes] = {}
        self.hit: set[str] = set()
        self.back_s: list[float] = []  # from the start of an agentd to its inventory
        self.killed = Victims()

    def close(self) -> None:
        """End all that was started here."""
        for run_id in self.codes:
            (self.go / run_id).touch()
        self.stand.close()
        for run_id in self.codes:
            for pid in self.evidence_of(run_id).pids:
                if lives(pid) and self._is_ours(pid):
                    os.kill(pid, signal.SIGKILL)

    def _is_ours(self, pid: int) -> bool:
        try:
            return str(self.evidence).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False

    # --- the jobs -------------------------------------------------------------------------------

    def add(self, count: int, *, lives_s: float | None = None) -> None:
        """Command more jobs: each lives until it is released, or for about so long."""
        fresh = []
        for _ in range(count):
            n = len(self.codes)
            run_id = f"r{n + 1}"
            code = n % 256 if n % 7 else -BY_SIGNAL[n // 7 % len(BY_SIGNAL)]
            self.codes[run_id] = code
            hold, nap = f"[ ! -e {self.go / run_id} ]", "1"
            if lives_s is not None:
                turns = self.random.randrange(1, 6)
                hold, nap = f"[ $n -lt {turns} ]", f"{lives_s / turns:.2f}"
            text = JOB + ("exit __CODE__" if code >= 0 else f"kill -{-code} $$; sleep 600")
            for name, value in (
                ("__E__", str(self.evidence / run_id)), ("__HOLD__", hold), ("__NAP__", nap),
                ("__RUN__", run_id), ("__CODE__", str(code)),
            ):  # fmt: skip
                text = text.replace(name, value)
            self.commands[run_id] = self.stand.command(run_id, a_shell(text))
            fresh.append(self.commands[run_id])
        self.stand.send(*fresh)

    def release(self, run_ids: list[str]) -> None:
        """Let jobs end."""
        for run_id in run_ids:
            (self.go / run_id).touch()

    def evidence_of(self, run_id: str) -> Evidence:
        """Read what a job wrote."""
        try:
            words = [x.split() for x in (self.evidence / run_id).read_text().splitlines()]
        except FileNotFoundError:
            return Evidence([], None, 0)
        ends = [(int(word[1]), int(word[2])) for word in words if word[0] == "end"]
        status, lines = ends[-1] if ends else (None, 0)
        return Evidence([int(word[1]) for word in words if word[0] == "start"], status, lines)

    def begun(self) -> bool:
        """Whether every job has begun."""
        self.hear()
        return all((self.evidence / run_id).exists() for run_id in self.codes)

    def unfinished(self) -> list[str]:
        """Return the runs of which no result was told yet."""
        return [run_id for run_id in self.codes if run_id not in self.results]

    # --- what the agent says --------------------------------------------------------------------

    def hear(self) -> None:
        """Take what the agent has said; a start that it refused for now is sent again."""
        self.stand.drain()
        messages, self.stand.messages = self.stand.messages, []
        for message in messages:
            match message:
                case ProcessStarted():
                    self.told.setdefault(message.run_id, set()).add(message.pid)
                case OutputChunk():
                    self.stand.take(message.run_id, message.offset + len(message.data))
                case ProcessEnded() | ProcessLost():
                    self._settle(message)
                case ProcessRefused():
                    assert message.retry, f"{message.run_id}: {message.sentence}"
                    self.stand.send(self.commands[message.run_id])

    def _settle(self, message: ProcessEnded | ProcessLost) -> None:
        known = self.results.get(message.run_id)
        if known is not None:
            assert type(known) is type(message), f"told as two things: {known}, {message}"
            return
        self.results[message.run_id] = message
        if message.spool_path is not None:
            self.outputs[message.run_id] = Path(message.spool_path).read_bytes()
        self.stand.forget(message.run_id)

    def hear_until(self, holds: Callable[[], bool], what: str) -> None:
        """Hear until something holds."""

        def heard() -> bool:
            self.hear()
            return holds()

        until(heard, what)

    # --- the kills ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start agentd and hear its inventory; what was commanded and not told is sent again."""
        began = time.monotonic()
        self.stand.launch()
        # That of one before it, killed when it had just said it, may come late.
        hello = self.stand.wait(AgentHello, lambda m: m.pid == self.stand.pid)
        self.back_s.append(time.monotonic() - began)
        self._welcome(hello)

    def _welcome(self, hello: AgentHello) -> None:
        """Answer a new agentd, and check that it knows of all that lives."""
        claims = {claim.run_id: claim.state for claim in hello.claims}
        unknown = set(self.told) - set(self.results) - set(claims)
        assert not unknown, f"forgotten by the next agentd: {sorted(unknown)}"
        self.stand.send(AgentWelcome(epoch=self.stand.epoch, server_id="stand"))
        again = [self.commands[run_id] for run_id in self.unfinished() if run_id not in self.told]
        if again:
            self.stand.send(*again)

    def kill_agent(self) -> None:
        """SIGKILL agentd. What it had said before is heard."""
        self.stand.kill_heard()
        self.hear()
        self.killed = self.killed._replace(agents=self.killed.agents + 1)

    def kill_before_it_is_back(self) -> None:
        """Start agentd and kill it somewhere on its way to its inventory."""
        self.stand.launch()
        time.sleep(self.random.random() * 0.8 * max(self.back_s))
        self.kill_agent()

    def kill_keeper(self) -> None:
        """SIGKILL a keeper; which runs that hits is read while it stands still."""
        keepers = self.stand.keepers()
        if not keepers:
            return
        victim = self.random.choice(keepers)
        hit = kill_keeper(victim, self.stand.spool, until)
        if hit is None:
            return
        self.hit |= {claim.partition(".")[0] for claim in hit}
        until(lambda: not lives(victim), "the keeper to die")
        self.killed = self.killed._replace(keepers=self.killed.keepers + 1)

    # --- the verdict ----------------------------------------------------------------------------

    def faults(self) -> list[str]:
        """Return in which ways what was told differs from what was, sorted by run."""
        return [
            f"{run_id}: {fault}"
            for run_id in self.codes
            for fault in self._faults_of(run_id, self.evidence_of(run_id))
        ]

    def _faults_of(self, run_id: str, evidence: Evidence) -> list[str]:
        result = self.results.get(run_id)
        found = []
        if len(evidence.pids) > 1:
            found.append(f"started {len(evidence.pids)} times")
        if result is None:
            return [*found, "nothing was told of it"]
        pids = {*self.told.get(run_id, ()), *evidence.pids}
        if isinstance(result, ProcessLost):
            if run_id not in self.hit:
                found.append(f"lost, though no keeper of it was killed: {result.sentence}")
            if len(pids) > 1:
                found.append(f"is told to have been the processes {sorted(pids)}")
            return found
        if result.error or result.status != self.codes[run_id] or evidence.status != result.status:
            found.append(
                f"told to have ended with {result.status} {result.error}:"
                f" it ended with {evidence.status}"
            )
        if {*pids, result.pid} != {result.pid}:
            found.append(f"is told to have been the processes {sorted({*pids, result.pid})}")
        lines = [f"{run_id} line {n + 1}" for n in range(evidence.lines)]
        whole = "".join(f"{line}\n" for line in [*lines, f"{run_id} last"])
        if self.outputs.get(run_id) != whole.encode():
            found.append(f"its output is {self.outputs.get(run_id)!r}: expected {whole!r}")
        return found

    def left_behind(self) -> list[int]:
        """Return the pids of jobs that live though their end was told."""
        return [
            pid for run_id in self.results for pid in self.evidence_of(run_id).pids
            if lives(pid) and self._is_ours(pid)
        ]  # fmt: skip

    def report(self) -> str:
        """Say what was done and found, in one line each."""
        lost = sum(isinstance(result, ProcessLost) for result in self.results.values())
        times = sorted(self.back_s[1:])
        median = times[len(times) // 2] if times else 0
        return (
            f"killed: agentd {self.killed.agents}, keepers {self.killed.keepers}"
            f" (together {self.killed.together} times)\n"
            f"runs: {len(self.codes)}, hit {len(self.hit)}, told as ended"
            f" {len(self.results) - lost}, lost {lost}, wrong {len(self.faults())}\n"
            f"agentd was back after {median:.2f} s (median), {max(times, default=0):.2f} s"
            f" (longest of {len(times)})"
        )


def finish(survival: Survival) -> None:
    """Hear the results of all runs, with patience for many."""
    deadline = time.monotonic() + PATIENCE_S + len(survival.codes)
    while survival.unfinished():
        survival.hear()
        assert time.monotonic() < deadline, f"never told: {survival.unfinished()}"
        time.sleep(0.02)
