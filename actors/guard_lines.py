"""The lines in which the waiter's runs stand for a place: one for each instance that is
counted, and for each pool.

A line holds the runs that are proposed to the ledger now and those held back, in the order of
priority, schedule time and id. At most as many are proposed as there may be places, so that a
thousand waiting runs of one instance do not all ask at each of its moves; and nobody is proposed
past one who is ahead in line, nor past a heavier one who is asking: that one may be refused a place
in which a light one would fit. Nothing here decides or sends.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from ..jobs.bound_conditions import pools_of
from ..jobs.run import KnownRun, args_key
from ..messages.instructions import FewerThan, Guard, NoneOf, PoolFree

# (job id, args key): an instance whose runs are counted; (name,): a pool.
LineKey = tuple[str, ...]
Order = tuple[int, int, int]


class GuardLine:
    """One line. `room`: how many may be proposed at once. `freed_seq`: the event that last freed
    a place. `members`: how many waiting runs have a guard with this line. `proposed`: the runs that
    are proposed now, with the room that each would take."""

    __slots__ = ("_heap", "_in_line", "freed_seq", "members", "proposed", "room")

    def __init__(self, room: int) -> None:
        self.room = room
        self.members = 0
        self.proposed: dict[str, int] = {}
        self.freed_seq = -1
        self._heap: list[tuple[Order, str]] = []
        self._in_line: set[str] = set()

    def queue(self, order: Order, run_id: str) -> None:
        """Put a run in line."""
        if run_id not in self._in_line:
            self._in_line.add(run_id)
            heapq.heappush(self._heap, (order, run_id))

    def withdraw(self, run_id: str) -> bool:
        """Take a run out of line and out of those proposed; return whether it was in either."""
        was_there = run_id in self._in_line or run_id in self.proposed
        self._in_line.discard(run_id)
        self.proposed.pop(run_id, None)
        return was_there

    def propose(self, run_id: str, weight: int) -> None:
        """A run is proposed, and stands in line no more."""
        self._in_line.discard(run_id)
        self.proposed[run_id] = weight

    def first(self) -> str | None:
        """Take the first run out of line; None when the line is empty."""
        self._clean()
        if not self._heap:
            return None
        run_id = heapq.heappop(self._heap)[1]
        self._in_line.discard(run_id)
        return run_id

    def has_room(self, order: Order, run_id: str, weight: int) -> bool:
        """Whether a run may be proposed: a place may be free, and nobody is ahead of it."""
        if run_id in self.proposed:
            return True
        self._clean()
        if len(self.proposed) >= self.room or (self._heap and self._heap[0][0] < order):
            return False
        return max(self.proposed.values(), default=0) <= weight

    def _clean(self) -> None:
        while self._heap and self._heap[0][1] not in self._in_line:
            heapq.heappop(self._heap)


class GuardLines:
    """The lines by key; one lives as long as a waiting run has a guard with it."""

    def __init__(self) -> None:
        self._lines: dict[LineKey, GuardLine] = {}
        # How many lines there are of each job, so that most events cost one look-up.
        self._jobs: dict[str, int] = {}

    def join(self, guards: Iterable[Guard]) -> None:
        """A run with these guards begins to wait."""
        for key, (room, _) in _lines_of(guards).items():
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = GuardLine(room)
                self._jobs[key[0]] = self._jobs.get(key[0], 0) + 1
            line.members += 1

    def part(self, run_id: str, guards: Iterable[Guard]) -> list[GuardLine]:
        """A run waits no more: return the lines it stood in, where the next may be asked."""
        touched = []
        for key in _lines_of(guards):
            line = self._lines[key]
            line.members -= 1
            if line.withdraw(run_id):
                touched.append(line)
            if not line.members:
                self._remove(key)
        return touched

    def of_run(self, guards: Iterable[Guard]) -> list[GuardLine]:
        """Return the lines of these guards of a waiting run, each once."""
        return [self._lines[key] for key in _lines_of(guards)]

    def claims(self, guards: Iterable[Guard]) -> list[tuple[GuardLine, int]]:
        """Return the lines of these guards, with the room that the run would take in each."""
        return [(self._lines[key], weight) for key, (_, weight) in _lines_of(guards).items()]

    def of_places(self, run: KnownRun) -> Iterator[GuardLine]:
        """Yield the lines of the places that a run takes while it is starting and running."""
        if run.job_id in self._jobs:
            line = self._lines.get((run.job_id, args_key(run.args)))
            if line is not None:
                yield line
        for place in pools_of(run.conds):
            line = self._lines.get((place.name,))
            if line is not None:
                yield line

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __iter__(self) -> Iterator[GuardLine]:
        return iter(list(self._lines.values()))

    def _remove(self, key: LineKey) -> None:
        del self._lines[key]
        self._jobs[key[0]] -= 1
        if not self._jobs[key[0]]:
            del self._jobs[key[0]]


def _lines_of(guards: Iterable[Guard]) -> dict[LineKey, tuple[int, int]]:
    """Return for each line of the guards, by key, its room and what of it they ask for."""
    found: dict[LineKey, tuple[int, int]] = {}
    for guard in guards:
        match guard:
            case FewerThan():
                found.setdefault((guard.job_id, args_key(guard.args)), (max(guard.n, 1), 1))
            case PoolFree():
                _, asked = found.get((guard.pool,), (0, 0))
                found[guard.pool,] = (max(guard.size, 1), asked + guard.weight)
            case NoneOf():
                pass
    return found
