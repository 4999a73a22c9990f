"""Endpoints of `/api/v2/backfills`: runs of what schedules name for a time that is over."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

import msgspec
from msgspec import Meta

from ..jobs.calendar_days import calendars_by_name
from ..jobs.errors import UserError
from ..jobs.times import format_time, format_time_ms
from ..messages.backfills import (
    PARALLEL_AT_MOST,
    Backfill,
    StartBackfill,
    StopBackfill,
    backfill_number,
)
from ..store.backfill_listing import listing_of
from ..store.interface import Reader
from .query import BadQuery, parse_instant
from .records import instant
from .routing import Problem, Request, Route
from .scheduling import Scalar, args_of
from .services import definition_of, find_job_id
from .shapes import Instant

ORDERS = ("oldest", "newest")
LISTED = 1_000
LONGEST_REASON = 500


class BackfillsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """How many."""

    limit: Annotated[int, Meta(ge=1, le=LISTED)] = 100


class BackfillBody(msgspec.Struct, forbid_unknown_fields=True):
    """A backfill to begin: of a job, for the times in [from, to)."""

    job_id: Annotated[str, Meta(description="The id of a job, or words of it.")]
    from_: Annotated[str, Meta(description="A time, such as 2026-01-02 or -7d.")] = msgspec.field(
        name="from"
    )
    to: Annotated[str, Meta(description="The same.")] = "now"
    args: Annotated[
        dict[str, Scalar] | None, Meta(description="Only runs that have these args.")
    ] = None
    parallel: Annotated[
        int, Meta(ge=1, le=PARALLEL_AT_MOST, description="So many runs at once.")
    ] = 1
    order: Annotated[Literal["oldest", "newest"], Meta(description="Which come first.")] = "oldest"
    again: Annotated[bool, Meta(description="Also for times that have a run already.")] = False
    dry_run: Annotated[bool, Meta(description="Only say which runs it would have.")] = False


class StopBody(msgspec.Struct, forbid_unknown_fields=True):
    """Why it is stopped."""

    reason: Annotated[str, Meta(max_length=LONGEST_REASON)] | None = None


# Keys that are words of Python can be given by this form alone.
BackfillRecord = TypedDict(
    "BackfillRecord",
    {
        "backfill_id": str,
        "job_id": str,
        "args": dict[str, str],
        "from": Instant,
        "to": Instant,
        "state": str,
        "parallel": int,
        "order": str,
        "again": bool,
        "by": str,
        "begun": Instant,
        "stopped": Instant | None,
        "stopped_by": str | None,
        "reason": str | None,
        "ended": Instant | None,
        "total": int,
        "left_out": int,
        "withdrawn": int,
        "counts": dict[str, int],
    },
)


class Backfills(TypedDict):
    """The newest backfills."""

    backfills: list[BackfillRecord]
    now: Instant


class OneBackfill(TypedDict):
    """A backfill."""

    backfill: BackfillRecord
    now: Instant


class BackfillRun(TypedDict):
    """A run that a backfill would have."""

    job_id: str
    args: dict[str, str]
    schedule_time: Instant


# What was begun, or with `dry_run` what would be.
BegunBackfill = TypedDict(
    "BegunBackfill",
    {
        "backfill": NotRequired[BackfillRecord],
        "job_id": NotRequired[str],
        "runs": NotRequired[list[BackfillRun]],
        "left_out": NotRequired[int],
        "from": NotRequired[Instant],
        "to": NotRequired[Instant],
        "now": Instant,
    },
)


async def list_backfills(request: Request, query: BackfillsQuery) -> Backfills:
    """The newest backfills, each with how many of its runs are in which state."""

    def read(reader: Reader) -> list[BackfillRecord]:
        return [backfill_data(one, reader) for one in reader.backfills(query.limit)]

    found = await request.services.read(read)
    return {"backfills": found, "now": format_time_ms(request.services.now_us())}


async def get_backfill(request: Request) -> OneBackfill:
    """A backfill, with how many of its runs are in which state."""
    return await _one(request, _number(request))


async def post_backfill(request: Request, body: BackfillBody) -> BegunBackfill:
    """Begin a backfill, or with `dry_run` say which runs it would have."""
    wish = await _wish(request, body)
    if body.dry_run:
        return await _listed(request, wish)
    done = await request.services.wish(request, wish)
    one = await _one(request, done.result["backfill"])
    return {"backfill": one["backfill"], "now": one["now"]}


async def stop_backfill(request: Request, body: StopBody) -> OneBackfill:
    """Withdraw the runs of a backfill that have not begun."""
    number = _number(request)
    wish = StopBackfill(number=number, reason=" ".join((body.reason or "").split()))
    await request.services.wish(request, wish)
    return await _one(request, number)


# --- inside ---------------------------------------------------------------------------------------


async def _wish(request: Request, body: BackfillBody) -> StartBackfill:
    services = request.services
    now_us = services.now_us()
    times = []
    for name, given in (("from", body.from_), ("to", body.to)):
        try:
            times.append(parse_instant(given, now_us))
        except BadQuery as error:
            raise Problem(400, f"{name}: {error}") from None
    from_us, to_us = times
    if not from_us < to_us <= now_us:
        span = f"from {format_time(from_us)} to {format_time(to_us)}"
        raise Problem(400, f"{span}: expected a span of time that is over")
    return StartBackfill(
        job_id=await services.read(lambda reader: find_job_id(reader, body.job_id)),
        from_us=from_us,
        to_us=to_us,
        parallel=body.parallel,
        newest_first=body.order == "newest",
        again=body.again,
        args=args_of(body.args),
    )


async def _listed(request: Request, wish: StartBackfill) -> BegunBackfill:
    now = format_time_ms(request.services.now_us())

    def read(reader: Reader) -> BegunBackfill:
        _, job = definition_of(reader, wish.job_id)
        found = listing_of(job, wish, reader, calendars_by_name(reader.calendars()))
        runs: list[BackfillRun] = [
            {"job_id": job.job_id, "args": one.args, "schedule_time": format_time(one.at_us)}
            for one in found.runs
        ]
        return {
            "job_id": job.job_id,
            "runs": runs,
            "left_out": found.left_out,
            "from": format_time(wish.from_us),
            "to": format_time(wish.to_us),
            "now": now,
        }

    try:
        return await request.services.read(read)
    except UserError as error:
        raise Problem(400, str(error)) from None


async def _one(request: Request, number: int) -> OneBackfill:
    def read(reader: Reader) -> BackfillRecord:
        found = reader.backfill(number)
        if found is None:
            raise Problem(404, f"unknown backfill b{number}")
        return backfill_data(found, reader)

    found = await request.services.read(read)
    return {"backfill": found, "now": format_time_ms(request.services.now_us())}


def _number(request: Request) -> int:
    text = request.params["backfill_id"]
    number = backfill_number(text)
    if number is None:
        raise Problem(404, f"unknown backfill {text[:100]}")
    return number


def backfill_data(one: Backfill, reader: Reader) -> BackfillRecord:
    """Return a backfill as JSON; `counts` are of its runs that are there."""
    return {
        "backfill_id": one.backfill_id,
        "job_id": one.job_id,
        "args": one.args,
        "from": format_time(one.from_us),
        "to": format_time(one.to_us),
        "state": one.state,
        "parallel": one.parallel,
        "order": ORDERS[one.newest_first],
        "again": one.again,
        "by": one.by,
        "begun": format_time_ms(one.at_us),
        "stopped": instant(one.stopped_us),
        "stopped_by": one.stopped_by or None,
        "reason": one.reason or None,
        "ended": instant(one.ended_us),
        "total": one.total,
        "left_out": one.left_out,
        "withdrawn": one.withdrawn,
        "counts": reader.backfill_counts(one.number),
    }


ROUTES = [
    Route("GET", "/api/v2/backfills", list_backfills),
    Route("POST", "/api/v2/backfills", post_backfill),
    Route("GET", "/api/v2/backfills/{backfill_id}", get_backfill),
    Route("POST", "/api/v2/backfills/{backfill_id}/stop", stop_backfill),
]
