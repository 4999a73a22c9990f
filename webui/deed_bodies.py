"""Bodies of requests that ask for a deed: on one run, or on many. Read here for both."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..jobs.errors import UserError
from ..jobs.states import MARKABLE
from ..jobs.times import parse_time
from ..messages.operations import Deed, Verb
from .routing import Problem
from .scheduling import Scalar, args_of
from .v1_runs import one_state, parse_signal

# A reason a person gives is a sentence, not a text.
MAX_REASON = 1_000
Reason = Annotated[str, Meta(max_length=MAX_REASON)]
STORED = ("stored", "old")


class DeedFields(msgspec.Struct, forbid_unknown_fields=True):
    """What goes with a verb: `mark` takes a state, `signal` a signal, `reschedule` times, `rerun`
    args and which definition; all take a reason."""

    reason: Annotated[Reason | None, Meta(description="Why.")] = None
    state: Annotated[str | None, Meta(description="success, failure, error or skipped.")] = None
    signal: Annotated[str | None, Meta(description="TERM, SIGTERM or 15.")] = None
    time: Annotated[str | None, Meta(description="`now`, or a time with its zone.")] = None
    stop_time: Annotated[str | None, Meta(description="When it is to be stopped instead.")] = None
    args: Annotated[dict[str, Scalar] | None, Meta(description="Those that are to be others.")] = (
        None
    )
    definition: Annotated[
        Literal["current", "stored", "new", "old"],
        Meta(description="The job's as it is now, or (`stored`, `old`) that the run was bound to."),
    ] = "current"


def deed_of(verb: Verb, body: DeedFields) -> Deed:
    """Return the deed that a body describes.

    Raises:
        Problem: 400, it is none.
    """
    reason = reason_of(body.reason)
    match verb:
        case "signal":
            return Deed(verb=verb, reason=reason, signal=parse_signal(body.signal or ""))
        case "mark":
            state = one_state(body.state or "")
            if state not in MARKABLE:
                raise Problem(400, f"state: {state}: expected one of {', '.join(sorted(MARKABLE))}")
            return Deed(verb=verb, reason=reason, state=state)
        case "reschedule":
            if body.time is None:
                raise Problem(400, "time: expected `now`, or a time with its zone")
            return Deed(
                verb=verb,
                reason=reason,
                schedule_us=None if body.time == "now" else _time("time", body.time),
                stop_us=None if body.stop_time is None else _time("stop_time", body.stop_time),
            )
        case "rerun":
            stored = body.definition in STORED
            return Deed(verb=verb, reason=reason, args=args_of(body.args), stored=stored)
    return Deed(verb=verb, reason=reason)


def reason_of(text: str | None) -> str:
    """Return the reason that somebody gives, on one line."""
    return " ".join((text or "").split())


def _time(name: str, text: str) -> int:
    try:
        return parse_time(text)
    except UserError as error:
        raise Problem(400, f"{name}: {error}") from None
