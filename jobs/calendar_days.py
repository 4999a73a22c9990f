"""Calendars as plain data: what crosses between processes and is stored with the jobs.

A calendar's rule is worked out once, where its file is read; from then on it is the days of a
range. Whoever computes with it makes a `Calendar` of that.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import MAXYEAR, date
from functools import lru_cache

import msgspec

from .calendars import Calendar, FileCalendar

LAST_DAY = date(MAXYEAR, 12, 31).toordinal()


class CalendarDays(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which days of [start, stop) are in a calendar. Days are counted as `date.toordinal` does.

    Bit n of `bits`, from the least of the first byte on, is day start + n. `source` says in words
    where they are from.
    """

    name: str
    start: int
    stop: int
    bits: bytes
    source: str = ""


def pack_days(name: str, start: int, stop: int, bits: int, source: str = "") -> CalendarDays:
    """Return the days of a range; bit n of `bits` is day start + n."""
    size = (bits.bit_length() + 7) // 8
    packed = bits.to_bytes(size, "little")
    return CalendarDays(name=name, start=start, stop=stop, bits=packed, source=source)


def days_of(calendar: FileCalendar, source: str = "") -> CalendarDays:
    """Return the data of a calendar."""
    start = calendar.start.toordinal()
    bits = 0
    for day in calendar.days:
        bits |= 1 << (day.toordinal() - start)
    return pack_days(calendar.name, start, calendar.stop.toordinal(), bits, source)


@lru_cache(maxsize=256)
def calendar_of(days: CalendarDays) -> FileCalendar:
    """Return the calendar of such data."""
    bits = int.from_bytes(days.bits, "little")
    digits = f"{bits:b}"[::-1]
    listed = []
    at = digits.find("1")
    while at >= 0:
        listed.append(date.fromordinal(days.start + at))
        at = digits.find("1", at + 1)
    start, stop = date.fromordinal(days.start), date.fromordinal(min(days.stop, LAST_DAY))
    return FileCalendar(days.name, start, stop, tuple(listed))


def calendars_by_name(found: Iterable[CalendarDays]) -> dict[str, Calendar]:
    """Return calendars by their names."""
    return {days.name: calendar_of(days) for days in found}
