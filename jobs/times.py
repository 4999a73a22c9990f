"""Instants, durations, dates, daytimes and zones as text, and back.

Instants are `int` microseconds UTC, durations `int` microseconds, daytimes seconds since local
midnight. Local time exists only here and in the schedules that ask for it.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from .errors import UserError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_NAIVE = datetime(1970, 1, 1)  # noqa: DTZ001 - the origin of wall time
MICROSECOND = timedelta(microseconds=1)
SECOND_US = 1_000_000
DAY_S = 86_400
# Years beyond these do not fit the calendar arithmetic of the standard library with margins.
FIRST_US = -62_000_000_000 * SECOND_US
LAST_US = 253_000_000_000 * SECOND_US
# In a record that is read: what can be told as a time.
Instant = Annotated[int, msgspec.Meta(ge=FIRST_US, le=LAST_US)]

_UNITS_S = dict.fromkeys(("s", "sec", "second", "seconds"), 1)
_UNITS_S |= dict.fromkeys(("m", "min", "minute", "minutes"), 60)
_UNITS_S |= dict.fromkeys(("h", "hour", "hours"), 3600)
_UNITS_S |= dict.fromkeys(("d", "day", "days"), DAY_S)

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z")
_ONE_UNIT = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*([a-z]+)\Z")
_COMPOUND = re.compile(r"(?:\d+(?:\.\d*)?[dhms])+\Z")
_COMPOUND_PART = re.compile(r"(\d+(?:\.\d*)?)([dhms])")
_DAYTIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?\Z")
_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})\Z")
_TIME = re.compile(
    r"(\d{4})-?(\d{2})-?(\d{2})[T ](\d{2}):?(\d{2})(?::?(\d{2})(\.\d+)?)?\s*"
    r"(Z|[+-]\d{2}:?\d{2})\Z"
)


# --- instants -----------------------------------------------------------------------------------


def parse_time(value: Any) -> int:
    """Return the instant that a text such as `2024-01-02T03:04:05Z` names.

    Seconds may be missing and a blank may stand for the `T`. A datetime must know its zone.

    Raises:
        UserError: it is no such time, has no zone, or lies outside `FIRST_US` to `LAST_US`.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise UserError(f"time {value}: has no zone: expected Z or an offset")
        return round((value - EPOCH) / MICROSECOND)
    match = _TIME.match(value) if isinstance(value, str) else None
    if match is None:
        raise UserError(f"time {value!r}: expected a form like 2024-01-02T03:04:05Z")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        wall = datetime(  # noqa: DTZ001 - the offset follows
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0)
        )
    except ValueError as error:
        raise UserError(f"time {value!r}: {error}") from None
    at_us = (wall - EPOCH_NAIVE) // MICROSECOND
    if fraction:
        at_us += round(float(fraction) * SECOND_US)
    if offset != "Z":
        digits = offset[1:].replace(":", "")
        hours, minutes = int(digits[:2]), int(digits[2:])
        if hours > 23 or minutes > 59:
            raise UserError(f"time {value!r}: {offset} is no offset from UTC: expected +HH:MM")
        offset_s = hours * 3600 + minutes * 60
        at_us -= offset_s * SECOND_US * (-1 if offset[0] == "-" else 1)
    if not FIRST_US <= at_us <= LAST_US:
        raise UserError(f"time {value!r}: expected one of the years 6 to 9986")
    return at_us


def format_time(at_us: int) -> str:
    """Return `2024-01-02T03:04:05+00:00`, with a fraction only when it is not zero."""
    second, rest_us = divmod(at_us, SECOND_US)
    text = _to_the_second(second)
    return f"{text}.{rest_us:06}+00:00" if rest_us else f"{text}+00:00"


# Times that are told one after the other are mostly of the same few seconds.
@lru_cache(maxsize=256)
def _to_the_second(at_s: int) -> str:
    return (EPOCH_NAIVE + timedelta(seconds=at_s)).isoformat()


def format_time_ms(at_us: int) -> str:
    """Return `2026-11-23T23:38:05.840+00:00`, always with milliseconds."""
    return (EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="milliseconds")


# --- durations ----------------------------------------------------------------------------------


def parse_duration(value: Any) -> int:
    """Return the microseconds of a duration: seconds, `10 min`, `1h30m`.

    Raises:
        UserError: it is none.
    """
    seconds: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        seconds = _duration_s(value.strip())
    if seconds is None or not abs(seconds) < 1e11:
        raise UserError(f"duration {value!r}: expected seconds, or a form like 90s, 10 min, 1h30m")
    return round(seconds * SECOND_US)


