"""Calendars that end while a job still goes by them.

Used by the checker's core alone. A calendar that no job names may end: the one for next year stands
beside it. What jobs name is looked for only while a calendar ends soon, once in each definition.
"""

from __future__ import annotations

from datetime import date

from ..jobs.calendar_days import CalendarDays
from ..jobs.findings import Finding, Severity, found
from ..jobs.named_calendars import ANY, calendars_of
from ..jobs.times import DAY_S, EPOCH, SECOND_US
from ..store.interface import Reader

CALENDAR = "calendar"
# A calendar is to be renewed so long before it ends.
SOON_US = 30 * DAY_S * SECOND_US


class CalendarEnds:
    """See the module. Keeps which calendars each definition in force names."""

    def __init__(self) -> None:
        self._named: dict[str, frozenset[str]] = {}

    def look(self, reader: Reader, now_us: int) -> list[Finding]:
        """Find the calendars that jobs name and that have ended, or will soon."""
        ending = [days for days in reader.calendars() if _end_us(days) - now_us <= SOON_US]
        if not ending:
            self._named.clear()
            return []
        named = self._names(reader)
        return [_finding(days, now_us) for days in ending if named & {days.name, ANY}]

    def _names(self, reader: Reader) -> frozenset[str]:
        """Return the calendars that jobs in force name, `ANY` where one may name any."""
        before = self._named
        self._named = {}
        # Jobs without a file are in force by their schedules.
        of_schedules = {row.definition for row in reader.schedules()}
        for hash_ in of_schedules.union(reader.jobs().values()):
            names = before.get(hash_)
            if names is None:
                job = reader.definition(hash_)
                names = frozenset() if job is None else frozenset(calendars_of(job))
            self._named[hash_] = names
        return frozenset[str]().union(*self._named.values())


def _end_us(days: CalendarDays) -> int:
    return (days.stop - EPOCH.date().toordinal()) * DAY_S * SECOND_US


def _finding(days: CalendarDays, now_us: int) -> Finding:
    day = date.fromordinal(days.stop)
    is_over = _end_us(days) <= now_us
    said = "ended on" if is_over else "ends on"
    sentence = f"calendar {days.name} {said} {day}: schedules that name it make no run after it"
    severity: Severity = "error" if is_over else "warning"
    return found(CALENDAR, days.name, sentence, severity=severity, end=str(day))
