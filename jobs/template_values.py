"""The values that templates compute with: dates, daytimes, times, zones, calendars.

They print and calculate as ora's do, whose names Apsis's job files use; `contract.md` of the
project's take-over, §1.7, gives the table that the tests hold them to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, TypeVar

from .calendars import WEEKDAYS, Calendar, find_calendar
from .errors import UserError
from .times import (
    EPOCH,
    SECOND_US,
    format_daytime,
    format_time,
    local_to_us,
    parse_date,
    parse_daytime,
    parse_time,
    us_to_local,
    zone,
)

T = TypeVar("T")
_ISO_PATTERN = re.compile(r"%(?:\.(\d))?([iDCT~A-Za-z%]A?)")


class Date:
    """A day. `+` and `-` with a number count days; the difference of two is days."""

    __slots__ = ("_day",)

    def __init__(self, value: Any) -> None:
        self._day: date = value._day if isinstance(value, Date) else parse_date(value)

    year = property(lambda self: self._day.year)
    month = property(lambda self: self._day.month)
    day = property(lambda self: self._day.day)
    weekday = property(lambda self: WEEKDAYS[self._day.weekday()])
    datenum = property(lambda self: self._day.toordinal() - 1)

    @property
    def ymd(self) -> tuple[int, int, int]:
        """Year, month and day."""
        return self._day.year, self._day.month, self._day.day

    def __add__(self, days: int) -> Date:
        return Date(self._day + timedelta(days=days))

    def __sub__(self, other: Date | int) -> Date | int:
        if isinstance(other, Date):
            return (self._day - other._day).days
        return Date(self._day - timedelta(days=other))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Date) and self._day == other._day

    def __hash__(self) -> int:
        return hash(self._day)

    def __lt__(self, other: Date) -> bool:
        return self._day < _same(self, other)._day

    def __le__(self, other: Date) -> bool:
        return self._day <= _same(self, other)._day

    def __gt__(self, other: Date) -> bool:
        return self._day > _same(self, other)._day

    def __ge__(self, other: Date) -> bool:
        return self._day >= _same(self, other)._day

    def __str__(self) -> str:
        return self._day.isoformat()

    def __format__(self, pattern: str) -> str:
        midnight = datetime.combine(self._day, datetime.min.time())
        return _formatted(midnight, pattern) if pattern else str(self)


class Daytime:
    """A time of day."""

    __slots__ = ("_daytime_s",)

    def __init__(self, value: Any) -> None:
        known = isinstance(value, Daytime)
        self._daytime_s: float = value._daytime_s if known else parse_daytime(value)

    hour = property(lambda self: int(self._daytime_s // 3600))
    minute = property(lambda self: int(self._daytime_s // 60 % 60))
    second = property(lambda self: self._daytime_s % 60)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Daytime) and self._daytime_s == other._daytime_s

    def __hash__(self) -> int:
        return hash(self._daytime_s)

    def __lt__(self, other: Daytime) -> bool:
        return self._daytime_s < _same(self, other)._daytime_s

    def __str__(self) -> str:
        return format_daytime(self._daytime_s)

    def __format__(self, pattern: str) -> str:
        at = datetime.combine(date.min, datetime.min.time()) + timedelta(seconds=self._daytime_s)
        return _formatted(at, pattern) if pattern else str(self)


class TimeZone:
    """A time zone by its IANA name."""

    __slots__ = ("name",)

    # What `display` and `system` stand for; the settings may say otherwise.
    DISPLAY: ClassVar[str] = "UTC"

    def __init__(self, name: Any) -> None:
        text = name.name if isinstance(name, TimeZone) else str(name)
        self.name: str = self.DISPLAY if text in ("display", "system", "") else text
        zone(self.name)

    def __str__(self) -> str:
        return self.name


class Time:
    """An instant. `+` and `-` with a number count seconds; the difference of two is seconds."""

    __slots__ = ("_at_us",)

    def __init__(self, value: Any) -> None:
        self._at_us: int = value._at_us if isinstance(value, Time) else parse_time(value)

    @classmethod
    def of(cls, at_us: int) -> Time:
        """Return the Time of an instant."""
        made = cls.__new__(cls)
        made._at_us = at_us
        return made

    def __add__(self, seconds: float) -> Time:
        return Time.of(self._at_us + round(seconds * SECOND_US))

    def __sub__(self, other: Time | float) -> Time | float:
        if isinstance(other, Time):
            return (self._at_us - other._at_us) / SECOND_US
        return Time.of(self._at_us - round(other * SECOND_US))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Time) and self._at_us == other._at_us

    def __hash__(self) -> int:
        return hash(self._at_us)

    def __lt__(self, other: Time) -> bool:
        return self._at_us < _same(self, other)._at_us

    def __str__(self) -> str:
        return format_time(self._at_us)

    def __format__(self, pattern: str) -> str:
        pattern, at, name = pattern.partition("@")
        if not pattern and not at:
            return str(self)
        if not at:
            return _formatted(EPOCH + timedelta(microseconds=self._at_us), pattern or "%i")
        tz = zone(TimeZone(name).name)
        aware = (EPOCH + timedelta(microseconds=self._at_us)).astimezone(tz)
        return _formatted(aware, pattern or "%i")


class LocalTime:
    """A date and daytime in some zone; unpacks as that pair."""

    __slots__ = ("date", "daytime")

    def __init__(self, day: Date, daytime: Daytime) -> None:
        self.date, self.daytime = day, daytime

    def __iter__(self) -> Any:
        return iter((self.date, self.daytime))

    def __str__(self) -> str:
        return f"{self.date}T{self.daytime}"


class CalendarView:
    """A calendar as templates see it: takes and gives Dates, takes texts too."""

    __slots__ = ("_calendar",)

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar

    def before(self, day: Any) -> Date:
        """Return the day itself if it is in the calendar, else the previous one that is."""
        return Date(self._calendar.before(Date(day)._day))

    def after(self, day: Any) -> Date:
        """Return the day itself if it is in the calendar, else the next one that is."""
        return Date(self._calendar.after(Date(day)._day))

    def shift(self, day: Any, count: int) -> Date:
        """Return the `count`-th day of the calendar after `day` (before it when negative)."""
        return Date(self._calendar.shift(Date(day)._day, count))

    def __contains__(self, day: Any) -> bool:
        return self._calendar.contains(Date(day)._day)

    def __str__(self) -> str:
        return self._calendar.name


def to_local(time: Any, tz: Any) -> LocalTime:
    """Return the local date and daytime of an instant in a zone."""
    wall = us_to_local(Time(time)._at_us, zone(TimeZone(tz).name))
    midnight = datetime.combine(wall.date(), datetime.min.time())
    return LocalTime(Date(wall.date()), Daytime((wall - midnight).total_seconds()))


def from_local(pair: Any, tz: Any) -> Time:
    """Return the instant of a local (date, daytime) in a zone; the first where it comes twice.

    Raises:
        UserError: the local time does not exist there.
    """
    day, daytime = pair
    name = TimeZone(tz).name
    at_us = local_to_us(Date(day)._day, Daytime(daytime)._daytime_s, zone(name))
    if at_us is None:
        raise UserError(f"local time {day} {daytime}: does not exist in {name}")
    return Time.of(at_us)


def names(calendars: Mapping[str, Calendar]) -> dict[str, Any]:
    """Return what templates may name besides the run's args, `run_id` and `job_id`."""
    return {
        "Date": Date,
        "Daytime": Daytime,
        "Time": Time,
        "TimeZone": TimeZone,
        "to_local": to_local,
        "from_local": from_local,
        "format": format_value,
        "get_calendar": lambda name: CalendarView(find_calendar(name, calendars)),
    }


