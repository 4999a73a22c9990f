"""Retry policies out of the data of a job file. Called by `parse.py`."""

from __future__ import annotations

from typing import Any

from .errors import UserError
from .reading import At, Fields, many, shown
from .retry import (
    ATTEMPTS_AT_MOST,
    DEFAULT_BACKOFF_US,
    DEFAULT_MAX_BACKOFF_US,
    FACTOR_AT_MOST,
    RETRIABLE,
    OnLost,
    Retry,
)
from .states import State
from .times import SECOND_US, parse_duration

Codes = tuple[int, ...]


def read_retry(value: Any, at: At) -> Retry:
    """Read a number of attempts, or `{attempts, backoff, factor, max_backoff, jitter, on,
    exit_codes, on_lost}`."""
    if isinstance(value, int):
        return Retry(attempts=_attempts(value, at))
    fields = Fields(value, at)
    attempts = fields.take("attempts", _attempts)
    backoff_us: int | None = fields.take("backoff", _duration, None)
    factor = fields.take("factor", _factor, 2.0)
    longest_us: int | None = fields.take("max_backoff", _duration, None)
    jitter = fields.take("jitter", _share, 0.1)
    on = fields.take("on", many(_state), (State.FAILURE,))
    codes: tuple[Codes, Codes] | None = fields.take("exit_codes", _codes, None)
    on_lost = fields.take("on_lost", _on_lost, "report")
    if longest_us is not None and backoff_us is not None and longest_us < backoff_us:
        sentence = f"max_backoff of {longest_us / SECOND_US:g} s: expected no less than backoff"
        at.fail(f"{sentence}, {backoff_us / SECOND_US:g} s", key="max_backoff")
    fields.finish()
    if longest_us is None:
        longest_us = max(DEFAULT_MAX_BACKOFF_US, backoff_us or 0)
    if backoff_us is None:
        backoff_us = min(DEFAULT_BACKOFF_US, longest_us)
    retry_codes, fail_codes = codes or ((), ())
    return Retry(
        attempts=attempts,
        backoff_us=backoff_us,
        factor=factor,
        max_backoff_us=longest_us,
        jitter=jitter,
        on=on,
        retry_codes=retry_codes,
        fail_codes=fail_codes,
        on_lost=on_lost,
    )


def _attempts(value: Any, _at: At) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{shown(value)}: expected a whole number of attempts")
    if not 1 <= value <= ATTEMPTS_AT_MOST:
        raise UserError(f"{value}: expected 1 to {ATTEMPTS_AT_MOST} attempts, the first included")
    return value


def _duration(value: Any, _at: At) -> int:
    found = parse_duration(value)
    if found < 0:
        raise UserError(f"{shown(value)}: expected a duration of 0 or more")
    return found


def _factor(value: Any, _at: At) -> float:
    return _number(value, 1.0, FACTOR_AT_MOST)


def _share(value: Any, _at: At) -> float:
    return _number(value, 0.0, 1.0)


def _number(value: Any, low: float, high: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise UserError(f"{shown(value)}: expected a number from {low:g} to {high:g}")
    return float(value)


def _state(value: Any, _at: At) -> State:
    if value not in [state.value for state in RETRIABLE]:
        raise UserError(f"{shown(value)}: expected failure or error")
    return State(value)


def _codes(value: Any, at: At) -> tuple[Codes, Codes]:
    fields = Fields(value, at)
    retry: Codes = fields.take("retry", many(_code), ())
    fail: Codes = fields.take("fail", many(_code), ())
    fields.finish()
    both = sorted(set(retry) & set(fail))
    if both:
        at.fail(f"{both[0]} is in both lists: expected it in one")
    return retry, fail


def _code(value: Any, _at: At) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 255:
        raise UserError(f"{shown(value)}: expected an exit code from 1 to 255")
    return value


def _on_lost(value: Any, _at: At) -> OnLost:
    if value == "report":
        return "report"
    if value == "rerun":
        return "rerun"
    raise UserError(f"{shown(value)}: expected report or rerun")
