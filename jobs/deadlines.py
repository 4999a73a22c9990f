"""Deadlines of a job's runs, and the instants they come to for one run. Pure."""

from __future__ import annotations

from typing import get_args

import msgspec

from .actions import DeadlineKind
from .schedule_types import Stop, StopAfter
from .schedules import stop_instant
from .states import State
from .times import SECOND_US, format_duration_s, format_time

KINDS: tuple[DeadlineKind, ...] = get_args(DeadlineKind)


class Deadline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a run must have started and finished, and how long it may run.

    The first two count from the schedule time, or are the next such daytime after it.
    """

    start_by: Stop | None = None
    finish_by: Stop | None = None
    max_duration_us: int | None = None


class Due(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run's deadlines as instants (microseconds UTC) and, for the last, a length of time."""

    start_by_us: int | None = None
    finish_by_us: int | None = None
    max_duration_us: int | None = None


def due_of(deadline: Deadline | None, schedule_us: int) -> Due | None:
    """Return a run's deadlines; None when its job has none.

    Raises:
        UserError: a daytime never comes.
    """
    if deadline is None:
        return None
    return Due(
        start_by_us=_instant(deadline.start_by, schedule_us),
        finish_by_us=_instant(deadline.finish_by, schedule_us),
        max_duration_us=deadline.max_duration_us,
    )


def open_deadlines(
    due: Due, state: State, times: dict[str, int], missed: frozenset[str]
) -> dict[str, int]:
    """Return the deadlines a run may still miss, with their instants.

    A run that started, or ended in success or failure, in time has met that deadline. One that
    never ran has met none: neither an error of binding nor a skip by policy keeps a promise.

    Args:
        state: where the run is.
        times: when it entered which state.
        missed: the kinds that are on record as missed.
    """
    found: dict[str, int] = {}
    running_us = times.get(State.RUNNING)
    if due.start_by_us is not None and (running_us is None or running_us > due.start_by_us):
        found["start_by"] = due.start_by_us
    if due.finish_by_us is not None:
        kept = state in (State.SUCCESS, State.FAILURE) and times[state] <= due.finish_by_us
        if not kept:
            found["finish_by"] = due.finish_by_us
    if due.max_duration_us is not None and running_us is not None:
        end_us = running_us + due.max_duration_us
        is_over = state not in (State.RUNNING, State.STOPPING)
        if not is_over or times.get(state, end_us) > end_us:
            found["max_duration"] = end_us
    return {kind: at_us for kind, at_us in found.items() if kind not in missed}


def missed_words(kind: str, at_us: int, due: Due) -> str:
    """Return the line of a run's log for a deadline that was missed."""
    if kind == "max_duration":
        limit_s = format_duration_s(due.max_duration_us or 0)
        return f"deadline missed: max_duration {limit_s} s"
    return f"deadline missed: {kind} {format_time(at_us)}"


def deadline_words(deadline: Deadline) -> str:
    """Return a job's deadlines in words."""
    said = []
    for name in ("start_by", "finish_by"):
        stop: Stop | None = getattr(deadline, name)
        if isinstance(stop, StopAfter):
            said.append(f"{name} {stop.duration_us / SECOND_US:g} s after schedule time")
        elif stop is not None:
            said.append(f"{name} the next {_clock(stop.daytime_s)} {stop.tz}")
    if deadline.max_duration_us is not None:
        said.append(f"max_duration {deadline.max_duration_us / SECOND_US:g} s")
    return ", ".join(said)


def _clock(daytime_s: float) -> str:
    minutes = int(daytime_s) // 60
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _instant(stop: Stop | None, schedule_us: int) -> int | None:
    return None if stop is None else stop_instant(stop, schedule_us)
