"""Which calendars a job names: in its schedules, its conditions, and its templates."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from .binding import _texts
from .conditions import TimeWindow, leaves
from .job import Job
from .schedule_types import options_of

# In a template a name may be computed: then any calendar may be meant.
ANY = "*"
_pack = msgspec.msgpack.Encoder().encode
_LITERAL = re.compile(r"""get_calendar\(\s*(?:'([^'\\]*)'|"([^"\\]*)")\s*\)""")


def calendars_of(job: Job) -> set[str]:
    """Return the names a job uses, `ANY` among them when a template computes one."""
    found = {schedule.calendar for schedule in job.schedules if hasattr(schedule, "calendar")}
    found |= {one.calendar for schedule in job.schedules for one in options_of(schedule).blackouts}
    found |= {cond.calendar for cond in leaves(job.conditions) if isinstance(cond, TimeWindow)}
    for text in _texts(job):
        if "get_calendar" in text:
            literal = _LITERAL.findall(text)
            found |= {one or other for one, other in literal}
            if len(literal) < text.count("get_calendar"):
                found.add(ANY)
    return found


def in_templates(job: Job) -> bool:
    """Whether a template of the job uses a calendar."""
    return any("get_calendar" in text for text in _texts(job))


def named_calendars(jobs: Iterable[Job], known: Iterable[str]) -> set[str]:
    """Return which of these names any of the jobs uses, or may use."""
    wanted, found = set(known), set[str]()
    # Of ten thousand jobs hardly one has any of these texts in it.
    marks = [*(name.encode() for name in wanted), b"get_calendar"]
    for job in jobs:
        packed = _pack(job)
        if any(mark in packed for mark in marks):
            used = calendars_of(job)
            found |= wanted if ANY in used else wanted & used
    return found
