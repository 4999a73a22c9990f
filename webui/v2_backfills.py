"""Endpoints of `/api/v2/backfills`: runs of what schedules name for a time that is over."""

from __future__ import annotations

from typing import Any

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
from .scheduling import args_of
from .services import definition_of, find_job_id

KEYS = {"job_id", "args", "from", "to", "parallel", "order", "again", "dry_run"}
ORDERS = ("oldest", "newest")
LISTED = 1_000
LONGEST_REASON = 500


async def list_backfills(request: Request) -> Any:
    """The newest backfills, each with how many of its runs are in which state."""
    limit = request.number("limit", 100, 1, LISTED)

    def read(reader: Reader) -> list[dict[str, Any]]:
        return [backfill_data(one, reader) for one in reader.backfills(limit)]

    found = await request.services.read(read)
    return {"backfills": found, "now": format_time_ms(request.services.now_us())}


async def get_backfill(request: Request) -> Any:
    """One of them."""
    return await _one(request, _number(request))


async def post_backfill(request: Request) -> Any:
    """Begin one, or with `dry_run` say which runs it would have."""
    body = request.json_object()
    unknown = body.keys() - KEYS
    if unknown:
        names = ", ".join(sorted(unknown))[:200]
        raise Problem(400, f"unknown keys: {names}: expected {', '.join(sorted(KEYS))}")
    wish = await _wish(request, body)
    if _flag(body, "dry_run"):
        return await _listed(request, wish)
    done = await request.services.wish(request, wish)
    return await _one(request, done.result["backfill"])


async def stop_backfill(request: Request) -> Any:
    """Withdraw its runs that have not begun; body `{"reason"}`."""
    number = _number(request)
    reason = request.json_object().get("reason") or ""
    if not isinstance(reason, str) or len(reason) > LONGEST_REASON:
        raise Problem(400, f"reason: expected a text of at most {LONGEST_REASON} characters")
    wish = StopBackfill(number=number, reason=" ".join(reason.split()))
    await request.services.wish(request, wish)
    return await _one(request, number)


# --- inside ---------------------------------------------------------------------------------------


async def _wish(request: Request, body: dict[str, Any]) -> StartBackfill:
    services, text = request.services, body.get("job_id")
    if not isinstance(text, str) or not text:
        raise Problem(400, "job_id: expected a job id")
    now_us = services.now_us()
    times = {}
    for name, default in (("from", None), ("to", "now")):
        given = body.get(name, default)
        if not isinstance(given, str):
            raise Problem(400, f"{name}: expected a time, such as 2026-01-02 or -7d")
        try:
            times[name] = parse_instant(given, now_us)
        except BadQuery as error:
            raise Problem(400, f"{name}: {error}") from None
    if not times["from"] < times["to"] <= now_us:
        span = f"from {format_time(times['from'])} to {format_time(times['to'])}"
        raise Problem(400, f"{span}: expected a span of time that is over")
    parallel = body.get("parallel", 1)
    if type(parallel) is not int or not 1 <= parallel <= PARALLEL_AT_MOST:
        raise Problem(400, f"parallel: expected a whole number from 1 to {PARALLEL_AT_MOST}")
    order = body.get("order", "oldest")
    if order not in ORDERS:
        raise Problem(400, f"order: expected {' or '.join(ORDERS)} (first)")
    return StartBackfill(
        job_id=await services.read(lambda reader: find_job_id(reader, text)),
        from_us=times["from"],
        to_us=times["to"],
        parallel=parallel,
        newest_first=order == "newest",
        again=_flag(body, "again"),
        args=args_of(body.get("args")),
    )


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise Problem(400, f"{name}: expected true or false")
    return value


async def _listed(request: Request, wish: StartBackfill) -> dict[str, Any]:
    def read(reader: Reader) -> dict[str, Any]:
        _, job = definition_of(reader, wish.job_id)
        found = listing_of(job, wish, reader, calendars_by_name(reader.calendars()))
        runs = [
            {"job_id": job.job_id, "args": one.args, "schedule_time": format_time(one.at_us)}
            for one in found.runs
        ]
        return {"job_id": job.job_id, "runs": runs, "left_out": found.left_out}

    try:
        found = await request.services.read(read)
    except UserError as error:
        raise Problem(400, str(error)) from None
    span = {"from": format_time(wish.from_us), "to": format_time(wish.to_us)}
    return found | span | {"now": format_time_ms(request.services.now_us())}


async def _one(request: Request, number: int) -> dict[str, Any]:
    def read(reader: Reader) -> dict[str, Any]:
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


def backfill_data(one: Backfill, reader: Reader) -> dict[str, Any]:
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
