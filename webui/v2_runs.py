"""Endpoints of `/api/v2/runs`: lists by query, one run's page, operations."""

from __future__ import annotations

from typing import Any

import msgspec

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
from .scheduling import schedule_wish
from .services import known
from .usual import usual_lengths
from .v1_runs import MAX_COUNT, one_state, parse_signal, rerun_wish
from .v2_pauses import in_force
from .why import StoreFacts, waits_for, why

DEFAULT_PAGE = 100
PARAMS = {"state", "job", "label", "arg", "q", "since", "until", "agent", "id"}
# A reason a person gives is a sentence, not a text.
MAX_REASON = 1_000


def filter_of(request: Request) -> RunFilter:
    """Return the filter of a request's parameters.

    Raises:
        Problem: 400, a term or a parameter is not understood.
    """
    unknown = request.query.keys() - PARAMS - {"limit", "cursor", "counts"}
    if unknown:
        names = ", ".join(sorted(unknown))[:200]
        raise Problem(400, f"unknown parameters: {names}: expected {', '.join(sorted(PARAMS))}")
    try:
        wanted = parse_filter(request.query, request.services.now_us())
        return within_reach(request.guest, wanted)
    except BadQuery as error:
        raise Problem(400, str(error)) from None


async def list_runs(request: Request) -> Any:
    """A page of runs, newest first, with counts by state of the whole query."""
    wanted = filter_of(request)
    limit = request.number("limit", DEFAULT_PAGE, 1, MAX_PAGE)
    before = request.number("cursor", 0, 0, 2**59) or None
    counting = before is None and request.text("counts") != "0"

    def read(reader: Reader) -> dict[str, Any]:
        epoch, seq = reader.head()
        page = reader.find(wanted, before=before, limit=limit)
        return {
            "runs": [run_record(run) for run in page.runs],
            "next_cursor": None if page.before is None else str(page.before),
            "counts": count_states(reader, wanted) if counting else None,
            "epoch": epoch,
            "seq": seq,
        }

    found = await request.services.read(read)
    return found | {"now": _now(request)}


async def get_run(request: Request) -> Any:
    """A run with its log, outputs and the reason of its state."""
    run_id = request.params["run_id"]
    now_us = request.services.now_us()
    pools = request.services.settings.pools

    def read(reader: Reader) -> dict[str, Any]:
        run = known(reader.run(run_id) if run_number(run_id) is not None else None, run_id)
        epoch, seq = reader.head()
        log = log_lines(reader.log(run_id))
        waited = waits_for(run, log, StoreFacts(reader, pools), now_us)
        bound_to = run.definition
        page = run_page(run) | {
            "commit": None if bound_to is None else reader.definition_commit(bound_to),
            "log": log,
            "outputs": [
                output_record(one) for one in reader.outputs(run_id) if one.output_id != ORDER
            ],
            "owed": [owed_record(item) for item in reader.outbox(run_id)],
            "why": why(run, log, waited, now_us, in_force(reader, now_us)),
            "waits_for": [msgspec.structs.asdict(one) for one in waited],
            "usual": usual_lengths(reader, [run.job_id]).get(run.job_id),
            "operations": operations(run),
        }
        return {"run": page, "epoch": epoch, "seq": seq}

    found = await request.services.read(read)
    return found | {"now": _now(request)}


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


async def post_runs(request: Request) -> Any:
    """Schedule runs: a body as of `/api/v1/runs`, and `count` in it."""
    body = _body(request)
    count = body.pop("count", 1)
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_COUNT:
        raise Problem(400, f"count: {count!r}: expected a whole number from 1 to {MAX_COUNT}")
    wish = await schedule_wish(request, body, count)
    return _runs(await request.services.wish(request, wish))


async def operate(request: Request) -> Any:
    """Carry out an operation on a run; the body may hold `reason`, `state` or `signal`."""
    run_id, verb = request.params["run_id"], request.params["verb"]
    body = _body(request)
    if run_number(run_id) is None:
        known(None, run_id)
    if verb == "rerun":
        wish = await rerun_wish(request, as_it_was=_as_it_was(body))
        return _runs(await request.services.wish(request, wish))
    done = await request.services.wish(request, _wish(run_id, verb, body))
    return {"run": run_record(done.runs[0]) if done.runs else None, "seq": done.seq}


VERBS = ("start", "skip", "hold", "release", "stop", "kill", "signal", "mark", "rerun")


def _wish(run_id: str, verb: str, body: dict[str, Any]) -> ToLedgerWish | ToSchedulerWish:
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
            return SignalRun(run_id=run_id, signal=parse_signal(str(body.get("signal", ""))))
        case "mark":
            return MarkRun(run_id=run_id, state=one_state(body.get("state")))
        case _:
            raise Problem(
                404, f"no such operation: {verb[:100]}: expected one of {', '.join(VERBS)}"
            )


def _as_it_was(body: dict[str, Any]) -> bool:
    which = body.get("definition", "current")
    if which not in ("current", "stored"):
        raise Problem(400, "definition: expected current (the job's) or stored (the run's)")
    return bool(which == "stored")


def _reason(body: dict[str, Any]) -> str:
    reason = body.get("reason") or ""
    if not isinstance(reason, str) or len(reason) > MAX_REASON:
        raise Problem(400, f"reason: expected a text of at most {MAX_REASON} characters")
    return " ".join(reason.split())


def _body(request: Request) -> dict[str, Any]:
    """Return the body; it must say that it is JSON, which no plain form of a page can."""
    content = request.headers.get("Content-Type", "")
    if request.body and content.partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, f"content type {content[:100]!r}: expected application/json")
    return request.json_object()


def _runs(done: Done) -> dict[str, Any]:
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
