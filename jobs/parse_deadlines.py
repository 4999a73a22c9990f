"""Deadlines out of the data of a job file. Called by `parse.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .deadlines import Deadline
from .errors import UserError
from .parse_schedules import daytime, time_zone
from .reading import At, Fields, shown
from .schedule_types import Stop, StopAfter, StopAt
from .times import parse_duration


def read_deadline(value: Any, at: At) -> Deadline:
    """Read `{start_by, finish_by, max_duration, tz}`; `tz` is for daytimes that name no zone."""
    fields = Fields(value, at)
    tz: str | None = fields.take("tz", time_zone, None)

    def point(value: Any, at: At) -> Stop:
        return _point(value, at, tz)

    start_by = fields.take("start_by", point, None)
    finish_by = fields.take("finish_by", point, None)
    max_duration_us = fields.take("max_duration", _positive, None)
    keys = ("start_by", "finish_by", "max_duration")
    if all(fields.data.get(key) is None for key in keys):
        at.fail("expected at least one of start_by, finish_by, max_duration")
    fields.finish()
    return Deadline(start_by=start_by, finish_by=finish_by, max_duration_us=max_duration_us)


def _point(value: Any, at: At, tz: str | None) -> Stop:
    """Read a duration, or a daytime: a text with a colon, or `{daytime, tz}`."""
    if isinstance(value, Mapping):
        fields = Fields(value, at)
        at_s = fields.take("daytime", daytime)
        own_tz = fields.take("tz", time_zone)
        fields.finish()
        return StopAt(daytime_s=at_s, tz=own_tz)
    if isinstance(value, str) and ":" in value:
        if tz is None:
            raise UserError(f"{shown(value)}: is a daytime: expected tz beside it")
        return StopAt(daytime_s=daytime(value, at), tz=tz)
    return StopAfter(duration_us=_positive(value, at))


def _positive(value: Any, _at: At) -> int:
    found = parse_duration(value)
    if found <= 0:
        raise UserError(f"{shown(value)}: expected a duration of more than 0")
    return found
