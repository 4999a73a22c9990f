"""Schedules as values; `schedules.py` computes with them."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

Gap = Literal["skip", "before", "after"]
Fold = Literal["first", "second", "both"]
CatchUp = Literal["all", "last", "none"]


class StopAfter(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="duration"):
    """Stop the run this long after its schedule time."""

    duration_us: int


class StopAt(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="daytime"):
    """Stop the run at the next such local daytime (seconds since midnight) after its time."""

    daytime_s: float
    tz: str


Stop = StopAfter | StopAt


class Blackout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A window of time: from one instant to another, or each day of a calendar from a local daytime
    to another (of the next day, if that is no later), in seconds since midnight. What a schedule
    names in it is left out, or runs when it is over (`after`)."""

    name: str
    tz: str = "UTC"
    after: bool = False
    from_us: int | None = None
    to_us: int | None = None
    calendar: str = "all"
    start_s: float = 0.0
    end_s: float = 0.0


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a schedule of any type may say besides its times.

    `start_date` and `end_date` are the first and last local date of its times, in the schedule's
    zone; for types that have none in `tz`, else UTC. `jitter_key` is what tells its jitter from
    that of equal schedules: the job's id. `on_gap`: what becomes of a local time that the clocks
    leap over; `on_fold`: of one that comes twice; None: the type's own rule. `misfire_after_us`: a
    run so late is dealt with by `catch_up`; `max_age_us`: one older than that is left out; None: as
    the settings have it. `blackouts`: the windows that concern the job, put in when it is loaded.
    """

    start_date: date | None = None
    end_date: date | None = None
    tz: str | None = None
    jitter_us: int = 0
    jitter_key: str = ""
    on_gap: Gap | None = None
    on_fold: Fold | None = None
    misfire_after_us: int | None = None
    catch_up: CatchUp | None = None
    max_age_us: int | None = None
    blackouts: tuple[Blackout, ...] = ()


NO_OPTIONS = Options()


class Interval(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="interval"):
    """Every `interval_us` on the UTC time line, `phase_us` after its multiples."""

    interval_us: int
    phase_us: int = 0
    enabled: bool = True
    args: dict[str, str] = {}
    stop: Stop | None = None
    options: Options | UnsetType = UNSET


class Daily(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="daily"):
    """At local daytimes (seconds since midnight) on the days of a calendar."""

    tz: str
    daytimes_s: tuple[float, ...]
    calendar: str = "all"
    date_shift: int = 0
    cal_shift: int = 0
    enabled: bool = True
    args: dict[str, str] = {}
    stop: Stop | None = None
    options: Options | UnsetType = UNSET


class DayPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A local daytime on a day shifted from the nominal one."""

    daytime_s: float
    date_shift: int = 0
    cal_shift: int = 0


class DailyInterval(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="daily-interval"
):
    """On the days of a calendar from `start` to `stop_point` (exclusive) every `interval_us`."""

    tz: str
    start: DayPoint
    stop_point: DayPoint
    interval_us: int
    calendar: str = "all"
    enabled: bool = True
    args: dict[str, str] = {}
    stop: Stop | None = None
    options: Options | UnsetType = UNSET


class Explicit(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="explicit"):
    """At given instants (microseconds UTC, sorted)."""

    times_us: tuple[int, ...]
    enabled: bool = True
    args: dict[str, str] = {}
    stop: Stop | None = None
    options: Options | UnsetType = UNSET


class Cron(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="cron"):
    """At the local times a five-field cron expression names."""

    expression: str
    tz: str
    enabled: bool = True
    args: dict[str, str] = {}
    stop: Stop | None = None
    options: Options | UnsetType = UNSET


class ExtensionSchedule(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="extension"
):
    """At the instants that a type of the settings' extensions computes of its data."""

    name: str
    data: dict[str, Any]
    enabled: bool = True
    args: dict[str, str] = {}
    stop: Stop | None = None
    options: Options | UnsetType = UNSET

    @property
    def tz(self) -> str | None:
        """The zone of its local dates: its own, else that of its options; None: UTC."""
        own = self.data.get("tz")
        return own if isinstance(own, str) else options_of(self).tz


Schedule = Interval | Daily | DailyInterval | Explicit | Cron | ExtensionSchedule


def options_of(schedule: Schedule) -> Options:
    """Return a schedule's options. Where none is set the field stays out of every encoding, so that
    a schedule which needs no option keeps its fingerprint when options are added."""
    return NO_OPTIONS if schedule.options is UNSET else schedule.options


class Fire(msgspec.Struct, frozen=True, kw_only=True):
    """One nominal run: its instant, the candidate args, and when to stop it, if ever.

    The args are those of the nominal time, which jitter does not move. `left_out`: why it is no run
    at all, empty when it is one. `until_us`: it starts only then, by the blackout `window`.
    """

    at_us: int
    args: dict[str, str]
    stop_us: int | None = None
    left_out: str = ""
    until_us: int | None = None
    window: str = ""
