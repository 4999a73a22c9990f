"""Schedules: the values, and the instants they name.

`fires` is the only generator of instants; the scheduler, forecasts, plans and audits all call it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice

import msgspec
from msgspec.structs import replace

from .blackouts import FREE, judge
from .calendars import BeyondCalendar, Calendar, FileCalendar, find_calendar
from .cron import cron_moments
from .errors import UserError
from .extension_moments import extension_moments
from .instants import (
    Moment,
    daily_interval_moments,
    daily_moments,
    explicit_moments,
    interval_moments,
    place,
)
from .schedule_types import (
    Cron,
    Daily,
    DailyInterval,
    DayPoint,
    Explicit,
    ExtensionSchedule,
    Fire,
    Interval,
    Options,
    Schedule,
    Stop,
    StopAfter,
    StopAt,
    options_of,
)
from .times import (
    DAY_S,
    EPOCH,
    LAST_US,
    SECOND_US,
    format_daytime,
    format_time,
    us_to_local,
    zone,
)

# A schedule that names no instant within this time has none.
REACH_US = 10 * 366 * DAY_S * SECOND_US
LEFT_OUT_AT_MOST = 20_000

NO_CALENDARS: Mapping[str, Calendar] = {}


def fires(
    schedule: Schedule,
    from_us: int,
    to_us: int,
    calendars: Mapping[str, Calendar] = NO_CALENDARS,
) -> Iterator[Fire]:
    """Yield a schedule's nominal runs in [from_us, to_us), strictly increasing in time.

    Times are whole seconds, but for those that a job file states itself. Whether the schedule is
    enabled is the caller's business. A calendar that ends, ends the schedule. Args are strings;
    `schedule_time` is always the schedule's own, all other automatic args are overridden by
    `schedule.args`. What is yielded for a part of a time range is the same whatever the range. What
    falls into a blackout is yielded too, and says so.

    Raises:
        UserError: the schedule names an unknown zone, calendar or type, has a bad cron expression,
            or the code of its type fails.
    """
    calendar = _calendar_of(schedule, calendars)
    for moment, at_us in _nominal(schedule, calendar, from_us, to_us):
        yield _fire(schedule, calendar, moment, at_us, calendars)


def fire_times(
    schedule: Schedule,
    from_us: int,
    to_us: int,
    calendars: Mapping[str, Calendar] = NO_CALENDARS,
) -> Iterator[int]:
    """Yield the instants alone of what `fires` yields: no args are made."""
    calendar = _calendar_of(schedule, calendars)
    for _, at_us in _nominal(schedule, calendar, from_us, to_us):
        yield at_us


def count_fires(
    schedule: Schedule,
    from_us: int,
    to_us: int,
    calendars: Mapping[str, Calendar],
    most: int,
) -> int:
    """Return how many runs `fires` would yield, `most` if there are more."""
    return sum(1 for _ in islice(fire_times(schedule, from_us, to_us, calendars), most))


def next_fire(
    schedule: Schedule,
    from_us: int,
    calendars: Mapping[str, Calendar] = NO_CALENDARS,
    limit_us: int | None = None,
) -> Fire | None:
    """Return the first nominal run at or after `from_us` that no blackout leaves out, None when
    there is none by `limit_us` (by default ten years on), or very many before it are left out."""
    to_us = from_us + REACH_US if limit_us is None else limit_us
    for looked, fire in enumerate(fires(schedule, from_us, to_us, calendars)):
        if not fire.left_out:
            return fire
        if looked >= LEFT_OUT_AT_MOST:
            break
    return None


def fingerprint(schedule: Schedule, calendars: Mapping[str, Calendar] = NO_CALENDARS) -> str:
    """Return 24 hex digits of what a schedule means: not its place, nor whether it is enabled.

    Of a calendar from a file its days count, not its name alone.
    """
    meaning = msgspec.msgpack.encode(replace(schedule, enabled=True), order="deterministic")
    digest = hashlib.sha256(meaning)
    options = options_of(schedule)
    names = [getattr(schedule, "calendar", None), *(one.calendar for one in options.blackouts)]
    for name in filter(None, names):
        try:
            calendar = find_calendar(name, calendars)
        except UserError:
            calendar = None
        if isinstance(calendar, FileCalendar):
            digest.update(calendar.meaning)
    return digest.hexdigest()[:24]


# --- inside -------------------------------------------------------------------------------------


def _nominal(
    schedule: Schedule, calendar: Calendar | None, from_us: int, to_us: int
) -> Iterator[tuple[Moment, int]]:
    """Yield the moments of `fires`, each with its instant after jitter."""
    options = options_of(schedule)
    to_us = min(to_us, LAST_US)
    if options.jitter_us:
        yield from _jittered(schedule, options, calendar, from_us, to_us)
        return
    for moment in _moments(schedule, options, calendar, from_us, to_us):
        yield moment, moment.at_us


def _calendar_of(schedule: Schedule, calendars: Mapping[str, Calendar]) -> Calendar | None:
    if isinstance(schedule, Daily | DailyInterval):
        return find_calendar(schedule.calendar, calendars)
    return None


def _moments(
    schedule: Schedule, options: Options, calendar: Calendar | None, from_us: int, to_us: int
) -> Iterator[Moment]:
    """Yield the moments in [from_us, to_us), strictly increasing, on whole seconds, between the
    schedule's dates."""
    bounded = options.start_date is not None or options.end_date is not None
    if bounded:
        from_us, to_us = _within_dates(options, from_us, to_us)
    exact = isinstance(schedule, Explicit)
    if not exact:
        # A fraction of a second is cut, so a time is in the range if its second is.
        from_us, to_us = _ceiling(from_us), _ceiling(to_us)
    last_us = from_us - 1
    try:
        for moment in _raw(schedule, calendar, from_us, to_us):
            at_us = moment.at_us
            if not exact and at_us % SECOND_US:
                at_us -= at_us % SECOND_US
                moment = moment._replace(at_us=at_us)  # noqa: PLW2901 - the same, rounded
            if at_us >= to_us:
                return
            if at_us > last_us and not (bounded and _outside_dates(schedule, options, at_us)):
                last_us = at_us
                yield moment
    except BeyondCalendar:
        return


