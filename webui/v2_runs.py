"""Endpoints of `/api/v2/runs`: lists by query, one run's page, operations."""

from __future__ import annotations

from typing import Annotated, TypedDict, cast

import msgspec
from msgspec import Meta

from ..jobs.judging import Wanted
from ..jobs.keeping import ORDER
from ..jobs.run import Run, run_number
from ..jobs.run_filter import RunFilter
from ..jobs.states import State
from ..jobs.times import format_time_ms
from ..messages.deeds import instruction_of
from ..messages.operations import VERBS, root_of
from ..messages.wishes import Done
from ..store.interface import Reader
from .deed_bodies import DeedFields, deed_of
from .gate import reaches, within_reach
from .listing import MAX_PAGE, count_states
from .query import BadQuery, parse_filter
from .records import log_lines, output_record, owed_record, run_page, run_record
from .routing import Problem, Request, Route, encode
from .scheduling import RunTimes, RunWanted, schedule_wish
from .services import known
from .shapes import (
    Instant,
    NewRuns,
    Operated,
    RunAnswer,
    RunPage,
    RunRecord,
    RunsAnswer,
    WaitsFor,
)
from .usual import usual_lengths
from .v1_runs import MAX_COUNT, rerun_wish
from .v2_pauses import in_force
from .why import StoreFacts, waits_for, why

DEFAULT_PAGE = 100


class Terms(msgspec.Struct, forbid_unknown_fields=True):
    """Which runs; all that is given must hold."""

    state: Annotated[list[str], Meta(description="States, with commas between.")] = []
    job: Annotated[
        list[str], Meta(description="An id, a folder, or beginnings of words of it; once.")
    ] = []
    label: list[str] = []
    owner: list[str] = []
    arg: Annotated[list[str], Meta(description="`name=value`.")] = []
    agent: list[str] = []
    id: Annotated[list[str], Meta(description="Run ids, with commas between.")] = []
    since: Annotated[
        list[str], Meta(description="A time, a date, `now`, or as -6h: scheduled from then on.")
    ] = []
    until: Annotated[list[str], Meta(description="The same: scheduled before then.")] = []
    q: Annotated[list[str], Meta(description="A query; see the guide of queries.")] = []


