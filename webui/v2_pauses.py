"""Endpoints of `/api/v2` about pauses: what schedules make and is skipped, by whom and why."""

from __future__ import annotations

from typing import Annotated, TypedDict

import msgspec
from msgspec import Meta

from ..jobs.job import Job
from ..jobs.times import format_time, format_time_ms
from ..messages.pauses import Pause, PauseKind
from ..messages.wishes import PauseRuns, ResumeRuns
from ..store.interface import Reader
from .query import BadQuery, parse_instant
from .routing import Problem, Request, Route
from .services import find_job_id
from .shapes import Instant

LONGEST_REASON = 500


class PauseRecord(TypedDict):
    """A pause; `what` is what it covers, in words."""

    kind: PauseKind
    name: str
    what: str
    reason: str
    by: str
    since: Instant
    until: Instant | None


class Pauses(TypedDict):
    """The pauses in force."""

    pauses: list[PauseRecord]
    now: Instant


class Paused(msgspec.Struct, forbid_unknown_fields=True):
    """What a pause covers; `name` is that of the folder, label or job."""

    kind: PauseKind
    name: str = ""


class NewPause(Paused, forbid_unknown_fields=True):
    """A pause; without `until` it holds until it is ended."""

    reason: Annotated[str, Meta(max_length=LONGEST_REASON)] = ""
    until: Annotated[str | None, Meta(description="A time, a date, or as +2h.")] = None


async def list_pauses(request: Request) -> Pauses:
    """The pauses in force."""
    now_us = request.services.now_us()
    found = await request.services.read(lambda reader: in_force(reader, now_us))
    return {"pauses": [pause_data(pause) for pause in found], "now": format_time_ms(now_us)}


async def pause(request: Request, body: NewPause) -> Pauses:
    """Skip what schedules make. A pause of the same is replaced."""
    name = await _name(request, body)
    until_us = None
    if body.until is not None:
        try:
            until_us = parse_instant(body.until, request.services.now_us())
        except BadQuery as error:
            raise Problem(400, f"until: {error}") from None
    wish = PauseRuns(pause_kind=body.kind, name=name, reason=body.reason.strip(), until_us=until_us)
    await request.services.wish(request, wish)
    return await list_pauses(request)


async def resume(request: Request, body: Paused) -> Pauses:
    """End a pause."""
    name = await _name(request, body)
    await request.services.wish(request, ResumeRuns(pause_kind=body.kind, name=name))
    return await list_pauses(request)


async def _name(request: Request, body: Paused) -> str:
    """Return the name of what a body means; a job may be named by words."""
    kind, name = body.kind, body.name
    if (not name) is not (kind == "all"):
        raise Problem(400, f"name: expected {'none for' if kind == 'all' else 'that of'} {kind}")
    if kind == "job":
        return await request.services.read(lambda reader: find_job_id(reader, name))
    return name.strip("/") if kind == "folder" else name


def in_force(reader: Reader, now_us: int) -> list[Pause]:
    """Return the pauses whose time is not over."""
    return [one for one in reader.pauses() if not one.is_over(now_us)]


def pause_data(one: Pause) -> PauseRecord:
    """Return a pause as JSON."""
    return {
        "kind": one.kind,
        "name": one.name,
        "what": one.words,
        "reason": one.reason,
        "by": one.by,
        "since": format_time(one.at_us),
        "until": None if one.until_us is None else format_time(one.until_us),
    }


def paused_words(job: Job, pauses: list[Pause]) -> str:
    """Return by which pauses what a job's schedules make is skipped, empty when by none."""
    covering = [one for one in pauses if one.covers(job.job_id, job.labels, one.at_us)]
    return "; ".join(one.sentence for one in covering)


ROUTES = [
    Route("GET", "/api/v2/pauses", list_pauses),
    Route("POST", "/api/v2/pause", pause),
    Route("POST", "/api/v2/resume", resume, also=(404,)),
]
