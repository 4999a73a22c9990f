"""Which runs a backfill makes: nominal runs of a job for a time that is over. Pure.

The scheduler makes them, and the API lists them beforehand, both by this.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from .calendars import Calendar
from .errors import UserError
from .forecast import MOST_LOOKED_AT, Nominal, TooManyRuns, nominal_runs
from .job import Job
from .run import args_key


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The runs to be made, in the order in which they are to begin, and how many were left out
    since they have a run."""

    runs: list[Nominal]
    left_out: int = 0


def backfill_listing(
    job: Job,
    from_us: int,
    to_us: int,
    calendars: Mapping[str, Calendar],
    *,
    there: Collection[tuple[str, int]] = (),
    args: Mapping[str, str] | None = None,
    newest_first: bool = False,
    limit: int,
) -> Listing:
    """Return the runs that the job's enabled schedules name in [from, to), as they are now.

    Args:
        there: (args as a text, time) of runs that there are: these are left out.
        args: only runs that have these among theirs.
        limit: more runs than this are refused.

    Raises:
        TooManyRuns: there are more, or very many would have to be looked at.
        UserError: a schedule names an unknown calendar or zone, the job has no schedule, or none
            of its params is called as an arg.
    """
    if not any(schedule.enabled for schedule in job.schedules):
        raise UserError(f"job {job.job_id}: has no schedule that is enabled: expected one")
    wanted = (args or {}).items()
    if extra := sorted({name for name, _ in wanted} - set(job.params)):
        raise UserError(f"extra args ({', '.join(extra)}) for job {job.job_id}")
    found: list[tuple[int, str, Nominal]] = []
    left_out = 0
    for looked, nominal in enumerate(nominal_runs(job, from_us, to_us, calendars)):
        if looked >= MOST_LOOKED_AT:
            raise TooManyRuns(MOST_LOOKED_AT)
        if nominal.left_out or not wanted <= nominal.args.items():
            continue
        key = args_key(nominal.args)
        if (key, nominal.at_us) in there:
            left_out += 1
            continue
        found.append((nominal.at_us, key, nominal))
        if len(found) > limit:
            raise TooManyRuns(limit)
    found.sort(key=lambda one: one[:2])
    runs = [nominal for _, _, nominal in found]
    if newest_first:
        runs.reverse()
    return Listing(runs=runs, left_out=left_out)
