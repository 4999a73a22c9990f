"""One claim as the agent's core holds it in memory, with its outputs.

`Held` is changed by the core alone. Its acts are what was done to the process: they are written
into the claim before they are done, so that another agentd goes on where this one ended.
"""

from __future__ import annotations

import signal
from enum import Enum
from typing import Any

from ..messages.agents import (
    Claim,
    ProcessEnded,
    ProcessInfo,
    ProcessLost,
    ProcessNoted,
    ProcessRefused,
    ProcessStarted,
)
from .host import OUTPUT, Collected, Exit, Extent, Found, Key, Results, Spec
from .streams import Stream


class Phase(Enum):
    """Where a claim is."""

    NOT_STARTED = "not_started"
    ASKED = "asked"
    RUNNING = "running"
    UNKEPT = "unkept"
    DONE = "done"
    LOST = "lost"


LIVE = frozenset({Phase.RUNNING, Phase.UNKEPT})
OVER = frozenset({Phase.DONE, Phase.LOST})


class Held:
    """See the module. `collecting`: its artifacts are still to come."""

    __slots__ = (
        "acts",
        "artifacts",
        "collecting",
        "exit",
        "key",
        "lost_us",
        "notes",
        "phase",
        "pid",
        "results",
        "sentence",
        "spec",
        "started_monotonic_us",
        "started_us",
        "streams",
    )

    def __init__(self, key: Key, spec: Spec, phase: Phase = Phase.ASKED) -> None:
        self.key = key
        self.spec = spec
        self.phase = phase
        self.pid = 0
        self.started_us = 0
        self.started_monotonic_us = 0
        self.exit: Exit | None = None
        self.lost_us = 0
        self.sentence = ""
        self.acts: list[str] = []
        self.streams: dict[str, Stream] = {}
        self.collecting = False
        self.artifacts: dict[str, str] = {}
        self.notes: list[str] = []
        self.results = Results({})

    @classmethod
    def of(cls, found: Found, now_us: int) -> Held:
        """Return a claim that the spool held already."""
        held = cls(found.key, found.spec, Phase(found.state))
        held.pid = found.pid
        failed = found.exit is not None and found.exit.error
        held.started_us = 0 if failed else found.started_us
        held.started_monotonic_us = found.started_monotonic_us
        held.exit = found.exit
        held.sentence = found.sentence
        held.lost_us = now_us
        held.acts = list(found.acts)
        return held

    # --- acts -----------------------------------------------------------------------------------

    def acted(self, word: str) -> int | None:
        """Return when (monotonic) the first act of this word was done, None when never."""
        for act in self.acts:
            words = act.split(" ")
            if words[0] == word:
                return int(words[1])
        return None

    @property
    def signals(self) -> list[str]:
        """The names of the signals that stop and timeout sent, in order."""
        words = (act.split(" ") for act in self.acts)
        return [word[2] for word in words if word[0] in ("stop", "kill", "timeout")]

    @property
    def ending_signal(self) -> int | None:
        """The strongest signal that was to end the process, None: nothing was to end it."""
        program = self.spec.program
        numbers = {
            "kill": int(signal.SIGKILL),
            "stop": program.stop_signal,
            "timeout": program.timeout_signal,
        }
        words = {act.partition(" ")[0] for act in self.acts}
        return next((number for word, number in numbers.items() if word in words), None)

    # --- outputs --------------------------------------------------------------------------------

    def see(self, extents: tuple[Extent, ...]) -> int:
        """Take what its outputs have grown to; return by how many bytes."""
        return sum(self._stream(extent.name).see(extent) for extent in extents)

    def collected(self, fact: Collected) -> None:
        """Take the artifacts as outputs of their own."""
        self.collecting = False
        self.see(fact.extents)
        self.artifacts, self.notes = dict(fact.names), list(fact.notes)

    def stream(self, name: str) -> Stream | None:
        """Return an output by its name, None when there is none."""
        return self.streams.get(name)

    def _stream(self, name: str) -> Stream:
        return self.streams.get(name) or self.streams.setdefault(name, Stream(name))

    @property
    def in_flight(self) -> int:
        """How many chunks of its outputs are on their way to the server."""
        count = 0
        for stream in self.streams.values():
            count += len(stream.flights)
        return count

    @property
    def is_taken(self) -> bool:
        """Whether the server has all of its outputs as they are now."""
        return all(stream.is_taken for stream in self.streams.values())

    # --- messages -------------------------------------------------------------------------------

    def started_message(self) -> ProcessStarted:
        """Say that the process runs."""
        return ProcessStarted(
            run_id=self.key.run_id,
            attempt=self.key.attempt,
            pid=self.pid,
            at_us=self.started_us,
            remarks=list(self.spec.remarks),
        )

    def note_message(self, sentence: str) -> ProcessNoted:
        """Say something about it to people."""
        return ProcessNoted(run_id=self.key.run_id, attempt=self.key.attempt, sentence=sentence)

    def claim(self) -> Claim:
        """This claim for the inventory."""
        return Claim(run_id=self.key.run_id, attempt=self.key.attempt, state=self.phase.value)

    def info(self, usage: tuple[int, int]) -> ProcessInfo:
        """This claim for people; `usage`: bytes of memory and µs of processor time."""
        return ProcessInfo(
            run_id=self.key.run_id,
            attempt=self.key.attempt,
            state=self.phase.value,
            pid=self.pid,
            started_us=self.started_us,
            job_id=self.spec.job_id,
            is_stopping=self.phase in LIVE and self.ending_signal is not None,
            rss_bytes=usage[0],
            cpu_us=usage[1],
        )

    def _left_behind(self, exit_: Exit) -> list[str]:
        """What to say of those who outlive it. Whoever is stopped leaves nobody behind."""
        if not exit_.strays or self.ending_signal is not None:
            return []
        names = ", ".join(f"{pid} ({name})" if name else str(pid) for pid, name in exit_.strays)
        return [f"left behind, and still there: {names}"]

    def end_message(self) -> ProcessEnded | ProcessLost:
        """Say what became of the process."""
        run_id, attempt = self.key
        if self.phase is Phase.LOST:
            return ProcessLost(
                run_id=run_id,
                attempt=attempt,
                at_us=self.lost_us,
                sentence=self.sentence,
                started_us=self.started_us,
                **self._outputs(),
            )
        exit_ = self.exit
        assert exit_ is not None, f"{self.key}: done without an exit"
        return ProcessEnded(
            run_id=run_id,
            attempt=attempt,
            status=exit_.status,
            at_us=exit_.at_us,
            started_us=self.started_us,
            pid=exit_.pid or self.pid,
            error=exit_.error,
            timed_out=self.acted("timeout") is not None,
            elapsed_s=exit_.elapsed_us / 1e6,
            stop_signals=self.signals,
            rusage=exit_.rusage,
            core_dumped=exit_.core_dumped,
            remarks=[
                *self.spec.remarks,
                *exit_.remarks,
                *self._left_behind(exit_),
                *self.notes,
                *self.results.notes,
            ],
            results=self.results.values,
            **self._outputs(),
        )

    def _outputs(self) -> dict[str, Any]:
        """The fields of an end that tell of outputs; a file that is empty is one, too."""
        ours = [s for s in self.streams.values() if s.size or s.name in self.artifacts]
        paths = {s.name: s.path for s in ours if s.path is not None}
        parts = next((s.parts for s in ours if s.parts is not None), None)
        return {
            "output_bytes": {s.name: s.size for s in ours},
            "spool_path": paths.pop(OUTPUT, None),
            "spool_paths": paths,
            "gaps": {s.name: (s.gap.start, s.gap.end) for s in ours if s.gap.length},
            "stream_bytes": dict(zip(("stdout", "stderr"), parts, strict=True)) if parts else {},
            "artifacts": self.artifacts,
        }


def signal_name(number: int) -> str:
    """Return `SIGTERM` for 15, `signal 40` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal-{number}"


def refusal(key: Key, sentence: str, *, retry: bool, elsewhere: bool = False) -> ProcessRefused:
    """Return what is said of an attempt that is not started."""
    return ProcessRefused(
        run_id=key.run_id,
        attempt=key.attempt,
        sentence=sentence,
        retry=retry,
        elsewhere=elsewhere,
    )
