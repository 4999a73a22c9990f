"""`GET /api/v2/why`: why a run is as it is, or why a job has no run for a time.

What the store knows is gathered here and weighed in `jobs.explain`.
"""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

import msgspec
from msgspec import Meta

from ..jobs.calendar_days import calendars_by_name
from ..jobs.explain import (
    Known,
    Period,
    Skipped,
    Sought,
    Withdrawal,
    explain,
    schedule_line,
)
from ..jobs.names import AmbiguousJob, NoSuchJob, match_job_id
from ..jobs.near import near
from ..jobs.run import Run
from ..jobs.schedules import Schedule
from ..jobs.times import SECOND_US, format_time
from ..jobs.words import instance_words
from ..messages.hello import ScheduleRow
from ..messages.transitions import AnyEvent, JobsChanged, RunWithdrawn
from ..store.interface import Reader, RunQuery
from ..store.rows import in_force
from .gate import check_job, check_run, reaches
from .query import BadQuery, parse_instant
from .routing import Problem, Request, Route
from .shapes import Instant, RunPage
from .v2_runs import get_run

# Runs of one instance and time that are named.
MOST_RUNS = 20
# Schedules of one job's past that are looked at, the latest.
MOST_PERIODS = 500
# Events looked at to find the reload that took a run away.
MOST_EVENTS = 20_000
EVENTS_A_READ = 2_000
NEAR_JOBS = 3


class WhyQuery(msgspec.Struct, forbid_unknown_fields=True):
    """A run, or a job and the time for which it should have one."""

    run: Annotated[str | None, Meta(description="The id of a run.")] = None
    job: Annotated[str | None, Meta(description="The id of a job, or words of it.")] = None
    at: Annotated[str | None, Meta(description="A time, a date, `now`, or as -6h.")] = None
    arg: Annotated[list[str], Meta(description="`name=value` for each arg that is known.")] = []


class Why(TypedDict):
    """Why: `lines` are sentences; `run` is there where one run is meant."""

    verdict: str
    lines: list[str]
    job_id: str
    args: dict[str, str]
    schedule_time: Instant
    run_id: NotRequired[str]
    run: NotRequired[RunPage]


async def get_why(request: Request, query: WhyQuery) -> Why:
    """Why a run is as it is (`run`), or why a job has none for a time (`job`, `at`, `arg`)."""
    services, guest = request.services, request.guest
    bound = guest if guest is not None and guest.access.labels else None
    if query.run is not None:
        if bound is not None:
            await check_run(services, bound, query.run)
        return await _of_run(request, query.run)
    now_us = services.now_us()
    job, at = query.job, query.at
    if not job or not at:
        raise Problem(400, "expected run, or job and at")
    if bound is not None:
        await check_job(services, bound, job)
    args = {}
    for text in query.arg:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Problem(400, f"arg: {text!r}: expected name=value")
        args[name] = value
    try:
        at_us = parse_instant(at, now_us) // SECOND_US * SECOND_US
    except BadQuery as error:
        raise Problem(400, str(error)) from None

    def read(reader: Reader) -> Run | Why:
        sought = Sought(job_id=_job_id(reader, job), args=args, at_us=at_us)
        there = _runs(reader, sought)
        runs = [run for run in there if reaches(guest, run.labels)]
        if there and not runs:
            # Why there is none would be a lie, and that there is one is not to be told.
            raise Problem(404, f"nothing is told of {sought.job_id} at {format_time(at_us)}")
        if len(runs) == 1:
            return runs[0]
        time = format_time(at_us)
        if runs:
            lines = ["There are several such runs:"]
            lines += [
                f"{run.run_id}  {instance_words(run.job_id, run.args)}: {run.state}" for run in runs
            ]
            return _why("runs", lines, sought, time)
        answer = explain(sought, _known(reader, sought, now_us))
        return _why(answer.verdict, list(answer.lines), sought, time)

    found = await services.read(read)
    return await _of_run(request, found.run_id) if isinstance(found, Run) else found


def _why(verdict: str, lines: list[str], sought: Sought, time: str) -> Why:
    return {
        "verdict": verdict,
        "lines": lines,
        "job_id": sought.job_id,
        "args": sought.args,
        "schedule_time": time,
    }


async def _of_run(request: Request, run_id: str) -> Why:
    """Explain a run: its page knows its state and what it waits for; here its schedule is added."""
    request.params["run_id"] = run_id
    page = (await get_run(request))["run"]

    def read(reader: Reader) -> str:
        run = reader.run(run_id)
        return "" if run is None else _origin(reader, run)

    origin = await request.services.read(read)
    return {
        "verdict": "run",
        "run_id": run_id,
        "job_id": page["job_id"],
        "args": page["args"],
        "schedule_time": page["schedule_time"],
        "lines": [*page["why"], *([origin] if origin else [])],
        "run": page,
    }


# --- what the store knows -------------------------------------------------------------------------


