"""Conditions out of the data of a job file. Called by `parse.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .conditions import (
    AllOf,
    AnyOf,
    Condition,
    Const,
    Dependency,
    MaxRunning,
    Moment,
    Not,
    NotAfter,
    NotBefore,
    Pool,
    SkipDuplicate,
    TimeWindow,
)
from .errors import UserError
from .parse_polled import read_command, read_extension, read_file, read_http, read_sql
from .parse_programs import has_template
from .parse_schedules import daytime, duration, instant, read_type, time_zone
from .reading import At, Fields, Told, filled, flag, is_plain, many, shown, text, whole, words
from .states import FINISHED, State
from .times import format_daytime, format_time

CONDITION_TYPES = {
    "const": "const",
    "dependency": "dependency",
    "max_running": "max_running",
    "skip_duplicate": "skip_duplicate",
    "pool": "pool",
    "not_before": "not_before",
    "not_after": "not_after",
    "time_window": "time_window",
    "file": "file",
    "http": "http",
    "command": "command",
    "sql": "sql",
    "all": "all",
    "any": "any",
    "not": "not",
    "ConstantCondition": "const",
    "Dependency": "dependency",
    "MaxRunning": "max_running",
    "SkipDuplicate": "skip_duplicate",
}
CONDITIONS_KNOWN = ", ".join(name for name in CONDITION_TYPES if name.islower())
COMPOSED = ("all", "any", "not")
GUARDS = ("max_running", "skip_duplicate", "pool")
# Deeper is a mistake, or an attempt on the reader's stack.
DEEPEST = 10
MOST_PRIORITY = 1_000_000
# `lost` has no name in job files: there it is `error`.
STATES = tuple(state for state in State if state is not State.LOST)
CHECKED = (State.WAITING, State.STARTING, State.RUNNING)


def read_condition(value: Any, at: At) -> Condition:
    """Read a condition: a mapping with `type`, or `{all: […]}`, `{any: […]}`, `{not: {…}}`."""
    return _condition(value, at, inside="", depth=1)


def _condition(value: Any, at: At, *, inside: str, depth: int) -> Condition:
    """Read a condition; `inside`: the `any` or `not` around it, at whatever distance."""
    if depth > DEEPEST:
        raise UserError(f"is nested deeper than {DEEPEST}: expected less")
    fields = Fields(value, at)
    short = [name for name in COMPOSED if name in fields.data]
    if "type" not in fields.data and short:
        return _composed(fields, short[0], short[0], inside, depth)
    kind = read_type(fields, CONDITION_TYPES, CONDITIONS_KNOWN, "condition")
    if kind in COMPOSED:
        return _composed(
            fields, kind, "condition" if kind == "not" else "conditions", inside, depth
        )
    if kind in GUARDS and inside:
        fields.at.fail(
            f"{kind} inside {inside}: is decided at the instant of the start, together with all "
            f"other conditions: expected it outside of {inside}",
            key="type",
        )
        raise Told
    enabled = fields.take("enabled", _enabled, True)
    read = _READERS.get(kind)
    return read_extension(fields, enabled, kind) if read is None else read(fields, enabled)


def _composed(fields: Fields, kind: str, key: str, inside: str, depth: int) -> Condition:
    """Read what is composed; its members stand at `key`."""
    if kind != "all" and not inside:
        inside = kind

    def member(value: Any, at: At) -> Condition:
        return _condition(value, at, inside=inside, depth=depth + 1)

    enabled = fields.take("enabled", _enabled, True)
    if kind == "not":
        condition = fields.take(key, member)
        fields.finish()
        return Not(condition=condition, enabled=enabled)
    conditions = fields.take(key, many(member))
    if conditions == ():
        fields.at.key(key).fail("is empty: expected at least one condition")
    fields.finish()
    if kind == "all":
        return AllOf(conditions=conditions, enabled=enabled)
    return AnyOf(conditions=conditions, enabled=enabled)


def _const(fields: Fields, enabled: bool | str) -> Const:
    given = fields.take("value", flag)
    fields.finish()
    return Const(value=given, enabled=enabled)


def _max_running(fields: Fields, enabled: bool | str) -> MaxRunning:
    count = fields.take("count", _count, "1")
    job_id = fields.take("job_id", read_job_id, None)
    fields.take("args", _no_args, None)
    fields.finish()
    return MaxRunning(count=count, job_id=job_id, enabled=enabled)


def _skip_duplicate(fields: Fields, enabled: bool | str) -> SkipDuplicate:
    check_states = fields.take("check_states", many(read_state), CHECKED)
    target = fields.take("target_state", _finished, State.SKIPPED)
    fields.finish()
    return SkipDuplicate(check_states=check_states, target_state=target, enabled=enabled)


def _pool(fields: Fields, enabled: bool | str) -> Pool:
    name = fields.take("name", filled)
    weight = fields.take("weight", _count, "1")
    fields.finish()
    return Pool(name=name, weight=weight, enabled=enabled)


def _dependency(fields: Fields, enabled: bool | str) -> Dependency:
    job_id = fields.take("job_id", read_job_id)
    args = fields.take("args", words, {})
    states = fields.take("states", many(read_state), (State.SUCCESS,))
    if states == ():
        fields.at.key("states").fail("is empty: expected at least one state")
    exist = fields.take("exist", _exist, None)
    if isinstance(exist, tuple) and states and (absent := set(states) - set(exist)):
        names = ", ".join(sorted(absent))
        fields.at.key("exist").fail(f"lacks {names}: expected all of the states waited for")
    fields.finish()
    return Dependency(job_id=job_id, args=args, states=unique(states), exist=exist, enabled=enabled)


# --- times --------------------------------------------------------------------------------------


def _moment(fields: Fields) -> Moment:
    """Read the instant a condition names: `time`, or `daytime` and `tz`."""
    given = [key for key in ("time", "daytime") if fields.data.get(key) is not None]
    if len(given) != 1:
        said = "both time and daytime" if given else "neither time nor daytime"
        fields.at.fail(f"has {said}: expected one of them")
        raise Told
    if given == ["time"]:
        return Moment(time=fields.take("time", _time_text))
    daytime_text = fields.take("daytime", _daytime_text)
    tz = fields.take("tz", _zone_text)
    return Moment(daytime=daytime_text, tz=tz, date_shift=fields.take("date_shift", whole, 0))


def _not_before(fields: Fields, enabled: bool | str) -> NotBefore:
    moment = _moment(fields)
    fields.finish()
    return NotBefore(moment=moment, enabled=enabled)


def _not_after(fields: Fields, enabled: bool | str) -> NotAfter:
    moment = _moment(fields)
    else_state = fields.take("else_state", _finished, State.SKIPPED)
    fields.finish()
    return NotAfter(moment=moment, else_state=else_state, enabled=enabled)


def _time_window(fields: Fields, enabled: bool | str) -> TimeWindow:
    start = fields.take("from", _daytime_text)
    end = fields.take("to", _daytime_text)
    tz = fields.take("tz", _zone_text)
    calendar = fields.take("calendar", filled, "all")
    fields.finish()
    if start == end:
        fields.at.key("to").fail(f"{shown(end)}: expected another daytime than from")
        raise Told
    return TimeWindow(start=start, end=end, tz=tz, calendar=calendar, enabled=enabled)


def _time_text(value: Any, at: At) -> str:
    """Read an instant, or a template of one, as its text."""
    if isinstance(value, str) and has_template(value):
        return text(value, at)
    return format_time(instant(value, at))


def _daytime_text(value: Any, at: At) -> str:
    if isinstance(value, str) and has_template(value):
        return text(value, at)
    return format_daytime(daytime(value, at))


def _zone_text(value: Any, at: At) -> str:
    name = filled(value, at)
    return name if has_template(name) else time_zone(name, at)


_READERS: dict[str, Callable[[Fields, bool | str], Condition]] = {
    "const": _const,
    "dependency": _dependency,
    "max_running": _max_running,
    "skip_duplicate": _skip_duplicate,
    "pool": _pool,
    "not_before": _not_before,
    "not_after": _not_after,
    "time_window": _time_window,
    "file": read_file,
    "http": read_http,
    "command": read_command,
    "sql": read_sql,
}


def _enabled(value: Any, at: At) -> bool | str:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise UserError(f"{shown(value)}: expected true, false, or a template")
    return text(value, at)


def _count(value: Any, at: At) -> str:
    if isinstance(value, str) and has_template(value):
        return text(value, at)
    plain = isinstance(value, str) and value.isascii() and value.isdigit()
    if not plain and (isinstance(value, bool) or not isinstance(value, int)):
        raise UserError(f"{shown(value)}: expected a whole number")
    if not 0 < float(value) < 1e9:
        raise UserError(f"{value}: expected 1 or more")
    return str(int(value))


def _no_args(_value: Any, _at: At) -> None:
    raise UserError("is not supported: expected none; runs with the same args are counted")


def read_waiting(value: Any, at: At) -> int | None:
    """Read `{max_time}` of a job: how long its runs may wait, in microseconds."""
    fields = Fields(value, at)
    max_time_us = fields.take("max_time", duration, None)
    if max_time_us is not None and max_time_us <= 0:
        fields.at.key("max_time").fail("expected a duration of more than 0")
    fields.finish()
    return max_time_us


def read_priority(value: Any, _at: At) -> int:
    """Read a priority: a whole number, the higher the sooner."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MOST_PRIORITY:
        raise UserError(f"{shown(value)}: expected a whole number up to {MOST_PRIORITY}")
    return value


def read_job_id(value: Any, at: At) -> str:
    """Read a job ID; a number that YAML made of it is refused with a hint."""
    if is_plain(value):
        raise UserError(f"{shown(value)}: expected a string; write {str(value)!r} in quotes")
    return filled(value, at)


def read_state(value: Any, _at: At) -> State:
    """Read the name of a state."""
    if isinstance(value, str) and value in STATES:
        return State(value)
    raise UserError(f"bad state: {shown(value)}: expected one of {', '.join(STATES)}")


def _finished(value: Any, at: At) -> State:
    found = read_state(value, at)
    if found not in FINISHED:
        raise UserError(f"{found}: expected a finished state")
    return found


def _exist(value: Any, at: At) -> bool | tuple[State, ...] | None:
    if isinstance(value, bool):
        return value or None
    found = many(read_state)(value, at)
    if not found:
        raise UserError("is empty: expected true or at least one state")
    return unique(found)


def unique(states: tuple[State, ...]) -> tuple[State, ...]:
    """Return states without repeats, in order."""
    return tuple(dict.fromkeys(states))
