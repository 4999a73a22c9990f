"""Cron expressions: five fields, read by cronsim on wall time, mapped to instants by our own rules.

cronsim walks the wall clock without a zone. A wall time that does not exist (the clocks leap over
it) is left out. One that comes twice fires at its first occurrence; at both when the hour field is
open (begins with `*`), so that what runs hourly or oftener keeps running through the extra hour.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from .errors import UserError
from .schedule_types import Cron
from .times import EPOCH_NAIVE, SECOND_US, format_daytime, us_to_local, zone

# No zone has ever put its clocks back or forward by more than this at once.
MOST_LEAP = timedelta(hours=26)
FIELDS = 5
_MICROSECOND = timedelta(microseconds=1)


def check_cron(expression: str) -> None:
    """Raise UserError unless the text is a cron expression of five fields."""
    _parse(expression)


def cron_instants(schedule: Cron, from_us: int, to_us: int) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the instants of a cron schedule from `from_us` on, in order, with their args."""
    tz = zone(schedule.tz)
    both = _parse(schedule.expression).split()[1].startswith("*")
    begin = us_to_local(from_us, tz)
    if _offset(from_us, tz) != _offset(from_us - 86_400 * SECOND_US, tz):
        begin -= MOST_LEAP
    end = us_to_local(to_us, tz) + MOST_LEAP
    # Second occurrences that come only after first ones of later wall times.
    seconds: list[tuple[int, datetime]] = []
    for wall in CronSim(schedule.expression, begin - timedelta(minutes=1)):
        if wall > end:
            break
        found = _occurrences(wall, tz)
        if not found:
            continue
        while seconds and seconds[0][0] < found[0]:
            yield _with_args(schedule, *heapq.heappop(seconds))
        if found[0] >= from_us:
            yield _with_args(schedule, found[0], wall)
        if both:
            for at_us in found[1:]:
                if at_us >= from_us:
                    heapq.heappush(seconds, (at_us, wall))
    while seconds:
        yield _with_args(schedule, *heapq.heappop(seconds))


# --- inside -------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _parse(expression: str) -> str:
    fields = expression.split()
    if len(fields) != FIELDS:
        raise UserError(
            f"cron expression {expression!r}: {len(fields)} fields: expected minute, hour, day of "
            f"month, month, day of week"
        )
    try:
        CronSim(expression, EPOCH_NAIVE)
    except CronSimError as error:
        raise UserError(f"cron expression {expression!r}: {error}") from None
    return " ".join(fields)


def _with_args(schedule: Cron, at_us: int, wall: datetime) -> tuple[int, dict[str, str]]:
    daytime_s = (wall - wall.replace(hour=0, minute=0, second=0)).total_seconds()
    return at_us, {
        "date": wall.date().isoformat(),
        "daytime": format_daytime(daytime_s),
        "tz": schedule.tz,
    }


def _occurrences(wall: datetime, tz: ZoneInfo) -> list[int]:
    """Return the instants at which a zone's clocks show `wall`: none, one or two, in order."""
    found = set()
    for fold in (0, 1):
        offset = wall.replace(tzinfo=tz, fold=fold).utcoffset()
        assert offset is not None, "an aware datetime has an offset"
        at_us = (wall - EPOCH_NAIVE - offset) // _MICROSECOND
        if us_to_local(at_us, tz) == wall:
            found.add(at_us)
    return sorted(found)


def _offset(at_us: int, tz: ZoneInfo) -> timedelta:
    return us_to_local(at_us, tz) - (EPOCH_NAIVE + timedelta(microseconds=at_us))
