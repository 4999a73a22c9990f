"""What is allowed in jobs and yet may not be meant: warnings, never errors. Pure.

Called by `check` on the command line. Each finding says what will happen, so that whoever meant it
can leave it be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from .binding import schedule_args
from .calendars import Calendar, find_calendar
from .checks import Problem
from .clock_changes import Met, met_changes
from .conditions import Dependency, leaves
from .errors import UserError
from .job import Job
from .reading import KeyPath, shown
from .run import args_key
from .schedules import Explicit, Schedule, fires, next_fire
from .templates import can_be_named, is_template
from .times import DAY_S, SECOND_US, format_time

DAY_US = DAY_S * SECOND_US
YEAR_US = 366 * DAY_US
# A calendar that ends within this time is to be renewed now.
SOON_DAYS = 60
# How far two schedules of a job are compared, and with how many runs each.
COMPARED_US = 35 * DAY_US
COMPARED_RUNS = 1_000


def lint_jobs(
    jobs: Mapping[str, Job], calendars: Mapping[str, Calendar], now_us: int
) -> list[Problem]:
    """Return the warnings about jobs that have no errors, in the order of job ids.

    Args:
        jobs: all jobs, by id.
        calendars: the calendars that files hold, by name.
        now_us: the coming year begins here.
    """
    made = _made_by_others(jobs)
    return [
        problem
        for job_id in sorted(jobs)
        for problem in _lint_job(jobs[job_id], jobs, made, calendars, now_us)
    ]


def _lint_job(
    job: Job,
    jobs: Mapping[str, Job],
    made: frozenset[str],
    calendars: Mapping[str, Calendar],
    now_us: int,
) -> Iterator[Problem]:
    for place, schedule in enumerate(job.schedules):
        several = len(job.schedules) > 1
        where: KeyPath = ("schedule", place) if several else ("schedule",)
        label = f"schedule[{place}]" if several else "schedule"
        for sentence in _lint_schedule(job, schedule, calendars, now_us):
            yield _warning(job, f"{label}: {sentence}", where)
    for name in job.params:
        if not can_be_named(name):
            sentence = f"params: {shown(name)}: no template can name it: expected another name"
            yield _warning(job, sentence, ("params",))
    yield from _same_runs(job, calendars, now_us)
    yield from _dependencies(job, jobs, made)


def _warning(job: Job, sentence: str, where: KeyPath) -> Problem:
    return Problem(job_id=job.job_id, sentence=sentence, key_path=where, severity="warning")


# --- schedules ----------------------------------------------------------------------------------


def _lint_schedule(
    job: Job, schedule: Schedule, calendars: Mapping[str, Calendar], now_us: int
) -> Iterator[str]:
    unused = sorted(set(schedule.args) - set(job.params))
    if unused:
        yield f"args {', '.join(unused)}: no params of the job: they are left out"
    for name, text in sorted(schedule.args.items()):
        if name in job.params and is_template(text):
            yield (
                f"args.{name}: {shown(text)} is not filled in, each run gets just that: `date`, "
                "`time` and the other automatic args are there without it"
            )
    if not schedule.enabled:
        return
    try:
        first = next_fire(schedule, now_us, calendars)
        ending = _ending(schedule, calendars, now_us)
        if ending:
            yield ending
        if first is None and not isinstance(schedule, Explicit) and not ending:
            yield "makes no run in the coming ten years"
        for met in met_changes(schedule, now_us, now_us + YEAR_US, calendars):
            yield _met_words(schedule, met)
    except UserError:
        return  # It is an error, told where errors are.


def _ending(schedule: Schedule, calendars: Mapping[str, Calendar], now_us: int) -> str:
    """Return that the calendar of a schedule ends within a year, empty when it does not."""
    name = getattr(schedule, "calendar", None)
    stop = None if name is None else getattr(find_calendar(name, calendars), "stop", None)
    if stop is None or stop.year > 9000:
        return ""
    end_us = (stop.toordinal() - 719_163) * DAY_US
    days = (end_us - now_us) // DAY_US
    if days > YEAR_US // DAY_US:
        return ""
    if days < 0:
        return f"calendar {name} ended on {stop}: no more runs are made"
    hurry = ": renew it now" if days <= SOON_DAYS else ""
    return f"calendar {name} ends on {stop}, in {days} days; no run is made after that{hurry}"


def _met_words(schedule: Schedule, met: Met) -> str:
    tz = getattr(schedule, "tz", "")
    change, wall = met.change, met.wall
    at = " and ".join(format_time(at_us) for at_us in met.instants_us)
    if change.forward:
        leap = f"the clocks leap from {change.before.time()} to {change.after.time()}"
        then = f"it runs at {at}" if at else "no run that day"
        return f"{wall.time()} {tz} does not exist on {wall.date()} ({leap}): {then}"
    back = f"the clocks go back from {change.before.time()} to {change.after.time()}"
    then = f"it runs at {at}" if at else "no run that day"
    count = {0: "", 1: "once, "}.get(len(met.instants_us), "twice, ")
    then = then.replace("it runs at", f"it runs {count}at")
    return f"{wall.time()} {tz} comes twice on {wall.date()} ({back}): {then}"


def _same_runs(job: Job, calendars: Mapping[str, Calendar], now_us: int) -> Iterator[Problem]:
    """Yield that two schedules make the same run, once for each pair."""
    if len(job.schedules) < 2:
        return
    makers: dict[tuple[int, str], int] = {}
    told: set[tuple[int, int]] = set()
    for place, schedule in enumerate(job.schedules):
        if not schedule.enabled:
            continue
        try:
            there = fires(schedule, now_us, now_us + COMPARED_US, calendars)
            for fire in islice(there, COMPARED_RUNS):
                key = (fire.at_us, args_key(schedule_args(job, fire)))
                other = makers.setdefault(key, place)
                if other != place and (other, place) not in told:
                    told.add((other, place))
                    sentence = (
                        f"schedule[{other}] and schedule[{place}] both make the run of "
                        f"{format_time(fire.at_us)}: it runs once"
                    )
                    yield _warning(job, sentence, ("schedule", place))
        except UserError:
            continue


# --- dependencies -------------------------------------------------------------------------------


def _made_by_others(jobs: Mapping[str, Job]) -> frozenset[str]:
    """Return the jobs of which an action of another job makes runs."""
    return frozenset(
        target
        for job in jobs.values()
        for action in job.actions
        if (target := getattr(action, "job_id", None)) is not None
    )


def _dependencies(job: Job, jobs: Mapping[str, Job], made: frozenset[str]) -> Iterator[Problem]:
    """Yield dependencies on jobs that nothing makes runs of, and args that nobody takes."""
    for place, entry in enumerate(job.conditions):
        where: KeyPath = ("condition", place)
        for cond in leaves((entry,)):
            if isinstance(cond, Dependency):
                yield from _dependency(job, cond, jobs, made, where)


def _dependency(
    job: Job, cond: Dependency, jobs: Mapping[str, Job], made: frozenset[str], where: KeyPath
) -> Iterator[Problem]:
    target = jobs.get(cond.job_id)
    if cond.enabled is not False and not is_template(cond.job_id) and target is not None:
        scheduled = any(schedule.enabled for schedule in job.schedules)
        never = not any(one.enabled for one in target.schedules) and target.job_id not in made
        if scheduled and never:
            sentence = (
                f"dependency {cond.job_id} is never scheduled: it has no schedule, and no action "
                "makes a run of it"
            )
            yield _warning(job, sentence, where)
        extra = sorted(set(cond.args) - set(target.params))
        if extra and job.schedules:
            sentence = f"dependency {cond.job_id}: args {', '.join(extra)}: no params of that job"
            yield _warning(job, sentence, where)
