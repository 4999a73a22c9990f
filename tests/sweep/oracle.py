"""When a schedule should fire, found by walking minute by minute through UTC.

Knows nothing of callsheet: schedules are plain data as in a job file, every minute is converted to
local time by `zoneinfo`, and what is due is decided by the wall time that was seen. It is slow, and
plain enough to be believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

DAY = 1440
EPOCH = date(1970, 1, 1).toordinal()
# How far around a window the clock is walked: windows of `daily-interval` begin a day early.
CONTEXT = 3 * DAY
# Nominal days looked at around a window: shifts by calendar days may leap over a weekend.
NOMINAL_DAYS = 14
NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

Fires = list[tuple[int, str | None]]


class Clock:
    """What a zone's clocks show at each UTC minute of a window and around it."""

    def __init__(self, zone: str, first: int, last: int) -> None:
        """Walk from minute `first` to `last`, counted from 1970 UTC, with `CONTEXT` around."""
        tz = ZoneInfo(zone)
        self.first, self.last = first, last
        self.minutes: dict[int, list[int]] = {}
        self.shown: dict[int, int] = {}
        # (first wall minute that is missing, first one that is not, the UTC minute of the leap)
        self.gaps: list[tuple[int, int, int]] = []
        before = None
        for minute in range(first - CONTEXT, last + CONTEXT):
            local = datetime.fromtimestamp(minute * 60, tz)
            assert local.second == 0
            wall = (local.toordinal() - EPOCH) * DAY + local.hour * 60 + local.minute
            if before is not None and wall > before + 1:
                self.gaps.append((before + 1, wall, minute))
            self.minutes.setdefault(wall, []).append(minute)
            self.shown[minute] = before = wall

    def instants(self, wall: int, on_gap: str, on_fold: str) -> tuple[list[int], bool]:
        """Return the UTC seconds for a wall minute, and whether it exists."""
        found = self.minutes.get(wall, [])
        if len(found) > 1:
            found = {"first": found[:1], "second": found[-1:], "both": found}[on_fold]
        if found:
            return [minute * 60 for minute in found], True
        for missing, after, minute in self.gaps:
            if missing <= wall < after:
                moved = {"skip": [], "before": [minute * 60 - 1], "after": [minute * 60]}
                return moved[on_gap], False
        return [], False

    def day(self, second: int) -> date:
        """Return the local date of a UTC second."""
        return date.fromordinal(self.shown[second // 60] // DAY + EPOCH)

    def days(self) -> Iterator[date]:
        """Yield the nominal days that may matter to the window."""
        middle = self.shown[self.first] // DAY + EPOCH
        upto = (self.last - self.first) // DAY + NOMINAL_DAYS
        for ordinal in range(middle - NOMINAL_DAYS, middle + upto):
            yield date.fromordinal(ordinal)


def fires(schedule: dict[str, Any], clock: Clock) -> Fires:
    """Return (UTC second, nominal date if the type has one) in the clock's window, in order."""
    found: list[tuple[int, bool, str | None]] = {
        "daily": _daily,
        "daily-interval": _daily_interval,
        "cron": _cron,
        "interval": _interval,
    }[schedule["type"]](schedule, clock)
    first, last = schedule.get("start_date"), schedule.get("end_date")
    # A second is one fire. What is at home there comes before what was moved there.
    due: dict[int, str | None] = {}
    for second, _, nominal in sorted(found, key=lambda one: (one[0], one[1], one[2] or "")):
        if not clock.first * 60 <= second < clock.last * 60:
            continue
        day = str(clock.day(second) if "tz" in schedule else _utc_day(second))
        if (first and day < first) or (last and day > last):
            continue
        due.setdefault(second, nominal)
    return list(due.items())


# --- the types ----------------------------------------------------------------------------------


def _interval(schedule: dict[str, Any], clock: Clock) -> list[tuple[int, bool, str | None]]:
    every, phase = schedule["interval"], schedule.get("phase", 0)
    assert every % 60 == phase % 60 == 0, "the walk is by minutes"
    return [
        (second, False, str(_utc_day(second)))
        for second in range(clock.first * 60, clock.last * 60, 60)
        if (second - phase) % every == 0
    ]


def _daily(schedule: dict[str, Any], clock: Clock) -> list[tuple[int, bool, str | None]]:
    on_gap, on_fold = schedule.get("on_gap", "skip"), schedule.get("on_fold", "first")
    found = []
    for nominal, day in _shifted_days(schedule, schedule, clock):
        for daytime in schedule["daytime"]:
            wall = (day.toordinal() - EPOCH) * DAY + _minute(daytime)
            seconds, exists = clock.instants(wall, on_gap, on_fold)
            found += [(second, not exists, str(nominal)) for second in seconds]
    return found


def _daily_interval(schedule: dict[str, Any], clock: Clock) -> list[tuple[int, bool, str | None]]:
    on_gap, on_fold = schedule.get("on_gap", "skip"), schedule.get("on_fold", "first")
    ends = []
    for name in ("start", "stop"):
        point = schedule[name] if isinstance(schedule[name], dict) else {"daytime": schedule[name]}
        minute = _minute(point["daytime"])
        shifted = _shifted_days(schedule, point, clock)
        ends.append({n: (day.toordinal() - EPOCH) * DAY + minute for n, day in shifted})
    found = []
    for nominal, start in ends[0].items():
        starts, _ = clock.instants(start, on_gap, on_fold)
        stops, _ = clock.instants(ends[1][nominal], on_gap, on_fold)
        if starts and stops:
            steps = range(starts[0], stops[-1], schedule["interval"])
            found += [(second, False, str(nominal)) for second in steps]
    return found


def _cron(schedule: dict[str, Any], clock: Clock) -> list[tuple[int, bool, str | None]]:
    fields = schedule["expression"].split()
    on_gap = schedule.get("on_gap", "skip")
    on_fold = schedule.get("on_fold", "both" if fields[1].startswith("*") else "first")
    minutes = [
        hour * 60 + minute
        for hour in sorted(_numbers(fields[1], 0, 23))
        for minute in sorted(_numbers(fields[0], 0, 59))
    ]
    found = []
    for day in clock.days():
        if not _cron_day(fields, day):
            continue
        for minute in minutes:
            wall = (day.toordinal() - EPOCH) * DAY + minute
            seconds, exists = clock.instants(wall, on_gap, on_fold)
            found += [(second, not exists, str(day)) for second in seconds]
    return found


# --- days ---------------------------------------------------------------------------------------


def _shifted_days(
    schedule: dict[str, Any], point: dict[str, Any], clock: Clock
) -> Iterator[tuple[date, date]]:
    """Yield the days of the calendar, each with the day it is shifted to."""
    is_in = _weekdays(schedule.get("calendar", "all"))
    for nominal in clock.days():
        if not is_in(nominal):
            continue
        day, shift = nominal, point.get("cal_shift", 0)
        while shift:
            step = 1 if shift > 0 else -1
            day += timedelta(days=step)
            if is_in(day):
                shift -= step
        yield nominal, day + timedelta(days=point.get("date_shift", 0))


@cache
def _weekdays(text: str) -> Callable[[date], bool]:
    if text == "all":
        return lambda day: True
    names = text.split(",")
    if "-" in text:
        first, last = (NAMES.index(name) for name in text.split("-"))
        names = [NAMES[n % 7] for n in range(first, first + (last - first) % 7 + 1)]
    return lambda day: NAMES[day.weekday()] in names


def _cron_day(fields: list[str], day: date) -> bool:
    if day.month not in _numbers(fields[3], 1, 12):
        return False
    by_month = day.day in _numbers(fields[2], 1, 31)
    by_week = (day.weekday() + 1) % 7 in {n % 7 for n in _numbers(fields[4], 0, 7)}
    if fields[2].startswith("*") or fields[4].startswith("*"):
        return by_month and by_week
    return by_month or by_week


@cache
def _numbers(field: str, least: int, most: int) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            low, high = least, most
        else:
            low, high = (int(span.split("-")[0]), int(span.split("-")[-1]))
            high = most if step and "-" not in span else high
        found.update(range(low, high + 1, int(step or 1)))
    return frozenset(found)


def _minute(daytime: str) -> int:
    hour, minute = daytime.split(":")[:2]
    return int(hour) * 60 + int(minute)


def _utc_day(second: int) -> date:
    return datetime.fromtimestamp(second, UTC).date()
