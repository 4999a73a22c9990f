"""The base classes of extensions: what an author derives from to give callsheet a type of its own.

A subclass is a record: its fields are the keys that job files give it, their annotations say what
each takes, and a `__post_init__` that raises ValueError refuses what does not fit together. Records
are made anew from data wherever they are needed, so they hold nothing but their fields. What the
settings do not name is never imported; see docs/extending.md. This module imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, ClassVar

import msgspec


class GiveUp(Exception):
    """An action has failed and would fail again: it is not to be tried any more."""


class Finding(msgspec.Struct, frozen=True):
    """What a check found: whether the condition holds, and in words what is so, the same words as
    long as that does not change."""

    met: bool
    reason: str


class ScheduleType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A type of schedule.

    A field `tz` is the time zone of its dates too. Other common keys of schedules (`args`,
    `start_date`, `jitter` …) are callsheet's, and hold for this type as for every other.
    """

    def next_fire(self, from_us: int) -> int | None:
        """Return the first instant at or after one, None when there is none any more.

        A pure computation: the same answer always and in every process, within a second of
        processor time, of the record and `from_us` alone. Runs are made at whole seconds.

        Args:
            from_us: microseconds UTC since 1970.
        """
        raise NotImplementedError


class ConditionType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A type of condition, checked again and again while runs wait for it."""

    def check(self) -> Finding:
        """Return whether the condition holds.

        Runs in a process of its own on the server's host, which is killed at the condition's
        `timeout`. What it raises is what it found: the condition does not hold.
        """
        raise NotImplementedError


class ActionType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A type of action. Texts in its fields are templates, filled in before it is made."""

    def run(self, event: Mapping[str, Any]) -> str:
        """Carry the action out; return what was done, for the run's log.

        Runs in a process of its own on the server's host, which is killed at the action's
        `timeout`. What it raises is an attempt that failed, after which others follow; `GiveUp`
        is the last. It may be carried out more than once: `event["id"]` stays the same.

        Args:
            event: what happened, as a webhook without a body sends it.
        """
        raise NotImplementedError


class ProgramType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A type of program: becomes a process when a run is bound.

    Where and how the process runs (`group_id`, `cwd`, `timeout` …) is said by the keys of
    `type: process`, which this type takes too.
    """

    def argv(self) -> Sequence[str]:
        """Return the program to run and its arguments; a pure computation, as for schedules."""
        raise NotImplementedError

    def env(self) -> Mapping[str, str]:
        """Return variables of its environment; those of the job's `env` win."""
        return {}


class CalendarType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A calendar, by the name the settings give it. It has no fields, and is asked once, when the
    server starts."""

    # The range it knows: from the first day to before the second.
    start: ClassVar[date]
    stop: ClassVar[date]

    def days(self) -> Iterable[date]:
        """Return its days, all of them within its range."""
        raise NotImplementedError


# By the part of a job file whose `type` they are; a calendar has none.
BASES: dict[str, type[msgspec.Struct]] = {
    "schedule": ScheduleType,
    "condition": ConditionType,
    "action": ActionType,
    "program": ProgramType,
    "calendar": CalendarType,
}
