"""The parts of a job as data: the form of job files and, with words added, of the API.

Called by `parse.py` and `jso.py`. What is written here, `parse.py` reads back as an equal value.
"""

from __future__ import annotations

from typing import Any

import msgspec

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
    SkipDuplicate,
    TimeWindow,
)
from .deadlines import Deadline
from .internal_programs import Internal, internal_data
from .parse_ecs import ecs_data
from .parse_launch import launch_data
from .parse_output import output_data
from .parse_own_programs import own_data
from .polled import CommandCheck, ExtensionCheck, FileCheck, HttpCheck, SqlCheck
from .programs import Ecs, ExtensionProgram, NoOp, Program, PythonCall, Shell, Ssh, StopSpec
from .retry import Retry
from .schedule_types import (
    Cron,
    Daily,
    DailyInterval,
    DayPoint,
    Explicit,
    ExtensionSchedule,
    Interval,
    Options,
    Schedule,
    Stop,
    StopAfter,
    options_of,
)
from .schedule_words import calendar_name
from .states import State
from .times import SECOND_US, format_daytime, format_time

_SUCCESS = (State.SUCCESS,)


def schedule_data(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule; with a stop as `{start, stop}`."""
    start = start_data(schedule)
    stop = schedule.stop
    if stop is None:
        return start
    if isinstance(stop, StopAfter):
        ends = {"type": "duration", "duration": stop.duration_us / SECOND_US}
    else:
        ends = {"type": "daytime", "daytime": format_daytime(stop.daytime_s), "tz": stop.tz}
    return {"start": start, "stop": ends}


def start_data(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule without its stop."""
    kind = type(schedule).__struct_config__.tag
    found: dict[str, Any] = {"type": kind, "enabled": schedule.enabled}
    match schedule:
        case Interval():
            found["interval"] = schedule.interval_us / SECOND_US
            found["phase"] = schedule.phase_us / SECOND_US
        case Daily():
            found["tz"] = schedule.tz
            found["calendar"] = calendar_name(schedule.calendar)
            found["daytime"] = [format_daytime(at_s) for at_s in schedule.daytimes_s]
            found["date_shift"] = schedule.date_shift
            found["cal_shift"] = schedule.cal_shift
        case DailyInterval():
            found["tz"] = schedule.tz
            found["calendar"] = calendar_name(schedule.calendar)
            found["start"] = _day_point(schedule.start)
            found["stop"] = _day_point(schedule.stop_point)
            found["interval"] = schedule.interval_us / SECOND_US
        case Explicit():
            found["times"] = [format_time(at_us) for at_us in schedule.times_us]
        case Cron():
            found["expression"] = schedule.expression
            found["tz"] = schedule.tz
        case ExtensionSchedule():
            found |= {"type": schedule.name, **schedule.data}
    return found | options_data(options_of(schedule)) | {"args": dict(schedule.args)}


def options_data(options: Options) -> dict[str, Any]:
    """Return the options that are set."""
    found: dict[str, Any] = {
        "start_date": options.start_date and str(options.start_date),
        "end_date": options.end_date and str(options.end_date),
        "tz": options.tz,
        "jitter": _seconds(options.jitter_us or None),
        "on_gap": options.on_gap,
        "on_fold": options.on_fold,
        "misfire_after": _seconds(options.misfire_after_us),
        "catch_up": options.catch_up,
        "max_age": _seconds(options.max_age_us),
    }
    return {name: value for name, value in found.items() if value is not None}


def _seconds(duration_us: int | None) -> float | None:
    return None if duration_us is None else duration_us / SECOND_US


def _day_point(point: DayPoint) -> str | dict[str, Any]:
    at = format_daytime(point.daytime_s)
    if not point.date_shift and not point.cal_shift:
        return at
    return {"daytime": at, "date_shift": point.date_shift, "cal_shift": point.cal_shift}


def program_data(program: Program) -> dict[str, Any]:
    """Return a program as written in a job, defaults left out but for the group."""
    if isinstance(program, NoOp):
        return {"type": "no-op", "duration": program.duration, "success": program.success}
    if isinstance(program, Internal):
        return internal_data(program)
    if isinstance(program, Ecs):
        return ecs_data(program)
    found: dict[str, Any] = {
        "type": type(program).__struct_config__.tag,
        "group_id": program.group_id,
    }
    if program.sudo_user is not None:
        found["sudo_user"] = program.sudo_user
    if program.stop != StopSpec():
        found["stop"] = {"signal": program.stop.signal, "grace_period": program.stop.grace_period}
    if program.timeout is not None:
        found["timeout"] = {
            "duration": program.timeout.duration,
            "signal": program.timeout.signal,
        }
    if program.mem_max_gb is not None:
        found["resources"] = {"mem_max_gb": program.mem_max_gb}
    if program.cwd is not None:
        found["cwd"] = program.cwd
    if program.umask is not None:
        found["umask"] = program.umask
    found |= launch_data(program.env, program.launch) | output_data(program.output)
    if isinstance(program, ExtensionProgram):
        return found | {"type": program.name, **program.data}
    if isinstance(program, Ssh | PythonCall):
        return found | own_data(program)
    if isinstance(program, Shell):
        return found | {"command": program.command}
    return found | {"argv": list(program.argv)}


def condition_data(condition: Condition) -> dict[str, Any]:
    """Return a condition as written in a job."""
    found: dict[str, Any] = {"type": type(condition).__struct_config__.tag}
    if condition.enabled is not True:
        found["enabled"] = condition.enabled
    match condition:
        case Const():
            found["value"] = condition.value
        case Dependency():
            found["job_id"] = condition.job_id
            found["args"] = dict(condition.args)
            if condition.states != _SUCCESS:
                found["states"] = [state.value for state in condition.states]
            if isinstance(condition.exist, tuple):
                found["exist"] = [state.value for state in condition.exist]
            elif condition.exist:
                found["exist"] = True
        case MaxRunning():
            found["count"] = condition.count
            if condition.job_id is not None:
                found["job_id"] = condition.job_id
        case SkipDuplicate():
            found["check_states"] = [state.value for state in condition.check_states]
            found["target_state"] = condition.target_state.value
        case Pool():
            found |= {"name": condition.name, "weight": condition.weight}
        case FileCheck() | HttpCheck() | CommandCheck() | SqlCheck():
            found |= msgspec.to_builtins(condition)
        case ExtensionCheck():
            found |= {"type": condition.name, **condition.data}
            found |= {"timeout": condition.timeout, "poll_interval": condition.poll_interval}
        case AllOf() | AnyOf():
            found["conditions"] = [condition_data(member) for member in condition.conditions]
        case Not():
            found["condition"] = condition_data(condition.condition)
        case NotBefore():
            found |= _moment_data(condition.moment)
        case NotAfter():
            found |= _moment_data(condition.moment)
            if condition.else_state is not State.SKIPPED:
                found["else_state"] = condition.else_state.value
        case TimeWindow():
            found |= {"from": condition.start, "to": condition.end, "tz": condition.tz}
            if condition.calendar != "all":
                found["calendar"] = condition.calendar
    return found


def _moment_data(moment: Moment) -> dict[str, Any]:
    if moment.time is not None:
        return {"time": moment.time}
    found: dict[str, Any] = {"daytime": moment.daytime, "tz": moment.tz}
    return found | ({"date_shift": moment.date_shift} if moment.date_shift else {})


def action_data(action: Action) -> dict[str, Any]:
    """Return an action."""
    found = {"type": type(action).__struct_config__.tag, "if": _if_data(action)}
    match action:
        case ScheduleAction():
            own: dict[str, Any] = {"job_id": action.job_id, "args": dict(action.args)}
        case EmailAction():
            own = {
                "to": list(action.to),
                "cc": list(action.cc) or None,
                "from": action.sender,
                "subject": action.subject,
                "body": action.body,
            }
        case WebhookAction():
            own = {
                "url": action.url,
                "method": action.method,
                "headers": dict(action.headers) or None,
                "body": action.body,
                "secret": action.secret,
            }
        case CommandAction():
            own = {
                "argv": list(action.argv) or None,
                "command": action.command,
                "timeout": None if action.timeout_us is None else action.timeout_us / SECOND_US,
            }
        case NotifyAction():
            own = {"service": action.service, "title": action.title, "body": action.body}
        case ExtensionAction():
            own = {"type": action.name, **action.data}
            if action.timeout_us is not None:
                own["timeout"] = action.timeout_us / SECOND_US
    return found | {name: value for name, value in own.items() if value is not None}


def _if_data(action: Action) -> dict[str, Any]:
    """Return what an action waits for; `states` in any case, since readers of Apsis ask for it."""
    found: dict[str, Any] = {
        "states": None if action.states is None else [state.value for state in action.states]
    }
    trigger = trigger_of(action)
    if trigger.consecutive != 1:
        found["consecutive"] = trigger.consecutive
    if trigger.recovery:
        found["recovery"] = True
    if trigger.per != "job":
        found["per"] = trigger.per
    if trigger.deadlines:
        found["deadline"] = list(trigger.deadlines)
    return found


def deadline_data(deadline: Deadline) -> dict[str, Any]:
    """Return a job's deadlines as written in a job."""
    found: dict[str, Any] = {}
    for name in ("start_by", "finish_by"):
        point: Stop | None = getattr(deadline, name)
        if isinstance(point, StopAfter):
            found[name] = point.duration_us / SECOND_US
        elif point is not None:
            found[name] = {"daytime": format_daytime(point.daytime_s), "tz": point.tz}
    if deadline.max_duration_us is not None:
        found["max_duration"] = deadline.max_duration_us / SECOND_US
    return found


def retry_data(retry: Retry) -> dict[str, Any]:
    """Return a job's retry policy as written in a job, every part of it."""
    codes = {"retry": list(retry.retry_codes), "fail": list(retry.fail_codes)}
    return {
        "attempts": retry.attempts,
        "backoff": retry.backoff_us / SECOND_US,
        "factor": retry.factor,
        "max_backoff": retry.max_backoff_us / SECOND_US,
        "jitter": retry.jitter,
        "on": [state.value for state in retry.on],
        "exit_codes": {name: some for name, some in codes.items() if some},
        "on_lost": retry.on_lost,
    }
