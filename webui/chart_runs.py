"""The runs that a chart of `/api/v2` is folded of: those that are written, then those that
schedules name beyond what is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from ..jobs.calendar_days import calendars_by_name
from ..jobs.errors import UserError
from ..jobs.forecast import forecast_ahead, nominal_run
from ..jobs.run import Run, args_key
from ..jobs.run_filter import RunFilter
from ..jobs.times import DAY_S, SECOND_US
from ..store.interface import Reader
from .gate import within_reach
from .query import BadQuery, parse_filter, parse_instant
from .routing import Problem, Request
from .v2_planning import jobs_of, runs_written

DAY_US = DAY_S * SECOND_US
PAGE = 10_000
# Runs that schedules name but nobody has written yet.
MOST_NOMINAL = 40_000
LONGEST_US = 400 * DAY_US
When = Annotated[str, Meta(description="A time, a date, `now`, or as -12h.")]


class ChartQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which runs, and from when to when."""

    q: Annotated[list[str], Meta(description="A query; see the guide of queries.")] = []
    job: list[str] = []
    label: list[str] = []
    owner: list[str] = []
    arg: Annotated[list[str], Meta(description="`name=value`.")] = []
    state: Annotated[list[str], Meta(description="States, with commas between.")] = []
    agent: list[str] = []
    from_: When = msgspec.field(default="-12h", name="from")
    to: When = "+12h"


class Chart(msgspec.Struct, kw_only=True):
    """What a request asks to be drawn: a query over a span. `is_cut`: more belongs to it than was
    looked at; `told_us`: up to when all that belongs to it was."""

    wanted: RunFilter
    from_us: int
    to_us: int
    now_us: int
    told_us: int
    is_cut: bool = False


def chart_of(request: Request, query: ChartQuery) -> Chart:
    """Return what is to be drawn.

    Raises:
        Problem: 400, the query is not understood, or its span is none or too long.
    """
    now_us = request.services.now_us()
    try:
        from_us = parse_instant(query.from_ or "-12h", now_us)
        to_us = parse_instant(query.to or "+12h", now_us)
        wanted = within_reach(request.guest, parse_filter(request.query, now_us))
    except BadQuery as error:
        raise Problem(400, str(error)) from None
    if not from_us < to_us <= from_us + LONGEST_US:
        days = LONGEST_US // DAY_US
        raise Problem(400, f"from, to: expected a span of at most {days} days that ends later")
    wanted = replace(
        wanted,
        since_us=max(from_us, wanted.since_us or from_us),
        until_us=min(to_us, wanted.until_us or to_us),
    )
    return Chart(wanted=wanted, from_us=from_us, to_us=to_us, now_us=now_us, told_us=to_us)


def runs_of(reader: Reader, chart: Chart, most: int) -> Iterator[Run]:
    """Yield the runs of a chart, `most` of them: those written, newest first, then those that
    schedules name, by time."""
    left = most
    for run in written_runs(reader, chart.wanted):
        if left <= 0:
            chart.is_cut, chart.told_us = True, chart.from_us
            return
        left -= 1
        yield run
    for run in _nominal(reader, chart):
        if left <= 0:
            chart.is_cut, chart.told_us = True, min(chart.told_us, run.schedule_us)
            return
        left -= 1
        yield run


def written_runs(reader: Reader, wanted: RunFilter) -> Iterator[Run]:
    """Yield the written runs that match, newest first."""
    before = None
    while True:
        page = reader.find(wanted, before=before, limit=PAGE)
        yield from page.runs
        if page.before is None:
            return
        before = page.before


def _nominal(reader: Reader, chart: Chart) -> Iterator[Run]:
    """Yield what schedules name beyond the time up to which they have been written."""
    wanted = chart.wanted
    from_us, to_us = wanted.since_us or chart.from_us, wanted.until_us or chart.to_us
    ahead = (row.written_upto_us for row in reader.schedules())
    from_us = max(from_us, min(ahead, default=chart.now_us))
    if from_us >= to_us:
        return
    jobs = jobs_of(reader, wanted)
    try:
        named, upto_us = forecast_ahead(
            jobs,
            from_us,
            to_us,
            calendars_by_name(reader.calendars()),
            keep=lambda job, one: wanted.matches(nominal_run(job, one)),
            limit=MOST_NOMINAL,
        )
    except UserError:
        # A calendar that ends, or very many runs in no time: what is written is shown.
        chart.is_cut, chart.told_us = True, from_us
        return
    if upto_us < to_us:
        chart.is_cut, chart.told_us = True, upto_us
    written = runs_written(reader, tuple(jobs), from_us, upto_us)
    for one in named:
        known = (one.job_id, args_key(one.args), one.at_us) in written
        if not (known or one.left_out):
            yield nominal_run(jobs[one.job_id], one)
