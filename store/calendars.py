"""Calendars as rows: those in force, and all that ever were, by which schedules are computed again.

Called by the SQLite store, `verify` and the accounting of nominal runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from ..jobs.calendar_days import CalendarDays, calendar_of
from ..jobs.calendars import Calendar
from ..jobs.errors import UserError
from ..jobs.job import Job
from ..jobs.schedules import Schedule, fingerprint, next_fire
from ..messages.hello import ScheduleRow
from .rows import decode_calendar, encode


def write_calendars(connection: sqlite3.Connection, calendars: Iterable[CalendarDays]) -> None:
    """Put these in force, inside the transaction that is open."""
    rows = [(days.name, encode(days)) for days in calendars]
    connection.execute("DELETE FROM calendars")
    connection.executemany("INSERT INTO calendars (name, body) VALUES (?, ?)", rows)
    connection.executemany(
        "INSERT INTO calendar_versions (name, body) VALUES (?, ?) ON CONFLICT DO NOTHING", rows
    )


def schedule_in_force(
    connection: sqlite3.Connection,
    job: Job,
    row: ScheduleRow,
    calendars: Mapping[str, Calendar],
) -> tuple[Schedule, Mapping[str, Calendar]] | None:
    """Return the schedule of a definition that a row means, with the calendars of then; None when
    it cannot be computed.

    Args:
        calendars: those in force now.
    """
    for schedule in job.schedules:
        for known in ({}, *_versions(connection, schedule)):
            then = {**calendars, **known}
            if fingerprint(schedule, then) == row.fingerprint:
                from_us = row.valid_from_us
                try:
                    next_fire(schedule, from_us, then, from_us + 1)
                except UserError:
                    continue  # A type that is not there, or no such calendar.
                return schedule, then
    return None


def _versions(connection: sqlite3.Connection, schedule: Schedule) -> list[dict[str, Calendar]]:
    name = getattr(schedule, "calendar", None)
    if name is None:
        return []
    rows = connection.execute("SELECT body FROM calendar_versions WHERE name = ?", (name,))
    return [{name: calendar_of(decode_calendar(body))} for (body,) in rows]
