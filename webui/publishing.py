"""What other programs hear: events and records as the API shows them. Part of the web's core, pure.

Nothing is made while nobody subscribes. `answer_events` and `answer_runs` read what a program asks
for; they are called on a thread with a reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..jobs.run import Run
from ..jobs.run_filter import RunFilter
from ..jobs.states import LIVE
from ..jobs.times import format_time_ms
from ..messages.post import PUBLISHED, PUBLISHED_FAR, Post
from ..messages.published import (
    BEAT,
    EVENTS,
    EVENTS_AT_ONCE,
    FURTHEST_BACK,
    RUNS_AT_ONCE,
    AskEvents,
    AskRuns,
    Events,
    PublishedBeat,
    PublishedEvents,
    Runs,
)
from ..messages.told import ToldRun
from ..messages.transitions import (
    ActionNoted,
    AgentNoted,
    AnyEvent,
    BackfillNoted,
    FindingNoted,
    JobsChanged,
    PauseNoted,
    RunMoved,
    RunNoted,
    RunsArchived,
    RunWithdrawn,
    SkipsRecorded,
)
from ..store.interface import Reader
from .records import run_record

DOORS = (PUBLISHED, PUBLISHED_FAR)
# Of a frame, and of an answer: args may be long, and one run's record is never cut.
FRAME_BYTES = 64 * 2**10
ANSWER_BYTES = 2**20
# What an event with its run's record takes, besides args and messages.
ABOUT_BYTES = 700


class Publishing:
    """Who subscribes to what, and what they hear of a batch."""

    def __init__(self) -> None:
        self._wanted: dict[str, set[bytes]] = {door: set() for door in DOORS}

    def want(self, door: str, topic: bytes, *, on: bool) -> None:
        """Somebody subscribes at a door to what begins so, or nobody does any more."""
        if on:
            # Whoever subscribes to what there is not must not fill our memory with it.
            if EVENTS.startswith(topic) or BEAT.startswith(topic):
                self._wanted[door].add(topic)
        else:
            self._wanted[door].discard(topic)

    def events(
        self, epoch: int, after: int, events: list[AnyEvent], runs: list[ToldRun]
    ) -> list[Post]:
        """Return what is heard of events that follow `after` without a gap.

        Nothing, when a run's record did not come with its events (a replay of the ledger's): the
        hole is found, and the store asked, which has all of them.
        """
        doors = self._doors(EVENTS)
        if not doors:
            return []
        by_id = {told.run_id: told.whole() for told in runs}
        gone = {event.run_id for event in events if isinstance(event, RunWithdrawn)}
        if any(getattr(event, "run_id", "") not in by_id.keys() | gone | {""} for event in events):
            return []
        frames = []
        for some in split(events, by_id, FRAME_BYTES):
            ids = dict.fromkeys(getattr(event, "run_id", "") for event in some)
            frames.append(
                PublishedEvents(
                    epoch=epoch,
                    after=after,
                    seq=some[-1].seq,
                    events=[event_record(event) for event in some],
                    runs=[_shown(by_id[run_id]) for run_id in ids if run_id in by_id],
                )
            )
            after = some[-1].seq
        return [Post(door, frame) for door in doors for frame in frames]

    @property
    def beats(self) -> bool:
        """Whether anybody hears beats."""
        return bool(self._doors(BEAT))

    def beat(self, epoch: int, seq: int, now_us: int) -> list[Post]:
        """Return the beat, for those who hear it."""
        beat = PublishedBeat(epoch=epoch, seq=seq, time=format_time_ms(now_us))
        return [Post(door, beat) for door in self._doors(BEAT)]

    def _doors(self, topic: bytes) -> list[str]:
        return [
            door
            for door, wanted in self._wanted.items()
            if any(topic.startswith(begins) for begins in wanted)
        ]


def event_record(event: AnyEvent) -> dict[str, Any]:
    """Return an event as other programs see it; what is empty is left out."""
    fields: dict[str, Any]
    match event:
        case RunMoved():
            kind = "moved"
            fields = {
                "run_id": event.run_id,
                "state": event.after.value,
                "before": None if event.before is None else event.before.value,
                "message": event.message,
            }
        case RunNoted():
            kind, fields = "noted", {"run_id": event.run_id, "message": event.message}
        case ActionNoted():
            kind = "action"
            fields = {
                "run_id": event.run_id,
                "action_id": event.action_id,
                "outcome": event.outcome,
                "message": event.message,
            }
        case RunWithdrawn():
            kind = "withdrawn"
            fields = {
                "run_id": event.run_id,
                "job_id": event.job_id,
                "args": event.args,
                "schedule_time": format_time_ms(event.schedule_us),
                "message": event.reason,
            }
        case JobsChanged():
            kind = "jobs"
            fields = {name: getattr(event, name) for name in ("added", "changed", "removed")}
        case SkipsRecorded():
            kind = "skips"
            fields = {
                "job_id": event.job_id,
                "from": format_time_ms(event.from_us),
                "to": format_time_ms(event.to_us),
                "count": event.count,
                "message": event.reason,
            }
        case RunsArchived():
            kind = "archived"
            fields = {"runs": [f"r{number}" for number in event.numbers], "path": event.path}
        case AgentNoted():
            kind, fields = "agent", {"agent_id": event.agent_id, "message": event.message}
        case PauseNoted():
            kind = "pause"
            fields = {"pause": event.pause_kind, "name": event.name, "message": event.message}
        case FindingNoted():
            kind = "finding"
            fields = {
                "finding": event.finding.key,
                "outcome": event.outcome,
                "message": event.message or event.finding.sentence,
            }
        case BackfillNoted():
            kind = "backfill"
            fields = {"backfill": f"b{event.number}", "message": event.message}
    said = {name: value for name, value in fields.items() if value not in ("", None, [])}
    cause = {"cause": event.cause} if event.cause else {}
    return {"seq": event.seq, "time": format_time_ms(event.at_us), "kind": kind, **said, **cause}


def split(
    events: list[AnyEvent], runs: Mapping[str, Run], most_bytes: int
) -> Iterator[list[AnyEvent]]:
    """Yield the events in parts that take about so many bytes with the records of their runs."""
    part: list[AnyEvent] = []
    size = 0
    for event in events:
        run = runs.get(getattr(event, "run_id", ""))
        more = ABOUT_BYTES + len(getattr(event, "message", "")) + (0 if run is None else _long(run))
        if part and size + more > most_bytes:
            yield part
            part, size = [], 0
        part.append(event)
        size += more
    if part:
        yield part


def _shown(run: Run) -> dict[str, Any]:
    return {**run_record(run)}


def _long(run: Run) -> int:
    return sum(map(len, run.args.values())) + len(run.message or "")


# --- what is asked --------------------------------------------------------------------------------


def answer_events(reader: Reader, asked: AskEvents) -> Events:
    """Return the events asked for, or that they are not to be had."""
    epoch, head = reader.head()
    after = asked.after
    nothing = Events(
        id=asked.id, epoch=epoch, after=after, seq=after, head=head, complete=after == head
    )
    if not head - FURTHEST_BACK <= after < head:
        return nothing
    events = reader.events_after(after, EVENTS_AT_ONCE)
    if not events or events[-1].seq - after != len(events):
        # Archived runs took theirs along.
        return nothing
    ids = dict.fromkeys(getattr(event, "run_id", "") for event in events)
    by_id = {run.run_id: run for run in reader.runs([run_id for run_id in ids if run_id])}
    events = next(split(events, by_id, ANSWER_BYTES))
    ids = dict.fromkeys(getattr(event, "run_id", "") for event in events)
    runs = [_shown(by_id[run_id]) for run_id in ids if run_id in by_id]
    return Events(
        id=asked.id,
        epoch=epoch,
        after=after,
        seq=events[-1].seq,
        head=head,
        complete=True,
        events=[event_record(event) for event in events],
        runs=runs,
    )


def answer_runs(reader: Reader, asked: AskRuns) -> Runs:
    """Return a page of the runs that are not over; the first, if the cursor is none of ours."""
    cursor = asked.cursor
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 18):
        cursor = None
    epoch, seq = reader.head()
    before = None if cursor is None else int(cursor)
    limit = RUNS_AT_ONCE
    while True:
        page = reader.find(RunFilter(states=LIVE), before=before, limit=limit)
        if limit == 1 or sum(map(_long, page.runs)) <= ANSWER_BYTES:
            break
        limit //= 2
    return Runs(
        id=asked.id,
        epoch=epoch,
        seq=seq,
        cursor=None if page.before is None else str(page.before),
        runs=[_shown(run) for run in page.runs],
    )
