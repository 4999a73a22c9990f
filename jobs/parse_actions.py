"""Actions and successors out of the data of a job file. Called by `parse.py`."""

from __future__ import annotations

from typing import Any

from .actions import Action, ScheduleAction
from .parse_conditions import read_job_id, read_state, unique
from .parse_schedules import read_type
from .reading import At, Fields, many, words
from .states import State

ACTION_TYPES = {"schedule": "schedule", "ScheduleAction": "schedule"}


def read_action(value: Any, at: At) -> Action:
    """Read an action."""
    fields = Fields(value, at)
    read_type(fields, ACTION_TYPES, "schedule")
    job_id = fields.take("job_id", read_job_id)
    args = fields.take("args", words, {})
    states = fields.take("if", _if, None)
    fields.finish()
    return ScheduleAction(job_id=job_id, args=args, states=states)


def read_successor(value: Any, at: At) -> Action:
    """Read a successor: a job ID or `{job_id, args}`, to be scheduled after a success."""
    if isinstance(value, str):
        return ScheduleAction(job_id=read_job_id(value, at), states=(State.SUCCESS,))
    fields = Fields(value, at)
    job_id = fields.take("job_id", read_job_id)
    args = fields.take("args", words, {})
    fields.finish()
    return ScheduleAction(job_id=job_id, args=args, states=(State.SUCCESS,))


def _if(value: Any, at: At) -> tuple[State, ...] | None:
    fields = Fields(value, at)
    states = fields.take("states", _states, None)
    fields.finish()
    return states


def _states(value: Any, at: At) -> tuple[State, ...]:
    return unique(many(read_state)(value, at))
