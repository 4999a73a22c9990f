"""The calendars in force, and which of them a day is in: `/api/v2/calendars`."""

from __future__ import annotations

from datetime import date
from typing import Annotated, TypedDict

import msgspec
from msgspec import Meta

from ..jobs.calendar_days import calendar_of
from ..jobs.errors import UserError
from ..jobs.times import parse_date
from ..store.interface import Reader
from .routing import Problem, Request, Route


class CalendarsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """For which day."""

    date: Annotated[str, Meta(description="A date, as 2026-11-24.")]


class CalendarOfDay(TypedDict):
    """A calendar; `contains`: whether the day is in it, null where the calendar does not reach."""

    name: str
    contains: bool | None
    start: str
    stop: str
    source: str


class CalendarsOfDay(TypedDict):
    """The calendars, by name, for a day and its ISO week."""

    date: str
    week: int
    calendars: list[CalendarOfDay]


async def list_calendars(request: Request, query: CalendarsQuery) -> CalendarsOfDay:
    """The calendars in force, and whether a day is in them."""
    try:
        day = parse_date(query.date)
    except UserError as error:
        raise Problem(400, f"date: {error}") from None

    def read(reader: Reader) -> list[CalendarOfDay]:
        found: list[CalendarOfDay] = []
        for days in reader.calendars():
            calendar = calendar_of(days)
            reaches = calendar.start <= day < calendar.stop
            found.append(
                {
                    "name": days.name,
                    "contains": calendar.contains(day) if reaches else None,
                    "start": calendar.start.isoformat(),
                    "stop": calendar.stop.isoformat(),
                    "source": days.source,
                }
            )
        return found

    calendars = await request.services.read(read)
    return {"date": day.isoformat(), "week": _week(day), "calendars": calendars}


def _week(day: date) -> int:
    return day.isocalendar().week


ROUTES = [
    Route("GET", "/api/v2/calendars", list_calendars),
]
