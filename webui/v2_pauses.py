"""Endpoints of `/api/v2` about pauses: what schedules make and is skipped, by whom and why."""

from __future__ import annotations

from typing import Any, cast, get_args

from ..jobs.job import Job
from ..jobs.times import format_time, format_time_ms
from ..messages.pauses import Pause, PauseKind
from ..messages.wishes import PauseRuns, ResumeRuns
from ..store.interface import Reader
from .query import BadQuery, parse_instant
from .routing import Problem, Request, Route
from .services import find_job_id

KINDS = get_args(PauseKind)
LONGEST_REASON = 500


async def list_pauses(request: Request) -> Any:
    """The pauses in force."""
    now_us = request.services.now_us()
    found = await request.services.read(lambda reader: in_force(reader, now_us))
    return {"pauses": [pause_data(pause) for pause in found], "now": format_time_ms(now_us)}


async def pause(request: Request) -> Any:
    """Skip what schedules make; body `{"kind": "all" | "folder" | "label" | "job", "name",
    "reason", "until"}`. A pause of the same is replaced."""
    body = request.json_object()
    kind, name = await _what(request, body)
    reason = body.get("reason", "")
    if not isinstance(reason, str) or len(reason) > LONGEST_REASON:
        raise Problem(400, f"reason: expected a text of at most {LONGEST_REASON} characters")
    until = body.get("until")
    until_us = None
    if until is not None:
        try:
            until_us = parse_instant(str(until), request.services.now_us())
        except BadQuery as error:
            raise Problem(400, f"until: {error}") from None
    wish = PauseRuns(pause_kind=kind, name=name, reason=reason.strip(), until_us=until_us)
    await request.services.wish(request, wish)
    return await list_pauses(request)


async def resume(request: Request) -> Any:
    """End a pause; body `{"kind", "name"}`."""
    kind, name = await _what(request, request.json_object())
    await request.services.wish(request, ResumeRuns(pause_kind=kind, name=name))
    return await list_pauses(request)


async def _what(request: Request, body: dict[str, Any]) -> tuple[PauseKind, str]:
    """Return kind and name of the pause that a body means; a job may be named by words."""
    kind, name = body.get("kind"), body.get("name", "")
    if kind not in KINDS:
        raise Problem(400, f"kind: expected one of {', '.join(KINDS)}")
    if not isinstance(name, str) or (not name) is not (kind == "all"):
        raise Problem(400, f"name: expected {'none for' if kind == 'all' else 'that of'} {kind}")
    if kind == "job":
        name = await request.services.read(lambda reader: find_job_id(reader, name))
    return cast("PauseKind", kind), name.strip("/") if kind == "folder" else name


def in_force(reader: Reader, now_us: int) -> list[Pause]:
    """Return the pauses whose time is not over."""
    return [one for one in reader.pauses() if not one.is_over(now_us)]


def pause_data(one: Pause) -> dict[str, Any]:
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
    Route("POST", "/api/v2/resume", resume),
]
