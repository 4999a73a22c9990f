"""What the run log says of waiting, as the Apsis-compatible API words it."""

from __future__ import annotations

from ..jobs.bound_conditions import BoundCondition
from ..jobs.words import condition_words

UNTIL = "waiting until: "
NOT_YET = "not yet: "


def until_line(cond: BoundCondition) -> str:
    """Return the line that says that a condition is waited for now."""
    return UNTIL + condition_words(cond)


def not_yet_line(reason: str) -> str:
    """Return the line that says what a check found lacking."""
    return NOT_YET + reason


def timeout_text(cond: BoundCondition | None, max_time_us: int) -> str:
    """Return why a run that waited too long is an error."""
    what = condition_words(cond) if cond is not None else "its start"
    return f"waiting for {what}: timeout after {max_time_us / 1e6:g} s"


def deadline_text(cond: BoundCondition, waited_for: BoundCondition | None) -> str:
    """Return why a run whose deadline has passed does not start."""
    what = condition_words(waited_for) if waited_for is not None else "its start"
    return f"waiting for {what}: {condition_words(cond)} has passed"
