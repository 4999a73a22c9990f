"""Calendars by rule: weekdays, dates, holidays, the n-th day of a month, and sets made of these.

A rule is worked out for a range of years while it is read, so that every mistake is told with its
place. It asks for other calendars and for holidays by what it is given, and opens no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any, NamedTuple

from .calendars import parse_weekdays
from .errors import UserError
from .reading import At, Fields, Told, filled, flag, many, shown
from .times import parse_date

# Days are bits of one number, counted from here.
ORIGIN = date(1900, 1, 1).toordinal()
FIRST_YEAR, LAST_YEAR = 1900, 2199
# The years a rule is worked out for unless its file says otherwise.
YEARS = (2000, 2049)
KINDS = ("weekdays", "dates", "calendar", "union", "intersect", "nth", "holidays")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_YEARS = re.compile(r"(\d{4})\s*-\s*(\d{4})\Z")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")


class Days(NamedTuple):
    """The days of a set, as bits counted from `ORIGIN`, known in [start, stop) only."""

    start: int
    stop: int
    bits: int

    def within(self) -> int:
        """Return the bits that are known."""
        start, stop = self.start - ORIGIN, self.stop - ORIGIN
        return self.bits & ((1 << stop) - (1 << start)) if stop > start else 0


class Holidays(NamedTuple):
    """Which holidays: of a country, or of a part of it, or of a market."""

    country: str | None
    subdiv: str | None
    market: str | None
    observed: bool


Named = Callable[[str], Days]
HolidaysOf = Callable[[Holidays, range], Iterable[date]]


def read_rule(value: Any, at: At, named: Named, holidays: HolidaysOf) -> Days:
    """Work out the rule of a calendar file.

    Args:
        named: gives the calendar of a name.
        holidays: gives the dates of holidays in some years.
    Raises:
        Told: the rule has problems, recorded by now.
        UserError: it is no rule.
    """
    years = range(YEARS[0], YEARS[1] + 1)
    if not isinstance(value, dict):
        return _Rules(years, named, holidays).rule(value, at)
    fields = Fields(value, at)
    years = fields.take("years", _years, years) or years
    fields.take("description", filled, None)
    return _Rules(years, named, holidays).body(fields)


class _Rules:
    """Reads rules for a range of years."""

    def __init__(self, years: range, named: Named, holidays: HolidaysOf) -> None:
        self._years = years
        self._named = named
        self._holidays = holidays
        self._start = date(years[0], 1, 1).toordinal()
        self._stop = date(years[-1] + 1, 1, 1).toordinal()

    def rule(self, value: Any, at: At) -> Days:
        """Read a name, a date, a list of rules (all their days), or a mapping."""
        if isinstance(value, str):
            return self._word(value)
        if isinstance(value, list):
            return _union(many(self.rule)(value, at))
        return self.body(Fields(value, at))

    def body(self, fields: Fields) -> Days:
        """Read a mapping: one kind of set, and what is not in it."""
        kinds = [kind for kind in KINDS if kind in fields.data]
        if len(kinds) != 1:
            said = f"has {' and '.join(kinds)}" if kinds else "names no days"
            fields.at.fail(f"{said}: expected one of {', '.join(KINDS)}")
            raise Told
        readers: dict[str, Callable[[Any, At], Days]] = {
            "weekdays": self._weekdays,
            "dates": self._dates,
            "calendar": lambda value, at: self._word(filled(value, at)),
            "union": self._all_of,
            "intersect": self._intersect,
            "nth": self._nth,
            "holidays": self._holidays_of,
        }
        found: Days = fields.take(kinds[0], readers[kinds[0]])
        without = [fields.take(key, self.rule, None) for key in ("except", "minus")]
        fields.finish()
        for days in without:
            if days is None:
                continue
            start, stop = max(found.start, days.start), min(found.stop, days.stop)
            found = Days(start, stop, found.bits & ~days.bits)
        return found

    # --- kinds ----------------------------------------------------------------------------------

    def _word(self, text: str) -> Days:
        if _DATE.match(text):
            return self._dates(text, None)
        if text in ("all", "none"):
            return Days(self._start, self._stop, self._on(frozenset(range(7 * (text == "all")))))
        weekdays = parse_weekdays(text)
        if weekdays is not None:
            return Days(self._start, self._stop, self._on(weekdays))
        return self._named(text)

    def _weekdays(self, value: Any, at: At) -> Days:
        names = ", ".join(many(filled)(value, at))
        weekdays = parse_weekdays(names)
        if weekdays is None:
            raise UserError(f"{shown(names)}: expected weekdays, like Mon-Fri or Monday, Wednesday")
        return Days(self._start, self._stop, self._on(weekdays))

    def _dates(self, value: Any, at: At | None) -> Days:
        found = many(self._date)(value, at or At((), []))
        return Days(self._start, self._stop, _bits(found))

    def _date(self, value: Any, _at: At) -> date:
        day = parse_date(value)
        if day.year not in self._years:
            years = f"{self._years[0]} to {self._years[-1]}"
            raise UserError(f"{day}: expected one in the calendar's years, {years}")
        return day

    def _all_of(self, value: Any, at: At) -> Days:
        return _union(many(self.rule)(value, at))

    def _intersect(self, value: Any, at: At) -> Days:
        found, *others = many(self.rule)(value, at)
        for days in others:
            start, stop = max(found.start, days.start), min(found.stop, days.stop)
            found = Days(start, stop, found.bits & days.bits)
        return found

    def _holidays_of(self, value: Any, at: At) -> Days:
        fields = Fields(value, at)
        asked = Holidays(
            country=fields.take("country", filled, None),
            subdiv=fields.take("subdiv", filled, None),
            market=fields.take("market", filled, None),
            observed=fields.take("observed", flag, True),
        )
        fields.finish()
        if (asked.country is None) == (asked.market is None):
            raise UserError("expected either country or market")
        if asked.subdiv is not None and asked.country is None:
            raise UserError("a market has no subdiv: expected it beside country")
        return Days(self._start, self._stop, _bits(self._holidays(asked, self._years)))

    def _nth(self, value: Any, at: At) -> Days:
        """Read the n-th days of each month among those of a rule, counted from its end if below
        0. Of a month that is not known as a whole nothing is known."""
        fields = Fields(value, at)
        counts = fields.take("n", many(_count))
        among = fields.take("of", self.rule)
        months = fields.take("months", many(_month), tuple(range(1, 13)))
        fields.finish()
        start, stop = _whole_months(among.start, among.stop)
        bits = 0
        for first, last in _months(start, stop):
            if date.fromordinal(first).month not in months:
                continue
            days = [day for day in range(first, last) if among.bits >> (day - ORIGIN) & 1]
            for count in counts:
                if -len(days) <= count < 0 or 0 < count <= len(days):
                    bits |= 1 << (days[count - (count > 0)] - ORIGIN)
        return Days(start, stop, bits)

    # --- inside ---------------------------------------------------------------------------------

    def _on(self, weekdays: frozenset[int]) -> int:
        """Return the bits of weekdays in the range, 0 being Monday."""
        week = sum(1 << (weekday - self._start - 6) % 7 for weekday in weekdays)
        weeks = (self._stop - self._start) // 7 + 1
        repeated = week * (((1 << 7 * weeks) - 1) // 127)
        return (repeated << (self._start - ORIGIN)) & ((1 << (self._stop - ORIGIN)) - 1)


def _union(found: Iterable[Days]) -> Days:
    sets = list(found)
    if not sets:
        raise UserError("is empty: expected at least one rule")
    bits = 0
    for days in sets:
        bits |= days.bits
    return Days(max(days.start for days in sets), min(days.stop for days in sets), bits)


def _bits(days: Iterable[date]) -> int:
    bits = 0
    for day in days:
        bits |= 1 << (day.toordinal() - ORIGIN)
    return bits


def _whole_months(start: int, stop: int) -> tuple[int, int]:
    """Return the part of a range that is whole months."""
    first = date.fromordinal(start)
    if first.day > 1:
        first = _next_month(first)
    return first.toordinal(), date.fromordinal(stop).replace(day=1).toordinal()


def _months(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the first day of each month of a range of whole ones, and that of the next one."""
    first = date.fromordinal(start)
    while first.toordinal() < stop:
        following = _next_month(first)
        yield first.toordinal(), following.toordinal()
        first = following


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


# --- readers ------------------------------------------------------------------------------------


def _years(value: Any, _at: At) -> range:
    match = _YEARS.match(value) if isinstance(value, str) else None
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not FIRST_YEAR <= first <= last <= LAST_YEAR:
        said = f"from {FIRST_YEAR} to {LAST_YEAR}"
        raise UserError(f"{shown(value)}: expected years like 2015-2040, {said}")
    return range(first, last + 1)


def _count(value: Any, _at: At) -> int:
    count = -1 if value == "last" else value
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= abs(count) <= 31:
        raise UserError(f"{shown(value)}: expected 1 to 31, -1 to -31 or last")
    return count


def _month(value: Any, _at: At) -> int:
    if isinstance(value, str) and value[:3].title() in MONTHS:
        return MONTHS.index(value[:3].title()) + 1
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 12:
        raise UserError(f"{shown(value)}: expected a month, 1 to 12 or Jan to Dec")
    return value
