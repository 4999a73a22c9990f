"""The ledger's deadlines: each is a row from the moment its run is written until it is judged.

A run's row exists long before its time, so its deadlines hold though it waits for ever, is held,
was never bound, or nobody was there when it was due. They are worked off by time. A deadline is
judged once: what it comes to is written in one transaction with the end of its row.
"""

from __future__ import annotations

import heapq

from ..jobs.deadlines import open_deadlines
from ..jobs.run import Run
from ..jobs.states import State
from ..store.interface import Changes, Opening

# What happened in time is reported a little later.
REPORT_US = 2_000_000
# While no ledger was there runs may have ended in time: agents are given time to say so.
SETTLE_US = 30_000_000
# At most so many are judged in one turn, so that no turn is long after a weekend off.
JUDGED_A_TURN = 200

Key = tuple[str, str]


class Deadlines:
    """Open deadlines by (run id, kind), with their instants, and the next of them."""

    def __init__(self, opening: Opening) -> None:
        self._open = dict(opening.deadlines)
        self._heap = [(at_us, key) for key, at_us in self._open.items()]
        heapq.heapify(self._heap)
        self._kinds: dict[str, set[str]] = {}
        for run_id, kind in self._open:
            self._kinds.setdefault(run_id, set()).add(kind)
        self._judge_from_us: int | None = None
        self._ripe: list[tuple[int, Key]] = []

    # --- as runs come and go --------------------------------------------------------------------

    def moved(
        self, run: Run, before: State | None, changes: Changes, *, by_policy: bool = False
    ) -> None:
        """Note what a run's move means for its deadlines.

        Args:
            before: None when the run is new.
            by_policy: nobody decided that it is skipped.
        """
        if run.due is None:
            return
        still = open_of(run)
        if run.state is State.SKIPPED and not by_policy:
            # A person or a condition decided that it is not to run; nobody is to be alarmed.
            still = {}
        for kind in self._kinds.get(run.run_id, set()) - still.keys():
            self.close((run.run_id, kind), changes)
        for kind, at_us in still.items():
            if before is None or (kind == "max_duration" and run.state is State.RUNNING):
                self._put((run.run_id, kind), at_us, changes)

    def put_off(self, run: Run, changes: Changes) -> None:
        """A run that has not started has been put to another time, and its deadlines with it."""
        for kind, at_us in open_of(run).items():
            self._put((run.run_id, kind), at_us, changes)

    def withdrawn(self, run_id: str, changes: Changes) -> None:
        """A run's row is gone."""
        for kind in list(self._kinds.get(run_id, ())):
            self.close((run_id, kind), changes)

    def close(self, key: Key, changes: Changes) -> None:
        """Forget a deadline."""
        if self._open.pop(key, None) is None:
            return
        changes.deadlines[key] = None
        kinds = self._kinds[key[0]]
        kinds.discard(key[1])
        if not kinds:
            del self._kinds[key[0]]

    # --- as time passes -------------------------------------------------------------------------

    def ripen(self, now_us: int) -> set[str]:
        """Choose those to be judged in this turn; return the ids of their runs."""
        if self._judge_from_us is None:
            self._judge_from_us = now_us + SETTLE_US
        while len(self._ripe) < JUDGED_A_TURN and self._next_us() <= now_us:
            self._ripe.append(heapq.heappop(self._heap))
        return {key[0] for _, key in self._ripe}

    def take_ripe(self) -> list[tuple[int, Key]]:
        """Hand over those chosen that are open still, as (instant, key)."""
        ripe, self._ripe = self._ripe, []
        return [(at_us, key) for at_us, key in ripe if self._open.get(key) == at_us]

    def wakes_at(self) -> int | None:
        """Return when the next is to be judged, None when none is open."""
        self._drop_stale()
        return self._next_us() if self._heap else None

    # --- inside ---------------------------------------------------------------------------------

    def _put(self, key: Key, at_us: int, changes: Changes) -> None:
        if self._open.get(key) == at_us:
            return
        self._open[key] = at_us
        self._kinds.setdefault(key[0], set()).add(key[1])
        changes.deadlines[key] = at_us
        heapq.heappush(self._heap, (at_us, key))

    def _drop_stale(self) -> None:
        heap = self._heap
        while heap and self._open.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)

    def _next_us(self) -> int:
        """Return when the first of the heap is to be judged; far away when it is empty."""
        if not self._heap:
            return 2**62
        return max(self._heap[0][0] + REPORT_US, self._judge_from_us or 0)


def open_of(run: Run) -> dict[str, int]:
    """Return the deadlines a run may still miss, by kind, with their instants."""
    if run.due is None:
        return {}
    missed = frozenset(run.meta.get("deadlines", ()))
    return open_deadlines(run.due, run.state, run.times, missed)
