"""How records become rows and back: codecs, state numbers, and the texts that rows are found by.

Used by the SQLite store and, where the rule must be the same, by its in-memory twin. No I/O here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from zlib import crc32

import msgspec

from ..jobs.accounts import InForce
from ..jobs.calendar_days import CalendarDays
from ..jobs.calendars import Calendar
from ..jobs.findings import CheckRound, Finding
from ..jobs.job import Job
from ..jobs.run import Run
from ..jobs.schedule_types import Schedule
from ..jobs.states import State
from ..jobs.streaks import Streak
from ..messages.access import ApiToken, Session, User
from ..messages.backfills import Backfill
from ..messages.commands import OutboxItem
from ..messages.hello import ScheduleRow
from ..messages.instructions import OutputRecord
from ..messages.operations import Operation, Part
from ..messages.pauses import Pause
from ..messages.registry import AgentRecord, AgentToken
from ..messages.transitions import AnyEvent, RunMoved, RunNoted, SkipsRecorded
from ..messages.wishes import Done, Refused

# Stored in the database: a number is never reused, a new state gets the next one.
STATE_CODES: dict[State, int] = {
    State.SCHEDULED: 0,
    State.WAITING: 1,
    State.STARTING: 2,
    State.RUNNING: 3,
    State.STOPPING: 4,
    State.SUCCESS: 5,
    State.FAILURE: 6,
    State.ERROR: 7,
    State.SKIPPED: 8,
    State.LOST: 9,
}
STATES: dict[int, State] = {code: state for state, code in STATE_CODES.items()}

# Around each label of a row; JSON text never holds them unescaped.
LABEL_BEGIN, LABEL_END = "\x1f", "\x1e"
# Before an owner, who stands among the labels; labels are escaped, so that none begins so.
OWNER_BEGIN = "\x1d"
# Run numbers of one row of `spans`, as a power of two.
BLOCK_BITS = 12
# Answers are kept so long; then a command id may be used anew.
ANSWER_AGE_US = 24 * 3600 * 1_000_000
# So many of the last are kept whatever their age: to a clock that leaps by a day all are old.
LAST_ANSWERS = 1_000
# A page of runs holds at most so many.
PAGE_RUNS = 10_001

encode = msgspec.msgpack.Encoder().encode
decode_run = msgspec.msgpack.Decoder(Run).decode
decode_events = msgspec.msgpack.Decoder(list[AnyEvent]).decode
decode_skips = msgspec.msgpack.Decoder(SkipsRecorded).decode
decode_job = msgspec.msgpack.Decoder(Job).decode
decode_output = msgspec.msgpack.Decoder(OutputRecord).decode
decode_outbox_item = msgspec.msgpack.Decoder(OutboxItem).decode
decode_streak = msgspec.msgpack.Decoder(Streak).decode
decode_calendar = msgspec.msgpack.Decoder(CalendarDays).decode
decode_answer = msgspec.msgpack.Decoder(Done | Refused).decode
decode_agent = msgspec.msgpack.Decoder(AgentRecord).decode
decode_agent_token = msgspec.msgpack.Decoder(AgentToken).decode
decode_pause = msgspec.msgpack.Decoder(Pause).decode
decode_token = msgspec.msgpack.Decoder(ApiToken).decode
decode_user = msgspec.msgpack.Decoder(User).decode
decode_session = msgspec.msgpack.Decoder(Session).decode
decode_backfill = msgspec.msgpack.Decoder(Backfill).decode
decode_operation = msgspec.msgpack.Decoder(Operation).decode
decode_part = msgspec.msgpack.Decoder(Part).decode
decode_finding = msgspec.msgpack.Decoder(Finding).decode
decode_round = msgspec.msgpack.Decoder(CheckRound).decode
decode_plain = msgspec.msgpack.Decoder().decode

_json = msgspec.json.Encoder(order="sorted").encode
_decode_args = msgspec.json.Decoder(dict[str, str]).decode

RunRow = tuple[int, str, str, int, bool, bool, int, int, str, bytes, int]
EventRow = tuple[int, int, int | None, bytes, int]
SpanRow = tuple[int, int, int, int]


def codes_text(states: Iterable[State]) -> str:
    """Return states as what stands in the parentheses of an `IN`."""
    return ", ".join(str(STATE_CODES[state]) for state in states)


def row_sum(*values: object) -> int:
    """Return the checksum of a row: of its columns but the sum itself, the last of them bytes."""
    *head, body = values
    assert isinstance(body, bytes), "the last column is the record"
    text = "\0".join(["" if value is None else str(value) for value in head])
    return crc32(body, crc32(text.encode()))


def _run_sum(row: tuple[Any, ...]) -> int:
    """Return the same for a run's row, faster."""
    n, job_id, args, state, held, planned, schedule_us, at_us, labels, record = row
    head = f"{n}\0{job_id}\0{args}\0{state}\0{held:d}\0{planned:d}\0{schedule_us}\0{at_us}"
    return crc32(record, crc32(f"{head}\0{labels}".encode()))


