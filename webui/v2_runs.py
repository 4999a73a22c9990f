"""Endpoints of `/api/v2/runs`: lists by query, one run's page, operations."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..jobs.judging import Wanted
from ..jobs.keeping import ORDER
from ..jobs.run import Run, run_number
from ..jobs.run_filter import RunFilter
from ..jobs.states import State
from ..jobs.times import format_time_ms
from ..messages.wishes import (
    Done,
    HoldRun,
    MarkRun,
    ReleaseRun,
    SignalRun,
    SkipRun,
    StartNow,
    StopRun,
    ToLedgerWish,
    ToSchedulerWish,
)
from ..store.interface import Reader
from .gate import within_reach
from .listing import MAX_PAGE, count_states
from .query import BadQuery, parse_filter
from .records import log_lines, output_record, owed_record, run_page, run_record
from .routing import Problem, Request, Route
from .scheduling import RunTimes, RunWanted, schedule_wish
from .services import known
from .shapes import (
    NewRuns,
    Operated,
    RunAnswer,
    RunPage,
    RunsAnswer,
    WaitsFor,
)
from .usual import usual_lengths
from .v1_runs import MAX_COUNT, one_state, parse_signal, rerun_wish
from .v2_pauses import in_force
from .why import StoreFacts, waits_for, why

DEFAULT_PAGE = 100
MAX_REASON = 1_000


class Terms(msgspec.Struct, forbid_unknown_fields=True):
    """Which runs; all that is given must hold."""

    state: Annotated[list[str], Meta(description="States, with commas between.")] = []
    job: Annotated[
        list[str], Meta(description="An id, a folder, or beginnings of words of it; once.")
    ] = []
    label: list[str] = []
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


# A reason a person gives is a sentence, not a text.
Reason = Annotated[str, Meta(max_length=MAX_REASON)]


class OperationBody(msgspec.Struct, forbid_unknown_fields=True):
    """What an operation needs to know: `mark` the state, `signal` the signal, `rerun` which
    definition."""

    reason: Annotated[Reason | None, Meta(description="Why; of skip and hold.")] = None
    state: Annotated[str | None, Meta(description="success, failure, error or skipped.")] = None
    signal: Annotated[str | None, Meta(description="TERM, SIGTERM or 15.")] = None
    definition: Annotated[
        Literal["current", "stored"],
        Meta(description="The job's as it is now, or the one the run was bound to."),
    ] = "current"


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
            return ["start", hold, "rerun", "skip", *stop]
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


async def operate(request: Request, body: OperationBody) -> Operated:
    """Carry out an operation on a run.

    The verb is `start`, `skip`, `hold`, `release`, `stop`, `kill`, `signal`, `mark` or `rerun`,
    which answers with `runs`, the others with `run`.
    """
    run_id, verb = request.params["run_id"], request.params["verb"]
    if run_number(run_id) is None:
        known(None, run_id)
    if verb == "rerun":
        wish = await rerun_wish(request, as_it_was=body.definition == "stored")
        made = _runs(await request.services.wish(request, wish))
        return {"runs": made["runs"], "seq": made["seq"]}
    done = await request.services.wish(request, _wish(run_id, verb, body))
    return {"run": run_record(done.runs[0]) if done.runs else None, "seq": done.seq}


VERBS = ("start", "skip", "hold", "release", "stop", "kill", "signal", "mark", "rerun")


def _wish(run_id: str, verb: str, body: OperationBody) -> ToLedgerWish | ToSchedulerWish:
    match verb:
        case "start":
            return StartNow(run_id=run_id)
        case "skip":
            return SkipRun(run_id=run_id, reason=_reason(body))
        case "hold":
            return HoldRun(run_id=run_id, reason=_reason(body))
        case "release":
            return ReleaseRun(run_id=run_id)
        case "stop":
            return StopRun(run_id=run_id)
        case "kill":
            return StopRun(run_id=run_id, kill=True)
        case "signal":
            return SignalRun(run_id=run_id, signal=parse_signal(body.signal or ""))
        case "mark":
            return MarkRun(run_id=run_id, state=one_state(body.state or ""))
        case _:
            raise Problem(
                404, f"no such operation: {verb[:100]}: expected one of {', '.join(VERBS)}"
            )


def _reason(body: OperationBody) -> str:
    return " ".join((body.reason or "").split())


def _runs(done: Done) -> NewRuns:
    return {"runs": [run_record(run) for run in done.runs], "seq": done.seq}


def _now(request: Request) -> str:
    return format_time_ms(request.services.now_us())


RUN = "/api/v2/runs/{run_id}"
ROUTES = [
    Route("GET", "/api/v2/runs", list_runs),
    Route("POST", "/api/v2/runs", post_runs),
    Route("GET", RUN, get_run),
    Route("POST", f"{RUN}/{{verb}}", operate),
]
