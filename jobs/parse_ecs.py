"""Programs of type `procstar-ecs` out of the data of a job file, and back.

Called by `parse_programs.py` and `unparse.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .programs import Ecs, StopSpec, TimeoutSpec
from .reading import At, Fields, filled, word

WORDS = ("mem_gb", "vcpu", "disk_gb", "role", "task_definition")


def read_ecs(
    fields: Fields,
    read_argv: Callable[[Any, At], tuple[str, ...]],
    read_stop: Callable[[Any, At], StopSpec],
    read_timeout: Callable[[Any, At], TimeoutSpec],
) -> Ecs:
    """Read such a program: just one of `command` and `argv`, and what its task is like."""
    by_command = "command" in fields.data
    if by_command is ("argv" in fields.data):
        fields.at.fail("expected one of command and argv")
    command = fields.take("command", filled, None)
    argv = fields.take("argv", read_argv, None)
    said = {name: fields.take(name, word, None) for name in WORDS}
    stop = fields.take("stop", read_stop, StopSpec())
    timeout = fields.take("timeout", read_timeout, None)
    fields.finish()
    return Ecs(argv=argv or (), command=command, stop=stop, timeout=timeout, **said)


def ecs_data(program: Ecs) -> dict[str, Any]:
    """Return such a program as written in a job."""
    found: dict[str, Any] = {"type": "procstar-ecs"}
    if program.command is not None:
        found["command"] = program.command
    else:
        found["argv"] = list(program.argv)
    found |= {name: value for name in WORDS if (value := getattr(program, name)) is not None}
    if program.stop != StopSpec():
        found["stop"] = {"signal": program.stop.signal, "grace_period": program.stop.grace_period}
    if program.timeout is not None:
        duration, name = program.timeout.duration, program.timeout.signal
        found["timeout"] = {"duration": duration, "signal": name}
    return found


def ecs_texts(program: Ecs) -> list[str]:
    """Return the texts that may hold templates."""
    words = (program.command, *program.argv, *(getattr(program, name) for name in WORDS))
    return [text for text in words if text is not None]
