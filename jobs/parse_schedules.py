"""Schedules out of the data of a job file. Called by `parse.py`; reads no clock, no calendar."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any, cast

from msgspec import UNSET, UnsetType

from . import registry
from .cron import read_cron
from .errors import UserError
from .extension_data import read_data
from .reading import At, Fields, Reader, Told, filled, flag, many, shown, whole, words
from .schedule_types import (
    CatchUp,
    Cron,
    Daily,
    DailyInterval,
    DayPoint,
    Explicit,
    ExtensionSchedule,
    Interval,
    Options,
    Schedule,
    Stop,
    StopAfter,
    StopAt,
)
from .times import (
    FIRST_US,
    LAST_US,
    SECOND_US,
    parse_date,
    parse_daytime,
    parse_duration,
    parse_time,
    zone,
)

DAY_US = 86_400 * SECOND_US
# A typo must not ask for a run every microsecond.
SHORTEST_US = SECOND_US // 10
STOP_TYPES = {
    "duration": "duration",
    "daytime": "daytime",
    "DurationStopSchedule": "duration",
    "DaytimeStopSchedule": "daytime",
}
STOPS_KNOWN = "duration, daytime"
# What only a schedule by local time may say.
LOCAL_TYPES = ("daily", "daily-interval", "cron")
# What a class is called, with its module.
_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def read_type(fields: Fields, types: dict[str, str], known: str, part: str = "") -> str:
    """Return the short name of the `type` entry; `types` maps aliases and class names to it.

    `part`: that of the job; types which extensions give it are known too.

    Raises:
        Told: there is none, or an unknown one.
    """
    if "type" not in fields.data:
        fields.at.fail(f"missing type: expected one of {known}")
        raise Told
    given = fields.take("type", filled)
    if given is None:
        raise Told
    found = types.get(given)
    if found is None and given.startswith("apsis."):
        found = types.get(given.rpartition(".")[2])
    if found is None:
        found = registry.names_of(part).get(given)
    if found is None:
        more = "".join(f", {name}" for name in dict.fromkeys(registry.names_of(part).values()))
        own = of_a_class(given) if part else ""
        sentence = f"bad type: {shown(given)}: expected one of {known}{more}{own}"
        fields.at.fail(sentence, key="type")
        raise Told
    return found


def of_a_class(given: str) -> str:
    """Return what to say besides of a type that looks like a class, empty for any other."""
    is_one = _CLASS.fullmatch(given) is not None
    return ", or a class that the settings name under extensions" if is_one else ""


def read_schedule(value: Any, at: At, jitter_key: str = "") -> Schedule:
    """Read a schedule, or `{start: schedule, stop: stop schedule}`.

    Args:
        jitter_key: the job's id, by which its jitter differs from that of others.
    """
    fields = Fields(value, at)
    if (
        "start" in fields.data
        and "type" not in fields.data
        and set(fields.data) <= {"start", "stop"}
    ):
        stop = fields.take("stop", read_stop, None)
        schedule = fields.take(
            "start", lambda data, place: _schedule(data, place, stop, jitter_key)
        )
        fields.finish()
        return schedule
    return _schedule(value, at, None, jitter_key)


def _schedule(value: Any, at: At, stop: Stop | None, jitter_key: str) -> Schedule:
    fields = Fields(value, at)
    kind = read_type(fields, SCHEDULE_TYPES, ", ".join(_READERS), "schedule")
    common: dict[str, Any] = {
        "enabled": fields.take("enabled", flag, True),
        "args": fields.take("args", words, {}),
        "stop": stop,
        "options": _options(fields, kind, jitter_key),
    }
    read = _READERS.get(kind)
    return _extension(fields, kind, common) if read is None else read(fields, common)


def _options(fields: Fields, kind: str, jitter_key: str) -> Options | UnsetType:
    """Read what schedules of all types may say; UNSET when this one says none of it."""
    first = fields.take("start_date", _date, None)
    last = fields.take("end_date", _date, None)
    if first is not None and last is not None and last < first:
        fields.at.key("end_date").fail(f"{last}: expected {first} (start_date) or later")
    found: dict[str, Any] = {"start_date": first, "end_date": last}
    if kind in LOCAL_TYPES:
        found["on_gap"] = fields.take("on_gap", _one_of("skip", "before", "after"), None)
        found["on_fold"] = fields.take("on_fold", _one_of("first", "second", "both"), None)
    else:
        # A folder's default may give it to all schedules; here it is the zone of the dates alone.
        tz = fields.take("tz", time_zone, None)
        found["tz"] = tz if first is not None or last is not None else None
    found["jitter_us"] = fields.take("jitter", _jitter, 0)
    found["jitter_key"] = jitter_key if found["jitter_us"] else ""
    found["misfire_after_us"] = fields.take("misfire_after", _lateness, None)
    found["catch_up"] = fields.take("catch_up", read_catch_up, None)
    found["max_age_us"] = fields.take("max_age", _positive, None)
    options = Options(**found)
    return UNSET if options == Options() else options


def _interval(fields: Fields, common: dict[str, Any]) -> Interval:
    every_us = fields.take("interval", _positive)
    phase_us = fields.take("phase", duration, 0)
    fields.finish()
    if not 0 <= phase_us < every_us:
        said = f"{phase_us / SECOND_US:g} s: expected from 0 to less than the interval"
        fields.at.key("phase").fail(said)
        raise Told
    return Interval(interval_us=every_us, phase_us=phase_us, **common)


def _daily(fields: Fields, common: dict[str, Any]) -> Daily:
    tz = fields.take("tz", time_zone)
    daytimes = fields.take("daytime", many(daytime))
    common |= {"calendar": fields.take("calendar", _calendar, "all")} | _shifts(fields)
    if daytimes == ():
        fields.at.key("daytime").fail("is empty: expected at least one daytime")
    fields.finish()
    return Daily(tz=tz, daytimes_s=tuple(sorted(set(daytimes))), **common)


def _daily_interval(fields: Fields, common: dict[str, Any]) -> DailyInterval:
    tz = fields.take("tz", time_zone)
    start = fields.take("start", _day_point)
    stop_point = fields.take("stop", _day_point)
    every_us = fields.take("interval", _positive)
    common |= {"calendar": fields.take("calendar", _calendar, "all")}
    fields.finish()
    if every_us >= DAY_US:
        fields.at.key("interval").fail(f"{every_us / SECOND_US:g} s: expected less than a day")
        raise Told
    return DailyInterval(tz=tz, start=start, stop_point=stop_point, interval_us=every_us, **common)


def _explicit(fields: Fields, common: dict[str, Any]) -> Explicit:
    times = fields.take("times", many(instant))
    if times == ():
        fields.at.key("times").fail("is empty: expected at least one time")
    fields.finish()
    return Explicit(times_us=tuple(sorted(set(times))), **common)


def _cron(fields: Fields, common: dict[str, Any]) -> Cron:
    name = "cron" if "cron" in fields.data and "expression" not in fields.data else "expression"
    expression = fields.take(name, _expression)
    tz = fields.take("tz", time_zone)
    fields.finish()
    return Cron(expression=expression, tz=tz, **common)


def _extension(fields: Fields, name: str, common: dict[str, Any]) -> ExtensionSchedule:
    kind = registry.kind_of("schedule", name)
    data = read_data(fields, kind, templates=False, shared="tz")
    return ExtensionSchedule(name=name, data=data, **common)


_READERS: dict[str, Callable[[Fields, dict[str, Any]], Schedule]] = {
    "interval": _interval,
    "daily": _daily,
    "daily-interval": _daily_interval,
    "explicit": _explicit,
    "cron": _cron,
}
SCHEDULE_TYPES = {name: name for name in _READERS} | {
    "IntervalSchedule": "interval",
    "DailySchedule": "daily",
    "DailyIntervalSchedule": "daily-interval",
    "ExplicitSchedule": "explicit",
}


def read_stop(value: Any, at: At) -> Stop:
    """Read when a run is stopped, as far as its schedule says."""
    fields = Fields(value, at)
    if read_type(fields, STOP_TYPES, STOPS_KNOWN) == "duration":
        after_us = fields.take("duration", duration)
        fields.finish()
        if after_us < 0:
            at.key("duration").fail("is negative: expected 0 or more")
            raise Told
        return StopAfter(duration_us=after_us)
    at_s = fields.take("daytime", daytime)
    tz = fields.take("tz", time_zone)
    fields.finish()
    return StopAt(daytime_s=at_s, tz=tz)


def _day_point(value: Any, at: At) -> DayPoint:
    if not isinstance(value, dict):
        return DayPoint(daytime_s=daytime(value, at))
    fields = Fields(value, at)
    at_s = fields.take("daytime", daytime)
    shifts = _shifts(fields)
    fields.finish()
    return DayPoint(daytime_s=at_s, **shifts)


def _shifts(fields: Fields) -> dict[str, int]:
    return {
        "date_shift": fields.take("date_shift", whole, 0),
        "cal_shift": fields.take("cal_shift", whole, 0),
    }


# --- readers of times ---------------------------------------------------------------------------


def duration(value: Any, _at: At) -> int:
    """Read a duration, in microseconds."""
    return parse_duration(value)


def _positive(value: Any, _at: At) -> int:
    found = parse_duration(value)
    if found < SHORTEST_US:
        raise UserError(f"duration {value!r}: expected at least {SHORTEST_US / SECOND_US:g} s")
    return found


def daytime(value: Any, _at: At) -> float:
    """Read a daytime, in seconds since midnight, to the microsecond."""
    found = round(parse_daytime(value) * SECOND_US) / SECOND_US
    if found >= DAY_US // SECOND_US:
        raise UserError(f"daytime {value!r}: expected one before midnight")
    return found


def instant(value: Any, _at: At) -> int:
    """Read a time, in microseconds UTC."""
    found = parse_time(value)
    if not FIRST_US <= found <= LAST_US:
        raise UserError(f"time {value!r}: expected a year from 6 to 9986")
    return found


def time_zone(value: Any, at: At) -> str:
    """Read the name of a time zone that exists."""
    name = filled(value, at)
    zone(name)
    return name


def _jitter(value: Any, _at: At) -> int:
    found = parse_duration(value)
    if not SECOND_US <= found <= DAY_US:
        raise UserError(f"duration {value!r}: expected from 1 s to a day")
    return found


def _lateness(value: Any, _at: At) -> int:
    found = parse_duration(value)
    if found < SECOND_US:
        raise UserError(f"duration {value!r}: expected at least 1 s")
    return found


def _date(value: Any, _at: At) -> date:
    return parse_date(value)


def _one_of(*known: str) -> Reader[str]:
    def read(value: Any, _at: At) -> str:
        if value not in known:
            raise UserError(f"{shown(value)}: expected one of {', '.join(known)}")
        return cast("str", value)

    return read


def read_catch_up(value: Any, at: At) -> CatchUp:
    """Read what becomes of runs that were missed: all of them run, the last, or none."""
    return cast("CatchUp", _one_of("all", "last", "none")(value, at))


def _calendar(value: Any, at: At) -> str:
    name = filled(value, at)
    # The names by which Apsis shows these two; whether others exist is checked with the files.
    return {"all days": "all", "no days": "none"}.get(name, name)


def _expression(value: Any, at: At) -> str:
    return read_cron(filled(value, at))
