"""Schedules in words, in Apsis's form as far as it has one. For the API and for people."""

from __future__ import annotations

from .data_texts import data_words
from .schedule_types import (
    NO_OPTIONS,
    Cron,
    Daily,
    DailyInterval,
    DayPoint,
    Explicit,
    ExtensionSchedule,
    Interval,
    Options,
    Schedule,
    StopAfter,
    StopAt,
    options_of,
)
from .times import format_daytime, format_duration_s, format_time


def describe(schedule: Schedule) -> str:
    """Return a schedule in words."""
    args = " ".join(f"{name}={value}" for name, value in sorted(schedule.args.items()))
    words = (f"({args}) " if args else "") + _describe_times(schedule)
    match schedule.stop:
        case StopAfter(duration_us=duration_us):
            words += f", stop {format_duration_s(duration_us)} s after schedule time"
        case StopAt(daytime_s=daytime_s, tz=tz):
            words += f", stop at {format_daytime(daytime_s)} {tz}"
    options = options_of(schedule)
    return words if options is NO_OPTIONS else words + _describe_options(options)


def calendar_name(name: str) -> str:
    """Return the name that a calendar is shown by: Apsis has a longer one for its default."""
    return "all days" if name == "all" else name


# --- inside -------------------------------------------------------------------------------------


def _describe_times(schedule: Schedule) -> str:
    match schedule:
        case Interval():
            phase = schedule.phase_us
            words = f"every {format_duration_s(schedule.interval_us)} sec"
            return words + (f" phase {format_duration_s(phase)} sec" if phase else "")
        case Daily():
            times = ", ".join(map(format_daytime, schedule.daytimes_s))
            words = f"{calendar_name(schedule.calendar)} at {times} {schedule.tz}"
            if schedule.cal_shift:
                words += f" {schedule.cal_shift:+} cal days"
            return words + (f" {schedule.date_shift:+} days" if schedule.date_shift else "")
        case DailyInterval():
            start, stop = _point(schedule.start), _point(schedule.stop_point)
            every = f"every {format_duration_s(schedule.interval_us)} sec"
            days = calendar_name(schedule.calendar)
            return f"{days} from {start} to {stop} {schedule.tz} {every}"
        case Explicit():
            return ", ".join(map(format_time, schedule.times_us))
        case Cron():
            return f"cron {schedule.expression} {schedule.tz}"
        case ExtensionSchedule():
            return data_words(schedule.name, schedule.data)


def _describe_options(options: Options) -> str:
    words = ""
    if options.start_date is not None:
        words += f", from {options.start_date}"
    if options.end_date is not None:
        words += f", until {options.end_date}"
    if options.blackouts:
        said = (f"{'after' if one.after else 'not in'} {one.name}" for one in options.blackouts)
        words += f", {', '.join(said)}"
    if options.jitter_us:
        words += f", up to {format_duration_s(options.jitter_us)} s later"
    return words


def _point(point: DayPoint) -> str:
    words = format_daytime(point.daytime_s)
    if point.cal_shift:
        words += f" {point.cal_shift:+} cal days"
    return words + (f" {point.date_shift:+} days" if point.date_shift else "")
