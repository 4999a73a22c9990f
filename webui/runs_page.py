"""Lists of runs in the API of Apsis: how long they may be, their pages, a span of schedule times.

Called by `v1_runs` and `v1_jobs`. A list that fits is answered whole, as Apsis did before it had
pages; a longer one is read in pages by who asks with a cursor, and refused to who does not, since
who knows of no pages would take the first for all.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ..jobs.errors import UserError
from ..jobs.run import RUN_ID_CHARS, Run, run_number
from ..jobs.times import parse_time
from ..store.interface import Reader, RunQuery
from .routing import Problem
from .shapes_v1 import RunsV1

LIST_LIMIT = 10_000
# From here on every list can be read in pages: no run has a greater number.
LAST_RUN_ID = f"r{10 ** (RUN_ID_CHARS - 1) - 1}"

Cursor = Annotated[
    list[str] | None,
    Meta(description="A run id: the page of runs with smaller numbers, and `paging.next`. Once."),
]


def once(name: str, values: list[str] | None) -> str | None:
    """Return the value of a parameter that may be given once, None when it is not given.

    Raises:
        Problem: 400, it is given more often.
    """
    if not values:
        return None
    if len(values) > 1:
        raise Problem(400, f"{name} may be given at most once")
    return values[0]


def cursor_number(values: list[str] | None) -> int | None:
    """Return the run number before which a page begins, None for no cursor, or an empty one.

    Raises:
        Problem: 400, it is no run id, or given more than once.
    """
    text = once("cursor", values)
    if not text:
        return None
    number = run_number(text)
    if number is None:
        raise Problem(400, f"cursor: {text[:100]!r}: expected a run id like r17")
    return number


def schedule_span(
    since: list[str] | None, until: list[str] | None
) -> tuple[int | None, int | None]:
    """Return the instants of `schedule_since` and `schedule_until`, None for what is not given.

    Raises:
        Problem: 400, one of them is no time with a zone or given twice, or the first is not before
            the second.
    """
    begin_us = _instant("schedule_since", since)
    end_us = _instant("schedule_until", until)
    if begin_us is not None and end_us is not None and begin_us >= end_us:
        raise Problem(400, "schedule_since must be before schedule_until")
    return begin_us, end_us


def _instant(name: str, values: list[str] | None) -> int | None:
    text = once(name, values)
    if text is None:
        return None
    try:
        return parse_time(text)
    except UserError as error:
        raise Problem(400, f"invalid {name}: {error}") from None


def read_page(reader: Reader, wanted: RunQuery, cursor: int | None) -> tuple[list[Run], str | None]:
    """Return the runs of a query, newest first, and the cursor of the next page, None on the last.

    Raises:
        Problem: 400, there are more than `LIST_LIMIT` and no cursor was given.
    """
    wanted = msgspec.structs.replace(wanted, before_number=cursor, limit=LIST_LIMIT + 1)
    found = reader.query(wanted)
    if len(found) <= LIST_LIMIT:
        return found, None
    if cursor is None:
        count = reader.count(wanted)
        raise Problem(
            400,
            f"query would return {count} runs (limit {LIST_LIMIT}); narrow it, "
            f"or read it in pages from cursor={LAST_RUN_ID} on",
        )
    page = found[:LIST_LIMIT]
    return page, page[-1].run_id


def in_pages(answer: RunsV1, following: str | None) -> RunsV1:
    """Return a list of runs with the cursor of what follows it."""
    return {**answer, "paging": {"next": following}}
