"""The settings of blackouts: named windows, and whom they concern. Called by `settings.py`."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..jobs.blackout_rules import Concerned, read_policy
from ..jobs.errors import UserError
from ..jobs.parse_schedules import daytime, time_zone
from ..jobs.reading import At, Fields, Told, filled, flag, many, shown
from ..jobs.schedule_types import Blackout
from ..jobs.times import local_to_us, parse_date, parse_time, zone

MOST = 1_000
_EACH = ("calendar", "start", "end")


def take_blackouts(fields: Fields) -> dict[str, Concerned]:
    """Return what the whole file says of blackouts."""
    found: dict[str, Concerned] | None = fields.take("blackouts", _all, {})
    return found or {}


def _all(value: Any, at: At) -> dict[str, Concerned]:
    fields = Fields(value, at)
    if len(fields.data) > MOST:
        raise UserError(f"{len(fields.data)} windows: expected at most {MOST}")
    found = {}
    for name in list(fields.data):
        try:
            filled(name, at)
        except UserError as error:
            at.fail(str(error), key=name)
            raise Told from None
        one = fields.take(name, partial(_one, name))
        if one is not None:
            found[name] = one
    return found


def _one(name: str, value: Any, at: At) -> Concerned:
    fields = Fields(value, at)
    tz = fields.take("tz", time_zone)
    policy = fields.take("policy", read_policy, "skip")
    if policy == "ignore":
        at.key("policy").fail("ignore is for jobs: expected skip or after")
    spanned = "from" in fields.data or "to" in fields.data
    if spanned and any(key in fields.data for key in _EACH):
        at.fail(f"has from and to, and {', '.join(_EACH)}: expected one or the other")
    from_us: int | None = None
    to_us: int | None = None
    calendar, start_s, end_s = "all", 0.0, 0.0

    def moment(value: Any, _at: At) -> int:
        return _moment(value, tz or "UTC")

    if spanned:
        from_us = fields.take("from", moment, None)
        to_us = fields.take("to", moment, None)
        if from_us is None or to_us is None:
            at.fail("lacks a from or a to: expected both")
        elif to_us <= from_us:
            at.key("to").fail("is no later than from: expected a later time")
    else:
        calendar = fields.take("calendar", filled, "all")
        start_s, end_s = fields.take("start", daytime, 0.0), fields.take("end", daytime, 0.0)
    everything = fields.take("all", flag, False)
    jobs = fields.take("jobs", many(filled), ())
    folders = fields.take("folders", many(_folder), ())
    labels = fields.take("labels", many(filled), ())
    fields.finish()
    window = Blackout(
        name=name,
        tz=tz,
        after=policy == "after",
        from_us=from_us,
        to_us=to_us,
        calendar=calendar,
        start_s=start_s,
        end_s=end_s,
    )
    return Concerned(
        window=window, everything=everything, jobs=jobs, folders=folders, labels=labels
    )


def _folder(value: Any, at: At) -> str:
    return filled(value, at).strip("/")


def _moment(value: Any, tz: str) -> int:
    """Read an instant: a time, or a date, which begins at its midnight in the zone."""
    try:
        day = parse_date(value)
    except UserError:
        try:
            return parse_time(value)
        except UserError:
            said = "expected a date like 2026-12-24 or a time like 2026-12-24T18:00:00Z"
            raise UserError(f"{shown(value)}: {said}") from None
    at_us = local_to_us(day, 0.0, zone(tz))
    if at_us is None:
        raise UserError(f"{shown(value)}: its midnight is none in {tz}: expected a time")
    return at_us
