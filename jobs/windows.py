"""Moments and windows of local time, as conditions have them. Pure: the time is an argument.

A local time that the clocks leap over is taken as the same time by the old offset, so that a
condition never waits for an instant that does not exist; of one that comes twice the first counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from .bound_conditions import BoundTimeWindow
from .calendars import BeyondCalendar, Calendar, find_calendar
from .times import EPOCH, local_to_us, us_to_local, zone

DAY = timedelta(days=1)
# The next day of a calendar by weekdays is no further than this.
WEEKDAYS_REACH = 9


def moment_us(day: date, daytime_s: float, tz: ZoneInfo) -> int:
    """Return the instant of a local daytime on a day."""
    at_us = local_to_us(day, daytime_s, tz)
    if at_us is None:
        wall = datetime.combine(day, datetime.min.time()) + timedelta(seconds=daytime_s)
        at_us = (wall.replace(tzinfo=tz) - EPOCH) // timedelta(microseconds=1)
    return at_us


def window_at(window: BoundTimeWindow, now_us: int) -> tuple[bool, int | None]:
    """Return whether a window is open, and the next instant at which that may change.

    Returns None for the instant when no window is open or to come.
    """
    tz = zone(window.tz)
    first = us_to_local(now_us, tz).date() - DAY
    for day in _days(window, first):
        start_us = moment_us(day, window.start_s, tz)
        last = day if window.end_s > window.start_s else day + DAY
        end_us = moment_us(last, window.end_s, tz)
        if start_us <= now_us < end_us:
            return True, end_us
        if now_us < start_us < end_us:
            return False, start_us
    return False, None


def listed_days(calendar: Calendar, first: date, most: int) -> tuple[str, ...]:
    """Return up to `most` days of a calendar from `first` on, as far as it goes."""
    found: list[str] = []
    day = first
    try:
        while len(found) < most:
            day = calendar.after(day)
            found.append(day.isoformat())
            day += DAY
    except (BeyondCalendar, OverflowError):
        pass  # It ends here.
    return tuple(found)


def _days(window: BoundTimeWindow, first: date) -> Iterator[date]:
    """Yield the days of the window's calendar from `first` on, in order."""
    if window.days is not None:
        for text in window.days:
            day = date.fromisoformat(text)
            if day >= first:
                yield day
        return
    calendar = find_calendar(window.calendar)
    for ahead in range(WEEKDAYS_REACH):
        day = first + ahead * DAY
        if calendar.contains(day):
            yield day
