"""Schedules as values; `schedules.py` computes with them."""

from __future__ import annotations

import msgspec


class StopAfter(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="duration"):
    """Stop the run this long after its schedule time."""

    duration_us: int


class StopAt(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="daytime"):
    """Stop the run at the next such local daytime (seconds since midnight) after its time."""

    daytime_s: float
    tz: str


Stop = StopAfter | StopAt


class Interval(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="interval"):
    """Every `interval_us` on the UTC time line, `phase_us` after its multiples."""

    interval_us: int
    phase_us: int = 0
    enabled: bool = True
    args: dict[str, str] = {}
    stop: Stop | None = None


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


class Explicit(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="explicit"):
    """At given instants (microseconds UTC, sorted)."""

    times_us: tuple[int, ...]
    enabled: bool = True
    args: dict[str, str] = {}
    stop: Stop | None = None


class Cron(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="cron"):
    """At the local times a five-field cron expression names."""

    expression: str
    tz: str
    enabled: bool = True
    args: dict[str, str] = {}
    stop: Stop | None = None


Schedule = Interval | Daily | DailyInterval | Explicit | Cron


class Fire(msgspec.Struct, frozen=True, kw_only=True):
    """One nominal run: its instant, the candidate args, and when to stop it, if ever."""

    at_us: int
    args: dict[str, str]
    stop_us: int | None = None
