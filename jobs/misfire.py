"""What becomes of nominal runs that were missed. Pure; used where runs are written and started.

A run is late up to `after_us` and simply runs. Beyond it `catch_up` decides; `max_age_us` cuts off
first. What is left out is recorded with its reason, never silently absent.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .calendars import Calendar
from .schedule_types import CatchUp, Schedule, options_of
from .schedules import next_fire
from .times import SECOND_US, format_duration_s


class Misfire(msgspec.Struct, frozen=True, kw_only=True):
    """How late is late, and what then. `max_age_us` None: nothing is too old."""

    after_us: int = 60 * SECOND_US
    catch_up: CatchUp = "all"
    max_age_us: int | None = None

    @property
    def lenient(self) -> bool:
        """Whether everything that was missed is made up for."""
        return self.catch_up == "all" and self.max_age_us is None

    @property
    def late_reason(self) -> str:
        """Why a late run is left out."""
        return f"more than {format_duration_s(self.after_us)} s late: catch_up is {self.catch_up}"

    @property
    def age_reason(self) -> str:
        """Why an old run is left out."""
        return f"older than max_age, {format_duration_s(self.max_age_us or 0)} s"


def misfire_of(schedule: Schedule, default: Misfire) -> Misfire:
    """Return what holds for a schedule: its own options, and for the rest the default."""
    options = options_of(schedule)
    after_us, max_age_us = options.misfire_after_us, options.max_age_us
    return Misfire(
        after_us=default.after_us if after_us is None else after_us,
        catch_up=options.catch_up or default.catch_up,
        max_age_us=default.max_age_us if max_age_us is None else max_age_us,
    )


def left_out(
    schedule: Schedule, at_us: int, now_us: int, rule: Misfire, calendars: Mapping[str, Calendar]
) -> str:
    """Return why the nominal run at `at_us` is not to start any more, empty when it is.

    `catch_up: last` leaves a late run out when another one of its schedule is due by now.
    """
    if rule.max_age_us is not None and at_us < now_us - rule.max_age_us:
        return rule.age_reason
    if at_us >= now_us - rule.after_us or rule.catch_up == "all":
        return ""
    if rule.catch_up == "last" and not next_fire(schedule, at_us + 1, calendars, now_us + 1):
        return ""
    return rule.late_reason
