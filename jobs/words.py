"""Conditions, actions and programs in words, as people read them in the console and the run log."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from .actions import Action
from .conditions import (
    BoundCondition,
    BoundConst,
    BoundDependency,
    BoundMaxRunning,
    Condition,
    Const,
    Dependency,
    MaxRunning,
)
from .programs import BoundNoOp, BoundProcess, BoundProgram, NoOp, Process, Program
from .states import State
from .times import SECOND_US


def instance_words(job_id: str, args: Mapping[str, str]) -> str:
    """Return `job(name=value …)`, by name."""
    return f"{job_id}({' '.join(f'{name}={value}' for name, value in sorted(args.items()))})"


def condition_words(cond: Condition | BoundCondition) -> str:
    """Return a condition in words, whether of a job or of a run."""
    match cond:
        case Const() | BoundConst():
            return f"constant {cond.value}"
        case Dependency() | BoundDependency():
            return f"dependency {instance_words(cond.job_id, cond.args)} is {_names(cond.states)}"
        case MaxRunning():
            return f"fewer than {cond.count} runs of {cond.job_id or 'this job'} running"
        case BoundMaxRunning():
            instance = instance_words(cond.job_id, cond.args)
            return f"fewer than {cond.count} runs of {instance} running"
        case _:
            return f"no other run of the instance is {_names(cond.check_states)}"


def action_words(action: Action) -> str:
    """Return an action in words."""
    when = "every transition" if action.states is None else _names(action.states)
    return f"schedule {instance_words(action.job_id, action.args)} on {when}"


def program_words(program: Program | BoundProgram) -> str:
    """Return a program in words: the command as one would type it."""
    match program:
        case NoOp(duration=None) | BoundNoOp(duration_us=None):
            return "no-op"
        case NoOp():
            return f"no-op for {_seconds(program.duration or '')}"
        case BoundNoOp():
            return f"no-op for {(program.duration_us or 0) / SECOND_US:g} s"
        case Process() | BoundProcess():
            return shlex.join(program.argv)
        case _:
            return program.command


def _seconds(text: str) -> str:
    try:
        float(text)
    except ValueError:
        return text
    return f"{text} s"


def _names(states: Iterable[State]) -> str:
    return "|".join(states)
