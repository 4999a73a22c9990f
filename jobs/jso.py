"""Jobs and runs as JSON, in the forms of Apsis's API.

Called by the web server and by tools. Every part carries `str`, its text for people. A run that is
`lost` shows as `error`, since the API has no such state.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import msgspec

from .actions import Action
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
    BoundSkipDuplicate,
    BoundTimeWindow,
    dependencies,
)
from .conditions import Condition
from .deadlines import deadline_words
from .internal_programs import (
    BoundArchive,
    BoundBackup,
    BoundStats,
    BoundVacuum,
    internal_data,
)
from .job import Job
from .params import spec_data
from .parse_launch import launch_data
from .parse_output import output_data
from .polled import (
    BoundCommandCheck,
    BoundExtensionCheck,
    BoundFileCheck,
    BoundHttpCheck,
    BoundPolled,
    BoundSqlCheck,
)
from .programs import BoundNoOp, BoundProcess, BoundProgram, Program
from .resolving import split_conditions
from .retry import retry_words
from .run import Run
from .schedule_types import Schedule
from .schedule_words import describe
from .states import State, api_state
from .times import SECOND_US, format_daytime, format_time, format_time_ms
from .unparse import (
    action_data,
    condition_data,
    deadline_data,
    program_data,
    retry_data,
    schedule_data,
)
from .words import action_words, condition_words, program_words

BYTES_PER_GB = 10**9

__all__ = [
    "action_jso",
    "condition_jso",
    "condition_words",
    "job_jso",
    "program_jso",
    "run_full_jso",
    "run_summary_jso",
    "schedule_jso",
]


# --- runs ---------------------------------------------------------------------------------------


def run_summary_jso(run: Run) -> dict[str, Any]:
    """Return a run as lists and sockets show it."""
    found: dict[str, Any] = {
        "job_id": run.job_id,
        "args": run.args,
        "run_id": run.run_id,
        "state": api_state(run.state),
        "times": _times(run),
        "labels": list(run.labels),
    }
    if run.expected:
        found["expected"] = True
    if run.ad_hoc:
        found["ad_hoc"] = True
    needed = [[cond.job_id, cond.args] for cond in dependencies(run.conds)]
    if needed:
        found["dependencies"] = needed
    return found


def run_full_jso(run: Run) -> dict[str, Any]:
    """Return all of a run that Apsis shows, and its results if there are any."""
    more = {"results": run.results} if run.results else {}
    return (
        run_summary_jso(run)
        | more
        | {
            "conds": [condition_jso(cond, run) for cond in run.conds],
            "actions": [action_jso(action) for action in run.actions],
            "meta": {"job": {"labels": list(run.labels)}} | run.meta,
            "program": None if run.program is None else program_jso(run.program),
        }
    )


def _times(run: Run) -> dict[str, str]:
    found = {name: format_time_ms(at_us) for name, at_us in run.times.items() if name != "lost"}
    lost_us = run.times.get("lost")
    if lost_us is not None:
        found.setdefault("error", format_time_ms(lost_us))
    found["schedule"] = format_time_ms(run.schedule_us)
    if run.stop_us is not None:
        found["stop"] = format_time_ms(run.stop_us)
    return found


# --- jobs ---------------------------------------------------------------------------------------


def job_jso(job: Job, find_job: Callable[[str], Job | None] | None = None) -> dict[str, Any]:
    """Return a job.

    Args:
        find_job: gives the job of an ID, so that args which dependencies inherit can be shown.
    """
    common, resolved = split_conditions(job, condition_jso, find_job)
    own: dict[str, Any] = {"priority": job.priority} if job.priority else {}
    if job.waiting_max_us is not None:
        own["waiting"] = {"max_time": job.waiting_max_us / SECOND_US}
    if job.deadline is not None:
        words = {"str": deadline_words(job.deadline)}
        own["deadline"] = deadline_data(job.deadline) | words
    if job.blackouts:
        own["blackouts"] = job.blackouts
    if job.results:
        own["results"] = {name: spec_data(spec) for name, spec in job.results.items()}
    if job.retry is not None:
        own["retry"] = retry_data(job.retry) | {"str": retry_words(job.retry)}
    return own | {
        "job_id": job.job_id,
        "params": list(job.params),
        "param_specs": {name: spec_data(spec) for name, spec in job.param_specs.items()},
        "schedule": [schedule_jso(schedule) for schedule in job.schedules],
        "program": program_jso(job.program),
        "condition": [condition_jso(cond) for cond in job.conditions],
        "common_conditions": common,
        "resolved_conditions": resolved,
        "action": [action_jso(action) for action in job.actions],
        "metadata": {**job.metadata, "labels": list(job.labels)},
        "ad_hoc": job.ad_hoc,
    }


def schedule_jso(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule; one with a stop as `{start, stop}`."""
    words = {"str": describe(schedule), "enabled": schedule.enabled}
    return schedule_data(schedule) | words