def _raw(
    schedule: Schedule, calendar: Calendar | None, from_us: int, to_us: int
) -> Iterator[Moment]:
    match schedule:
        case Interval():
            return interval_moments(schedule, from_us)
        case Daily():
            assert calendar is not None, "a daily schedule has a calendar"
            return daily_moments(schedule, calendar, from_us, to_us)
        case DailyInterval():
            assert calendar is not None, "a daily schedule has a calendar"
            return daily_interval_moments(schedule, calendar, from_us, to_us)
        case Explicit():
            return explicit_moments(schedule, from_us)
        case Cron():
            return cron_moments(schedule, from_us, to_us)
        case ExtensionSchedule():
            return extension_moments(schedule, from_us, to_us)


def _ceiling(at_us: int) -> int:
    return -(-at_us // SECOND_US) * SECOND_US


def _within_dates(options: Options, from_us: int, to_us: int) -> tuple[int, int]:
    """Cut a range to the schedule's dates, with a day to spare for zones; `_outside_dates` is
    exact."""
    day_us = DAY_S * SECOND_US
    if options.start_date is not None:
        days = (options.start_date - EPOCH.date()).days
        from_us = max(from_us, (days - 1) * day_us)
    if options.end_date is not None:
        days = (options.end_date - EPOCH.date()).days
        to_us = min(to_us, (days + 2) * day_us)
    return from_us, to_us


def _outside_dates(schedule: Schedule, options: Options, at_us: int) -> bool:
    day = us_to_local(at_us, zone(getattr(schedule, "tz", None) or options.tz or "UTC")).date()
    first, last = options.start_date, options.end_date
    return (first is not None and day < first) or (last is not None and day > last)


def _jittered(
    schedule: Schedule, options: Options, calendar: Calendar | None, from_us: int, to_us: int
) -> Iterator[tuple[Moment, int]]:
    """Yield moments with the instants they are put off to: later by whole seconds, by less than
    the jitter, and before the next moment, so that their order stays.

    By how much depends on the job, the schedule and the nominal time alone.
    """
    reach_us = options.jitter_us
    seed = _packed(schedule)
    ahead = _moments(schedule, options, calendar, from_us - reach_us, to_us + reach_us)
    moment = next(ahead, None)
    while moment is not None:
        following = next(ahead, None)
        room_us = reach_us
        if following is not None:
            room_us = min(room_us, following.at_us - moment.at_us)
        drawn = hashlib.blake2b(b"%d" % moment.at_us, key=seed[:64], digest_size=8).digest()
        room_s = max(1, room_us // SECOND_US)
        at_us = moment.at_us + int.from_bytes(drawn, "big") % room_s * SECOND_US
        if at_us >= to_us:
            return
        if at_us >= from_us:
            yield moment, at_us
        moment = following


def _packed(schedule: Schedule) -> bytes:
    """Return 32 bytes of what a schedule means, its calendar's days left aside."""
    # Not of its blackouts: they come and go, and the other runs stay where they are.
    options = replace(options_of(schedule), blackouts=())
    bare = replace(schedule, enabled=True, options=options)
    meaning = msgspec.msgpack.encode(bare, order="deterministic")
    return hashlib.sha256(meaning).digest()


def _fire(
    schedule: Schedule,
    calendar: Calendar | None,
    moment: Moment,
    at_us: int,
    calendars: Mapping[str, Calendar],
) -> Fire:
    """Make the args of a nominal run: here and nowhere else."""
    time = format_time(moment.at_us)
    args = _automatic(schedule, calendar, moment) | schedule.args
    args.setdefault("time", time)
    args["schedule_time"] = time
    stop = schedule.stop
    stop_us = None if stop is None else stop_instant(stop, at_us)
    options = options_of(schedule)
    verdict = judge(options, at_us, calendars) if options.blackouts else FREE
    return Fire(
        at_us=at_us,
        args=args,
        stop_us=stop_us,
        left_out=verdict.left_out,
        until_us=verdict.until_us,
        window=verdict.window,
    )


def _automatic(schedule: Schedule, calendar: Calendar | None, moment: Moment) -> dict[str, str]:
    """Return the automatic args peculiar to the schedule's type."""
    match schedule:
        case Interval():
            at = EPOCH + timedelta(microseconds=moment.at_us)
            return {"date": str(at.date()), "daytime": at.time().isoformat()}
        case Explicit():
            return {}
        case ExtensionSchedule():
            tz = schedule.tz or "UTC"
            wall = us_to_local(moment.at_us, zone(tz))
            return {"date": str(wall.date()), "daytime": wall.time().isoformat(), "tz": tz}
    found = {"date": str(moment.day), "tz": schedule.tz}
    if calendar is not None:
        found["calendar"] = calendar.name
    if moment.daytime_s is None:
        wall = us_to_local(moment.at_us, zone(schedule.tz))
        return found | {"sched_date": str(wall.date()), "daytime": wall.time().isoformat()}
    return found | {"daytime": format_daytime(moment.daytime_s)}


def stop_instant(stop: Stop, at_us: int) -> int:
    """Return when a run is to be stopped. A stop that the clocks leap over comes at the leap."""
    if isinstance(stop, StopAfter):
        return at_us + stop.duration_us
    tz = zone(stop.tz)
    today = datetime.combine(us_to_local(at_us, tz), datetime.min.time())
    # The clocks may have been put back over midnight: yesterday's daytime may come once more.
    for offset in range(-1, 8):
        wall = today + timedelta(days=offset, seconds=stop.daytime_s)
        for stop_us in place(wall, tz, "after", "both"):
            if stop_us > at_us:
                return stop_us
    raise UserError(f"stop at {format_daytime(stop.daytime_s)} {stop.tz}: never comes")


__all__ = [
    "Cron",
    "Daily",
    "DailyInterval",
    "DayPoint",
    "Explicit",
    "Fire",
    "Interval",
    "Options",
    "Schedule",
    "Stop",
    "StopAfter",
    "StopAt",
    "count_fires",
    "fingerprint",
    "fire_times",
    "fires",
    "next_fire",
    "options_of",
]
