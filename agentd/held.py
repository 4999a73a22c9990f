"""One claim as the agent's core holds it in memory, and how its output is handed over.

`Held` is changed by the core alone. Its acts are what was done to the process: they are written
into the claim before they are done, so that another agentd goes on where this one ended.
"""

from __future__ import annotations

import signal
from collections import deque
from enum import Enum

from ..messages.agents import (
    Claim,
    OutputChunk,
    ProcessEnded,
    ProcessInfo,
    ProcessLost,
    ProcessNoted,
    ProcessRefused,
    ProcessStarted,
)
from .host import OUTPUT, Exit, Found, Host, Key, Spec

CHUNK_BYTES = 256 * 1024
# Chunks on their way at once, per run.
CREDIT = 4
# Chunks that nobody has taken for so long are sent again.
CHUNK_REPEAT_US = 2_000_000


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
    """See the module. Offsets count bytes of the one output."""

    __slots__ = (
        "acts",
        "exit",
        "flights",
        "key",
        "lost_us",
        "path",
        "phase",
        "pid",
        "sent",
        "sent_at_us",
        "sentence",
        "size",
        "spec",
        "started_monotonic_us",
        "started_us",
        "taken",
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
        self.size = 0
        self.sent = 0
        self.taken = 0
        self.flights: deque[int] = deque()
        self.sent_at_us = 0
        self.path: str | None = None

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

    # --- output ---------------------------------------------------------------------------------

    def chunks(self, host: Host, now_us: int) -> list[OutputChunk]:
        """Return the chunks that may be sent now; monotonic time."""
        if self.flights and now_us - self.sent_at_us >= CHUNK_REPEAT_US:
            self.go_back(self.taken)
        chunks = []
        while len(self.flights) < CREDIT and self.sent < self.size:
            data = host.read_output(self.key, self.sent, min(CHUNK_BYTES, self.size - self.sent))
            if data is None:
                break
            if not data:
                self.size = self.sent
                break
            body, compression = host.compress(data)
            chunks.append(
                OutputChunk(
                    run_id=self.key.run_id,
                    attempt=self.key.attempt,
                    name=OUTPUT,
                    offset=self.sent,
                    data=body,
                    compression=compression,
                )
            )
            self.sent += len(data)
            self.flights.append(self.sent)
            self.sent_at_us = now_us
        return chunks

    def take(self, upto: int) -> None:
        """The server has the output up to an offset: more may be sent, or again from there."""
        if upto < self.taken:
            self.go_back(upto)
            return
        self.taken = min(upto, self.size)
        while self.flights and self.flights[0] <= upto:
            self.flights.popleft()
        self.sent = max(self.sent, self.taken)

    def go_back(self, offset: int) -> None:
        """Send again from an offset."""
        self.taken = self.sent = offset
        self.flights.clear()

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
        sizes = {OUTPUT: self.size} if self.size else {}
        if self.phase is Phase.LOST:
            return ProcessLost(
                run_id=run_id,
                attempt=attempt,
                at_us=self.lost_us,
                sentence=self.sentence,
                output_bytes=sizes,
                started_us=self.started_us,
                spool_path=self.path if sizes else None,
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
            output_bytes=sizes,
            spool_path=self.path if sizes else None,
            core_dumped=exit_.core_dumped,
            remarks=[*self.spec.remarks, *exit_.remarks, *self._left_behind(exit_)],
        )


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
