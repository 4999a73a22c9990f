"""What the feed has lost on its way to a role that reads the store: read there, once.

For cores that follow the feed and have a reader. A hole is mostly a frame or two; to read all that
a role keeps because of it would take it seconds, in which it hears nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..jobs.run import Run
from ..messages.transitions import AnyEvent
from ..store.interface import Reader
from ..wire.feed import FeedFollower

# Beyond so many events it is no more work to read everything.
MISSED_AT_MOST = 5_000


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """The events up to `seq` that the follower does not know, and the runs they concern as of
    `seq`; those of expected runs that were withdrawn since are not among them."""

    seq: int
    events: list[AnyEvent]
    runs: list[Run]


def read_missed(reader: Reader, feed: FeedFollower[Any]) -> Missed | None:
    """Return what a follower has missed; None when it has to read everything it keeps: another
    ledger has begun since, or too much has happened, or not all events are there any more."""
    with reader.snapshot():
        epoch, seq = reader.head()
        if epoch != feed.epoch or not 0 <= seq - feed.seq <= MISSED_AT_MOST:
            return None
        events = reader.events_after(feed.seq, seq - feed.seq)
        if [event.seq for event in events] != list(range(feed.seq + 1, seq + 1)):
            return None
        ids = dict.fromkeys(getattr(event, "run_id", "") for event in events)
        runs = reader.runs([run_id for run_id in ids if run_id])
    return Missed(seq=seq, events=events, runs=runs)
