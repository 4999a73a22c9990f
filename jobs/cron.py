"""Cron expressions: five fields, read by cronsim on wall time, mapped to instants by our own rules.

cronsim walks the wall clock without a zone. Unless the schedule's options say otherwise, a wall
time that the clocks leap over is left out, and one that comes twice fires at its first occurrence;
at both when the hour field is open (begins with `*`), so that what runs hourly or oftener keeps
running through the extra hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from .errors import UserError
from .instants import Moment, ordered
from .schedule_types import Cron, options_of
from .times import DAY_S, EPOCH_NAIVE, SECOND_US, us_to_local, zone

# No zone has ever put its clocks back or forward by more than this at once.
MOST_LEAP = timedelta(hours=26)
FIELDS = (
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of month", "1-31, L (the last) or LW (the last weekday)"),
    ("month", "1-12 or JAN-DEC"),
    ("day of week", "0-7 or SUN-SAT, 5L (the last Friday) or 5#2 (the second)"),
)
# How cronsim names the fields in its errors.
_DAYS = frozenset(map(str, range(1, 32)))
_NAMED = ("minute", "hour", "day-of-month", "month", "day-of-week")
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@lru_cache(maxsize=4096)
def read_cron(text: str) -> str:
    """Return the five fields of a cron expression or of a name like `@hourly`, blanks evened out.

    Raises:
        UserError: it is none.
    """
    fields = MACROS.get(text.strip().lower(), text).split()
    what = f"cron expression {text!r}"
    if text.strip().startswith("@") and len(fields) != len(FIELDS):
        raise UserError(f"{what}: names no times: expected one of {', '.join(MACROS)}")
    if len(fields) != len(FIELDS):
        known = ", ".join(name for name, _ in FIELDS)
        raise UserError(f"{what}: {len(fields)} fields: expected {known}")
    expression = " ".join(fields)
    try:
        CronSim(expression, EPOCH_NAIVE)
    except CronSimError as error:
        raise UserError(f"{what}: {_reason(fields, str(error))}") from None
    return expression


def cron_moments(schedule: Cron, from_us: int, to_us: int) -> Iterator[Moment]:
    """Yield the moments of a cron schedule from `from_us` on, in order."""
    tz, options = zone(schedule.tz), options_of(schedule)
    hour = read_cron(schedule.expression).split()[1]
    on_fold = options.on_fold or ("both" if hour.startswith("*") else "first")
    begin = us_to_local(from_us, tz)
    day_us = DAY_S * SECOND_US
    if _offset(from_us - day_us, tz) != _offset(from_us + day_us, tz):
        # The clocks change nearby: earlier wall times may come only now, or once more.
        begin -= MOST_LEAP
    end = us_to_local(to_us, tz) + MOST_LEAP
    return ordered(
        ((wall, wall.date()) for wall in _walls(schedule.expression, begin, end)),
        tz,
        options.on_gap or "skip",
        on_fold,
    )


# --- inside -------------------------------------------------------------------------------------


def _walls(expression: str, begin: datetime, end: datetime) -> Iterator[datetime]:
    wall: datetime
    for wall in CronSim(expression, begin - timedelta(minutes=1)):
        if wall > end:
            return
        yield wall


def _reason(fields: list[str], said: str) -> str:
    """Return what is wrong with which field; cronsim says no more than the field's name."""
    name = said.removeprefix("Bad ")
    if name not in _NAMED:
        return said
    place = _NAMED.index(name)
    if "?" in fields[place]:
        return f"{FIELDS[place][0]} {fields[place]!r}: expected * where any will do"
    if place == 2 and all(day.lstrip("0") in _DAYS for day in fields[2].split(",")):
        return f"day of month {fields[2]!r}: no month {fields[3]} has it"
    kinds = "lists a,b, ranges a-b, steps */n"
    return f"{FIELDS[place][0]} {fields[place]!r}: expected {FIELDS[place][1]}, *, {kinds}"


def _offset(at_us: int, tz: ZoneInfo) -> timedelta:
    return us_to_local(at_us, tz) - (EPOCH_NAIVE + timedelta(microseconds=at_us))
