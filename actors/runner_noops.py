"""No-op programs: the runner plays them itself, by the wall clock.

Part of the runner's core. A no-op without a duration is over in the message that starts it. One
with a duration ends when its start, as the ledger has it, is that long ago, whatever died
meanwhile. When the clock is set back, what is left of each stays as it was.
"""

from __future__ import annotations

import heapq
from typing import Any

from ..jobs.programs import BoundNoOp
from ..jobs.run import Run
from ..jobs.states import State
from ..messages.instructions import AttemptEnded, AttemptStarted

STOPPED = "program stopped"


class _Playing:
    __slots__ = ("end_us", "program", "run_id", "started_us", "stops")

    def __init__(
        self, run_id: str, program: BoundNoOp, started_us: int, end_us: int, *, stops: bool
    ) -> None:
        self.run_id = run_id
        self.program = program
        self.started_us = started_us
        self.end_us = end_us
        self.stops = stops


class NoOps:
    """The no-ops that last, by run and attempt."""

    def __init__(self) -> None:
        self._playing: dict[tuple[str, int], _Playing] = {}
        self._ends: list[tuple[int, tuple[str, int]]] = []
        self._looked_us = 0

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key in self._playing

    def start(self, run: Run, now_us: int) -> AttemptStarted | AttemptEnded:
        """Begin a no-op; return what the ledger is to be told."""
        program = run.program
        assert isinstance(program, BoundNoOp), f"{run.run_id}: not a no-op"
        if program.duration_us is None:
            return _ended(run.run_id, run.attempt, program, now_us, now_us)
        self._play(run, program, now_us)
        return AttemptStarted(
            run_id=run.run_id, attempt=run.attempt, at_us=now_us, meta={"program": {}}
        )

    def adopt(self, run: Run, now_us: int) -> AttemptEnded | None:
        """Go on with a no-op that the ledger has as running; it may be over at once."""
        program = run.program
        assert isinstance(program, BoundNoOp), f"{run.run_id}: not a no-op"
        # By a clock that has been set back since, it began in the future.
        started_us = min(run.times.get("running", now_us), now_us)
        if (run.run_id, run.attempt) not in self._playing:
            if program.duration_us is None:
                return _ended(run.run_id, run.attempt, program, started_us, started_us)
            self._play(run, program, started_us)
        return None

    def stop(self, key: tuple[str, int], now_us: int) -> AttemptEnded | None:
        """End a no-op before its time, None when it is not there."""
        playing = self._playing.pop(key, None)
        if playing is None:
            return None
        return _stopped(playing.run_id, key[1], playing.started_us, now_us)

    def drop(self, key: tuple[str, int]) -> None:
        """Forget a no-op: the ledger says that it is over."""
        self._playing.pop(key, None)

    def due(self, now_us: int) -> list[AttemptEnded]:
        """Return the ends that have come."""
        if now_us < self._looked_us:
            self._set_back(self._looked_us - now_us)
        self._looked_us = now_us
        ended = []
        while self._ends and self._ends[0][0] <= now_us:
            _, key = heapq.heappop(self._ends)
            playing = self._playing.pop(key, None)
            if playing is None:
                continue
            run_id, attempt = key
            if playing.stops:
                ended.append(_stopped(run_id, attempt, playing.started_us, playing.end_us))
            else:
                program = playing.program
                ended.append(_ended(run_id, attempt, program, playing.started_us, playing.end_us))
        return ended

    def wakes_at(self) -> int | None:
        """Return when the next one ends."""
        return self._ends[0][0] if self._ends else None

    def _set_back(self, by_us: int) -> None:
        """The clock was set back: each goes on for as long as it would have."""
        for playing in self._playing.values():
            playing.started_us -= by_us
            playing.end_us -= by_us
        self._ends = [(end_us - by_us, key) for end_us, key in self._ends]

    def _play(self, run: Run, program: BoundNoOp, started_us: int) -> None:
        assert program.duration_us is not None, f"{run.run_id}: does not last"
        end_us = started_us + program.duration_us
        stops = run.stop_us is not None and run.stop_us < end_us
        if run.stop_us is not None and stops:
            end_us = max(run.stop_us, started_us)
        key = (run.run_id, run.attempt)
        self._playing[key] = _Playing(run.run_id, program, started_us, end_us, stops=stops)
        heapq.heappush(self._ends, (end_us, key))


def _stopped(run_id: str, attempt: int, started_us: int, at_us: int) -> AttemptEnded:
    return AttemptEnded(
        run_id=run_id,
        attempt=attempt,
        at_us=at_us,
        state=State.ERROR,
        message=STOPPED,
        started_us=started_us,
        meta={"program": {}},
    )


def _ended(
    run_id: str, attempt: int, program: BoundNoOp, started_us: int, at_us: int
) -> AttemptEnded:
    state, message = State.SUCCESS, ""
    meta: dict[str, Any] = {"program": {}}
    if program.success is None:
        state, message = State.ERROR, "error"
    else:
        meta["elapsed"] = (at_us - started_us) / 1e6
        if not program.success:
            state, message = State.FAILURE, "failed"
    return AttemptEnded(
        run_id=run_id,
        attempt=attempt,
        at_us=at_us,
        state=state,
        message=message,
        started_us=started_us,
        meta=meta,
    )
