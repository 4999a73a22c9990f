"""When a zone's clocks are put forward or back, and which times of a schedule that meets.

Called by the lint of jobs and by explanations; it decides nothing about when a schedule fires.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice

import msgspec
from msgspec.structs import replace

from .calendars import Calendar
from .instants import place
from .schedule_types import Cron, Daily, DailyInterval, Schedule, options_of
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
    options = options_of(schedule)
    for change in clock_changes(schedule.tz, from_us, to_us):
        low, high = sorted((change.before, change.after))
        for fire in islice(fires(asked, _wall_us(low), _wall_us(high), calendars), MOST_TIMES):
            wall = EPOCH_NAIVE + fire.at_us * _MICROSECOND
            instants_us = place(
                wall, zone(schedule.tz), options.on_gap or "skip", options.on_fold or "first"
            )
            yield Met(change=change, wall=wall, instants_us=instants_us)


# --- inside -------------------------------------------------------------------------------------


def _asked(schedule: Schedule) -> Schedule | None:
    """Return the schedule of UTC whose instants are the wall times of interest, None for none:
    it names them without asking whether they exist."""
    options = replace(options_of(schedule), jitter_us=0)
    match schedule:
        case Daily():
            return replace(schedule, tz="UTC", options=options)
        case Cron() if not schedule.expression.split()[1].startswith("*"):
            return replace(schedule, tz="UTC", options=options)
        case DailyInterval():
            # Its steps are of physical time: only where it begins is a matter of the clocks.
            start = schedule.start
            return Daily(
                tz="UTC",
                daytimes_s=(start.daytime_s,),
                calendar=schedule.calendar,
                date_shift=start.date_shift,
                cal_shift=start.cal_shift,
                options=options,
            )
        case _:
            return None


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
