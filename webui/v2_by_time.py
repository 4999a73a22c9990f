"""Endpoints of lists in the order of time: any stretch of one, and how many runs there are when.

What the console's list of runs is made of: it draws what is looked at of a list of any length, and
a chart of all of it. Queries are those of `/api/v2/runs`.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypedDict

from msgspec import Meta
from msgspec.structs import replace

from ..jobs.run_filter import RunFilter
from ..jobs.states import State
from ..jobs.times import format_time_ms
from ..store.interface import Reader, StoreError
from .listing import MAX_PAGE, count_states
from .records import run_record
from .routing import Request, Route, parse_number
from .shapes import Instant, RunRecord
from .v2_runs import DEFAULT_PAGE, Terms, filter_of

MAX_BINS = 1_000
DEFAULT_BINS = 120
# A database holds no more runs than this.
MAX_OFFSET = 2**59
SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
# Widths of bins that people know, in seconds; beyond the last one whole numbers of days.
WIDTHS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 10_800, 21_600, 43_200, 86_400),
)
DAY_S = 86_400


class ByTimeQuery(Terms, forbid_unknown_fields=True):
    """Which runs, and which stretch of them."""

    offset: Annotated[
        str,
        Meta(
            description="A place in the list, or `now-5`: from the last five that are to come on."
        ),
    ] = "0"
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    order: Annotated[Literal["latest", "earliest"], Meta(description="Which come first.")] = (
        "latest"
    )
    counts: Annotated[str | None, Meta(description="0: without figures.")] = None


class ByTime(TypedDict):
    """A stretch of a list that has `total` runs, `ahead` of which are still to come; figures are
    null when they were not wanted or take too long."""

    runs: list[RunRecord]
    total: int | None
    ahead: int | None
    offset: int
    counts: dict[str, int] | None
    epoch: int
    seq: int
    now: Instant


class PerTimeQuery(Terms, forbid_unknown_fields=True):
    """Which runs, and how many spans."""

    bins: Annotated[int, Meta(ge=1, le=MAX_BINS)] = DEFAULT_BINS
    balanced: Annotated[
        Literal["0", "1"],
        Meta(
            description="1: what is to come has no more of the span than what was, or an hour, so "
            "that runs far ahead do not press all others together. A query's own end is kept."
        ),
    ] = "0"


# How many runs there are in each `step` seconds between two instants, a list for each state, and
# how many after them; null when there are none, or when counting takes too long.
PerTime = TypedDict(
    "PerTime",
    {
        "from": Instant | None,
        "to": Instant | None,
        "step": int | None,
        "counts": dict[str, list[int]] | None,
        "later": int | None,
        "now": Instant,
    },
)


async def list_by_time(request: Request, query: ByTimeQuery) -> ByTime:
    """A stretch of the runs of a query in the order of their time.

    With how many there are in all, and how many of them are still to come.
    """
    wanted = filter_of(request)
    place = _place(query.offset)
    rising = query.order == "earliest"
    counting = query.counts != "0"
    now_us = request.services.now_us()

    def read(reader: Reader) -> ByTime:
        epoch, seq = reader.head()
        ahead = _ahead(reader, wanted, now_us) if counting or place < 0 else None
        offset = place if place >= 0 else max(0, (ahead or 0) + place + 1)
        runs = reader.find_by_time(wanted, offset=offset, limit=query.limit, rising=rising)
        counts = count_states(reader, wanted) if counting else None
        return {
            "runs": [run_record(run) for run in runs],
            "total": _total(reader, wanted, counts) if counting else None,
            "ahead": ahead,
            "offset": offset,
            "counts": counts,
            "epoch": epoch,
            "seq": seq,
            "now": format_time_ms(now_us),
        }

    return await request.services.read(read)


def _place(text: str) -> int:
    """Return where the stretch begins: a place, or below zero -1 less the number of runs ahead
    that are to be in it.

    Raises:
        Problem: 400, it is neither a number nor `now-N`.
    """
    found = re.fullmatch(r"now-([0-9]{1,4})", text)
    if found:
        return -1 - int(found[1])
    return parse_number("offset", text, 0, MAX_OFFSET)


# The instants that can be written: from the year 1 to the end of 9999.
FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_000


async def count_per_bin(request: Request, query: PerTimeQuery) -> PerTime:
    """How many runs of a query there are in each of at most `bins` equal spans of schedule time."""
    wanted = filter_of(request)
    now_us = request.services.now_us()

    def read(reader: Reader) -> PerTime:
        try:
            return _per_bin(reader, wanted, query, now_us)
        except StoreError:
            # As for the counts of a list: a chart that takes too long is not drawn.
            return _no_bins(None, now_us)

    return await request.services.read(read)


def _no_bins(counts: dict[str, list[int]] | None, now_us: int) -> PerTime:
    now = format_time_ms(now_us)
    return {"from": None, "to": None, "step": None, "counts": counts, "later": None, "now": now}


def _per_bin(reader: Reader, wanted: RunFilter, query: PerTimeQuery, now_us: int) -> PerTime:
    extent = reader.extent(wanted)
    if extent is None:
        return _no_bins({}, now_us)
    least_us, most_us = extent
    most = query.bins
    if query.balanced == "1" and wanted.until_us is None:
        most_us = min(most_us, max(least_us, now_us) + max(HOUR_US, now_us - least_us))
    step_us = bin_width_s(most_us - least_us, most) * SECOND_US
    from_us = max(FIRST_US, least_us // step_us * step_us)
    bins = (most_us - from_us) // step_us + 1
    to_us = min(LAST_US, from_us + bins * step_us)
    later = 0
    if most_us < extent[1]:
        later = sum(reader.count_found(replace(wanted, since_us=to_us)).values())
        wanted = replace(wanted, until_us=to_us)
    counts: dict[str, list[int]] = {}
    for (at, state), count in reader.count_per_bin(wanted, from_us, step_us).items():
        counts.setdefault(state.value, [0] * bins)[at] = count
    return {
        "from": format_time_ms(from_us),
        "to": format_time_ms(to_us),
        "step": step_us // SECOND_US,
        "counts": counts,
        "later": later,
        "now": format_time_ms(now_us),
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
