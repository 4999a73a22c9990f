"""Following the feed: which frames to apply, and when to read the store again (rule I10).

`FeedFollower` is pure: cores and clients hand it every message of the feed. It never reads or asks
anything itself; it says what is to be done.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Generic

import msgspec

from ..messages.transitions import AnyEvent, Beat, FeedFrame, R

# The topic frame before each payload. Beats come about once a second, on a topic of their own. Who
# needs only the epoch subscribes to nothing but its topic: the same beats, but few of a ledger that
# has been there for a while.
EVENTS_TOPIC = b"e"
BEAT_TOPIC = b"b"
EPOCH_TOPIC = b"p"


class Then(Enum):
    """What a message of the feed asks of its follower."""

    APPLY = "apply"
    NOTHING = "nothing"
    HOLE = "hole"
    NEW_EPOCH = "new epoch"


class Step(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """`APPLY`: these events and records. `HOLE`: events after `after_seq` are missing: ask for them
    or read the store. `NEW_EPOCH`: another ledger speaks: say `Hello`, read the store."""

    then: Then
    events: list[AnyEvent] = []
    runs: list[R] = []
    after_seq: int = 0
    epoch: int = 0


_NOTHING: Step[Any] = Step(then=Then.NOTHING)


class FeedFollower(Generic[R]):
    """Where a subscriber stands: all events up to `seq` of `epoch` are known to it. `R` is what it
    reads of the runs' records.

    It begins nowhere: until `stand` is called each message is a new epoch.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.seq = 0

    def stand(self, epoch: int, seq: int) -> None:
        """The follower has read a state that holds all events up to `seq` of `epoch`."""
        self.epoch, self.seq = epoch, seq

    def take(self, message: FeedFrame[R] | Beat) -> Step[R]:
        """Return what a frame or beat asks for; the position moves only with `APPLY`.

        A hole is reported by every message until `stand` or the missing frame closes it. A message
        of an older epoch is left out: a frozen ledger woke up.
        """
        if message.epoch != self.epoch:
            if message.epoch < self.epoch:
                return _NOTHING
            return Step(then=Then.NEW_EPOCH, epoch=message.epoch)
        if isinstance(message, Beat):
            return _NOTHING if message.seq <= self.seq else self._hole()
        return self._frame(message)

    def _frame(self, frame: FeedFrame[R]) -> Step[R]:
        if frame.after_seq > self.seq:
            return self._hole()
        known = self.seq
        events = [event for event in frame.events if event.seq > known]
        if not events:
            return _NOTHING
        self.seq = events[-1].seq
        if len(events) == len(frame.events):
            runs = frame.runs
        else:
            # The records are as of the end of the frame, so that those already known stay right.
            concerned = {getattr(event, "run_id", None) for event in events}
            runs = [run for run in frame.runs if run.run_id in concerned]
        return Step(then=Then.APPLY, events=events, runs=runs, epoch=self.epoch)

    def _hole(self) -> Step[R]:
        return Step(then=Then.HOLE, after_seq=self.seq, epoch=self.epoch)
