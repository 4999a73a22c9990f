"""Programs of the types `ssh` and `python`: read, bound and written back.

Called by `parse_programs.py`, `binding.py` and `unparse.py`. A run of either is bound to a process
like any other: a program that comes with the agent (`callsheet-ssh`, `callsheet-python`) with what
it is to do as its arguments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import UNSET

from .data_texts import with_texts
from .errors import UserError
from .extension_data import read_free
from .programs import PYTHON_PROGRAM, SSH_PROGRAM, Launch, PythonCall, Ssh
from .reading import At, Fields, Told, filled, many, shown, word
from .templates import is_template

# No option of ssh's, and nothing that a shell would read; it may stand in a ProxyCommand.
_HOST = re.compile(r"[A-Za-z0-9_.:%][A-Za-z0-9_.:%-]{0,254}\Z")
_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@\\$-]{0,254}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
BASH = "/usr/bin/bash"
MOST_PORT = 65_535


def read_ssh(fields: Fields, common: dict[str, Any], argv: Callable[[Any, At], Any]) -> Ssh:
    """Read what is an `ssh` program's own; `argv` reads arguments."""
    host = fields.take("host", _host)
    more: dict[str, Any] = {
        "user": fields.take("user", _user, None),
        "port": fields.take("port", _port, None),
        "identity_file": fields.take("identity_file", filled, None),
        "known_hosts": fields.take("known_hosts", filled, None),
        "argv": fields.take("argv", argv, None),
        "command": fields.take("command", filled, None),
    }
    if ("argv" in fields.data) == ("command" in fields.data):
        fields.at.fail("expected exactly one of argv, command")
    launch = common["launch"]
    if launch is not UNSET and launch.limits is not None:
        sentence = "limits: another host's are not ours to hold: expected ulimits or resources"
        fields.at.fail(sentence, key="limits")
    output = common["output"]
    if output is not UNSET and output.artifacts:
        sentence = "artifacts: are not taken from another host: expected the program to send them"
        fields.at.fail(sentence, key="artifacts")
    fields.finish()
    for name in (*common["env"], *({} if launch is UNSET else launch.secrets)):
        if not _VARIABLE.match(name):
            fields.at.fail(f"env: {shown(name)}: expected letters, digits and _", key="env")
            raise Told
    return Ssh(host=host, **{**more, "argv": more["argv"] or ()}, **common)


def read_python(fields: Fields, common: dict[str, Any]) -> PythonCall:
    """Read what is a `python` program's own."""
    call = fields.take("call", _call)
    args = fields.take("args", _arguments, [])
    python = fields.take("python", _absolute, None)
    path = fields.take("path", many(filled), ())
    fields.finish()
    return PythonCall(call=call, args=args, python=python, path=path, **common)


