"""What the ledger decided: events with a gapless seq, and the frames of the feed.

Every event is durable before it is published (I2). Subscribers apply events by seq; a hole or a new
epoch sends them to the store (or to `Replay`) again (I10).
"""

from __future__ import annotations

from typing import Annotated, Generic, Literal, Protocol, TypeVar

import msgspec

from ..jobs.findings import Finding
from ..jobs.run import Run
from ..jobs.states import State
from .pauses import PauseKind


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """One entry of the ledger's log. `cause` names the message or person behind it."""

    seq: int
    at_us: int
    cause: str = ""


class RunMoved(Event, frozen=True, kw_only=True, omit_defaults=True, tag="moved"):
    """A run entered `after`; `before` is None for a run just created. `message` is its log line.

    `entered_us` is when it did so, None for `at_us`: what an agent saw is heard of a little later.
    """

    run_id: str
    after: State
    before: State | None = None
    message: str = ""
    entered_us: int | None = None


class RunNoted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="noted"):
    """A run's log got a line, or a flag or its meta changed, without a change of state."""

    run_id: str
    message: str = ""


class RunWithdrawn(Event, frozen=True, kw_only=True, omit_defaults=True, tag="withdrawn"):
    """An expected run was taken back since its job changed, or as it is left out by policy (then
    there is a `SkipsRecorded` for its time too); its row is gone, this stays."""

    run_id: str
    job_id: str
    args: dict[str, str]
    schedule_us: int
    fingerprint: str
    reason: str


class JobsChanged(Event, frozen=True, kw_only=True, omit_defaults=True, tag="jobs"):
    """A new set of jobs is in force."""

    jobs_version: int
    added: list[str] = []
    changed: list[str] = []
    removed: list[str] = []


class SkipsRecorded(Event, frozen=True, kw_only=True, omit_defaults=True, tag="skips"):
    """Nominal runs of a schedule that by policy do not become runs: first, last, how many, why."""

    job_id: str
    fingerprint: str
    from_us: int
    to_us: int
    count: int
    reason: str


class RunsArchived(Event, frozen=True, kw_only=True, omit_defaults=True, tag="archived"):
    """Runs left the database with their events: they are in the archive at `path` (empty: nowhere,
    they were dropped). `numbers` are those of the runs; `events` and `planned` say how many events
    went with them, and how many of the runs a schedule had made: `made` has of each job how many
    those were, and the first and last of their times."""

    path: str
    numbers: list[int]
    events: int
    planned: int
    made: dict[str, tuple[int, int, int]] = {}


class ActionNoted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="action"):
    """An action of a run's outbox was carried out, failed for good, or will be tried again.

    `outcome`: done, failed or again; empty in logs of older versions.
    """

    run_id: str
    action_id: str
    message: str
    outcome: str = ""


class AgentNoted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="agent"):
    """Something was decided about an agent (`agent_id` empty: about a token)."""

    agent_id: str
    message: str


class BackfillNoted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="backfill"):
    """A backfill was begun, stopped or is over; see `Backfill`."""

    number: int
    message: str


class PauseNoted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="pause"):
    """What schedules make was paused or resumed; see `Pause`."""

    pause_kind: PauseKind
    name: str
    message: str


class FindingNoted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="finding"):
    """A finding of the checker was opened or closed, or something about it was carried out, as
    `message` says (`outcome` told)."""

    outcome: Literal["opened", "closed", "told"]
    finding: Finding
    message: str = ""


AnyEvent = (
    RunMoved
    | RunNoted
    | RunWithdrawn
    | JobsChanged
    | SkipsRecorded
    | RunsArchived
    | ActionNoted
    | AgentNoted
    | PauseNoted
    | BackfillNoted
    | FindingNoted
)


class OfRun(Protocol):
    """Whatever tells of one run."""

    @property
    def run_id(self) -> str:
        """Which run."""


R = TypeVar("R", bound=OfRun)


class FeedFrame(
    msgspec.Struct, Generic[R], frozen=True, kw_only=True, tag_field="kind", tag="FeedFrame"
):
    """Events `after_seq + 1 …` in order, and the runs they concern as they are after the frame.

    A run that moved twice has two events and one record. The ledger says whole records; who hears
    them may read less of each (`KnownRun`, `ToldRun`), since most are of no concern to it.
    """

    epoch: int
    after_seq: int
    events: list[AnyEvent]
    runs: list[R]


class Beat(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="Beat"):
    """The feed's heartbeat, once a second: the head, so that a lost last frame is found."""

    epoch: int
    seq: int


FromFeed = FeedFrame[Run] | Beat


class Replay(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="Replay"):
    """Subscriber → ledger: send the events after `after_seq` again."""

    after_seq: Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class Replayed(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="Replayed"):
    """Ledger → subscriber: the frame asked for; `complete` false: too far back, read the store."""

    complete: bool
    frame: FeedFrame[Run] | None = None
