"""Endpoints of `/api/v2` that fold many runs into what a page draws: the call sheet of a day, the
timeline of a query, the history of a job.

Charts get server-made bins or columns, never a record per run: a day may have 100,000 of them.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal, TypedDict

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from ..jobs.bound_conditions import dependencies
from ..jobs.run import Run
from ..jobs.run_filter import RunFilter
from ..jobs.states import ACTIVE, State
from ..jobs.times import SECOND_US, format_time_ms
from ..store.interface import Reader
from .chart_runs import DAY_US, Chart, ChartQuery, chart_of, runs_of, written_runs
from .gate import within_reach
from .records import elapsed_s
from .routing import Request, Route
from .shapes import Instant
from .shapes_charts import Bar, Day, DayGroup, History, Redefined, Timeline
from .unsolved import Troubles
from .usual import usual_lengths

# How long a run may be late before it is called so.
LATE_US = 60 * SECOND_US
# Runs that one answer is folded of, and runs on one timeline; beyond them it says so.
MOST_RUNS = 100_000
MOST_BARS = 4_000
PAGE = 10_000
MOST_GROUPS = 300
# Bins of a day that takes as many minutes as one has unless asked otherwise.
BINS = 288
MOST_BINS = 2_000
MOST_UNSOLVED = 1_000
HISTORY_DAYS = 56
MOST_HISTORY_DAYS = 732
STATES = tuple(State)


class DayQuery(ChartQuery, forbid_unknown_fields=True):
    """Which runs, by what they are put together, and in how many bins."""

    by: Literal["folder", "label", "owner", "agent"] = "folder"
    bins: Annotated[int, Meta(ge=1, le=MOST_BINS)] = BINS
    unsolved: Annotated[
        int, Meta(ge=0, le=MOST_UNSOLVED, description="So many of what needs a person, too.")
    ] = 0


class HistoryQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Of which job, and how far back."""

    job: Annotated[str, Meta(description="The id of a job.")]
    days: Annotated[int, Meta(ge=1, le=MOST_HISTORY_DAYS)] = HISTORY_DAYS


class Group(msgspec.Struct, kw_only=True):
    """Runs with something in common: how many are how, and where they stand in the span.

    `marks` counts runs by what they are and the bin of their schedule time; `bars` are the times
    at which those that run began, `running` their jobs; `late` when those that are late were due.
    """

    counts: Counter[str] = msgspec.field(default_factory=Counter)
    marks: Counter[tuple[str, int]] = msgspec.field(default_factory=Counter)
    bars: list[int] = []
    late: list[int] = []
    jobs: set[str] = msgspec.field(default_factory=set)
    running: set[str] = msgspec.field(default_factory=set)
    last_us: int = 0


