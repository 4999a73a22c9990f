"""Conditions, actions and programs in words, as people read them in the console and the run log."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping

from .actions import (
    Action,
    CommandAction,
    EmailAction,
    ExtensionAction,
    NotifyAction,
    ScheduleAction,
    WebhookAction,
    trigger_of,
)
from .bound_conditions import (
    BoundAll,
    BoundAny,
    BoundCondition,
    BoundConst,
    BoundDependency,
    BoundMaxRunning,
    BoundNot,
    BoundNotAfter,
    BoundNotBefore,
    BoundPool,
    BoundTimeWindow,
)
from .conditions import (
    AllOf,
    AnyOf,
    Condition,
    Const,
    Dependency,
    MaxRunning,
    Moment,
    Not,
    NotAfter,
    NotBefore,
    Pool,
    TimeWindow,
)
from .data_texts import data_words
from .internal_programs import internal_words
from .polled import (
    BoundCommandCheck,
    BoundExtensionCheck,
    BoundFileCheck,
    BoundHttpCheck,
    BoundSqlCheck,
    CommandCheck,
    ExtensionCheck,
    FileCheck,
    HttpCheck,
    SqlCheck,
)
from .programs import (
    BoundNoOp,
    BoundProcess,
    BoundProgram,
    Ecs,
    ExtensionProgram,
    NoOp,
    Process,
    Program,
    PythonCall,
    Shell,
    Ssh,
)
from .states import State
from .times import SECOND_US, format_daytime, format_time


def instance_words(job_id: str, args: Mapping[str, str]) -> str:
    """Return `job(name=value …)`, by name."""
    return f"{job_id}({' '.join(f'{name}={value}' for name, value in sorted(args.items()))})"


def condition_words(cond: Condition | BoundCondition) -> str:
    """Return a condition in words, whether of a job or of a run."""
    match cond:
        case Const() | BoundConst():
            return f"constant {cond.value}"
        case Dependency() | BoundDependency():
            instance = instance_words(cond.job_id, cond.args)
            after = cond.after if isinstance(cond, BoundDependency) else 0
            newer = f", newer than r{after}," if after else ""
            return f"dependency {instance}{newer} is {state_words(cond.states)}"
        case MaxRunning():
            return f"fewer than {cond.count} runs of {cond.job_id or 'this job'} running"
        case BoundMaxRunning():
            instance = instance_words(cond.job_id, cond.args)
            return f"fewer than {cond.count} runs of {instance} running"
        case Pool() | BoundPool():
            return f"pool {cond.name} has room for {cond.weight}"
        case FileCheck() | BoundFileCheck():
            return _file_words(cond)
        case HttpCheck() | BoundHttpCheck():
            status = "|".join(map(str, cond.status)) or "2xx"
            more = f" and contains {cond.contains!r}" if cond.contains is not None else ""
            return f"{cond.method} {cond.url} answers {status}{more}"
        case CommandCheck() | BoundCommandCheck():
            argv = shlex.join(cond.argv)
            return f"command {argv or getattr(cond, 'command', '')} succeeds"
        case SqlCheck() | BoundSqlCheck():
            return f"database {cond.database} says yes to {cond.query}"
        case ExtensionCheck() | BoundExtensionCheck():
            return data_words(cond.name, cond.data)
        case AllOf() | BoundAll():
            return f"all of ({'; '.join(map(condition_words, cond.conditions))})"
        case AnyOf() | BoundAny():
            return f"any of ({'; '.join(map(condition_words, cond.conditions))})"
        case Not() | BoundNot():
            return f"not ({condition_words(cond.condition)})"
        case NotBefore() | NotAfter() | BoundNotBefore() | BoundNotAfter():
            return _moment_words(cond)
        case TimeWindow():
            return _window_words(cond.start, cond.end, cond.tz, cond.calendar)
        case BoundTimeWindow():
            start, end = format_daytime(cond.start_s), format_daytime(cond.end_s)
            return _window_words(start, end, cond.tz, cond.calendar)
        case _:
            return f"no other run of the instance is {state_words(cond.check_states)}"


def _file_words(cond: FileCheck | BoundFileCheck) -> str:
    if not cond.exists:
        return f"file {cond.path} is absent"
    if isinstance(cond, FileCheck):
        size, within, older = cond.min_size, cond.changed_within, cond.older_than
    else:
        size = None if cond.min_bytes is None else str(cond.min_bytes)
        within, older = _duration(cond.changed_within_us), _duration(cond.older_than_us)
    said = [f"file {cond.path} exists"]
    said += [f"has at least {size} bytes"] if size is not None else []
    said += [f"was changed within {within}"] if within is not None else []
    said += [f"is older than {older}"] if older is not None else []
    return " and ".join(said)


def _duration(duration_us: int | None) -> str | None:
    return None if duration_us is None else f"{duration_us / SECOND_US:g} s"


def _moment_words(cond: NotBefore | NotAfter | BoundNotBefore | BoundNotAfter) -> str:
    name = "not before" if isinstance(cond, NotBefore | BoundNotBefore) else "not after"
    if isinstance(cond, BoundNotBefore | BoundNotAfter):
        return f"{name} {format_time(cond.at_us)}"
    return f"{name} {_when(cond.moment)}"


def _when(moment: Moment) -> str:
    if moment.time is not None:
        return moment.time
    shift = f" {moment.date_shift:+} days" if moment.date_shift else ""
    return f"{moment.daytime}{shift} {moment.tz}"


def _window_words(start: str, end: str, tz: str, calendar: str) -> str:
    days = "" if calendar == "all" else f" on {calendar}"
    return f"from {start} to {end} {tz}{days}"


def action_words(action: Action) -> str:
    """Return an action in words."""
    match action:
        case ScheduleAction():
            what = f"schedule {instance_words(action.job_id, action.args)}"
        case EmailAction():
            what = f"mail to {', '.join(action.to)}"
        case WebhookAction():
            what = f"{action.method} {action.url}"
        case CommandAction():
            what = f"run {action.command or shlex.join(action.argv)}"
        case NotifyAction():
            what = f"notify {action.service}"
        case ExtensionAction():
            what = data_words(action.name, action.data)
    return f"{what} on {_trigger_words(action)}"


def _trigger_words(action: Action) -> str:
    trigger = trigger_of(action)
    if trigger.deadlines:
        return f"a missed {' or '.join(trigger.deadlines)}"
    if trigger.recovery:
        return f"recovery of the {trigger.per}"
    if action.states is None:
        return "every transition"
    states = state_words(action.states)
    if trigger.consecutive > 1:
        return f"{trigger.consecutive} runs of the {trigger.per} in a row: {states}"
    return states


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
        case Ssh():
            user = f"{program.user}@" if program.user else ""
            command = program.command or shlex.join(program.argv)
            return f"on {user}{program.host}: {command}"
        case PythonCall():
            return f"{program.call} {json.dumps(program.args, ensure_ascii=False)}"
        case ExtensionProgram():
            return data_words(program.name, program.data)
        case Shell():
            return program.command
        case Ecs():
            return f"on ECS: {program.command or shlex.join(program.argv)}"
        case _:
            return internal_words(program)


def _seconds(text: str) -> str:
    try:
        float(text)
    except ValueError:
        return text
    return f"{text} s"


def state_words(states: Iterable[State]) -> str:
    """Return states as alternatives."""
    return "|".join(states)
