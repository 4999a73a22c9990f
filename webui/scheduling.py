"""The body of a request for new runs, of both APIs, as the wish for the scheduler."""

from __future__ import annotations

from typing import Any

from ..jobs.errors import UserError
from ..jobs.times import parse_duration, parse_time
from ..messages.wishes import ScheduleRun
from .routing import Problem, Request
from .services import find_job_id

KEYS = {"job_id", "job", "args", "times"}


async def schedule_wish(request: Request, body: dict[str, Any], count: int) -> ScheduleRun:
    """Return the wish of a body: `job_id` (or words of one) or `job`, `args`, `times`.

    Raises:
        Problem: 400, something in it is wrong.
    """
    job, text = body.get("job"), body.get("job_id")
    job_id = None
    if job is None:
        if text is None:
            raise Problem(400, "missing job_id or job")
        if not isinstance(text, str):
            raise Problem(400, "job_id: not a text: expected a job id")
        job_id = text
        if request.guest is None or not request.guest.access.labels:
            # Who reaches only some jobs is told nothing of what the others are called.
            job_id = await request.services.read(lambda reader: find_job_id(reader, text))
    elif not isinstance(job, dict):
        raise Problem(400, "job: not an object: expected a job definition")
    times = body.get("times") or {}
    if not isinstance(times, dict):
        raise Problem(400, "times: not an object: expected schedule and stop")
    stop_us, stop_after_us = _stop(times.get("stop"))
    return ScheduleRun(
        job_id=job_id,
        job=job,
        args=args_of(body.get("args")),
        count=count,
        schedule_us=_schedule(times.get("schedule", "now")),
        stop_us=stop_us,
        stop_after_us=stop_after_us,
    )


def args_of(args: Any) -> dict[str, str]:
    """Return run args as texts, numbers and booleans as Python writes them.

    Raises:
        Problem: 400, they are not an object of scalars.
    """
    if args is None:
        return {}
    if not isinstance(args, dict):
        raise Problem(400, "args: not an object: expected names and values")
    for name, value in args.items():
        if isinstance(value, dict | list):
            raise Problem(400, f"args: {name[:100]}: not a scalar: expected a text or a number")
    return {name: str(value) for name, value in args.items()}


def _schedule(text: Any) -> int | None:
    if text is None or text == "now":
        return None
    try:
        return parse_time(_text(text))
    except UserError as error:
        raise Problem(400, f"times: schedule: {error}") from None


def _stop(value: Any) -> tuple[int | None, int | None]:
    """Return the absolute stop time, or the stop time after the schedule time."""
    if value is None:
        return None, None
    try:
        return parse_time(_text(value)), None
    except UserError:
        pass
    try:
        after_us = parse_duration(value)
    except UserError as error:
        sentence = f"times: stop: {error}"
        raise Problem(400, sentence) from None
    return None, after_us


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise UserError(f"not a time: {value!r}: expected a text such as 2026-01-02T03:04:05Z")
    return value
