"""Programs out of the data of a job file. Called by `parse.py`; templates are taken as they are."""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Mapping
from typing import Any

from . import registry
from .errors import UserError
from .extension_data import read_data
from .internal_programs import INTERNAL_TYPES, read_internal
from .parse_ecs import read_ecs
from .parse_launch import read_launch
from .parse_output import read_output
from .parse_own_programs import read_python, read_ssh
from .parse_schedules import of_a_class, read_type
from .programs import ExtensionProgram, NoOp, Process, Program, Shell, StopSpec, TimeoutSpec
from .reading import At, Fields, Told, filled, is_plain, shown, text, word
from .times import parse_duration

KNOWN = "no-op, process, shell, ssh, python, archive, vacuum, stats, backup"
# Programs of the agent that Apsis had before: processes, or shell commands by what they hold.
LEGACY = "legacy"
# What a program's host is called when it is the server's own.
THIS_HOST = ("localhost", "127.0.0.1", "::1")
ECS = "procstar-ecs"
PROGRAM_TYPES = {
    "no-op": "no-op",
    "procstar": "process",
    "process": "process",
    "procstar-shell": "shell",
    ECS: ECS,
    "ProcstarECSProgram": ECS,
    "ssh": "ssh",
    "python": "python",
    # `host` and `user` mean another thing to these.
    "program": LEGACY,
    "shell": LEGACY,
    "NoOpProgram": "no-op",
    "ProcstarProgram": "process",
    "ProcstarShellProgram": "shell",
    "AgentProgram": LEGACY,
    "AgentShellProgram": LEGACY,
    "ProcessProgram": LEGACY,
    "ShellCommandProgram": LEGACY,
    **INTERNAL_TYPES,
}
_TEMPLATE_MARKS = ("{{", "{%", "{#")
_UMASK = re.compile(r"0?[0-7]{1,3}\Z")


def read_program(value: Any, at: At) -> Program:
    """Read a program: a mapping with `type`, a shell command, or a list of arguments."""
    if isinstance(value, str):
        return Shell(command=filled(value, at))
    if isinstance(value, list | tuple):
        return Process(argv=_argv(value, at))
    if not isinstance(value, Mapping):
        raise UserError(f"{shown(value)}: expected a mapping, a command, or a list of arguments")
    fields = Fields(value, at)
    given = value.get("type")
    ours = registry.names_of("program")
    known = ", ".join((KNOWN, *dict.fromkeys(ours.values())))
    if (
        isinstance(given, str)
        and given not in PROGRAM_TYPES
        and given not in ours
        and not given.startswith("apsis.")
    ):
        said = f"unknown program type: {shown(given)}: expected one of {known}{of_a_class(given)}"
        at.fail(said, key="type")
        raise Told
    kind = read_type(fields, PROGRAM_TYPES, KNOWN, "program")
    if kind == "no-op":
        return _noop(fields)
    if kind in INTERNAL_TYPES:
        return read_internal(kind, fields)
    if kind == ECS:
        return read_ecs(fields, _argv, _stop, read_timeout)
    common = _common(fields)
    if kind == LEGACY:
        kind = legacy_kind(value)
        # Agents are found by group: a job that is for a host never runs on another one.
        host = fields.take("host", word, None)
        if host not in (None, *THIS_HOST) and "group_id" not in value:
            common["group_id"] = host
        user = fields.take("user", word, None)
        common["sudo_user"] = common["sudo_user"] or user
    if kind in ours.values():
        data = read_data(fields, registry.kind_of("program", kind))
        return ExtensionProgram(name=kind, data=data, **common)
    if kind == "ssh":
        return read_ssh(fields, common, _argv)
    if kind == "python":
        return read_python(fields, common)
    if kind == "process":
        argv = fields.take("argv", _argv)
        fields.finish()
        return Process(argv=argv, **common)
    command = fields.take("command", filled)
    fields.finish()
    return Shell(command=command, **common)


def legacy_kind(value: Mapping[str, Any]) -> str:
    """Return the kind of program that a legacy one is today."""
    return "process" if "argv" in value and "command" not in value else "shell"


