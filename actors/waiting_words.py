"""What the run log says of conditions, as the Apsis-compatible API words it."""

from __future__ import annotations

from collections.abc import Iterable

from ..jobs.conditions import BoundCondition, BoundConst, BoundDependency, BoundMaxRunning
from ..jobs.states import State


def instance_text(job_id: str, args: dict[str, str]) -> str:
    """Return `job(name=value …)`, by name."""
    return f"{job_id}({' '.join(f'{name}={value}' for name, value in sorted(args.items()))})"


def condition_text(cond: BoundCondition) -> str:
    """Return a bound condition in words."""
    match cond:
        case BoundConst():
            return f"constant {cond.value}"
        case BoundDependency():
            return f"dependency {instance_text(cond.job_id, cond.args)} is {_names(cond.states)}"
        case BoundMaxRunning():
            instance = instance_text(cond.job_id, cond.args)
            return f"fewer than {cond.count} runs of {instance} running"
        case _:
            return f"no other run of the instance is {_names(cond.check_states)}"


def missing_text(cond: BoundDependency) -> str:
    """Return why a run whose dependency does not exist is an error."""
    instance = instance_text(cond.job_id, cond.args)
    return f"no dependency {instance} exists in {_names(cond.exist)}"


def timeout_text(cond: BoundCondition | None, max_time_us: int) -> str:
    """Return why a run that waited too long is an error."""
    what = condition_text(cond) if cond is not None else "its start"
    return f"waiting for {what}: timeout after {max_time_us / 1e6:g} s"


def _names(states: Iterable[State]) -> str:
    return "|".join(states)