async def get_day(request: Request, query: DayQuery) -> Day:
    """The runs of a span, by folder, label, owner or agent: counts, and marks to draw."""
    chart, bins, most = chart_of(request, query), query.bins, query.unsolved

    def read(reader: Reader) -> Day:
        epoch, seq = reader.head()
        troubles = Troubles()
        groups: dict[str, Group] = {}
        whole = Group()
        bin_us = max(1, (chart.to_us - chart.from_us) // bins)
        for run in runs_of(reader, chart, MOST_RUNS):
            for name in _names(run, query.by):
                _add(groups.setdefault(name, Group()), run, chart, bin_us)
            _add(whole, run, chart, bin_us)
            if most:
                troubles.add(run)
        names = sorted(groups, key=lambda name: (-_sum(groups[name]), name))[:MOST_GROUPS]
        is_over = chart.to_us < chart.now_us
        return {
            "usual": usual_lengths(reader, sorted(whole.running)),
            "all": _group("", whole),
            "groups": [_group(name, groups[name]) for name in sorted(names)],
            "complete": not chart.is_cut and len(names) == len(groups),
            "told_to": format_time_ms(chart.told_us),
            "epoch": epoch,
            "seq": seq,
            "bins": bins,
            "unsolved": troubles.unsolved(reader, most, is_over) if most else None,
            **_span(chart),
        }

    return await request.services.read(read)


async def get_timeline(request: Request, query: ChartQuery) -> Timeline:
    """The runs of a query by job, with when they began and ended, and what is usual."""
    chart = chart_of(request, query)

    def read(reader: Reader) -> Timeline:
        epoch, seq = reader.head()
        # What was due before and is not over reaches into the span, too.
        begun = replace(chart.wanted, since_us=None, until_us=chart.from_us)
        early = [run for run in reader.active(ACTIVE) if begun.matches(run)]
        runs = early[:MOST_BARS]
        runs += runs_of(reader, chart, MOST_BARS - len(runs))
        lanes: dict[str, list[Bar]] = {}
        for run in runs:
            lanes.setdefault(run.job_id, []).append(_bar(run))
        usual = usual_lengths(reader, sorted(lanes))
        return {
            "jobs": [
                {"job_id": job_id, "usual": usual.get(job_id), "runs": _by_time(lanes[job_id])}
                for job_id in sorted(lanes)
            ],
            "complete": not chart.is_cut,
            "epoch": epoch,
            "seq": seq,
            **_span(chart),
        }

    return await request.services.read(read)


async def get_history(request: Request, query: HistoryQuery) -> History:
    """The runs of a job in columns, the oldest first: for a heat map and a chart of durations."""
    job_id, days = query.job, query.days
    now_us = request.services.now_us()
    since_us = now_us - days * DAY_US
    wanted = within_reach(
        request.guest,
        RunFilter(job=job_id, since_us=since_us, until_us=now_us + LATE_US),
    )

    def read(reader: Reader) -> History:
        found: list[Run] = []
        complete = True
        for run in written_runs(reader, wanted):
            if run.job_id != job_id:
                continue
            if len(found) >= PAGE:
                complete = False
                break
            found.append(run)
        found.sort(key=lambda run: run.schedule_us)
        return {
            "states": [state.value for state in STATES],
            "number": [run.number for run in found],
            "at": [run.schedule_us // SECOND_US for run in found],
            "state": [STATES.index(run.state) for run in found],
            "took": [_rounded(elapsed_s(run)) for run in found],
            "definitions": _definitions(reader, found),
            "complete": complete,
            "job_id": job_id,
            "days": days,
            "from": format_time_ms(since_us),
            "now": format_time_ms(now_us),
        }

    return await request.services.read(read)


# --- inside ---------------------------------------------------------------------------------------


def _names(run: Run, by: str) -> tuple[str, ...]:
    match by:
        case "folder":
            return (run.job_id.rpartition("/")[0],)
        case "label":
            return run.labels or ("",)
        case "owner":
            return (run.owner,)
        case _:
            return (run.agent_id or "",)


def _add(group: Group, run: Run, chart: Chart, bin_us: int) -> None:
    state = run.state.value
    late = is_late(run, chart.now_us)
    kind = "held" if run.held and not run.finished else state
    group.counts[kind] += 1
    group.jobs.add(run.job_id)
    group.last_us = max(group.last_us, run.schedule_us)
    if late:
        group.counts["late"] += 1
        group.late.append(run.schedule_us)
    elif run.state in (State.STARTING, State.RUNNING, State.STOPPING):
        group.bars.append(run.times.get("running", run.schedule_us))
        group.running.add(run.job_id)
    else:
        group.marks[kind, (run.schedule_us - chart.from_us) // bin_us] += 1


def is_late(run: Run, now_us: int) -> bool:
    """Return whether a run ought to have begun and has not."""
    return (
        run.state in (State.SCHEDULED, State.WAITING)
        and not run.held
        and run.attempt == 0
        and now_us - run.schedule_us >= LATE_US
    )


def _sum(group: Group) -> int:
    return sum(n for kind, n in group.counts.items() if kind != "late")


def _group(name: str, group: Group) -> DayGroup:
    marks: dict[str, list[list[int]]] = {}
    for (kind, place), n in sorted(group.marks.items()):
        marks.setdefault(kind, []).append([place, n])
    return {
        "name": name,
        "jobs": len(group.jobs),
        "expected": _sum(group),
        "counts": dict(group.counts),
        "marks": marks,
        "bars": [at_us // 1000 for at_us in sorted(group.bars)],
        "late": [at_us // 1000 for at_us in sorted(group.late)],
        "last": format_time_ms(group.last_us) if group.last_us else None,
    }


def _bar(run: Run) -> Bar:
    begun = run.times.get("running") or run.times.get("starting")
    ended = run.times.get(run.state.value) if run.finished else None
    bar: Bar = {
        "run_id": run.run_id if run.number else None,
        "state": "held" if run.held and not run.finished else run.state.value,
        "due": run.schedule_us // 1000,
        "start": None if begun is None else begun // 1000,
        "end": None if ended is None else ended // 1000,
    }
    if run.args:
        bar["args"] = run.args
    if run.due is not None and run.due.finish_by_us is not None and not run.finished:
        bar["finish_by"] = run.due.finish_by_us // 1000
    needs = [] if run.finished else [[one.job_id, one.args] for one in dependencies(run.conds)]
    if needs:
        bar["needs"] = needs
    return bar


def _by_time(bars: list[Bar]) -> list[Bar]:
    return sorted(bars, key=lambda bar: bar["due"])


def _definitions(reader: Reader, runs: list[Run]) -> list[Redefined]:
    """Return at which runs the job's definition was another than before; the first is none."""
    found: list[Redefined] = []
    last = None
    for run in runs:
        if run.definition is None or run.definition == last:
            continue
        if last is not None:
            commit = reader.definition_commit(run.definition)
            at_s = run.schedule_us // SECOND_US
            found.append({"at": at_s, "hash": run.definition, "commit": commit})
        last = run.definition
    return found


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


# Keys that are words of Python can be given by this form alone.
_Span = TypedDict("_Span", {"from": Instant, "to": Instant, "now": Instant})


def _span(chart: Chart) -> _Span:
    return {
        "from": format_time_ms(chart.from_us),
        "to": format_time_ms(chart.to_us),
        "now": format_time_ms(chart.now_us),
    }


ROUTES = [
    Route("GET", "/api/v2/day", get_day),
    Route("GET", "/api/v2/timeline", get_timeline),
    Route("GET", "/api/v2/history", get_history),
]
