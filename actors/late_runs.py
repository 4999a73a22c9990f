"""Whether a late run is not to start any more: the judgement by all the schedules that make it.

Pure; called by the planner, which knows the schedules in force.
"""

from __future__ import annotations

from collections.abc import Container

from ..jobs.binding import schedule_args
from ..jobs.errors import UserError
from ..jobs.job import Job
from ..jobs.misfire import left_out, misfire_of
from ..jobs.run import Run
from ..jobs.schedules import Schedule, next_fire
from .job_set import schedules_of
from .window import Window


def why_left_out(
    run: Run, job: Job, in_force: Container[tuple[str, str]], window: Window, now_us: int
) -> str:
    """Return why a run is left out by policy, empty when it is to start.

    Two schedules that name one instant share a run: it is left out only if both leave it.

    Args:
        job: that of the run.
        in_force: the (job id, fingerprint) of all schedules that are in force.
    """
    schedules = schedules_of(job, window.calendars)
    own = schedules.pop(run.fingerprint or "", None)
    if own is None:
        return ""
    others = [schedules[print_] for print_ in schedules if (run.job_id, print_) in in_force]
    try:
        reason = _reason(run, own, window, now_us)
        wanted = bool(reason) and any(
            _makes(other, job, run, window) and not _reason(run, other, window, now_us)
            for other in others
        )
    except UserError:
        # A schedule that cannot be told the times of any more; what is written runs.
        return ""
    return "" if wanted else reason


def _reason(run: Run, schedule: Schedule, window: Window, now_us: int) -> str:
    rule = misfire_of(schedule, window.misfire)
    return left_out(schedule, run.schedule_us, now_us, rule, window.calendars)


def _makes(schedule: Schedule, job: Job, run: Run, window: Window) -> bool:
    at_us = run.schedule_us
    fire = next_fire(schedule, at_us, window.calendars, at_us + 1)
    return fire is not None and schedule_args(job, fire) == run.args
