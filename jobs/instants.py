"""The instants of schedules by interval and by calendar day, from an instant on, in order.

Each generator may begin a little early and never ends by itself where the schedule does not; its
caller cuts it. DST: a local time that does not exist is left out, of one that comes twice the first
counts.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from .calendars import ALL, BeyondCalendar, Calendar
from .schedule_types import Daily, DailyInterval, DayPoint, Interval
from .times import (
    EPOCH,
    format_daytime,
    format_time,
    local_to_us,
    us_to_local,
    zone,
)

Instant = tuple[int, dict[str, str]]


def interval_instants(schedule: Interval, from_us: int) -> Iterator[Instant]:
    """Yield the multiples of the interval, plus phase, on the UTC time line."""
    step_us, phase_us = schedule.interval_us, schedule.phase_us
    at_us = -((phase_us - from_us) // step_us) * step_us + phase_us
    while True:
        at = EPOCH + timedelta(microseconds=at_us)
        yield at_us, {"date": str(at.date()), "daytime": at.time().isoformat()}
        at_us += step_us


def daily_instants(
    schedule: Daily, calendar: Calendar, from_us: int, to_us: int
) -> Iterator[Instant]:
    """Yield the daytimes of the shifted days of the calendar; `date` is the nominal day."""
    tz = zone(schedule.tz)
    point = DayPoint(daytime_s=0, date_shift=schedule.date_shift, cal_shift=schedule.cal_shift)
    last = us_to_local(to_us, tz).date() + timedelta(days=1)
    shown = _shown(calendar)
    for nominal in _nominal_days(calendar, point, us_to_local(from_us, tz).date()):
        day = _shifted(calendar, nominal, point)
        if day > last:
            return
        for daytime_s in schedule.daytimes_s:
            at_us = local_to_us(day, daytime_s, tz)
            if at_us is not None and at_us >= from_us:
                yield (
                    at_us,
                    {
                        "date": nominal.isoformat(),
                        "daytime": format_daytime(daytime_s),
                        "calendar": shown,
                        "tz": schedule.tz,
                    },
                )


def daily_interval_instants(
    schedule: DailyInterval, calendar: Calendar, from_us: int, to_us: int
) -> Iterator[Instant]:
    """Yield steps of physical time from the local start to before the local stop of each day.

    Windows of different days may overlap; their instants come in order all the same.
    """
    tz = zone(schedule.tz)
    last = us_to_local(to_us, tz).date() + timedelta(days=1)
    # The window that reaches furthest back from its nominal day decides where to begin.
    early = min(schedule.start, schedule.stop_point, key=lambda p: (p.cal_shift, p.date_shift))
    late = max(schedule.start, schedule.stop_point, key=lambda p: (p.cal_shift, p.date_shift))
    pending: list[tuple[int, str]] = []
    begun = us_to_local(from_us, tz).date() - timedelta(days=1)
    for nominal, start_us, stop_us in _windows(schedule, calendar, late, begun, tz):
        if _shifted(calendar, nominal, early) > last:
            break
        while pending and pending[0][0] < start_us:
            yield _step(schedule, calendar, heapq.heappop(pending))
        first_us = start_us
        if from_us > start_us:
            missed = -(-(from_us - start_us) // schedule.interval_us)
            first_us += missed * schedule.interval_us
        for at_us in range(first_us, stop_us, schedule.interval_us):
            heapq.heappush(pending, (at_us, nominal.isoformat()))
    while pending:
        yield _step(schedule, calendar, heapq.heappop(pending))


# --- inside -------------------------------------------------------------------------------------


def _windows(
    schedule: DailyInterval, calendar: Calendar, late: DayPoint, begun: date, tz: ZoneInfo
) -> Iterator[tuple[date, int, int]]:
    """Yield each nominal day with its window, as far as the calendar goes; a day whose start or
    stop the clocks leap over has none."""
    try:
        for nominal in _nominal_days(calendar, late, begun):
            start_us = _at(calendar, nominal, schedule.start, tz)
            stop_us = _at(calendar, nominal, schedule.stop_point, tz)
            if start_us is not None and stop_us is not None:
                yield nominal, start_us, stop_us
    except BeyondCalendar:
        return


def _step(schedule: DailyInterval, calendar: Calendar, step: tuple[int, str]) -> Instant:
    at_us, nominal = step
    wall = us_to_local(at_us, zone(schedule.tz))
    return at_us, {
        "date": nominal,
        "sched_date": wall.date().isoformat(),
        "daytime": wall.time().isoformat(),
        "time": format_time(at_us),
        "calendar": _shown(calendar),
        "tz": schedule.tz,
    }


def _shown(calendar: Calendar) -> str:
    return calendar.name


def _shifted(calendar: Calendar, nominal: date, point: DayPoint) -> date:
    """Return the actual day of a nominal one: the calendar's shift first, then plain days."""
    day = calendar.shift(nominal, point.cal_shift) if point.cal_shift else nominal
    return day + timedelta(days=point.date_shift) if point.date_shift else day


def _at(calendar: Calendar, nominal: date, point: DayPoint, tz: ZoneInfo) -> int | None:
    return local_to_us(_shifted(calendar, nominal, point), point.daytime_s, tz)


def _nominal_days(calendar: Calendar, point: DayPoint, actual: date) -> Iterator[date]:
    """Yield the nominal days whose shifted day is at or after the day before `actual`.

    Shifting keeps the order of days, so its inverse, a day early, is where to begin.
    """
    nominal = actual - timedelta(days=point.date_shift + 1)
    start = getattr(calendar, "start", None)
    if start is not None and nominal < start:
        nominal = start
    if point.cal_shift:
        try:
            nominal = calendar.shift(nominal, -point.cal_shift - (1 if point.cal_shift > 0 else 0))
        except BeyondCalendar:
            if start is None or point.cal_shift < 0:
                raise
            nominal = start
    day = timedelta(days=1)
    if calendar is ALL:
        while True:
            yield nominal
            nominal += day
    while True:
        nominal = calendar.after(nominal)
        yield nominal
        nominal += day
