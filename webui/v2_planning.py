"""Endpoints of `/api/v2` about what will be: forecasts, plans of a changed folder, definitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypedDict, cast

import msgspec
from msgspec import Meta

from ..jobs.calendar_days import calendars_by_name
from ..jobs.errors import UserError
from ..jobs.forecast import Nominal, forecast_ahead, nominal_run
from ..jobs.job import Job
from ..jobs.parse import job_to_data
from ..jobs.plan import JobChange, Plan, WaitingRun, make_plan, set_digest, waiting_run
from ..jobs.plan_words import plan_data, plan_markdown
from ..jobs.run import Run, args_key
from ..jobs.run_filter import RunFilter
from ..jobs.states import State
from ..jobs.times import DAY_S, SECOND_US, format_time
from ..messages.wishes import ReloadJobs
from ..store.interface import Reader, RunQuery
from ..store.rows import decode_job
from .query import BadQuery, parse_filter, parse_instant
from .routing import Problem, Request, Route
from .shapes import Instant

DAY_US = DAY_S * SECOND_US
# Of one forecast, at most.
FORECAST_RUNS = 10_000
FORECAST_DAYS = 3_660
PLAN_DAYS = 7
MOST_PLAN_DAYS = 366
# Jobs of a plan whose files are shown.
PLAN_FILES = 100
# Waiting runs that a plan looks at.
WAITING_RUNS = 10_000
When = Annotated[str, Meta(description="A time, a date, `now`, or as +7d.")]


class ForecastQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which runs, and from when to when."""

    q: Annotated[list[str], Meta(description="A query; see the guide of queries.")] = []
    query: Annotated[list[str], Meta(description="The same.")] = []
    job: list[str] = []
    label: list[str] = []
    owner: list[str] = []
    arg: Annotated[list[str], Meta(description="`name=value`.")] = []
    from_: When = msgspec.field(default="now", name="from")
    to: Annotated[When | None, Meta(description="Where it is left out: a day on.")] = None
    whole: Annotated[
        Literal["0", "1"] | None,
        Meta(
            description="0: a span of too many runs is told as far as it goes; 1: it is "
            "refused. Where it is left out: 1 if there is a `to`."
        ),
    ] = None
    limit: Annotated[int, Meta(ge=1, le=FORECAST_RUNS)] = FORECAST_RUNS


class ForecastRow(TypedDict):
    """A run that a schedule names; one that is written already has an id. `left_out`: by which
    blackout it is none; `not_before`: it starts only then, when one is over."""

    job_id: str
    args: dict[str, str]
    schedule_time: Instant
    run_id: NotRequired[str]
    state: NotRequired[str]
    held: NotRequired[bool]
    left_out: NotRequired[str]
    not_before: NotRequired[Instant]


# A key that is a word of Python can be given by this form alone.
Forecast = TypedDict(
    "Forecast",
    {
        "forecast": list[ForecastRow],
        "from": Instant,
        "to": Instant,
        "complete": bool,
        "now": Instant,
    },
)


class PlanQuery(msgspec.Struct, forbid_unknown_fields=True):
    """How far to look."""

    days: Annotated[int, Meta(ge=1, le=MOST_PLAN_DAYS)] = PLAN_DAYS


class PlannedJob(TypedDict):
    """A job that changes: `parts` of it; `kept` and `more` runs besides those listed."""

    job_id: str
    what: str
    parts: list[str]
    kept: int
    more: int


class PlannedRun(TypedDict):
    """A run that comes, goes or moves."""

    what: str
    job_id: str
    args: dict[str, str]
    schedule_time: Instant
    moves_to: NotRequired[Instant]


class PlannedWait(TypedDict):
    """A run that waits, and whose job, or one it waits for, changes."""

    run_id: str
    job_id: str
    args: dict[str, str]


# What loading the folder would change; not `complete`: too much to tell run by run. `files` are by
# job what its file would hold before and after, None where there is none.
PlanAnswer = TypedDict(
    "PlanAnswer",
    {
        "complete": bool,
        "id": str,
        "from": Instant,
        "to": Instant,
        "jobs": list[PlannedJob],
        "runs": list[PlannedRun],
        "waiting": list[PlannedWait],
        "files": dict[str, list[dict[str, Any] | None]],
        "markdown": str,
    },
)


class DefinitionsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which definitions."""

    hash: Annotated[list[str], Meta(description="Hashes; none: which are in force.")] = []


class Definitions(TypedDict):
    """The jobs in force by definition hash, their digest, and the runs that wait; or definitions by
    hash, as data and as `files`: what a job file would hold."""

    jobs: NotRequired[dict[str, str]]
    digest: NotRequired[str]
    waiting: NotRequired[list[dict[str, Any]]]
    definitions: NotRequired[dict[str, dict[str, Any]]]
    files: NotRequired[dict[str, dict[str, Any]]]


async def get_forecast(request: Request, query: ForecastQuery) -> Forecast:
    """The runs that schedules name from one time to another; those written already have ids."""
    services = request.services
    now_us = services.now_us()
    try:
        from_us = parse_instant(query.from_ or "now", now_us)
        to_us = parse_instant(query.to, now_us) if query.to else from_us + DAY_US
        params = {"job": query.job, "label": query.label, "owner": query.owner, "arg": query.arg}
        wanted = parse_filter(params | {"q": query.q + query.query}, now_us)
    except BadQuery as error:
        raise Problem(400, str(error)) from None
    if not from_us <= to_us <= from_us + FORECAST_DAYS * DAY_US:
        sentence = f"expected a span of at most {FORECAST_DAYS} days that does not end early"
        raise Problem(400, f"from {format_time(from_us)} to {format_time(to_us)}: {sentence}")

    whole = query.whole == "1" if query.whole else query.to is not None

    def read(reader: Reader) -> tuple[list[ForecastRow], int]:
        calendars = calendars_by_name(reader.calendars())
        jobs = jobs_of(reader, wanted)
        found, upto_us = forecast_ahead(
            jobs,
            from_us,
            to_us,
            calendars,
            keep=lambda job, nominal: wanted.matches(nominal_run(job, nominal)),
            limit=query.limit,
            whole=whole,
        )
        written = runs_written(reader, tuple(jobs), from_us, upto_us)
        return [_row(nominal, written.get(_key(nominal))) for nominal in found], upto_us

    try:
        rows, upto_us = await services.read(read)
    except UserError as error:
        raise Problem(400, str(error)) from None
    return {
        "forecast": rows,
        "from": format_time(from_us),
        "to": format_time(upto_us),
        "complete": upto_us == to_us,
        "now": format_time(now_us),
    }


async def get_plan(request: Request, query: PlanQuery) -> PlanAnswer:
    """What loading the job folder as it now is would change; changes nothing.

    Not `complete`: it is too much to be told run by run.
    """
    services = request.services
    done = await services.wish(request, ReloadJobs(dry_run=True, bodies=True))
    result = done.result if isinstance(done.result, dict) else {}
    lists = {name: sorted(result.get(name, [])) for name in ("added", "changed", "removed")}
    bodies: Mapping[str, bytes] | None = result.get("jobs")
    now_us = services.now_us()
    if bodies is None:
        changes = [JobChange(job_id=id_, what=what) for what in lists for id_ in lists[what]]
        plan = Plan(
            id=result.get("plan", ""),
            from_us=now_us,
            to_us=now_us,
            jobs=tuple(sorted(changes, key=lambda change: change.job_id)),
        )
        return _plan_answer(plan, {}, complete=False)

    def read(reader: Reader) -> PlanAnswer:
        hashes = reader.jobs()
        gone = {
            job_id: job
            for job_id in lists["changed"] + lists["removed"]
            if (hash_ := hashes.get(job_id)) and (job := reader.definition(hash_)) is not None
        }
        come = {job_id: decode_job(body) for job_id, body in bodies.items()}
        calendars = calendars_by_name(reader.calendars())
        days, waiting = query.days, _waiting(reader)
        plan = make_plan(result["plan"], gone, come, now_us, days, calendars, waiting)
        return _plan_answer(plan, _files(gone, come), complete=True)

    return await services.read(read)


def _plan_answer(
    plan: Plan, files: dict[str, list[dict[str, Any] | None]], *, complete: bool
) -> PlanAnswer:
    said = {"complete": complete, "files": files, "markdown": plan_markdown(plan)}
    return cast("PlanAnswer", said | plan_data(plan))


def _files(
    gone: Mapping[str, Job], come: Mapping[str, Job]
) -> dict[str, list[dict[str, Any] | None]]:
    """Return of each job that changes what its file would hold before and after; of the first."""
    return {
        job_id: [
            None if job is None else job_to_data(job)
            for job in (gone.get(job_id), come.get(job_id))
        ]
        for job_id in sorted({*gone, *come})[:PLAN_FILES]
    }


async def get_definitions(request: Request, query: DefinitionsQuery) -> Definitions:
    """The jobs in force by definition hash, and the runs that wait with the jobs they have to do
    with; with `hash` (repeated) these definitions themselves."""
    wanted = query.hash

    def read(reader: Reader) -> Definitions:
        if not wanted:
            hashes = reader.jobs()
            waiting = msgspec.to_builtins(_waiting(reader))
            return {"jobs": hashes, "digest": set_digest(hashes), "waiting": waiting}
        found = {hash_: job for hash_ in wanted if (job := reader.definition(hash_)) is not None}
        return {
            "definitions": {hash_: msgspec.to_builtins(job) for hash_, job in found.items()},
            "files": {hash_: job_to_data(job) for hash_, job in found.items()},
        }

    return await request.services.read(read)


# --- inside ---------------------------------------------------------------------------------------


def jobs_of(reader: Reader, wanted: RunFilter) -> dict[str, Job]:
    """Return the jobs that schedules make runs of and a query may mean: the folder's and, while
    their schedules are open, ad hoc ones."""
    hashes: dict[str, str | None] = dict(reader.jobs())
    for job_id in {row.job_id for row in reader.schedules()} - hashes.keys():
        hashes[job_id] = reader.ad_hoc_job(job_id)
    return {
        job_id: job
        for job_id, hash_ in hashes.items()
        if hash_ is not None
        and wanted.matches_job(job_id)
        and (job := reader.definition(hash_)) is not None
    }


def runs_written(
    reader: Reader, job_ids: tuple[str, ...], from_us: int, to_us: int
) -> dict[tuple[str, str, int], Run]:
    """Return the runs that schedules have made already, by what they are; one that somebody has put
    to another time, by what it was made for."""
    query = RunQuery(job_ids=job_ids, since_us=from_us, until_us=to_us, limit=FORECAST_RUNS)
    found = [run for run in reader.query(query) if run.fingerprint is not None]
    moved = reader.moved(job_ids, from_us, to_us)
    found += reader.runs([one.run_id for one in moved])
    return {(run.job_id, run.args_key, run.made_for_us): run for run in found}


def _waiting(reader: Reader) -> list[WaitingRun]:
    query = RunQuery(states=(State.WAITING,), limit=WAITING_RUNS)
    return [waiting_run(run) for run in reader.query(query)]


def _key(nominal: Nominal) -> tuple[str, str, int]:
    return nominal.job_id, args_key(nominal.args), nominal.at_us


def _row(nominal: Nominal, run: Run | None) -> ForecastRow:
    row: ForecastRow = {
        "job_id": nominal.job_id,
        "args": nominal.args,
        "schedule_time": format_time(nominal.at_us),
    }
    if nominal.left_out:
        row["left_out"] = nominal.left_out
    if nominal.until_us is not None:
        row["not_before"] = format_time(nominal.until_us)
    if run is not None:
        row["run_id"] = run.run_id
        row["state"] = run.state.value
        if run.held:
            row["held"] = True
    return row


ROUTES = [
    Route("GET", "/api/v2/forecast", get_forecast),
    Route("GET", "/api/v2/plan", get_plan),
    Route("GET", "/api/v2/definitions", get_definitions),
]
