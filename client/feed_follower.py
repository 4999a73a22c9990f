"""Where a subscriber of the feed stands, and what it is to ask for. Pure: no socket, no clock.

`feed.Feed` hands every message to `take` and asks for what `due` says; a program that brings
sockets of its own may do the same. Whatever is lost, doubled or swapped on the way, the news that
come out are complete and in order, or begin anew with a `Snapshot`.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from ..messages.published import (
    Answer,
    Asked,
    AskEvents,
    AskRuns,
    Busy,
    Events,
    Published,
    PublishedBeat,
    PublishedEvents,
    Runs,
)

# Frames kept while something before them is asked for; beyond, the oldest is asked for, too.
KEPT_FRAMES = 200
# An answer is waited for so long before it is asked for again, then twice as long, up to a limit.
FIRST_WAIT_S = 1.0
MOST_WAIT_S = 8.0
BUSY_S = 0.5

Jso = dict[str, Any]


class Snapshot(NamedTuple):
    """All runs that are not over, at `seq` of `epoch`. What was known of others is as it was: what
    happened to them since the last news is not to be had any more."""

    epoch: int
    seq: int
    runs: list[Jso]


class Change(NamedTuple):
    """The events up to `seq` that follow the last news, and the records of their runs: as they are
    after them, or newer."""

    epoch: int
    seq: int
    events: list[Jso]
    runs: list[Jso]


News = Snapshot | Change


class FeedFollower:
    """See the module. All events up to `seq` of `epoch` have come out as news."""

    def __init__(self, resume: tuple[int, int] | None = None) -> None:
        """Begin after (epoch, seq), as it was when the last news had been dealt with; None: begin
        with a snapshot."""
        self.epoch, self.seq = resume or (0, 0)
        self._lost = resume is None
        self._behind = False
        self._kept: deque[PublishedEvents] = deque(maxlen=KEPT_FRAMES)
        self._page: tuple[int, int] | None = None
        self._cursor: str | None = None
        self._runs: dict[str, Jso] = {}
        self._asked: Asked | None = None
        self._count = 0
        self._again_s = 0.0
        self._wait_s = FIRST_WAIT_S

    @property
    def is_current(self) -> bool:
        """Whether nothing is known to be missing."""
        return not self._lost and not self._behind and self.epoch > 0

    # --- what is asked ----------------------------------------------------------------------------

    def due(self, now_s: float) -> Asked | None:
        """Return what is to be asked now, None for nothing; call it after each message, and at
        `wakes_at`."""
        if not self._lost and not self._behind:
            self._asked = None
            return None
        if self._asked is not None and now_s < self._again_s:
            return None
        if self._asked is None:
            self._count += 1
            self._asked = self._question(str(self._count))
        else:
            # The same once more: whichever answer comes first will do, however late.
            self._wait_s = min(2 * self._wait_s, MOST_WAIT_S)
        self._again_s = now_s + self._wait_s
        return self._asked

    def wakes_at(self) -> float | None:
        """Return when `due` is to be called though nothing came, None: never."""
        return self._again_s if self._asked is not None else None

    def _question(self, id_: str) -> Asked:
        if not self._lost:
            return AskEvents(id=id_, after=self.seq)
        return AskRuns(id=id_, cursor=self._cursor)

    def _answered(self) -> None:
        self._asked = None
        self._wait_s = FIRST_WAIT_S

    # --- what comes -------------------------------------------------------------------------------

    def take(self, message: Published | Answer, now_s: float) -> list[News]:
        """Take a message, of whatever socket; return the news in it."""
        match message:
            case PublishedEvents():
                return self._published(message)
            case PublishedBeat():
                self._beat(message)
                return []
            case _:
                return self._answer(message, now_s)

    def _published(self, frame: PublishedEvents) -> list[News]:
        if not self._is_of_now(frame.epoch) or (not self._lost and frame.seq <= self.seq):
            return []
        self._kept.append(frame)
        return [] if self._lost or self._behind else self._go_on()

    def _beat(self, beat: PublishedBeat) -> None:
        if self._is_of_now(beat.epoch) and beat.seq > self.seq:
            self._behind = True

    def _is_of_now(self, epoch: int) -> bool:
        """Return whether an epoch is in force; a new one is, and asks whether it goes on from what
        is known."""
        if epoch < self.epoch:
            return False
        if epoch > self.epoch:
            self.epoch = epoch
            self._behind = True
            self._kept.clear()
            # What is asked already may be answered from before.
            self._asked = None
        return True

    def _go_on(self) -> list[News]:
        """Return the kept frames that follow what is known, without a hole."""
        news: list[News] = []
        while self._kept and self._kept[0].after <= self.seq:
            frame = self._kept.popleft()
            news += self._change(frame.events, frame.runs, frame.seq)
        self._behind = bool(self._kept)
        return news

    def _change(self, events: list[Jso], runs: list[Jso], seq: int) -> list[News]:
        """Return the news of events up to `seq` of which some may be known."""
        if seq <= self.seq:
            return []
        new = [event for event in events if event["seq"] > self.seq]
        self.seq = seq
        if len(new) < len(events):
            concerned = {event.get("run_id") for event in new}
            runs = [run for run in runs if run["run_id"] in concerned]
        return [Change(self.epoch, seq, new, runs)]

    def _answer(self, answer: Answer, now_s: float) -> list[News]:
        if self._asked is None or answer.id != self._asked.id:
            return []
        match answer:
            case Busy():
                self._again_s = now_s + BUSY_S
                return []
            case Events():
                return self._events_came(answer)
            case Runs():
                return self._runs_came(answer)

    def _events_came(self, answer: Events) -> list[News]:
        if not self._is_of_now(answer.epoch) or self._asked is None:
            return []
        self._answered()
        if not answer.complete:
            self._lost, self._behind = True, False
            self._begin_runs()
            return []
        news = self._change(answer.events, answer.runs, answer.seq)
        if self.seq >= answer.head:
            news += self._go_on()
        return news

    def _begin_runs(self) -> None:
        self._page, self._cursor = None, None
        self._runs = {}

    def _runs_came(self, page: Runs) -> list[News]:
        if not self._is_of_now(page.epoch):
            return []
        if self._asked is None or (self._page is not None and self._page[0] != page.epoch):
            # Another ledger speaks than when the first page came.
            self._asked = None
            self._begin_runs()
            return []
        self._answered()
        # What happens between the pages comes as events after the first of them.
        self._page = self._page or (page.epoch, page.seq)
        self._runs.update((run["run_id"], run) for run in page.runs)
        self._cursor = page.cursor
        if page.cursor is not None:
            return []
        self.epoch, self.seq = self._page
        runs = [*self._runs.values()]
        self._begin_runs()
        self._lost = False
        while self._kept and self._kept[0].seq <= self.seq:
            self._kept.popleft()
        return [Snapshot(self.epoch, self.seq, runs), *self._go_on()]