class RunsQuery(Terms, forbid_unknown_fields=True):
    """Which runs, and which page of them."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: Annotated[
        int, Meta(ge=0, le=2**59, description="`next_cursor` of the page before.")
    ] = 0
    counts: Annotated[str | None, Meta(description="0: without counts by state.")] = None


class NewRunTimes(RunTimes, forbid_unknown_fields=True):
    """When runs are for, and when they are stopped."""


class NewRunsBody(RunWanted, forbid_unknown_fields=True):
    """Runs to be made: of a job of the folder, or of one that is given as in a job file."""

    times: NewRunTimes | None = None
    count: Annotated[int, Meta(ge=1, le=MAX_COUNT)] = 1


def filter_of(request: Request) -> RunFilter:
    """Return the filter of a request's parameters.

    Raises:
        Problem: 400, a term is not understood.
    """
    try:
        wanted = parse_filter(request.query, request.services.now_us())
        return within_reach(request.guest, wanted)
    except BadQuery as error:
        raise Problem(400, str(error)) from None


async def list_runs(request: Request, query: RunsQuery) -> RunsAnswer:
    """A page of runs, newest first, with counts by state of the whole query."""
    wanted = filter_of(request)
    limit, before = query.limit, query.cursor or None
    counting = before is None and query.counts != "0"
    now = _now(request)

    def read(reader: Reader) -> RunsAnswer:
        epoch, seq = reader.head()
        page = reader.find(wanted, before=before, limit=limit)
        return {
            "runs": [run_record(run) for run in page.runs],
            "next_cursor": None if page.before is None else str(page.before),
            "counts": count_states(reader, wanted) if counting else None,
            "epoch": epoch,
            "seq": seq,
            "now": now,
        }

    return await request.services.read(read)


async def get_run(request: Request) -> RunAnswer:
    """A run with its log, outputs and the reason of its state."""
    run_id = request.params["run_id"]
    now_us = request.services.now_us()
    pools = request.services.settings.pools

    def read(reader: Reader) -> RunAnswer:
        run = known(reader.run(run_id) if run_number(run_id) is not None else None, run_id)
        epoch, seq = reader.head()
        log = log_lines(reader.log(run_id))
        waited = waits_for(run, log, StoreFacts(reader, pools), now_us)
        bound_to = run.definition
        page: RunPage = {
            **run_page(run),
            "commit": None if bound_to is None else reader.definition_commit(bound_to),
            "log": log,
            "outputs": [
                output_record(one) for one in reader.outputs(run_id) if one.output_id != ORDER
            ],
            "owed": [owed_record(item) for item in reader.outbox(run_id)],
            "why": why(run, log, waited, now_us, in_force(reader, now_us)),
            "waits_for": [_waits_for(one) for one in waited],
            "usual": usual_lengths(reader, [run.job_id]).get(run.job_id),
            "operations": operations(run),
        }
        return {"run": page, "epoch": epoch, "seq": seq, "now": format_time_ms(now_us)}

    return await request.services.read(read)


def _waits_for(one: Wanted) -> WaitsFor:
    return {"condition": one.condition, "met": one.met, "reason": one.reason}


def operations(run: Run) -> list[str]:
    """Return what a person may do with a run in its state, in the order people see it."""
    match run.state:
        case State.SCHEDULED | State.WAITING:
            hold = "release" if run.held else "hold"
            # What waits to be tried again has run, and can be stopped.
            stop = ["stop"] if run.attempts else []
            put_off = [] if run.attempts else ["reschedule"]
            return ["start", hold, *put_off, "rerun", "skip", *stop]
        case State.STARTING:
            return ["rerun", "stop"]
        case State.RUNNING | State.STOPPING:
            return ["rerun", "signal", "stop", "kill"]
        case _:
            return ["rerun", "mark"]


async def post_runs(request: Request, body: NewRunsBody) -> NewRuns:
    """Make runs of a job, now or for later, or of a job that is given in the request."""
    return _runs(
        await request.services.wish(request, await schedule_wish(request, body, body.count))
    )


async def operate(request: Request, body: DeedFields) -> Operated:
    """Carry out an operation on a run.

    The verb is `start`, `skip`, `hold`, `release`, `stop`, `kill`, `signal`, `mark`, `reschedule`
    or `rerun`, which answers with `runs`, the others with `run`.
    """
    run_id, verb = request.params["run_id"], request.params["verb"]
    if run_number(run_id) is None:
        known(None, run_id)
    named = next((one for one in VERBS if one == verb), None)
    if named is None:
        expected = ", ".join(VERBS)
        raise Problem(404, f"no such operation: {verb[:100]}: expected one of {expected}")
    deed = deed_of(named, body)
    if named == "rerun":
        wish = await rerun_wish(
            request, as_it_was=deed.stored, changes=deed.args, reason=deed.reason
        )
        made = _runs(await request.services.wish(request, wish))
        return {"runs": made["runs"], "seq": made["seq"]}
    done = await request.services.wish(request, instruction_of(deed, run_id))
    return {"run": next(map(run_record, done.each()), None), "seq": done.seq}


class Reruns(TypedDict):
    """A chain of reruns, its first run (`root`) first."""

    root: str
    runs: list[RunRecord]
    epoch: int
    seq: int
    now: Instant


async def get_reruns(request: Request) -> Reruns:
    """A run with all reruns of it, whichever of them is named: the first run first."""
    run_id = request.params["run_id"]
    now = _now(request)

    def read(reader: Reader) -> Reruns:
        run = known(reader.run(run_id) if run_number(run_id) is not None else None, run_id)
        root = root_of(run)
        ids = list(dict.fromkeys([root, *reader.chain(root), run_id]))
        found = {one.run_id: one for one in reader.runs(ids)}
        epoch, seq = reader.head()
        runs = [found[one] for one in ids if one in found]
        return {
            "root": root,
            "runs": [run_record(one) for one in runs if reaches(request.guest, one.labels)],
            "epoch": epoch,
            "seq": seq,
            "now": now,
        }

    return await request.services.read(read)


def _runs(done: Done) -> NewRuns:
    # Each is JSON already, for memory's sake.
    records = [msgspec.Raw(encode(run_record(run))) for run in done.each()]
    return cast("NewRuns", {"runs": records, "seq": done.seq})


def _now(request: Request) -> str:
    return format_time_ms(request.services.now_us())


RUN = "/api/v2/runs/{run_id}"
ROUTES = [
    Route("GET", "/api/v2/runs", list_runs),
    Route("POST", "/api/v2/runs", post_runs),
    Route("GET", RUN, get_run),
    Route("GET", f"{RUN}/reruns", get_reruns),
    Route("POST", f"{RUN}/{{verb}}", operate),
]