def ssh_argv(program: Ssh, expand: Callable[[str], str]) -> tuple[str, ...]:
    """Return what a run of an `ssh` program executes.

    Raises:
        UserError: a template gave what is no host, user or port.
    """
    host = _fits(_HOST, expand(program.host), "host", "the name of a host")
    target = f"[{host}]" if ":" in host else host
    if program.user is not None:
        target = f"{_fits(_USER, expand(program.user), 'user', 'the name of a user')}@{target}"
    if program.port is not None:
        target = f"{target}:{_port_number(expand(program.port))}"
    launch = Launch() if program.launch is UNSET else program.launch
    memory = None if program.mem_max_gb is None else -(-round(program.mem_max_gb * 10**9) // 1024)
    limits = " ".join(
        f"--{name}={'unlimited' if limit is None else limit}"
        for name, limit in launch.ulimits.items()
    )
    if program.sudo_user is not None:
        _fits(_USER, expand(program.sudo_user), "sudo_user", "the name of a user")
    options: dict[str, str | None] = {
        "identity-file": program.identity_file,
        "known-hosts": program.known_hosts,
        "sudo-user": program.sudo_user,
        "env-mode": None if launch.env_mode == "inherit" else launch.env_mode,
        "cwd": program.cwd,
        "umask": program.umask,
        "memory-kib": None if memory is None else str(memory),
        "ulimits": limits or None,
        "nice": None if launch.nice is None else str(launch.nice),
        "stdin-file": launch.stdin_file,
    }
    given = tuple(f"--{name}={expand(text)}" for name, text in options.items() if text is not None)
    if program.command is not None:
        return (SSH_PROGRAM, *given, target, "--", BASH, "-c", expand(program.command))
    return (SSH_PROGRAM, *given, target, "--", *map(expand, program.argv))


def near_launch(launch: Launch) -> Launch:
    """Return what of a far program's beginning is for the near side: the text it reads, and the
    secrets, which are those of the agent's host."""
    return Launch(stdin=launch.stdin, secrets=launch.secrets)


def python_argv(program: PythonCall, expand: Callable[[str], str]) -> tuple[str, ...]:
    """Return what a run of a `python` program executes."""
    python = () if program.python is None else ("--python", program.python)
    paths = tuple(word for path in program.path for word in ("--path", expand(path)))
    args = json.dumps(with_texts(program.args, expand), ensure_ascii=False)
    return (PYTHON_PROGRAM, *python, *paths, program.call, args)


def own_texts(program: Ssh | PythonCall) -> Sequence[Any]:
    """Return what of a program holds texts that binding renders."""
    if isinstance(program, PythonCall):
        return (program.args, program.path)
    some = (program.host, program.user, program.port, program.identity_file, program.known_hosts)
    return (*some, program.argv, program.command)


def own_data(program: Ssh | PythonCall) -> dict[str, Any]:
    """Return a program's own keys as written in a job, those at their defaults left out."""
    if isinstance(program, PythonCall):
        found: dict[str, Any] = {
            "call": program.call,
            "args": program.args or None,
            "python": program.python,
            "path": list(program.path) or None,
        }
    else:
        found = {
            "host": program.host,
            "user": program.user,
            "port": _number_or_text(program.port),
            "identity_file": program.identity_file,
            "known_hosts": program.known_hosts,
            "argv": list(program.argv) or None,
            "command": program.command,
        }
    return {key: value for key, value in found.items() if value is not None}


# --- values -------------------------------------------------------------------------------------


def _fits(pattern: re.Pattern[str], text: str, what: str, expected: str) -> str:
    if not pattern.match(text):
        raise UserError(f"{what}: {shown(text)}: expected {expected}")
    return text


def _host(value: Any, at: At) -> str:
    found = filled(value, at)
    if not is_template(found) and not _HOST.match(found):
        raise UserError(f"{shown(found)}: expected the name of a host")
    return found


def _user(value: Any, at: At) -> str:
    found = word(value, at)
    if not is_template(found) and not _USER.match(found):
        raise UserError(f"{shown(found)}: expected the name of a user")
    return found


def _port(value: Any, at: At) -> str:
    found = word(value, at)
    return found if is_template(found) else str(_port_number(found))


def _port_number(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if not 1 <= number <= MOST_PORT:
        raise UserError(f"port: {shown(text)}: expected a number from 1 to {MOST_PORT}")
    return number


def _number_or_text(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdecimal() else text


def _call(value: Any, at: At) -> str:
    found = filled(value, at)
    module, colon, name = found.partition(":")
    parts = (*module.split("."), *name.split("."))
    if not colon or not all(part.isidentifier() for part in parts):
        raise UserError(f"{shown(found)}: expected a function, as in package.module:function")
    return found


def _arguments(value: Any, at: At) -> Any:
    if not isinstance(value, Mapping | list | tuple):
        raise UserError(f"{shown(value)}: expected a list, or a mapping of names to values")
    found = read_free(value, at)
    for name in found if isinstance(found, dict) else ():
        if not name.isidentifier():
            at.fail(f"{shown(name)}: expected the name of an argument", key=name)
            raise Told
    return found


def _absolute(value: Any, at: At) -> str:
    path = filled(value, at)
    if not path.startswith("/"):
        raise UserError(f"{shown(path)}: expected an absolute path")
    return path
