"""The moments of schedules by interval and by calendar day, from an instant on, in order.

Each generator may begin a little early, may name an instant twice, and never ends by itself where
the schedule does not; its caller, `schedules.py`, cuts and rounds. Of a local time that the clocks
leap over, or show twice, the schedule's options say what becomes of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from .calendars import BeyondCalendar, Calendar
from .schedule_types import (
    Daily,
    DailyInterval,
    DayPoint,
    Explicit,
    Fold,
    Gap,
    Interval,
    options_of,
)
from .times import SECOND_US, leap_us, local_to_us, occurrences, us_to_local, zone

DAY = timedelta(days=1)
MIDNIGHT = time.min


class Moment(NamedTuple):
    """An instant of a schedule, with the nominal local day and daytime (seconds) that named it."""

    at_us: int
    day: date | None = None
    daytime_s: float | None = None


def place(wall: datetime, tz: ZoneInfo, on_gap: Gap, on_fold: Fold) -> tuple[int, ...]:
    """Return the instants of a wall time, in order: none, one or two.

    One that the clocks leap over is left out, or is the last second before the leap, or the first
    one after it. Of one that comes twice the first counts, the second, or both.
    """
    found = occurrences(wall, tz)
    if not found:
        return _moved(wall, tz, on_gap)
    return found if on_fold == "both" else found[:1] if on_fold == "first" else found[-1:]


def ordered(
    walls: Iterable[tuple[datetime, date]], tz: ZoneInfo, on_gap: Gap, on_fold: Fold
) -> Iterator[Moment]:
    """Yield the moments of wall times (each with its nominal day), which come in order.

    Across a fold the order of wall times is not that of instants; and a moment that was moved out
    of a gap gives way to one that is at home where it was moved to.
    """
    held: list[tuple[int, int, Moment]] = []
    count = 0
    for wall, day in walls:
        instants = place(wall, tz, on_gap, on_fold)
        if not instants:
            continue
        while held and held[0][0] < instants[0]:
            yield heapq.heappop(held)[2]
        daytime_s = (wall - datetime.combine(wall, MIDNIGHT)).total_seconds()
        if on_gap == "skip" or occurrences(wall, tz):
            yield Moment(instants[0], day, daytime_s)
            instants = instants[1:]
        for at_us in instants:
            count += 1
            heapq.heappush(held, (at_us, count, Moment(at_us, day, daytime_s)))
    while held:
        yield heapq.heappop(held)[2]


def interval_moments(schedule: Interval, from_us: int) -> Iterator[Moment]:
    """Yield the multiples of the interval, plus phase, on the UTC time line."""
    step_us, phase_us = schedule.interval_us, schedule.phase_us
    at_us = -((phase_us - from_us) // step_us) * step_us + phase_us
    while True:
        yield Moment(at_us)
        at_us += step_us


def explicit_moments(schedule: Explicit, from_us: int) -> Iterator[Moment]:
    """Yield the times as they were given."""
    return (Moment(at_us) for at_us in schedule.times_us if at_us >= from_us)


def daily_moments(
    schedule: Daily, calendar: Calendar, from_us: int, to_us: int
) -> Iterator[Moment]:
    """Yield the daytimes of the shifted days of the calendar, each with its nominal day."""
    tz, options = zone(schedule.tz), options_of(schedule)
    days = _days(schedule, calendar, from_us, to_us, tz)
    if options.on_gap in (None, "skip") and options.on_fold in (None, "first"):
        # The first occurrences of wall times are in the order of these.
        for nominal, day in days:
            for daytime_s in schedule.daytimes_s:
                at_us = local_to_us(day, daytime_s, tz)
                if at_us is not None:
                    yield Moment(at_us, nominal, daytime_s)
        return
    walls = (
        (datetime.combine(day, MIDNIGHT) + timedelta(seconds=daytime_s), nominal)
        for nominal, day in days
        for daytime_s in schedule.daytimes_s
    )
    yield from ordered(walls, tz, options.on_gap or "skip", options.on_fold or "first")


def daily_interval_moments(
    schedule: DailyInterval, calendar: Calendar, from_us: int, to_us: int
) -> Iterator[Moment]:
    """Yield steps of physical time from the local start to before the local stop of each day.

    Windows of different days may overlap; their instants come in order all the same.
    """
    tz = zone(schedule.tz)
    last = us_to_local(to_us, tz).date() + DAY
    # The window that reaches furthest back from its nominal day decides where to begin.
    early = min(schedule.start, schedule.stop_point, key=lambda p: (p.cal_shift, p.date_shift))
    late = max(schedule.start, schedule.stop_point, key=lambda p: (p.cal_shift, p.date_shift))
    pending: list[tuple[int, date]] = []
    begun = us_to_local(from_us, tz).date() - DAY
    for nominal, start_us, stop_us in _windows(schedule, calendar, late, begun, tz):
        if _shifted(calendar, nominal, early) > last:
            break
        while pending and pending[0][0] < start_us:
            yield Moment(*heapq.heappop(pending))
        first_us = start_us
        if from_us > start_us:
            missed = -(-(from_us - start_us) // schedule.interval_us)
            first_us += missed * schedule.interval_us
        for at_us in range(first_us, stop_us, schedule.interval_us):
            heapq.heappush(pending, (at_us, nominal))
    while pending:
        yield Moment(*heapq.heappop(pending))


# --- inside -------------------------------------------------------------------------------------


def _moved(wall: datetime, tz: ZoneInfo, on_gap: Gap) -> tuple[int, ...]:
    if on_gap == "skip":
        return ()
    return (leap_us(wall, tz) - (SECOND_US if on_gap == "before" else 0),)


def _days(
    schedule: Daily, calendar: Calendar, from_us: int, to_us: int, tz: ZoneInfo
) -> Iterator[tuple[date, date]]:
    """Yield nominal days with the days they are shifted to, in order."""
    point = DayPoint(daytime_s=0, date_shift=schedule.date_shift, cal_shift=schedule.cal_shift)
    last = us_to_local(to_us, tz).date() + DAY
    for nominal in _nominal_days(calendar, point, us_to_local(from_us, tz).date()):
        try:
            day = _shifted(calendar, nominal, point)
        except BeyondCalendar:
            continue  # At its ends a calendar has no days to shift to.
        if day > last:
            return
        yield nominal, day


def _windows(
    schedule: DailyInterval, calendar: Calendar, late: DayPoint, begun: date, tz: ZoneInfo
) -> Iterator[tuple[date, int, int]]:
    """Yield each nominal day with its window, as far as the calendar goes; a day whose start or
    stop is left out has none."""
    options = options_of(schedule)
    on_gap, on_fold = options.on_gap or "skip", options.on_fold or "first"

    def bounds(nominal: date, point: DayPoint) -> tuple[int, ...]:
        day = _shifted(calendar, nominal, point)
        if on_gap == "skip" and on_fold == "first":
            at_us = local_to_us(day, point.daytime_s, tz)
            return () if at_us is None else (at_us,)
        wall = datetime.combine(day, MIDNIGHT) + timedelta(seconds=point.daytime_s)
        return place(wall, tz, on_gap, on_fold)

    for nominal in _nominal_days(calendar, late, begun):
        try:
            starts, stops = bounds(nominal, schedule.start), bounds(nominal, schedule.stop_point)
        except BeyondCalendar:
            continue  # At its ends a calendar has no days to shift to.
        if starts and stops:
            yield nominal, starts[0], stops[-1]


def _shifted(calendar: Calendar, nominal: date, point: DayPoint) -> date:
    """Return the actual day of a nominal one: the calendar's shift first, then plain days."""
    day = calendar.shift(nominal, point.cal_shift) if point.cal_shift else nominal
    return day + timedelta(days=point.date_shift) if point.date_shift else day


def _nominal_days(calendar: Calendar, point: DayPoint, actual: date) -> Iterator[date]:
    """Yield the nominal days whose shifted day is at or after the day before `actual`, as far as
    the calendar goes.

    Shifting keeps the order of days, so its inverse, a day early, is where to begin.
    """
    nominal = actual - timedelta(days=point.date_shift + 1)
    start = getattr(calendar, "start", None)
    if start is not None and nominal < start:
        nominal = start
    try:
        if point.cal_shift:
            nominal = _unshifted(calendar, nominal, point.cal_shift)
        while True:
            nominal = calendar.after(nominal)
            yield nominal
            nominal += DAY
    except BeyondCalendar:
        return


def _unshifted(calendar: Calendar, day: date, count: int) -> date:
    """Return a day from which on shifting leads to `day` or later, as near as is easily found."""
    try:
        return calendar.shift(day, -count - (1 if count > 0 else 0))
    except BeyondCalendar:
        start: date | None = getattr(calendar, "start", None)
        if start is None or count < 0:
            raise
        return start
