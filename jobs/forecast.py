"""Forecasts: which runs the schedules of jobs name over any span, computed, never looked up. Pure.

Called for the command line, the API and plans. The only generator of instants is `schedules.fires`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping

import msgspec

from .binding import schedule_args
from .calendars import Calendar
from .errors import UserError
from .job import Job
from .run import Run, args_key
from .schedules import Schedule, fires
from .states import State

# A day of 10,000 jobs has some 100,000 runs; beyond these numbers nobody reads on.
MOST_RUNS = 100_000
MOST_LOOKED_AT = 1_000_000


class TooManyRuns(UserError):
    """A forecast would be too long."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} runs: expected a narrower query or a shorter span")


class Nominal(msgspec.Struct, frozen=True, kw_only=True):
    """A run that a schedule names: `place` is the schedule's in its job. `left_out`: by which
    blackout it is none, empty when it is one; `until_us`: it starts only when that one is over."""

    at_us: int
    job_id: str
    args: dict[str, str]
    place: int = 0
    stop_us: int | None = None
    left_out: str = ""
    until_us: int | None = None


Keep = Callable[[Job, Nominal], bool]


def nominal_run(job: Job, nominal: Nominal) -> Run:
    """Return the run that a schedule names as it would be written; it has no number of its own."""
    return Run(
        run_id="r0",
        job_id=job.job_id,
        args=nominal.args,
        state=State.SCHEDULED,
        schedule_us=nominal.at_us,
        labels=job.labels,
        owner=job.owner,
        ad_hoc=job.ad_hoc,
    )


def forecast(
    jobs: Mapping[str, Job],
    from_us: int,
    to_us: int,
    calendars: Mapping[str, Calendar],
    *,
    keep: Keep | None = None,
    limit: int = MOST_RUNS,
) -> list[Nominal]:
    """Return the nominal runs of jobs in [from, to), by time, job and args.

    Two schedules of a job that name the same run give one.

    Args:
        jobs: by id.
        calendars: those that files hold, by name.
        keep: whether a run is wanted; None: all are.
        limit: more runs than this are refused.

    Raises:
        TooManyRuns: there are more, or very many would have to be looked at.
        UserError: a schedule names an unknown calendar or zone.
    """
    return forecast_ahead(jobs, from_us, to_us, calendars, keep=keep, limit=limit, whole=True)[0]


def forecast_ahead(
    jobs: Mapping[str, Job],
    from_us: int,
    to_us: int,
    calendars: Mapping[str, Calendar],
    *,
    keep: Keep | None = None,
    limit: int = MOST_RUNS,
    whole: bool = False,
) -> tuple[list[Nominal], int]:
    """Return `forecast` of as much of [from, to) as has no more runs than `limit`, and where that
    ends: at the instant whose runs would be more.

    Raises:
        TooManyRuns: of its first instant alone there are more, or it was to be the `whole` span.
        UserError: as `forecast`.
    """
    found: list[Nominal] = []
    streams = [
        _named(job, place, schedule, from_us, to_us, calendars)
        for job in jobs.values()
        for place, schedule in enumerate(job.schedules)
        if schedule.enabled
    ]
    seen: set[tuple[str, str]] = set()
    at_us = from_us
    for looked, nominal in enumerate(heapq.merge(*streams, key=_at_us)):
        if nominal.at_us != at_us:
            at_us = nominal.at_us
            seen.clear()
        key = (nominal.job_id, args_key(nominal.args))
        if key not in seen and (keep is None or keep(jobs[nominal.job_id], nominal)):
            found.append(nominal)
        seen.add(key)
        if len(found) > limit or looked >= MOST_LOOKED_AT:
            if whole or (found and found[0].at_us == at_us):
                raise TooManyRuns(limit if len(found) > limit else MOST_LOOKED_AT)
            to_us = at_us
            found = [one for one in found if one.at_us < to_us]
            break
    found.sort(key=_in_order)
    return found, to_us


def nominal_runs(
    job: Job, from_us: int, to_us: int, calendars: Mapping[str, Calendar]
) -> Iterator[Nominal]:
    """Yield the nominal runs of a job in [from, to), schedule by schedule, each run once."""
    seen: set[tuple[int, str]] = set()
    several = len(job.schedules) > 1
    for place, schedule in enumerate(job.schedules):
        if not schedule.enabled:
            continue
        for nominal in _named(job, place, schedule, from_us, to_us, calendars):
            if several:
                key = (nominal.at_us, args_key(nominal.args))
                if key in seen:
                    continue
                seen.add(key)
            yield nominal


def _named(
    job: Job,
    place: int,
    schedule: Schedule,
    from_us: int,
    to_us: int,
    calendars: Mapping[str, Calendar],
) -> Iterator[Nominal]:
    """Yield the runs that one schedule names, by time."""
    for fire in fires(schedule, from_us, to_us, calendars):
        yield Nominal(
            at_us=fire.at_us,
            job_id=job.job_id,
            args=schedule_args(job, fire),
            place=place,
            stop_us=fire.stop_us,
            left_out=fire.left_out,
            until_us=fire.until_us,
        )


def _at_us(one: Nominal) -> int:
    return one.at_us


def _in_order(one: Nominal) -> tuple[int, str, str]:
    return one.at_us, one.job_id, args_key(one.args)
