"""Calendars: sets of days, by name, weekday expression or file.

A calendar answers `contains`, `before`, `after` and `shift`. `before` and `after` include the day
itself (as ora's do); to go strictly back use `shift(day, -1)`.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from datetime import MAXYEAR, MINYEAR, date, timedelta
from functools import cached_property
from typing import Protocol

from .errors import UserError
from .times import parse_date

DAY = timedelta(days=1)
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FULL = {
    "monday": 0,
    "tuesday": 1,
    "wednesday": 2,
    "thursday": 3,
    "friday": 4,
    "saturday": 5,
    "sunday": 6,
}
_DAY_INDEX = {name.lower(): index for index, name in enumerate(WEEKDAYS)} | _FULL
# A search for the next day of a calendar never goes further than this.
REACH_DAYS = 366 * 30


class NoSuchCalendar(UserError):
    """A calendar is named that is not there."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no such calendar: {name}")


class BeyondCalendar(UserError):
    """A calendar was asked for a day outside the range it knows."""

    def __init__(self, name: str, day: date) -> None:
        super().__init__(f"calendar {name}: {day}: expected a date within its range")


class Calendar(Protocol):
    """A set of days. `name` is what automatic args show."""

    name: str

    def contains(self, day: date) -> bool:
        """Whether the day is in the calendar."""

    def after(self, day: date) -> date:
        """Return the day itself if it is in the calendar, else the next one that is."""

    def before(self, day: date) -> date:
        """Return the day itself if it is in the calendar, else the previous one that is."""

    def shift(self, day: date, count: int) -> date:
        """Return the `count`-th day of the calendar after (negative: before) `day`; 0: `day`."""


class WeekdayCalendar:
    """The days that fall on some weekdays (0 Monday … 6 Sunday), without end."""

    def __init__(self, name: str, weekdays: frozenset[int]) -> None:
        self.name = name
        self.weekdays = weekdays

    def contains(self, day: date) -> bool:
        """See `Calendar`."""
        return day.weekday() in self.weekdays

    def after(self, day: date) -> date:
        """See `Calendar`."""
        return self._seek(day, DAY)

    def before(self, day: date) -> date:
        """See `Calendar`."""
        return self._seek(day, -DAY)

    def shift(self, day: date, count: int) -> date:
        """See `Calendar`."""
        step = DAY if count > 0 else -DAY
        for _ in range(abs(count)):
            day = self._seek(self._next(day, step), step)
        return day

    def _seek(self, day: date, step: timedelta) -> date:
        for _ in range(7):
            if day.weekday() in self.weekdays:
                return day
            day = self._next(day, step)
        raise BeyondCalendar(self.name, day)

    def _next(self, day: date, step: timedelta) -> date:
        try:
            return day + step
        except OverflowError:
            raise BeyondCalendar(self.name, day) from None


class FileCalendar:
    """Listed days within a half-open range [start, stop), of a file or a rule."""

    def __init__(self, name: str, start: date, stop: date, days: tuple[date, ...]) -> None:
        self.name = name
        self.start = start
        self.stop = stop
        self.days = days

    @cached_property
    def meaning(self) -> bytes:
        """What tells it from calendars of other days."""
        listed = f"{self.start} {self.stop} {' '.join(map(str, self.days))}"
        return hashlib.sha256(listed.encode()).digest()

    def contains(self, day: date) -> bool:
        """See `Calendar`."""
        self._check(day)
        index = bisect_left(self.days, day)
        return index < len(self.days) and self.days[index] == day

    def after(self, day: date) -> date:
        """See `Calendar`."""
        self._check(day)
        return self._at(bisect_left(self.days, day), day)

    def before(self, day: date) -> date:
        """See `Calendar`."""
        self._check(day)
        return self._at(bisect_right(self.days, day) - 1, day)

    def shift(self, day: date, count: int) -> date:
        """See `Calendar`."""
        if count == 0:
            return day
        self._check(day)
        if count > 0:
            return self._at(bisect_right(self.days, day) + count - 1, day)
        return self._at(bisect_left(self.days, day) + count, day)

    def _check(self, day: date) -> None:
        if not self.start <= day < self.stop:
            raise BeyondCalendar(self.name, day)

    def _at(self, index: int, day: date) -> date:
        if not 0 <= index < len(self.days):
            raise BeyondCalendar(self.name, day)
        return self.days[index]


ALL = WeekdayCalendar("all days", frozenset(range(7)))
NONE = WeekdayCalendar("no days", frozenset())


def find_calendar(name: str, files: Mapping[str, Calendar] | None = None) -> Calendar:
    """Return the calendar of a name: `all`, `none`, a weekday expression, or one of `files`.

    Raises:
        NoSuchCalendar: none is called so.
    """
    if name in ("all", "all days"):
        return ALL
    if name in ("none", "no days"):
        return NONE
    weekdays = parse_weekdays(name)
    if weekdays is not None:
        return WeekdayCalendar(name, weekdays)
    if files is not None and name in files:
        return files[name]
    raise NoSuchCalendar(name)


def parse_weekdays(text: str) -> frozenset[int] | None:
    """Return the weekdays of `Mon`, `Mon-Fri`, `Sat-Mon`, `Monday, Wed`; None if it is none."""
    found: set[int] = set()
    for part in re.split(r"\s*,\s*", text.strip()):
        ends = [_DAY_INDEX.get(end.lower()) for end in re.split(r"\s*-\s*", part)]
        first, last = ends[0], ends[-1]
        if len(ends) > 2 or first is None or last is None:
            return None
        found.add(last)
        while first != last:
            found.add(first)
            first = (first + 1) % 7
    return frozenset(found)


class BadCalendarFile(UserError):
    """A `.cal` file has mistakes. `problems` holds (line, column, sentence), at least one."""

    def __init__(self, problems: list[tuple[int, int, str]]) -> None:
        self.problems = problems
        line, _, sentence = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"line {line}: {sentence}{more}")


def parse_cal(name: str, text: str) -> FileCalendar:
    """Return the calendar of a `.cal` file: START, STOP, then a date a line; the rest is comment.

    The range is half-open: STOP is the first day that is not known. Without it the calendar ends
    after its last day.

    Raises:
        BadCalendarFile: with every mistake in it.
    """
    ends: dict[str, date] = {}
    found: list[tuple[date, int, int]] = []
    problems: list[tuple[int, int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        is_end = words[0] in ("START", "STOP")
        column = line.index(words[0]) + 1
        try:
            if is_end and (len(words) < 2 or words[0] in ends):
                said = "comes twice" if words[0] in ends else "has no date"
                raise UserError(f"{words[0]} {said}: expected a form like {words[0]} 2024-01-06")
            day = parse_date(words[1] if is_end else words[0])
        except UserError as error:
            problems.append((number, column, str(error)))
            continue
        if is_end:
            ends[words[0]] = day
        else:
            found.append((day, number, column))
    days = sorted({day for day, _, _ in found})
    start = ends.get("START", days[0] if days else date(MINYEAR, 1, 1))
    stop = ends.get("STOP", days[-1] + DAY if days else date(MAXYEAR, 12, 31))
    for day, number, column in found:
        if not start <= day < stop:
            sentence = f"date {day}: expected one from {start} to before {stop}"
            problems.append((number, column, sentence))
    if problems:
        raise BadCalendarFile(sorted(problems))
    return FileCalendar(name, start, stop, tuple(days))