def format_value(value: Any, pattern: str = "") -> str:
    """Format a value by a pattern, with widths and precisions within reason."""
    if any(len(digits) > 3 for digits in re.findall(r"\d+", pattern)):
        raise UserError(f"format {pattern!r}: expected widths and precisions below 1000")
    return format(value, pattern)


def _same(one: T, other: T) -> T:
    if type(one) is not type(other):
        sentence = f"{type(one).__name__} and {type(other).__name__} cannot be compared"
        raise TypeError(sentence)
    return other


def _formatted(at: datetime, pattern: str) -> str:
    """Format by strftime's letters and ora's: %i ISO, %D date, %C clock, %~A short weekday."""

    def one(match: re.Match[str]) -> str:
        digits, letter = match[1], match[2]
        clock = at.strftime("%H:%M:%S")
        if digits and int(digits):
            clock += f".{at.microsecond:06}"[: 1 + int(digits)]
        if letter == "i":
            offset = at.strftime("%z")
            return f"{at.date()}T{clock}" + (f"{offset[:3]}:{offset[3:5]}" if offset else "")
        if letter == "D":
            return at.date().isoformat()
        if letter == "C":
            return clock
        if letter == "~A":
            return WEEKDAYS[at.weekday()]
        return at.strftime("%" + letter)

    return _ISO_PATTERN.sub(one, pattern)