def args_text(args: dict[str, str]) -> str:
    """Return the same text as `jobs.run.args_key`, a dozen times faster."""
    return _json(args).decode() if args else "{}"


def args_needles(args: dict[str, str]) -> list[str]:
    """Return texts that occur in the args text of every run that has these args among its own."""
    return [args_text({name: value})[1:-1] for name, value in args.items()]


def has_args(text: str, wanted: str) -> bool:
    """Whether the args in `text` include those in `wanted`, both as args texts."""
    return _decode_args(wanted).items() <= _decode_args(text).items()


def label_text(label: str) -> str:
    """Return what occurs in the labels text of every run with this label, and in no other."""
    return f"{LABEL_BEGIN}{_json(label).decode()[1:-1]}{LABEL_END}"


def owner_text(owner: str) -> str:
    """Return what occurs in the labels text of every run of this owner, and in no other."""
    return f"{OWNER_BEGIN}{_json(owner).decode()[1:-1]}{LABEL_END}"


def owner_heading(owner: str) -> str:
    """Return what jobs are found under by their owner, as they are under each label."""
    return f"{OWNER_BEGIN}{owner}"


@functools.lru_cache(maxsize=4096)
def labels_text(labels: tuple[str, ...], owner: str) -> str:
    """Return the labels column of a run. Runs of a job share theirs, so it is kept."""
    return "".join(map(label_text, labels)) + (owner_text(owner) if owner else "")


def headings(labels: tuple[str, ...], owner: str) -> tuple[str, ...]:
    """Return all that a job is found under whose runs have these labels and this owner."""
    return ("", *labels, owner_heading(owner)) if owner else ("", *labels)


def group_by_run(events: Iterable[AnyEvent]) -> dict[str | None, list[AnyEvent]]:
    """Return the events of each run in order; under None those of no run."""
    groups: dict[str | None, list[AnyEvent]] = {}
    for event in events:
        run_id = getattr(event, "run_id", None)
        group = groups.get(run_id)
        if group is None:
            groups[run_id] = [event]
        else:
            group.append(event)
    return groups


def read_run(row: tuple[Any, ...]) -> Run:
    """Return the run of a row (number, state, record).

    Raises:
        ValueError: it is none, or another than its columns say.
    """
    run = decode_run(row[2])
    if run.run_id != f"r{row[0]}" or STATE_CODES[run.state] != row[1]:
        raise ValueError("its columns are not those of its record")
    return run


def event_rows(groups: dict[str | None, list[AnyEvent]], batch: int) -> Iterator[EventRow]:
    """Yield the rows of one commit whose first seq is `batch`."""
    for run_id, group in groups.items():
        seq, body = group[0].seq, encode(group)
        number = None if run_id is None else int(run_id[1:])
        head = f"{seq}\0{batch}\0{'' if number is None else number}"
        yield seq, batch, number, body, crc32(body, crc32(head.encode()))


def changed_us(run: Run, events: list[AnyEvent] | None) -> int:
    """Return when a run last changed: the last event of this commit that has changed it, else its
    last state. What became of an action of its is in its log, and no change of the run."""
    changes = [event.at_us for event in events or () if isinstance(event, RunMoved | RunNoted)]
    return changes[-1] if changes else max(run.times.values(), default=0)


def run_row(run: Run, at_us: int) -> RunRow:
    """Return the row of a run that last changed at `at_us`."""
    row = (
        int(run.run_id[1:]),
        run.job_id,
        args_text(run.args),
        STATE_CODES[run.state],
        run.held,
        run.fingerprint is not None,
        run.schedule_us,
        at_us,
        labels_text(run.labels, run.owner),
        encode(run),
    )
    return (*row, _run_sum(row))


def span_rows(runs: Iterable[tuple[int, int, int]]) -> list[SpanRow]:
    """Return what runs (number, schedule time, last change) add to the spans of their blocks."""
    spans: dict[int, tuple[int, int, int]] = {}
    for number, schedule_us, at_us in runs:
        block = number >> BLOCK_BITS
        span = spans.get(block)
        if span is None:
            spans[block] = (schedule_us, schedule_us, at_us)
        elif not (span[0] <= schedule_us <= span[1] and at_us <= span[2]):
            least, most, changed = span
            spans[block] = min(least, schedule_us), max(most, schedule_us), max(changed, at_us)
    return [(block, *span) for block, span in spans.items()]


def in_force(
    row: ScheduleRow, job: Job, schedule: Schedule, calendars: Mapping[str, Calendar]
) -> InForce:
    """Return when a stored schedule, decoded by the caller, was in force, and with what."""
    return InForce(
        job=job,
        schedule=schedule,
        fingerprint=row.fingerprint,
        from_us=row.valid_from_us,
        to_us=row.valid_to_us,
        written_us=row.written_upto_us,
        calendars=calendars,
    )
