"""Blackouts: what windows of time make of what a schedule names in them. Pure.

The windows are a part of the schedule (`blackout_rules.with_blackouts` puts them there). They are
stored with a job's definition, a changed window is a changed schedule, and whoever computes the
times of a schedule knows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

import msgspec

from .calendars import BeyondCalendar, Calendar, find_calendar
from .schedule_types import Blackout, Options
from .times import us_to_local, zone
from .windows import moment_us

DAY = timedelta(days=1)
# Windows that follow one another without a gap, looked at for the end of them all.
CHAINED = 1_000


class Verdict(msgspec.Struct, frozen=True):
    """What windows make of a nominal run. `left_out`: why it is none, empty: it is one. `until_us`:
    it runs only then, by `window`; None: at its time."""

    left_out: str = ""
    until_us: int | None = None
    window: str = ""


FREE = Verdict()


def judge(options: Options, at_us: int, calendars: Mapping[str, Calendar]) -> Verdict:
    """Return what the windows of a schedule make of its nominal run at an instant."""
    inside = [one for one in options.blackouts if window_end(one, at_us, calendars) is not None]
    for one in inside:
        if not one.after:
            return Verdict(left_out=f"blackout {one.name}")
    if not inside:
        return FREE
    return Verdict(until_us=_all_over(options.blackouts, at_us, calendars), window=inside[0].name)


def window_end(window: Blackout, at_us: int, calendars: Mapping[str, Calendar]) -> int | None:
    """Return when the window ends in which an instant lies, None when it lies in none of it."""
    if window.from_us is not None and window.to_us is not None:
        return window.to_us if window.from_us <= at_us < window.to_us else None
    tz = zone(window.tz)
    calendar = find_calendar(window.calendar, calendars)
    today = us_to_local(at_us, tz).date()
    for day in (today, today - DAY):
        try:
            if not calendar.contains(day):
                continue
        except BeyondCalendar:
            continue
        last = day if window.end_s > window.start_s else day + DAY
        end_us = moment_us(last, window.end_s, tz)
        if moment_us(day, window.start_s, tz) <= at_us < end_us:
            return end_us
    return None


def _all_over(windows: Iterable[Blackout], at_us: int, calendars: Mapping[str, Calendar]) -> int:
    """Return the first instant from one on that lies in no window."""
    for _ in range(CHAINED):
        ends = [window_end(window, at_us, calendars) for window in windows]
        later = max((end_us for end_us in ends if end_us is not None), default=None)
        if later is None:
            break
        at_us = later
    return at_us
