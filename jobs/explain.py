"""Why there is no run of a job for a time, or which schedule makes it. Pure.

The caller (the web) gathers what the store knows; here it is weighed. What is looked for is named
by a job, some of its args and a time; args that are left out may be anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from msgspec.structs import replace

from .binding import schedule_args
from .calendars import Calendar
from .clock_changes import met_changes
from .errors import UserError
from .job import Job
from .params import why_not
from .schedule_types import Daily, DailyInterval, Schedule, options_of
from .schedule_words import describe
from .schedules import Fire, fires, next_fire
from .times import DAY_S, SECOND_US, format_time, us_to_local, zone
from .words import instance_words

DAY_US = DAY_S * SECOND_US
# Of what is still in force.
END_US = 2**62
# How far back the last time before is looked for, in steps.
BACK_US = tuple(n * DAY_US for n in (0.05, 1, 8, 40, 400, 4_000))


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked about. `args` are those that are named; `at_us` is a whole second."""

    job_id: str
    args: dict[str, str]
    at_us: int


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule's time in force, `to_us` None: still; written up to `written_us`. `job` is the
    definition it belongs to."""

    job: Job
    schedule: Schedule
    fingerprint: str
    from_us: int
    to_us: int | None
    written_us: int


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """Times of a schedule that by policy became no runs."""

    fingerprint: str
    from_us: int
    to_us: int
    reason: str
    at_us: int


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """A reload that took a schedule away. `what` the job then was: `changed` or `removed`; `run_id`
    is the run that was withdrawn, if it was written."""

    at_us: int
    what: str
    jobs_version: int
    run_id: str | None = None
    reason: str = ""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known. `job` as it is in force, None: it is not. `near` are ids much like the one
    sought. `withdrawn` belongs to the last period that ended before the time sought."""

    job: Job | None
    near: tuple[str, ...] = ()
    periods: tuple[Period, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    withdrawn: Withdrawal | None = None
    calendars: Mapping[str, Calendar] = {}
    now_us: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`verdict` in a word, and sentences for people, the most important first."""

    verdict: str
    lines: tuple[str, ...]


def explain(sought: Sought, known: Known) -> Answer:
    """Return why there is no run like the one sought."""
    job = known.job
    if job is None and not known.periods:
        near = f": did you mean {' or '.join(known.near)}?" if known.near else ""
        return _answer("unknown_job", f"There is no job {sought.job_id}{near}")
    if job is not None:
        wrong = list(_wrong_args(sought, job))
        if wrong:
            return _answer("args", *wrong)
    named = [period for period in known.periods if _names(period, sought, known)]
    if named:
        return _of_period(_deciding(named, sought.at_us), sought, known)
    if job is None:
        return _answer("unknown_job", f"There is no job {sought.job_id} any more.")
    disabled = [one for one in job.schedules if not one.enabled]
    for schedule in disabled:
        if _fire_of(job, schedule, sought, known) is not None:
            return _answer(
                "disabled", f"The schedule that names it is disabled: {describe(schedule)}."
            )
    enabled = [one for one in job.schedules if one.enabled]
    if not enabled:
        what = "Its schedules are disabled" if disabled else "The job has no schedule"
        said = f"{what}: runs are made by people and by actions of other jobs only."
        return _answer("disabled" if disabled else "no_schedule", said)
    return _not_scheduled(job, enabled, sought, known)


def schedule_line(period: Period) -> str:
    """Return which schedule made a run, in a sentence."""
    since = format_time(period.from_us)
    return f"Its schedule is {describe(period.schedule)}, in force since {since}."


# --- inside -------------------------------------------------------------------------------------


def _answer(verdict: str, *lines: str) -> Answer:
    return Answer(verdict=verdict, lines=lines)


def _wrong_args(sought: Sought, job: Job) -> Iterator[str]:
    params = ", ".join(job.params) or "none"
    for name, value in sorted(sought.args.items()):
        if name not in job.params:
            yield f"The job has no param {name}: its params are {params}."
        elif (spec := job.param_specs.get(name)) is not None and (said := why_not(spec, value)):
            yield f"No run can have this arg: {name}: {said}."


def _names(period: Period, sought: Sought, known: Known) -> bool:
    return _fire_of(period.job, period.schedule, sought, known) is not None


def _fire_of(job: Job, schedule: Schedule, sought: Sought, known: Known) -> Fire | None:
    """Return the fire of a schedule at the time sought, if it has the args sought."""
    fire = _fire_at(schedule, sought.at_us, known)
    if fire is None or not sought.args.items() <= schedule_args(job, fire).items():
        return None
    return fire


def _fire_at(schedule: Schedule, at_us: int, known: Known) -> Fire | None:
    """Return the fire of a schedule in the second at `at_us`."""
    try:
        return next(fires(schedule, at_us, at_us + SECOND_US, known.calendars), None)
    except UserError:
        return None


def _deciding(named: list[Period], at_us: int) -> Period:
    """Return the period that tells: one in force at the time, else the last to end before it, else
    the first after it."""
    begun = [period for period in named if period.from_us <= at_us]
    if not begun:
        return min(named, key=lambda period: period.from_us)
    return max(begun, key=lambda period: END_US if period.to_us is None else period.to_us)


def _of_period(period: Period, sought: Sought, known: Known) -> Answer:
    """Explain a time that a schedule names, or named, and that has no run."""
    at_us, words = sought.at_us, describe(period.schedule)
    if at_us < period.from_us:
        return _answer(
            "before",
            f"The schedule that names it, {words}, came into force only at "
            f"{format_time(period.from_us)}, and makes up for nothing from before.",
        )
    if period.to_us is not None and at_us >= period.to_us:
        return _withdrawn(period, words, known)
    for span in known.skipped:
        if span.fingerprint == period.fingerprint and span.from_us <= at_us <= span.to_us:
            return _answer(
                "skipped",
                f"It was left out by policy: {span.reason}.",
                f"That was recorded at {format_time(span.at_us)}, for the times of {words} from "
                f"{format_time(span.from_us)} to {format_time(span.to_us)}.",
            )
    fire = _fire_at(period.schedule, at_us, known)
    if fire is not None and fire.left_out:
        return _answer("skipped", f"It is left out by policy: {fire.left_out}.")
    if at_us >= period.written_us:
        upto = format_time(period.written_us)
        if at_us > known.now_us:
            return _answer(
                "horizon",
                f"It will be made by {words}.",
                f"It lies beyond what is written ahead: runs of this schedule up to {upto}.",
            )
        return _answer(
            "late",
            f"It is due by {words} and not written yet.",
            f"Runs of this schedule are written up to {upto}; the scheduler makes up for the rest.",
        )
    return _answer(
        "missing",
        f"{words} names it, and its runs are written up to {format_time(period.written_us)}, yet "
        "there is no such run.",
        "Either it has been archived, or something is wrong: see the checks.",
    )


def _withdrawn(period: Period, words: str, known: Known) -> Answer:
    assert period.to_us is not None, "the period has ended"
    lines = [f"The schedule that named it, {words}, went at {format_time(period.to_us)}."]
    change = known.withdrawn
    if change is not None:
        lines.append(
            f"The job was {change.what} by the reload at {format_time(change.at_us)} "
            f"(jobs version {change.jobs_version})."
        )
        if change.run_id is not None:
            lines.append(f"The run {change.run_id} was withdrawn then: {change.reason}.")
    return _answer("withdrawn", *lines)


# --- not on schedule ----------------------------------------------------------------------------


def _not_scheduled(job: Job, schedules: list[Schedule], sought: Sought, known: Known) -> Answer:
    """Explain a time that no schedule names, schedule by schedule."""
    verdict = "not_scheduled"
    lines = [f"No schedule of {job.job_id} names {format_time(sought.at_us)}."]
    for schedule in schedules:
        found, sentence = _why_not_named(job, schedule, sought, known)
        verdict = found if verdict == "not_scheduled" else verdict
        lines.append(f"{describe(schedule)}: {sentence}")
    return _answer(verdict, *lines)


def _why_not_named(job: Job, schedule: Schedule, sought: Sought, known: Known) -> tuple[str, str]:
    """Return verdict and sentence of one schedule."""
    other = _fire_at(schedule, sought.at_us, known)
    if other is not None:
        instance = instance_words(job.job_id, schedule_args(job, other))
        return "args", f"it names this time for other args: {instance}."
    other_days = _on_any_day(schedule)
    if other_days is not None and _fire_at(other_days, sought.at_us, known) is not None:
        day = us_to_local(sought.at_us, zone(getattr(schedule, "tz", "UTC"))).date()
        said = f"{day} is not in the calendar {getattr(schedule, 'calendar', '')}"
        return "calendar", f"{said}; {_nearest(schedule, sought, known)}."
    options = options_of(schedule)
    if options.start_date is not None or options.end_date is not None:
        always = replace(schedule, options=replace(options, start_date=None, end_date=None))
        if _fire_at(always, sought.at_us, known) is not None:
            first, last = options.start_date or "ever", options.end_date or "ever"
            said = f"it lies outside its dates, from {first} to {last}"
            return "dates", f"{said}; {_nearest(schedule, sought, known)}."
    leapt = _leapt_over(schedule, sought, known)
    return "not_scheduled", f"{leapt}{_nearest(schedule, sought, known)}."


def _on_any_day(schedule: Schedule) -> Schedule | None:
    """Return the schedule without its calendar, None when it has none."""
    if isinstance(schedule, Daily | DailyInterval) and schedule.calendar != "all":
        return replace(schedule, calendar="all")
    return None


def _leapt_over(schedule: Schedule, sought: Sought, known: Known) -> str:
    """Return which of its times the clocks leap over around the time sought."""
    try:
        around = met_changes(
            schedule, sought.at_us - DAY_US, sought.at_us + DAY_US, known.calendars
        )
        walls = [str(met.wall) for met in around if not met.instants_us]
    except UserError:
        return ""
    return f"the clocks leap over {', '.join(walls)}; " if walls else ""


def _nearest(schedule: Schedule, sought: Sought, known: Known) -> str:
    """Return the times before and after the one sought."""
    try:
        after = next_fire(schedule, sought.at_us + 1, known.calendars)
        before = _last_before(schedule, sought.at_us, known)
    except UserError as error:
        return str(error)
    said = []
    if before is not None:
        said.append(f"the last before is {format_time(before.at_us)}")
    if after is not None:
        said.append(f"the next after is {format_time(after.at_us)}")
    return ", ".join(said) or "it names no time at all"


def _last_before(schedule: Schedule, at_us: int, known: Known) -> Fire | None:
    for back_us in BACK_US:
        last = None
        for fire in fires(schedule, at_us - round(back_us), at_us, known.calendars):
            last = fire
        if last is not None:
            return last
    return None
