"""Endpoints of `/api/v2/operations`: one deed on many runs, looked at first, then carried out."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from ..jobs.times import format_time_ms
from ..messages.operations import (
    OUTCOMES,
    RUNS_AT_MOST,
    Deed,
    Operation,
    Outcome,
    Target,
    Verb,
    operation_id,
)
from ..messages.wishes import Operate, StopOperation
from ..store.interface import Reader
from .deed_bodies import DeedFields, deed_of, reason_of
from .operation_sets import Found, FoundSet, find_set
from .previews import Preview
from .records import instant
from .routing import Problem, Request, Route
from .shapes import Instant

# Operations of a list, and parts of a page of what became of each run.
LISTED = 100
PARTS_A_PAGE = 10
MAX_QUERY = 4_000


class SetFields(DeedFields, forbid_unknown_fields=True):
    """A deed, and the runs it is about: those of a query, or with these ids."""

    query: Annotated[str, Meta(max_length=MAX_QUERY)] | None = None
    runs: Annotated[list[str] | None, Meta(description="Run ids.")] = None
    downstream: Annotated[
        bool, Meta(description="Of a rerun: and what ran because of these runs.")
    ] = False


class PreviewBody(SetFields, forbid_unknown_fields=True, kw_only=True):
    """A deed to be looked at."""

    verb: Verb


class OperateBody(SetFields, forbid_unknown_fields=True):
    """A preview to be carried out, or a deed on as many runs as are expected."""

    preview: Annotated[str | None, Meta(description="The token of a preview.")] = None
    verb: Verb | None = None
    expect: Annotated[int, Meta(ge=1, description="So many runs are meant.")] | None = None


class OperationsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which of the runs of an operation."""

    cursor: Annotated[int, Meta(ge=0, le=RUNS_AT_MOST)] = 0
    outcome: Annotated[Outcome | None, Meta(description="Only what came to this.")] = None


class OperationPreview(FoundSet):
    """What an operation would come to; `preview` is the token to carry it out."""

    preview: str
    verb: Verb
    now: Instant


class OperationRecord(TypedDict):
    """An operation; `over` of its `total` runs are done with, `counts` by outcome."""

    operation_id: str
    verb: Verb
    state: Literal["running", "done", "stopped"]
    by: str
    reason: str
    query: str | None
    total: int
    over: int
    counts: dict[str, int]
    begun: str | None
    ended: str | None
    stopped_by: NotRequired[str]
    signal: NotRequired[int]
    to_state: NotRequired[str]
    time: NotRequired[str | None]
    args: NotRequired[dict[str, str]]
    definition: NotRequired[str]


class OneOperation(TypedDict):
    """An operation."""

    operation: OperationRecord
    now: Instant


class Operations(TypedDict):
    """The operations that were begun last, newest first."""

    operations: list[OperationRecord]
    now: Instant


class TargetRow(TypedDict):
    """A run of an operation: the state it was seen in, and what came of it (null: it is to come);
    `new_run` is what a rerun made."""

    run_id: str
    seen: str
    outcome: Outcome | None
    sentence: str | None
    new_run: NotRequired[str]


class OperationPage(TypedDict):
    """An operation, and what became of each run."""

    operation: OperationRecord
    runs: list[TargetRow]
    next_cursor: str | None
    now: Instant


async def preview(request: Request, body: PreviewBody) -> OperationPreview:
    """What a deed on a query, or on runs by id, would come to; and a token to carry it out."""
    deed = deed_of(body.verb, body)
    found = await _find(request, deed, body)
    now_us = request.services.now_us()
    kept = Preview(
        who=_who(request), deed=deed, query=_query(body), targets=found.targets, at_us=now_us
    )
    token = request.services.previews.keep(kept)
    return {**found.page(), "preview": token, "verb": deed.verb, "now": format_time_ms(now_us)}


async def begin(request: Request, body: OperateBody) -> OneOperation:
    """Carry out a preview, or a deed on a set of which one says how many runs are expected.

    It goes on by itself; the same preview, or the same `Idempotency-Key`, begins it once.
    """
    services = request.services
    command_id = services.command_id(request)
    if command_id is None and body.preview:
        command_id = f"preview/{body.preview}"
    if command_id is not None:
        own_id = operation_id(command_id)
        known = await services.read(lambda reader: reader.operation(own_id))
        if known is not None:
            return _answer(request, known)
    wish = await (_previewed(request, body) if body.preview else _expected(request, body))
    done = await services.wish(request, wish, command_id=command_id)
    begun = done.result["operation_id"]
    return _answer(request, await services.read(lambda reader: _known(reader, begun)))


async def _previewed(request: Request, body: OperateBody) -> Operate:
    if body.verb is not None or body.query is not None or body.runs is not None:
        raise Problem(400, "preview: says already what is done to what: expected at most a reason")
    kept = request.services.previews.of(
        body.preview or "", _who(request), request.services.now_us()
    )
    deed = kept.deed
    if body.reason is not None:
        deed = replace(deed, reason=reason_of(body.reason))
    return _wish(deed, kept.targets, kept.query)


async def _expected(request: Request, body: OperateBody) -> Operate:
    if body.expect is None or body.verb is None:
        raise Problem(400, "expected `preview`, a token, or `verb` and `expect`, a number of runs")
    deed = deed_of(body.verb, body)
    found = await _find(request, deed, body)
    if len(found.targets) != body.expect:
        sentence = f"{len(found.targets)} runs are meant: expected {body.expect}: nothing was done"
        raise Problem(400, sentence, extra={"count": len(found.targets)})
    return _wish(deed, found.targets, _query(body))