def _duration_s(text: str) -> float | None:
    if _NUMBER.match(text):
        return float(text)
    one = _ONE_UNIT.match(text)
    if one and one[2] in _UNITS_S:
        return float(one[1]) * _UNITS_S[one[2]]
    if _COMPOUND.match(text):
        return sum(float(n) * _UNITS_S[unit] for n, unit in _COMPOUND_PART.findall(text))
    return None


def format_duration_s(duration_us: int) -> str:
    """Return the seconds of a duration as Python shows a float: `3600.0`, `0.2`."""
    return repr(duration_us / SECOND_US)


# --- daytimes, dates, zones ---------------------------------------------------------------------


def parse_daytime(value: Any) -> float:
    """Return the seconds since midnight of `9:30:00`, `09:30` or a number of seconds.

    Raises:
        UserError: it is none, or not within a day.
    """
    seconds: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and (match := _DAYTIME.match(value)):
        hours, minutes, rest = int(match[1]), int(match[2]), float(match[3] or 0)
        if hours < 24 and minutes < 60 and rest < 60:
            seconds = hours * 3600 + minutes * 60 + rest
    if seconds is None or not 0 <= seconds < DAY_S:
        raise UserError(f"daytime {value!r}: expected a form like 09:30:00 or 09:30")
    return seconds


def format_daytime(daytime_s: float) -> str:
    """Return `09:30:00`, with a fraction only when it is not zero."""
    whole, fraction = divmod(round(daytime_s * SECOND_US), SECOND_US)
    text = f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
    return text + (f".{fraction:06}".rstrip("0") if fraction else "")


def parse_date(value: Any) -> date:
    """Return the date of `2024-01-06`, `20240106` (text or number), `MIN`, `MAX` or a date.

    Raises:
        UserError: it is none.
    """
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if value in ("MIN", "MAX"):
        return date.min if value == "MIN" else date.max
    match = _DATE.match(str(value)) if isinstance(value, str | int) else None
    if match is not None:
        try:
            return date(int(match[1]), int(match[2]), int(match[3]))
        except ValueError as error:
            raise UserError(f"date {value!r}: {error}") from None
    raise UserError(f"date {value!r}: expected a form like 2024-01-06")


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """Return an IANA time zone.

    Raises:
        UserError: there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        sentence = f"unknown time zone: {name}: expected an IANA name like Europe/Berlin"
        raise UserError(sentence) from None


@lru_cache(maxsize=65_536)
def local_to_us(day: date, daytime_s: float, tz: ZoneInfo) -> int | None:
    """Return the instant of a local daytime; the first one where it comes twice.

    Returns None where the clocks leap over it.
    """
    wall = datetime.combine(day, datetime.min.time()) + timedelta(seconds=daytime_s)
    aware = wall.replace(tzinfo=tz)
    at_us = (wall - EPOCH_NAIVE) // MICROSECOND - _offset_us(aware)
    if us_to_local(at_us, tz) != wall:
        return None
    return at_us


def occurrences(wall: datetime, tz: ZoneInfo) -> tuple[int, ...]:
    """Return the instants at which a zone's clocks show `wall`: none, one or two, in order."""
    wall_us = (wall - EPOCH_NAIVE) // MICROSECOND
    first_us = wall_us - _offset_us(wall.replace(tzinfo=tz))
    second_us = wall_us - _offset_us(wall.replace(tzinfo=tz, fold=1))
    if first_us == second_us:
        return (first_us,)
    # `fold` reads a wall time in a gap by the offset of the other side, so the order is reversed.
    return (first_us, second_us) if first_us < second_us else ()


def leap_us(wall: datetime, tz: ZoneInfo) -> int:
    """Return the instant, a whole second, at which the clocks leap over a wall time.

    It is the first second at which they show more than `wall`, which must not exist.
    """
    wall_us = (wall - EPOCH_NAIVE) // MICROSECOND
    ends = [wall_us - _offset_us(wall.replace(tzinfo=tz, fold=fold)) for fold in (0, 1)]
    early_s, late_s = min(ends) // SECOND_US, -(-max(ends) // SECOND_US)
    while early_s < late_s:
        middle_s = (early_s + late_s) // 2
        if us_to_local(middle_s * SECOND_US, tz) > wall:
            late_s = middle_s
        else:
            early_s = middle_s + 1
    return late_s * SECOND_US


def us_to_local(at_us: int, tz: ZoneInfo) -> datetime:
    """Return the wall time in a zone, as a datetime without a zone."""
    return (EPOCH + timedelta(microseconds=at_us)).astimezone(tz).replace(tzinfo=None, fold=0)


def _offset_us(aware: datetime) -> int:
    offset = aware.utcoffset()
    assert offset is not None, "an aware datetime has an offset"
    return offset // MICROSECOND
