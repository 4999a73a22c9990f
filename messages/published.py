"""What the server publishes for other programs, and what they may ask: see docs/feed.md.

Plain data of stable shapes, unlike the feed between the roles: events and records are maps as in
`/api/v2`. New fields may come at any time; `VERSION` moves when one goes or means something else.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

VERSION = 1
EVENTS = b"events"
BEAT = b"beat"
# Asked for from further back than this, a picture of the present is less work for both.
FURTHEST_BACK = 10_000
# Events of an answer, and runs of a page.
EVENTS_AT_ONCE = 500
RUNS_AT_ONCE = 500
# Of a question; it comes back with the answer.
Id = Annotated[str, msgspec.Meta(max_length=100)]


class PublishedEvents(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="events"):
    """Events `after + 1 … seq` in order, and the records of their runs as they are after them."""

    epoch: int
    after: int
    seq: int
    events: list[dict[str, Any]]
    runs: list[dict[str, Any]]


class PublishedBeat(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="beat"):
    """Once a second: where the feed stands, so that the loss of a last frame is found."""

    epoch: int
    seq: int
    time: str
    version: int = VERSION


Published = PublishedEvents | PublishedBeat


class AskEvents(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="events"):
    """Subscriber → server: send the events after `after`. `id` comes back with the answer."""

    id: Id
    after: int


class AskRuns(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="runs"):
    """Subscriber → server: send the runs that are not over, a page at a time."""

    id: Id
    cursor: str | None = None


Asked = AskEvents | AskRuns


class Events(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="events"):
    """The answer to `AskEvents`: as `PublishedEvents`, up to `seq` at the least. `complete` false:
    what was asked for is not to be had any more, or too much; take the runs instead. `head` is
    where the log stands."""

    id: str
    epoch: int
    after: int
    seq: int
    head: int
    complete: bool
    events: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []


class Runs(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="runs"):
    """The answer to `AskRuns`: a page of them, as they are at `seq`. `cursor`: of the next page,
    None when this is the last."""

    id: str
    epoch: int
    seq: int
    cursor: str | None
    runs: list[dict[str, Any]]


class Busy(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="busy"):
    """No answer now: ask again a little later."""

    id: str


Answer = Events | Runs | Busy


class Wanted(msgspec.Struct, frozen=True):
    """Somebody subscribes to a topic (or to all that begin so), or nobody does any more."""

    topic: bytes
    on: bool