def _wish(deed: Deed, targets: list[Target], query: str) -> Operate:
    if not targets:
        raise Problem(400, "no run is meant: nothing was done")
    return Operate(deed=deed, targets=targets, query=query)


async def list_operations(request: Request) -> Operations:
    """The operations begun last, newest first."""
    found = await request.services.read(lambda reader: reader.operations(LISTED))
    shown = [operation_record(one) for one in found if _in_reach(request, one)]
    return {"operations": shown, "now": format_time_ms(request.services.now_us())}


async def get_operation(request: Request, query: OperationsQuery) -> OperationPage:
    """An operation, and what became of each run, page by page."""
    own_id, outcome = request.params["operation_id"], query.outcome
    now = format_time_ms(request.services.now_us())

    def read(reader: Reader) -> OperationPage:
        operation = _known(reader, own_id)
        if not _in_reach(request, operation):
            raise _unknown(own_id)
        parts = reader.operation_parts(own_id, query.cursor, PARTS_A_PAGE)
        rows = [_row(target, operation) for part in parts for target in part.targets]
        more = bool(parts) and parts[-1].number + 1 < operation.parts
        return {
            "operation": operation_record(operation),
            "runs": [row for row in rows if outcome is None or row["outcome"] == outcome],
            "next_cursor": str(parts[-1].number + 1) if more else None,
            "now": now,
        }

    return await request.services.read(read)


async def stop_operation(request: Request) -> OneOperation:
    """Leave alone what an operation has not come to."""
    own_id = request.params["operation_id"]
    await request.services.read(lambda reader: _known(reader, own_id))
    await request.services.wish(request, StopOperation(operation_id=own_id))
    return _answer(request, await request.services.read(lambda reader: _known(reader, own_id)))


# --- inside ---------------------------------------------------------------------------------------


async def _find(request: Request, deed: Deed, body: SetFields) -> Found:
    """Return the runs that a body means.

    Raises:
        Problem: 400, it means none in particular, or what goes not together.
    """
    query, runs = body.query, body.runs
    if (query is None) is (runs is None):
        raise Problem(400, "expected one of `query`, a text, and `runs`, a list of run ids")
    if query is not None and not query.strip():
        raise Problem(400, f"query: expected a text of 1 to {MAX_QUERY} characters")
    if runs is not None and not 1 <= len(runs) <= RUNS_AT_MOST:
        raise Problem(400, f"runs: {len(runs)} ids: expected 1 to {RUNS_AT_MOST}")
    if body.downstream and deed.verb != "rerun":
        raise Problem(400, f"downstream: goes with rerun, not with {deed.verb}")
    if body.downstream and deed.args:
        raise Problem(400, "downstream: with other args other runs would be: expected no args")
    run_ids = list(dict.fromkeys(runs or ()))
    asked = None if query is None else query.strip()
    return await find_set(request, deed, asked, run_ids, downstream=body.downstream)


def _query(body: SetFields) -> str:
    return (body.query or "").strip()


def operation_record(one: Operation) -> OperationRecord:
    """Return an operation as JSON."""
    deed = one.deed
    ended: Literal["done", "stopped"] = "stopped" if one.stopped_by else "done"
    record: OperationRecord = {
        "operation_id": one.operation_id,
        "verb": deed.verb,
        "state": "running" if one.ended_us is None else ended,
        "by": one.by,
        "reason": deed.reason,
        "query": one.query or None,
        "total": one.total,
        "over": sum(one.counts.values()),
        "counts": {outcome: one.counts.get(outcome, 0) for outcome in OUTCOMES},
        "begun": instant(one.begun_us),
        "ended": instant(one.ended_us),
    }
    if one.stopped_by:
        record["stopped_by"] = one.stopped_by
    if deed.verb == "signal":
        record["signal"] = deed.signal
    if deed.state is not None:
        record["to_state"] = deed.state.value
    if deed.verb == "reschedule":
        record["time"] = "now" if deed.schedule_us is None else instant(deed.schedule_us)
    if deed.verb == "rerun":
        record["args"] = deed.args
        record["definition"] = "stored" if deed.stored else "current"
    return record


def _row(target: Target, operation: Operation) -> TargetRow:
    left: Outcome | None = "stopped" if operation.ended_us is not None else None
    row: TargetRow = {
        "run_id": target.run_id,
        "seen": target.seen.value,
        "outcome": target.outcome or left,
        "sentence": target.sentence or None,
    }
    if target.new_run:
        row["new_run"] = target.new_run
    return row


def _answer(request: Request, one: Operation) -> OneOperation:
    return {
        "operation": operation_record(one),
        "now": format_time_ms(request.services.now_us()),
    }


def _known(reader: Reader, own_id: str) -> Operation:
    found = reader.operation(own_id)
    if found is None:
        raise _unknown(own_id)
    return found


def _unknown(own_id: str) -> Problem:
    return Problem(404, f"unknown operation {own_id[:100]}")


def _in_reach(request: Request, one: Operation) -> bool:
    """Whether the asker may look at it: who reaches only some labels, at their own."""
    guest = request.guest
    return guest is None or not guest.access.labels or one.by == guest.name


def _who(request: Request) -> str:
    return "" if request.guest is None else request.guest.name


ROUTES = [
    Route("GET", "/api/v2/operations", list_operations),
    Route("POST", "/api/v2/operations", begin),
    Route("POST", "/api/v2/operations/preview", preview),
    Route("GET", "/api/v2/operations/{operation_id}", get_operation),
    Route("POST", "/api/v2/operations/{operation_id}/stop", stop_operation),
]
