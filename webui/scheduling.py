"""The body of a request for new runs, of both APIs, as the wish for the scheduler."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..jobs.errors import UserError
from ..jobs.times import parse_duration, parse_time
from ..messages.wishes import ScheduleRun
from .routing import Problem, Request
from .services import find_job_id

# What an arg may be given as; it becomes a text, numbers and booleans as Python writes them.
Scalar = str | int | float | bool | None


class RunTimes(msgspec.Struct):
    """When runs are for, and when they are stopped."""

    schedule: Annotated[str | None, Meta(description="A time, or `now`.")] = "now"
    stop: Annotated[
        str | int | float | None, Meta(description="A time, or a duration after the schedule's.")
    ] = None


class RunWanted(msgspec.Struct):
    """Runs to be made: of a job of the folder, or of one that is given as in a job file."""

    job_id: Annotated[str | None, Meta(description="The id of a job, or words of it.")] = None
    job: Annotated[dict[str, Any] | None, Meta(description="As in a job file.")] = None
    args: dict[str, Scalar] | None = None
    times: RunTimes | None = None


async def schedule_wish(request: Request, body: RunWanted, count: int) -> ScheduleRun:
    """Return the wish of a body.

    Raises:
        Problem: 400, something in it is wrong; 403, it brings a job, and none may be brought.
    """
    if body.job is not None and not request.services.settings.ad_hoc:
        raise Problem(403, "ad hoc jobs are disabled: expected the id of a job of the folder")
    job_id = None
    if body.job is None:
        text = body.job_id
        if text is None:
            raise Problem(400, "missing job_id or job")
        job_id = text
        if request.guest is None or not request.guest.access.labels:
            # Who reaches only some jobs is told nothing of what the others are called.
            job_id = await request.services.read(lambda reader: find_job_id(reader, text))
    times = body.times or RunTimes()
    stop_us, stop_after_us = _stop(times.stop)
    return ScheduleRun(
        job_id=job_id,
        job=body.job,
        args=args_of(body.args),
        count=count,
        schedule_us=_schedule(times.schedule),
        stop_us=stop_us,
        stop_after_us=stop_after_us,
    )


def args_of(args: Mapping[str, Scalar] | None) -> dict[str, str]:
    """Return run args as texts, numbers and booleans as Python writes them."""
    return {name: str(value) for name, value in (args or {}).items()}


def _schedule(text: str | None) -> int | None:
    if text is None or text == "now":
        return None
    try:
        return parse_time(text)
    except UserError as error:
        raise Problem(400, f"times: schedule: {error}") from None


def _stop(value: str | float | None) -> tuple[int | None, int | None]:
    """Return the absolute stop time, or the stop time after the schedule time."""
    if value is None:
        return None, None
    if isinstance(value, str):
        with contextlib.suppress(UserError):
            return parse_time(value), None
    try:
        after_us = parse_duration(value)
    except UserError as error:
        sentence = f"times: stop: {error}"
        raise Problem(400, sentence) from None
    if after_us < 0:
        raise Problem(400, f"times: stop: {value!r}: expected a duration of 0 or more")
    return None, after_us
