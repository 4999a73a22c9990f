"""Conditions out of the data of a job file. Called by `parse.py`."""

from __future__ import annotations

from typing import Any

from .conditions import Condition, Const, Dependency, MaxRunning, SkipDuplicate
from .errors import UserError
from .parse_programs import has_template
from .parse_schedules import read_type
from .reading import At, Fields, filled, flag, is_plain, many, shown, text, words
from .states import FINISHED, State

CONDITION_TYPES = {
    "const": "const",
    "dependency": "dependency",
    "max_running": "max_running",
    "skip_duplicate": "skip_duplicate",
    "ConstantCondition": "const",
    "Dependency": "dependency",
    "MaxRunning": "max_running",
    "SkipDuplicate": "skip_duplicate",
}
CONDITIONS_KNOWN = "const, dependency, max_running, skip_duplicate"
# `lost` has no name in job files: there it is `error`.
STATES = tuple(state for state in State if state is not State.LOST)
CHECKED = (State.WAITING, State.STARTING, State.RUNNING)


def read_condition(value: Any, at: At) -> Condition:
    """Read a condition."""
    fields = Fields(value, at)
    kind = read_type(fields, CONDITION_TYPES, CONDITIONS_KNOWN)
    enabled = fields.take("enabled", _enabled, True)
    if kind == "const":
        given = fields.take("value", flag)
        fields.finish()
        return Const(value=given, enabled=enabled)
    if kind == "dependency":
        return _dependency(fields, enabled)
    if kind == "max_running":
        count = fields.take("count", _count, "1")
        job_id = fields.take("job_id", read_job_id, None)
        fields.take("args", _no_args, None)
        fields.finish()
        return MaxRunning(count=count, job_id=job_id, enabled=enabled)
    check_states = fields.take("check_states", many(read_state), CHECKED)
    target = fields.take("target_state", _finished, State.SKIPPED)
    fields.finish()
    return SkipDuplicate(check_states=check_states, target_state=target, enabled=enabled)


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
