"""When a zone's clocks are put forward or back, and which times of a schedule that meets.

Called by the lint of jobs and by explanations; it decides nothing about when a schedule fires.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from .calendars import Calendar
from .schedule_types import Cron, Daily, DailyInterval, Schedule
from .schedules import fires
from .times import EPOCH_NAIVE, SECOND_US, us_to_local, zone

STEP_US = 21_600 * SECOND_US
# Times of a schedule named for one change of the clocks.
MOST_TIMES = 50

_MICROSECOND = timedelta(microseconds=1)


class ClockChange(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a zone's clocks at the instant `at_us`: they show `before` and go on at `after`
    (wall time). Forward, the times between do not exist; back, they come twice."""

    at_us: int
    before: datetime
    after: datetime

    @property
    def forward(self) -> bool:
        """Whether the clocks leap forward."""
        return self.after > self.before


class Met(msgspec.Struct, frozen=True, kw_only=True):
    """A wall time of a schedule that does not exist, or comes twice, and the instants at which the
    schedule fires for it: none when it is left out."""

    change: ClockChange
    wall: datetime
    instants_us: tuple[int, ...]


@lru_cache(maxsize=1024)
def clock_changes(tz: str, from_us: int, to_us: int) -> tuple[ClockChange, ...]:
    """Return the changes of a zone's clocks in [from, to), in order."""
    found = []
    low_us = from_us
    while low_us < to_us:
        high_us = min(low_us + STEP_US, to_us)
        if _offset(low_us, tz) != _offset(high_us, tz):
            at_us = _change_between(low_us, high_us, tz)
            before = EPOCH_NAIVE + at_us * _MICROSECOND + _offset(low_us, tz)
            found.append(
                ClockChange(at_us=at_us, before=before, after=us_to_local(at_us, zone(tz)))
            )
        low_us = high_us
    return tuple(found)


def met_changes(
    schedule: Schedule, from_us: int, to_us: int, calendars: Mapping[str, Calendar]
) -> Iterator[Met]:
    """Yield the times of a schedule in [from, to) that a change of the clocks meets.

    A cron expression that is open in its hours is left aside: it goes on before and after.
    """
    asked = _asked(schedule)
    if asked is None:
        return
    assert isinstance(schedule, Daily | DailyInterval | Cron), "it has a zone"
    for change in clock_changes(schedule.tz, from_us, to_us):
        low, high = sorted((change.before, change.after))
        # As a schedule of UTC it names wall times without asking whether they exist.
        walls = [
            EPOCH_NAIVE + fire.at_us * _MICROSECOND
            for fire, _ in zip(
                fires(asked, _wall_us(low), _wall_us(high), calendars),
                range(MOST_TIMES),
                strict=False,
            )
        ]
        if walls:
            yield from _met(schedule, asked, change, walls, calendars)


# --- inside -------------------------------------------------------------------------------------


def _asked(schedule: Schedule) -> Schedule | None:
    """Return the schedule of UTC whose instants are the wall times of interest, None for none."""
    match schedule:
        case Daily():
            return replace(schedule, tz="UTC")
        case Cron() if not schedule.expression.split()[1].startswith("*"):
            return replace(schedule, tz="UTC")
        case DailyInterval():
            # Its steps are of physical time: only where it begins is a matter of the clocks.
            start = schedule.start
            return Daily(
                tz="UTC",
                daytimes_s=(start.daytime_s,),
                calendar=schedule.calendar,
                date_shift=start.date_shift,
                cal_shift=start.cal_shift,
            )
        case _:
            return None


def _met(
    schedule: Schedule,
    asked: Schedule,
    change: ClockChange,
    walls: list[datetime],
    calendars: Mapping[str, Calendar],
) -> Iterator[Met]:
    """Tell which instants around a change the schedule has for these times and for no others."""
    length = abs(change.after - change.before)
    length_us = length // _MICROSECOND
    from_us, to_us = change.at_us - length_us, change.at_us + length_us
    real = [fire.at_us for fire in fires(schedule, from_us, to_us, calendars)]
    if change.forward:
        # What these instants show without any leap is what the schedule has for other times.
        others = {
            change.at_us + (_wall_us(wall) - _wall_us(change.after))
            for wall in _wall_times(asked, change.after, change.after + length, calendars)
        } | {
            change.at_us - (_wall_us(change.before) - _wall_us(wall))
            for wall in _wall_times(asked, change.before - length, change.before, calendars)
        }
        extra = [at_us for at_us in real if at_us not in others]
        for place, wall in enumerate(walls):
            mine = (extra[place],) if len(extra) == len(walls) else tuple(extra)
            yield Met(change=change, wall=wall, instants_us=mine)
        return
    for wall in walls:
        first_us = change.at_us - (_wall_us(change.before) - _wall_us(wall))
        both = (first_us, first_us + length_us)
        yield Met(change=change, wall=wall, instants_us=tuple(t for t in both if t in real))


def _wall_times(
    asked: Schedule, low: datetime, high: datetime, calendars: Mapping[str, Calendar]
) -> list[datetime]:
    found = fires(asked, _wall_us(low), _wall_us(high), calendars)
    return [EPOCH_NAIVE + fire.at_us * _MICROSECOND for fire in found]


def _wall_us(wall: datetime) -> int:
    return (wall - EPOCH_NAIVE) // _MICROSECOND


def _offset(at_us: int, tz: str) -> timedelta:
    return us_to_local(at_us, zone(tz)) - (EPOCH_NAIVE + at_us * _MICROSECOND)


def _change_between(low_us: int, high_us: int, tz: str) -> int:
    """Return the first instant, by the second, that has not the offset of `low_us`."""
    offset = _offset(low_us, tz)
    low, high = low_us // SECOND_US, -(-high_us // SECOND_US)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(middle * SECOND_US, tz) == offset:
            low = middle
        else:
            high = middle
    return high * SECOND_US
