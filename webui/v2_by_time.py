"""Endpoints of lists in the order of time: any stretch of one, and how many runs there are when.

What the console's list of runs is made of: it draws what is looked at of a list of any length, and
a chart of all of it. Queries are those of `/api/v2/runs`.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from ..jobs.run_filter import RunFilter
from ..jobs.states import State
from ..jobs.times import format_time_ms
from ..store.interface import Reader, StoreError
from .gate import within_reach
from .listing import MAX_PAGE, count_states
from .query import BadQuery, parse_filter
from .records import run_record
from .routing import Problem, Request, Route
from .v2_runs import DEFAULT_PAGE, PARAMS

MAX_BINS = 1_000
DEFAULT_BINS = 120
# A database holds no more runs than this.
MAX_OFFSET = 2**59
SECOND_US = 1_000_000
# Widths of bins that people know, in seconds; beyond the last one whole numbers of days.
WIDTHS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 10_800, 21_600, 43_200, 86_400),
)
DAY_S = 86_400


def filter_of(request: Request, more: set[str]) -> RunFilter:
    """Return the filter of a request's parameters; `more` are the others that it may have.

    Raises:
        Problem: 400, a term or a parameter is not understood.
    """
    unknown = request.query.keys() - PARAMS - more
    if unknown:
        names = ", ".join(sorted(unknown))[:200]
        expected = ", ".join(sorted(PARAMS | more))
        raise Problem(400, f"unknown parameters: {names}: expected {expected}")
    try:
        wanted = parse_filter(request.query, request.services.now_us())
    except BadQuery as error:
        raise Problem(400, str(error)) from None
    return within_reach(request.guest, wanted)


async def list_by_time(request: Request) -> Any:
    """A stretch of the runs of a query, latest schedule time first, with how many there are in all,
    and how many of them (the first ones) are still to come."""
    wanted = filter_of(request, {"offset", "limit", "counts", "order"})
    place = _place(request)
    rising = _is_rising(request)
    limit = request.number("limit", DEFAULT_PAGE, 1, MAX_PAGE)
    counting = request.text("counts") != "0"
    now_us = request.services.now_us()

    def read(reader: Reader) -> dict[str, Any]:
        epoch, seq = reader.head()
        ahead = _ahead(reader, wanted, now_us) if counting or place < 0 else None
        offset = place if place >= 0 else max(0, (ahead or 0) + place + 1)
        runs = reader.find_by_time(wanted, offset=offset, limit=limit, rising=rising)
        counts = count_states(reader, wanted) if counting else None
        return {
            "runs": [run_record(run) for run in runs],
            "total": _total(reader, wanted, counts) if counting else None,
            "ahead": ahead,
            "offset": offset,
            "counts": counts,
            "epoch": epoch,
            "seq": seq,
        }

    found = await request.services.read(read)
    return found | {"now": format_time_ms(now_us)}


def _place(request: Request) -> int:
    """Return where the stretch begins: a place, or below zero -1 less the number of runs ahead
    that are to be in it.

    Raises:
        Problem: 400, it is neither a number nor `now-N`.
    """
    text = request.text("offset") or ""
    found = re.fullmatch(r"now-([0-9]{1,4})", text)
    if found:
        return -1 - int(found[1])
    return request.number("offset", 0, 0, MAX_OFFSET)


def _is_rising(request: Request) -> bool:
    order = request.text("order") or "latest"
    if order not in ("latest", "earliest"):
        raise Problem(400, f"order: {order[:100]!r}: expected latest (first) or earliest")
    return order == "earliest"


async def count_per_bin(request: Request) -> Any:
    """How many runs of a query there are in each of at most `bins` equal spans of schedule time."""
    wanted = filter_of(request, {"bins"})
    most = request.number("bins", DEFAULT_BINS, 1, MAX_BINS)
    now_us = request.services.now_us()

    def read(reader: Reader) -> dict[str, Any]:
        try:
            return _per_bin(reader, wanted, most)
        except StoreError:
            # As for the counts of a list: a chart that takes too long is not drawn.
            return {"from": None, "to": None, "step": None, "counts": None}

    found = await request.services.read(read)
    return found | {"now": format_time_ms(now_us)}


def _per_bin(reader: Reader, wanted: RunFilter, most: int) -> dict[str, Any]:
    extent = reader.extent(wanted)
    if extent is None:
        return {"from": None, "to": None, "step": None, "counts": {}}
    least_us, most_us = extent
    step_us = bin_width_s(most_us - least_us, most) * SECOND_US
    from_us = least_us // step_us * step_us
    bins = (most_us - from_us) // step_us + 1
    counts: dict[str, list[int]] = {}
    for (at, state), count in reader.count_per_bin(wanted, from_us, step_us).items():
        counts.setdefault(state.value, [0] * bins)[at] = count
    return {
        "from": format_time_ms(from_us),
        "to": format_time_ms(from_us + bins * step_us),
        "step": step_us // SECOND_US,
        "counts": counts,
    }


def bin_width_s(span_us: int, most: int) -> int:
    """Return the least well-known width, in s, of which `most` cover a span wherever it begins."""
    for width_s in WIDTHS_S:
        if span_us // (width_s * SECOND_US) + 2 <= most:
            return width_s
    days = span_us // (max(1, most - 1) * DAY_S * SECOND_US) + 1
    return days * DAY_S


def _total(reader: Reader, wanted: RunFilter, counts: dict[str, int] | None) -> int | None:
    """Return how many runs match in all; what the counts by state say, if they say it."""
    if counts is not None and not wanted.states_or_held:
        states = frozenset(State) if wanted.states is None else wanted.states
        return sum(counts[state.value] for state in states)
    return _count(reader, wanted)


def _ahead(reader: Reader, wanted: RunFilter, now_us: int) -> int | None:
    since_us = now_us if wanted.since_us is None else max(wanted.since_us, now_us)
    return _count(reader, replace(wanted, since_us=since_us))


def _count(reader: Reader, wanted: RunFilter) -> int | None:
    try:
        return sum(reader.count_found(wanted).values())
    except StoreError:
        return None


ROUTES = [
    Route("GET", "/api/v2/runs-by-time", list_by_time),
    Route("GET", "/api/v2/runs-per-time", count_per_bin),
]