# --- their parts --------------------------------------------------------------------------------


def program_jso(program: Program | BoundProgram) -> dict[str, Any]:
    """Return a program as written in a job, or as bound to a run."""
    match program:
        case BoundNoOp():
            found: dict[str, Any] = {
                "type": "apsis.program.noop.BoundNoOpProgram",
                "duration": program.duration_text,
                "success": program.success,
            }
        case BoundProcess():
            found = _process(program)
        case BoundArchive() | BoundVacuum() | BoundStats() | BoundBackup():
            found = internal_data(program)
        case _:
            found = program_data(program)
    return found | {"str": program_words(program)}


def _process(program: BoundProcess) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "apsis.program.procstar.agent.BoundProcstarProgram",
        "argv": list(program.argv),
        "group_id": program.group_id,
        "stop": {"signal": program.stop_signal, "grace_period": _grace(program.grace_us)},
    }
    if program.sudo_user is not None:
        found["sudo_user"] = program.sudo_user
    if program.timeout_us is not None:
        found["timeout"] = {
            "duration": program.timeout_us / SECOND_US,
            "signal": _signal_name(program.timeout_signal),
        }
    if program.mem_max_bytes is not None:
        found["resources"] = {"mem_max_gb": program.mem_max_bytes / BYTES_PER_GB}
    if program.cwd is not None:
        found["cwd"] = program.cwd
    if program.umask is not None:
        found["umask"] = f"{program.umask:03o}"
    return found | launch_data(program.env, program.launch) | output_data(program.output)


def _grace(grace_us: int | None) -> int | float | None:
    if grace_us is None:
        return None
    return grace_us // SECOND_US if grace_us % SECOND_US == 0 else grace_us / SECOND_US


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def condition_jso(cond: Condition | BoundCondition, run: Run | None = None) -> dict[str, Any]:
    """Return a condition as written in a job, or as bound; `run`: the run it is bound to."""
    match cond:
        case BoundConst():
            found: dict[str, Any] = {"type": "const", "value": cond.value}
        case BoundDependency():
            found = {"type": "dependency", "job_id": cond.job_id, "args": cond.args}
            if cond.states != (State.SUCCESS,):
                found["states"] = [state.value for state in cond.states]
            if cond.exist:
                found["exist"] = [state.value for state in cond.exist]
            if cond.after:
                found["after"] = f"r{cond.after}"
        case BoundMaxRunning():
            found = {
                "type": "apsis.cond.max_running.BoundMaxRunning",
                "count": cond.count,
                "job_id": cond.job_id,
                "args": cond.args,
            }
        case BoundSkipDuplicate():
            found = {
                "type": "apsis.cond.skip_duplicate.BoundSkipDuplicate",
                "check_states": [state.value for state in cond.check_states],
                "target_state": cond.target_state.value,
            }
            if run is not None:
                found["instance"] = [run.job_id, run.args]
                found["run_id"] = run.run_id
        case BoundPool():
            found = {"type": "pool", "name": cond.name, "weight": cond.weight}
        case BoundFileCheck() | BoundHttpCheck() | BoundCommandCheck() | BoundSqlCheck():
            found = _polled(cond)
        case BoundExtensionCheck():
            found = _polled(cond)
            data = found.pop("data")
            found |= {"type": found.pop("name"), **data}
        case BoundAll() | BoundAny():
            kind = "all" if isinstance(cond, BoundAll) else "any"
            found = {"type": kind, "conditions": [condition_jso(c, run) for c in cond.conditions]}
        case BoundNot():
            found = {"type": "not", "condition": condition_jso(cond.condition, run)}
        case BoundNotBefore():
            found = {"type": "not_before", "time": format_time(cond.at_us)}
        case BoundNotAfter():
            found = {"type": "not_after", "time": format_time(cond.at_us)}
            found["else_state"] = cond.else_state.value
        case BoundTimeWindow():
            found = _window(cond)
        case _:
            found = condition_data(cond)
    return found | {"str": condition_words(cond)}


def _polled(cond: BoundPolled) -> dict[str, Any]:
    """Return a polled condition, its durations in seconds."""
    found: dict[str, Any] = {}
    for name, value in msgspec.to_builtins(cond).items():
        if name.endswith("_us"):
            plain = {"poll_us": "poll_interval"}.get(name, name.removesuffix("_us"))
            found[plain] = value / SECOND_US
        else:
            found[{"min_bytes": "min_size"}.get(name, name)] = value
    return found


def _window(cond: BoundTimeWindow) -> dict[str, Any]:
    return {
        "type": "time_window",
        "from": format_daytime(cond.start_s),
        "to": format_daytime(cond.end_s),
        "tz": cond.tz,
        "calendar": cond.calendar,
    }


def action_jso(action: Action) -> dict[str, Any]:
    """Return an action."""
    return action_data(action) | {"str": action_words(action)}
