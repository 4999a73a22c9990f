"""When the regular work of the server is to be done: a table of APScheduler triggers.

The triggers are asked by `get_next_fire_time` alone; no APScheduler scheduler runs, and they never
decide when a user's job runs. A guard keeps their answers strictly increasing, since a trigger that
names an instant again would be asked for ever.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What a trigger that does not go forward is moved on by.
STEP_US = 1_000_000


class Chore(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of regular work: after the first `soon_s` seconds, then every `every_s`."""

    name: str
    every_s: float
    soon_s: float = 0.0


# The regular work of the roles. Intervals may be changed by the configuration.
CHECKS = Chore(name="checks", every_s=30.0, soon_s=5.0)
CHORES = (CHECKS,)


class Timetable:
    """Says which chores are due; `take` moves each that is due on to its next time."""

    def __init__(self, chores: tuple[Chore, ...], now_us: int) -> None:
        self._triggers: dict[str, BaseTrigger] = {}
        self._next_us: dict[str, int] = {}
        self._every_us: dict[str, int] = {}
        for chore in chores:
            first_us = now_us + round(chore.soon_s * 1e6)
            self._triggers[chore.name] = IntervalTrigger(
                seconds=max(chore.every_s, 1), start_date=_moment(first_us), timezone=UTC
            )
            self._next_us[chore.name] = first_us
            self._every_us[chore.name] = round(max(chore.every_s, chore.soon_s, 1) * 1e6)

    def take(self, now_us: int) -> list[str]:
        """Return the names of the chores that are due; rounds missed meanwhile are not made up."""
        # A clock that was set back must not silence the work until it has caught up.
        due = [
            name
            for name, next_us in self._next_us.items()
            if next_us <= now_us or next_us - now_us > 2 * self._every_us[name]
        ]
        for name in due:
            self._next_us[name] = self._after(name, now_us)
        return due

    def wakes_at(self) -> int | None:
        """Return when the next chore is due, None when there is none."""
        return min(self._next_us.values(), default=None)

    def _after(self, name: str, now_us: int) -> int:
        """Return the trigger's next instant, which is after now whatever it answers."""
        found = self._triggers[name].get_next_fire_time(None, _moment(now_us + 1))
        next_us = now_us if found is None else (found - EPOCH) // timedelta(microseconds=1)
        if next_us <= now_us:
            return now_us + STEP_US
        # Before its start date, to which a clock may be set back, a trigger waits for that.
        return min(next_us, now_us + self._every_us[name])


def _moment(at_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=at_us)