def _noop(fields: Fields) -> NoOp:
    duration = fields.take("duration", duration_text, None)
    success = fields.take("success", _success, True, null=True)
    fields.finish()
    return NoOp(duration=duration, success=success)


def _common(fields: Fields) -> dict[str, Any]:
    stop = fields.take("stop", _stop, StopSpec())
    timeout = fields.take("timeout", read_timeout, None)
    resources = fields.take("resources", _resources, None)
    return {
        "group_id": fields.take("group_id", filled, "default"),
        "sudo_user": fields.take("sudo_user", word, None),
        "stop": stop,
        "timeout": timeout,
        "mem_max_gb": resources,
        "cwd": fields.take("cwd", filled, None),
        "umask": fields.take("umask", _umask, None),
        **read_launch(fields),
        **read_output(fields),
    }


def _argv(value: Any, at: At) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise UserError(f"{shown(value)}: expected a list of strings")
    if not value:
        raise UserError("is empty: expected at least the program to run")
    found = []
    for index, item in enumerate(value):
        try:
            found.append(text(item, at))
        except UserError as error:
            at.key(index).fail(str(error))
    if len(found) < len(value):
        raise Told
    if not found[0]:
        raise UserError("the program to run is empty: expected its name")
    return tuple(found)


def _success(value: Any, _at: At) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise UserError(f"{shown(value)}: expected true, false or null")
    return value


def _stop(value: Any, at: At) -> StopSpec:
    fields = Fields(value, at)
    name = fields.take("signal", signal_text, "SIGTERM")
    grace = fields.take("grace_period", _grace, "60", null=True)
    fields.finish()
    return StopSpec(signal=name, grace_period=grace)


def read_timeout(value: Any, at: At) -> TimeoutSpec:
    """Read `{duration, signal}`, or a duration alone."""
    if isinstance(value, str) or is_plain(value):
        return TimeoutSpec(duration=duration_text(value, at))
    fields = Fields(value, at)
    duration = fields.take("duration", duration_text)
    name = fields.take("signal", signal_text, "SIGTERM")
    fields.finish()
    return TimeoutSpec(duration=duration, signal=name)


def _grace(value: Any, at: At) -> str | None:
    return None if value is None else duration_text(value, at)


def duration_text(value: Any, at: At) -> str:
    """Read a duration that is no less than 0, or a template of one, as its text."""
    if isinstance(value, str) and has_template(value):
        return text(value, at)
    if parse_duration(value) < 0:
        raise UserError(f"duration {value!r}: is negative: expected 0 or more")
    return str(value)


def signal_text(value: Any, at: At) -> str:
    """Read a signal (`SIGTERM`, `TERM`, 15), or a template of one, as its text."""
    name = word(value, at)
    if not has_template(name):
        signal_number(name)
    return name


def signal_number(name: str) -> int:
    """Return the number of a signal named with or without `SIG`, or by its number.

    Raises:
        UserError: there is none.
    """
    try:
        if name.isascii() and name.isdigit():
            return signal.Signals(int(name)).value
        full = name if name.startswith("SIG") else f"SIG{name}"
        return signal.Signals[full].value
    except (KeyError, ValueError):
        raise UserError(f"not a signal: {name}: expected one like SIGTERM") from None


def _resources(value: Any, at: At) -> float | None:
    fields = Fields(value, at)
    found = fields.take("mem_max_gb", _gigabytes, None)
    fields.finish()
    return found


def _gigabytes(value: Any, _at: At) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{shown(value)}: expected a number")
    if not 0 < value < 1e9 or not math.isfinite(value):
        raise UserError(f"{value}: expected more than 0")
    return float(value)


def _umask(value: Any, at: At) -> str:
    name = word(value, at)
    if not _UMASK.match(name):
        raise UserError(f"{shown(value)}: expected octal digits like '027'")
    return name


def has_template(value: str) -> bool:
    """Whether a string holds something to be expanded when a run is bound."""
    return any(mark in value for mark in _TEMPLATE_MARKS)
