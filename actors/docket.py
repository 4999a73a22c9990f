"""The docket: which scheduled runs are due when.

Holds one small entry for each run of the near future; what is further off stays in the store and
is read in time. What any lost message may have left out is found by a sweep of the store, so that a
run is at worst some seconds late, and never forgotten. It says `RunsSoon` once, a moment before a
run is due, and `RunsDue` until the ledger has taken it; of one that its schedule leaves out, as it
was missed, it says `RunsLate`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from ..jobs.ahead import AHEAD_US
from ..jobs.run import Run, run_number
from ..messages.hello import DueRow
from ..messages.instructions import RunsDue, RunsLate, RunsSoon
from ..messages.post import LEDGER, Post
from ..store.interface import Reader
from .requests import REPEAT_US, earliest

# How far ahead the docket reaches once it has been filled, and when it is filled again.
SPAN_US = 3600 * 1_000_000
FILL_AGAIN_US = SPAN_US // 2
# Rows of one read, and with so many entries it is filled no further before their time comes.
ROWS_A_READ = 5_000
ENTRIES = 20_000
# Entries within this time are read whatever their number.
SOON_US = 10_000_000
SWEEP_US = 5_000_000
SWEEP_AFTER_US = 1_000_000
SWEEP_ROWS = 1_000
IDS_A_MESSAGE = 1_000
# The ledger may commit between two of these: runs begin then while it takes those that follow.
DUE_A_MESSAGE = 200
# Of so many runs that are due together the ledger is told ahead: a burst is bound by its pace.
SOON_AT_MOST = 100

# Up to this a run is never too late for its schedule.
PUNCTUAL_US = 1_000_000

Place = tuple[int, int]
# Given a function that reads some late runs and the time, returns which of them are left out, and
# why, by their ids.
Judge = Callable[[Callable[[], list[Run]], int], dict[str, str]]


class Docket:
    """Due times, exact up to `_filled`, the place (time, number) up to which all rows are here."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._heap: list[Place] = []
        # Those taken from it since they come within `AHEAD_US`.
        self._near: list[Place] = []
        # When each run is due: an entry of the heap for another time is one it was put off from.
        self._here: dict[int, int] = {}
        self._sent: dict[str, int] = {}
        self._filled: Place = (0, 0)
        self._full = False
        self._sweep_us = 0
        self._open = False
        self._stale = False

    def __len__(self) -> int:
        return len(self._here)

    def begin(self, rows: list[DueRow]) -> None:
        """Begin anew with the rows of a welcome, all that are due up to the last of them."""
        self._heap, self._near, self._here, self._sent = [], [], {}, {}
        self._filled = max((_place(row) for row in rows), default=(0, 0))
        self._full = False
        self._open, self._stale = True, False
        self._sweep_us = 0
        for row in rows:
            self._enter(_place(row))

    def add(self, rows: list[DueRow]) -> None:
        """Enter durable rows; those beyond what is filled are left to the reading of the store."""
        for row in rows:
            place = _place(row)
            if place <= self._filled:
                self._enter(place)

    def drop(self, run_ids: list[str]) -> None:
        """Forget runs that are not scheduled any more."""
        for run_id in run_ids:
            self._here.pop(run_number(run_id) or 0, None)
            self._sent.pop(run_id, None)

    def taken(self, run_ids: list[str]) -> None:
        """The ledger has taken these."""
        for run_id in run_ids:
            self._sent.pop(run_id, None)

    def reread(self) -> None:
        """Something was written that nobody told us of: read everything near again."""
        self._stale = True

    def settle(self, now_us: int, judge: Judge) -> list[Post]:
        """Fill up from the store, then say what is due, and again what was not taken; `judge` what
        of it is too late."""
        if not self._open:
            return []
        if self._stale:
            self._stale = False
            self._filled, self._full = (0, 0), False
        self._fill(now_us)
        self._sweep(now_us)
        due: list[str] = []
        late = self._repeat(now_us)
        soon = self._come_near(now_us)
        while self._near and self._near[0][0] <= now_us:
            at_us, number = heapq.heappop(self._near)
            if self._here.get(number) == at_us:
                del self._here[number]
                run_id = f"r{number}"
                if run_id not in self._sent:
                    self._sent[run_id] = now_us
                    (late if at_us < now_us - PUNCTUAL_US else due).append(run_id)
        left_out = judge(lambda: self._reader.runs(late), now_us) if late else {}
        posts = self._say([*late, *due], left_out)
        return [*posts, Post(LEDGER, RunsSoon(run_ids=soon))] if soon else posts

    def _come_near(self, now_us: int) -> list[str]:
        """Move what comes within `AHEAD_US`; return of whom the ledger is told before it is due."""
        soon: list[str] = []
        while self._heap and self._heap[0][0] <= now_us + AHEAD_US:
            at_us, number = place = heapq.heappop(self._heap)
            if self._here.get(number) == at_us:
                heapq.heappush(self._near, place)
                if at_us > now_us and len(soon) < SOON_AT_MOST:
                    soon.append(f"r{number}")
        return soon

    def _say(self, run_ids: list[str], left_out: dict[str, str]) -> list[Post]:
        said: dict[str, list[str]] = {}
        for run_id in run_ids:
            said.setdefault(left_out.get(run_id, ""), []).append(run_id)
        posts: list[Post] = []
        for reason, ids in said.items():
            size = IDS_A_MESSAGE if reason else DUE_A_MESSAGE
            for some in (ids[i : i + size] for i in range(0, len(ids), size)):
                said_of = RunsLate(run_ids=some, reason=reason) if reason else RunsDue(run_ids=some)
                posts.append(Post(LEDGER, said_of))
        return posts

    def wakes_at(self) -> int | None:
        """Return when a run is due, the docket is to be filled, swept, or a message repeated."""
        if not self._open:
            return None
        if self._stale or not self._full:
            return 0
        due_us = self._near[0][0] if self._near else None
        near_us = self._heap[0][0] - AHEAD_US if self._heap else None
        repeat_us = next(iter(self._sent.values())) + REPEAT_US if self._sent else None
        fill_us = self._filled[0] - (FILL_AGAIN_US if len(self._here) < ENTRIES else SOON_US)
        return earliest(due_us, near_us, repeat_us, fill_us, self._sweep_us)

    # --- inside ---------------------------------------------------------------------------------

    def _enter(self, place: Place) -> None:
        # One that is here for another time was put to this one, and what told of that was lost.
        if self._here.get(place[1]) != place[0] and f"r{place[1]}" not in self._sent:
            self._here[place[1]] = place[0]
            heapq.heappush(self._heap, place)

    def _fill(self, now_us: int) -> None:
        """Read one portion of rows, if the docket does not reach far enough."""
        margin_us = FILL_AGAIN_US if len(self._here) < ENTRIES else SOON_US
        if self._full and self._filled[0] > now_us + margin_us:
            return
        upto_us = now_us + SPAN_US
        rows = self._reader.due(upto_us, ROWS_A_READ, self._filled)
        for row in rows:
            self._enter(_place(row))
        if len(rows) < ROWS_A_READ:
            self._filled = max(self._filled, (upto_us, 0))
            self._full = True
        else:
            self._filled = _place(rows[-1])
            self._full = len(self._here) >= ENTRIES and self._filled[0] > now_us + SOON_US

    def _sweep(self, now_us: int) -> None:
        """Find what should have been here: lost messages, releases, a clock that jumped."""
        if self._sweep_us > now_us >= self._sweep_us - SWEEP_US:
            return
        self._sweep_us = now_us + SWEEP_US
        for row in self._reader.due(now_us - SWEEP_AFTER_US, SWEEP_ROWS):
            self._enter(_place(row))

    def _repeat(self, now_us: int) -> list[str]:
        late: list[str] = []
        for run_id, sent_us in self._sent.items():
            if now_us - REPEAT_US < sent_us <= now_us or len(late) >= IDS_A_MESSAGE:
                break
            late.append(run_id)
        for run_id in late:
            del self._sent[run_id]
            self._sent[run_id] = now_us
        return late


def _place(row: DueRow) -> Place:
    return row.schedule_us, int(row.run_id[1:])
