"""Schedules: the values, and the instants they name.

`fires` is the only generator of instants; the scheduler, forecasts, plans and audits all call it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import msgspec
from msgspec.structs import replace

from .calendars import BeyondCalendar, Calendar, FileCalendar, find_calendar
from .cron import cron_instants
from .errors import UserError
from .instants import daily_instants, daily_interval_instants, interval_instants
from .schedule_types import (
    Cron,
    Daily,
    DailyInterval,
    DayPoint,
    Explicit,
    Fire,
    Interval,
    Schedule,
    Stop,
    StopAfter,
    StopAt,
)
from .times import (
    DAY_S,
    LAST_US,
    SECOND_US,
    format_daytime,
    format_duration_s,
    format_time,
    local_to_us,
    us_to_local,
    zone,
)

# A schedule that names no instant within this time has none.
REACH_US = 10 * 366 * DAY_S * SECOND_US

NO_CALENDARS: Mapping[str, Calendar] = {}


def fires(
    schedule: Schedule,
    from_us: int,
    to_us: int,
    calendars: Mapping[str, Calendar] = NO_CALENDARS,
) -> Iterator[Fire]:
    """Yield a schedule's nominal runs in [from_us, to_us), strictly increasing in time.

    Whether the schedule is enabled is the caller's business. A calendar that ends, ends the
    schedule. Args are strings; `schedule_time` is always the schedule's own, all other automatic
    args are overridden by `schedule.args`.

    Raises:
        UserError: the schedule names an unknown zone or calendar, or a bad cron expression.
    """
    last_us = from_us - 1
    to_us = min(to_us, LAST_US)
    try:
        for at_us, automatic in _instants(schedule, from_us, to_us, calendars):
            if at_us >= to_us:
                return
            if at_us > last_us:
                last_us = at_us
                yield _fire(schedule, at_us, automatic)
    except BeyondCalendar:
        return


def next_fire(
    schedule: Schedule,
    from_us: int,
    calendars: Mapping[str, Calendar] = NO_CALENDARS,
    limit_us: int | None = None,
) -> Fire | None:
    """Return the first nominal run at or after `from_us`, None when there is none by `limit_us`
    (by default ten years on)."""
    to_us = from_us + REACH_US if limit_us is None else limit_us
    return next(fires(schedule, from_us, to_us, calendars), None)


def fingerprint(schedule: Schedule, calendars: Mapping[str, Calendar] = NO_CALENDARS) -> str:
    """Return 24 hex digits of what a schedule means: not its place, nor whether it is enabled.

    Of a calendar from a file its days count, not its name alone.
    """
    digest = hashlib.sha256(
        msgspec.msgpack.encode(replace(schedule, enabled=True), order="deterministic")
    )
    name = getattr(schedule, "calendar", None)
    if name is not None:
        try:
            calendar = find_calendar(name, calendars)
        except UserError:
            calendar = None
        if isinstance(calendar, FileCalendar):
            text = f"{calendar.start} {calendar.stop} {' '.join(map(str, calendar.days))}"
            digest.update(text.encode())
    return digest.hexdigest()[:24]


def describe(schedule: Schedule) -> str:
    """Return a schedule in words, in Apsis's form."""
    args = " ".join(f"{name}={value}" for name, value in sorted(schedule.args.items()))
    words = (f"({args}) " if args else "") + _describe_times(schedule)
    match schedule.stop:
        case StopAfter(duration_us=duration_us):
            words += f", stop {format_duration_s(duration_us)} s after schedule time"
        case StopAt(daytime_s=daytime_s, tz=tz):
            words += f", stop at {format_daytime(daytime_s)} {tz}"
    return words


# --- inside -------------------------------------------------------------------------------------


def _instants(
    schedule: Schedule, from_us: int, to_us: int, calendars: Mapping[str, Calendar]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield instants with the automatic args peculiar to the schedule's type."""
    match schedule:
        case Interval():
            return interval_instants(schedule, from_us)
        case Daily():
            calendar = find_calendar(schedule.calendar, calendars)
            return daily_instants(schedule, calendar, from_us, to_us)
        case DailyInterval():
            calendar = find_calendar(schedule.calendar, calendars)
            return daily_interval_instants(schedule, calendar, from_us, to_us)
        case Explicit():
            return ((at_us, {}) for at_us in schedule.times_us if at_us >= from_us)
        case Cron():
            return cron_instants(schedule, from_us, to_us)


def _fire(schedule: Schedule, at_us: int, automatic: dict[str, str]) -> Fire:
    """Make the args of a nominal run: here and nowhere else."""
    time = format_time(at_us)
    args = {"time": time, **automatic, **schedule.args, "schedule_time": time}
    stop = schedule.stop
    return Fire(at_us=at_us, args=args, stop_us=None if stop is None else _stop_us(stop, at_us))


def _stop_us(stop: Stop, at_us: int) -> int:
    if isinstance(stop, StopAfter):
        return at_us + stop.duration_us
    tz = zone(stop.tz)
    day = us_to_local(at_us, tz).date()
    for offset in range(8):
        day_us = local_to_us(day.fromordinal(day.toordinal() + offset), stop.daytime_s, tz)
        if day_us is not None and day_us > at_us:
            return day_us
    raise UserError(f"stop at {format_daytime(stop.daytime_s)} {stop.tz}: never comes")


def _describe_times(schedule: Schedule) -> str:
    match schedule:
        case Interval():
            phase = schedule.phase_us
            words = f"every {format_duration_s(schedule.interval_us)} sec"
            return words + (f" phase {format_duration_s(phase)} sec" if phase else "")
        case Daily():
            times = ", ".join(map(format_daytime, schedule.daytimes_s))
            words = f"{schedule.calendar} at {times} {schedule.tz}"
            if schedule.cal_shift:
                words += f" {schedule.cal_shift:+} cal days"
            return words + (f" {schedule.date_shift:+} days" if schedule.date_shift else "")
        case DailyInterval():
            start, stop = _point(schedule.start), _point(schedule.stop_point)
            every = f"every {format_duration_s(schedule.interval_us)} sec"
            return f"{schedule.calendar} from {start} to {stop} {schedule.tz} {every}"
        case Explicit():
            return ", ".join(map(format_time, schedule.times_us))
        case Cron():
            return f"cron {schedule.expression} {schedule.tz}"


def _point(point: DayPoint) -> str:
    words = format_daytime(point.daytime_s)
    if point.cal_shift:
        words += f" {point.cal_shift:+} cal days"
    return words + (f" {point.date_shift:+} days" if point.date_shift else "")


__all__ = [
    "Cron",
    "Daily",
    "DailyInterval",
    "DayPoint",
    "Explicit",
    "Fire",
    "Interval",
    "Schedule",
    "Stop",
    "StopAfter",
    "StopAt",
    "describe",
    "fingerprint",
    "fires",
    "next_fire",
]
