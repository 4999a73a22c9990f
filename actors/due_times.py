"""When things are due, by key: set anew, taken back, and taken in order of time.

Used by cores. All is in proportion to what is touched, never to how much waits. When the clock is
set back by much, everything is due: nothing is silenced by it.
"""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

K = TypeVar("K")

# A clock set back by less is waited out.
SET_BACK_US = 1_000_000


class DueTimes(Generic[K]):
    """See the module. Times are of the clock that `take` is given, in microseconds."""

    def __init__(self) -> None:
        self._at_us: dict[K, int] = {}
        # May hold entries that were set anew or dropped since: `_at_us` is the truth.
        self._heap: list[tuple[int, int, K]] = []
        self._count = 0
        self._now_us = 0

    def __contains__(self, key: K) -> bool:
        return key in self._at_us

    def set(self, key: K, at_us: int) -> None:
        """Make a key due at that time, whenever it was before."""
        self._at_us[key] = at_us
        self._count += 1
        heapq.heappush(self._heap, (at_us, self._count, key))

    def drop(self, key: K) -> None:
        """A key is not due any more."""
        self._at_us.pop(key, None)

    def take(self, now_us: int, at_most: int) -> list[K]:
        """Return what is due, in order, and take it out."""
        if now_us < self._now_us - SET_BACK_US:
            for key in list(self._at_us):
                self.set(key, now_us)
        self._now_us = now_us
        taken: list[K] = []
        while self._heap and self._heap[0][0] <= now_us and len(taken) < at_most:
            at_us, _, key = heapq.heappop(self._heap)
            if self._at_us.get(key) == at_us:
                del self._at_us[key]
                taken.append(key)
        return taken

    def earliest(self) -> int | None:
        """Return when the first key is due, None when there is none."""
        while self._heap and self._at_us.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