def _origin(reader: Reader, run: Run) -> str:
    """Return what made a run, in a sentence."""
    if run.fingerprint is not None:
        for period in reversed(_periods(reader, run.job_id)):
            if period.fingerprint == run.fingerprint:
                return schedule_line(period)
        return "Its schedule is not known any more."
    if run.backfill is not None:
        return f"It is of backfill b{run.backfill}."
    if run.rerun_of is not None:
        return f"It was asked for as a rerun of {run.rerun_of}."
    return f"It was asked for by {run.cause}." if run.cause else ""


def _job_id(reader: Reader, text: str) -> str:
    """Return the id that a text means; one that means none stays, since the job may be gone."""
    try:
        return match_job_id(text, reader.jobs())
    except AmbiguousJob as error:
        raise Problem(400, str(error)) from None
    except NoSuchJob:
        return text


def _runs(reader: Reader, sought: Sought) -> list[Run]:
    query = RunQuery(
        job_id=sought.job_id,
        args=sought.args,
        since_us=sought.at_us,
        until_us=sought.at_us + SECOND_US,
        limit=MOST_RUNS,
    )
    moved = reader.moved([sought.job_id], sought.at_us, sought.at_us + SECOND_US)
    put = reader.runs([one.run_id for one in moved])
    wanted = sought.args.items()
    return reader.query(query) + [run for run in put if wanted <= run.args.items()]


def _known(reader: Reader, sought: Sought, now_us: int) -> Known:
    hashes = reader.jobs()
    hash_ = hashes.get(sought.job_id) or reader.ad_hoc_job(sought.job_id)
    job = None if hash_ is None else reader.definition(hash_)
    periods = _periods(reader, sought.job_id)
    meant = near(sought.job_id, list(hashes), NEAR_JOBS) if job is None else ()
    return Known(
        job=job,
        near=tuple(meant),
        periods=tuple(periods),
        skipped=tuple(
            Skipped(
                fingerprint=fingerprint,
                from_us=skip.from_us,
                to_us=skip.to_us,
                reason=skip.reason,
                at_us=skip.at_us,
            )
            for fingerprint in sorted({period.fingerprint for period in periods})
            for skip in reader.skips(sought.job_id, fingerprint)
        ),
        withdrawn=_withdrawal(reader, sought, periods),
        calendars=calendars_by_name(reader.calendars()),
        now_us=now_us,
    )


def _periods(reader: Reader, job_id: str) -> list[Period]:
    found = []
    for row in reader.schedule_history(job_id)[-MOST_PERIODS:]:
        period = _period(reader, row)
        if period is not None:
            found.append(period)
    return found


def _period(reader: Reader, row: ScheduleRow) -> Period | None:
    """Return a schedule's time in force, None when an older version stored what is not read now."""
    job = reader.definition(row.definition)
    try:
        schedule = msgspec.convert(row.spec, Schedule)
    except msgspec.ValidationError:
        return None
    if job is None:
        return None
    return in_force(row, job, schedule, {})


def _withdrawal(reader: Reader, sought: Sought, periods: list[Period]) -> Withdrawal | None:
    """Return the reload that ended the last of the job's schedules before the time sought."""
    ends = [one.to_us for one in periods if one.to_us is not None and one.to_us <= sought.at_us]
    if not ends:
        return None
    seq = _seq_at(reader, max(ends))
    withdrawn: RunWithdrawn | None = None
    for _ in range(MOST_EVENTS // EVENTS_A_READ):
        events = reader.events_after(seq, EVENTS_A_READ)
        for event in events:
            if isinstance(event, RunWithdrawn) and _is_sought(event, sought):
                withdrawn = event
            what = _what(event, sought.job_id)
            if isinstance(event, JobsChanged) and what:
                return Withdrawal(
                    at_us=event.at_us,
                    what=what,
                    jobs_version=event.jobs_version,
                    run_id=None if withdrawn is None else withdrawn.run_id,
                    reason="" if withdrawn is None else withdrawn.reason,
                )
        if len(events) < EVENTS_A_READ:
            break
        seq = events[-1].seq
    return None


def _is_sought(event: RunWithdrawn, sought: Sought) -> bool:
    return (
        event.job_id == sought.job_id
        and event.schedule_us // SECOND_US * SECOND_US == sought.at_us
        and sought.args.items() <= event.args.items()
    )


def _what(event: AnyEvent, job_id: str) -> str:
    """Return what a reload did to a job, empty when it did nothing to it."""
    if isinstance(event, JobsChanged):
        for what in ("changed", "removed"):
            if job_id in getattr(event, what):
                return what
    return ""


def _seq_at(reader: Reader, at_us: int) -> int:
    """Return a seq after which come the events from `at_us` on: they are in order of time, as far
    as clocks are."""
    low, high = 0, reader.head()[1]
    while high - low > 1:
        middle = (low + high) // 2
        events = reader.events_after(middle, 1)
        if events and events[0].at_us < at_us:
            low = middle
        else:
            high = middle
    return low


ROUTES = [Route("GET", "/api/v2/why", get_why, also=(404,))]
