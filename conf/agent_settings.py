"""The settings of agents: where those of other hosts come in, and who gets which run.

Called by `settings.py`. The start timeout and the call of sudo are
also found where Apsis has them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from ..jobs.errors import UserError
from ..jobs.reading import At, Fields, Told, filled, many, shown
from ..jobs.times import parse_duration

Choice = Literal["least_loaded", "round_robin", "random"]
CHOICES = ("least_loaded", "round_robin", "random")
MOST_PORT = 65_534


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`listen`: where agents of other hosts come in, None: nowhere; `enrol`: where new ones do.

    `choices`: how an agent is chosen, by group. `aliases`: names that programs may give as their
    group, each for the agents, groups and `group+label` it lists. `start_timeout_us`: how long a
    run waits for an agent. `sudo_argv`: how agents call sudo, empty: as usual. `sudo_allow`: the
    file of the users that jobs may run as on the server's own host, None: nobody else. `cgroup`:
    where runs with limits get their groups there, None: where the server was put. `secrets` and
    `secrets_command`: the file or folder with the secrets of jobs there, and what prints one.
    `abandon_processes_us` and `abandon_results_us`: after how long without a server the agent of
    its host stops processes, and removes results, None: never.
    """

    listen: str | None = None
    enrol: str | None = None
    choices: dict[str, Choice] = {}
    aliases: dict[str, tuple[str, ...]] = {}
    start_timeout_us: int = 0
    sudo_argv: tuple[str, ...] = ()
    sudo_allow: str | None = None
    cgroup: str | None = None
    secrets: str | None = None
    secrets_command: str | None = None
    abandon_processes_us: int | None = None
    abandon_results_us: int | None = None


def take_agents(fields: Fields) -> AgentSettings:
    """Return what the whole file says of agents."""
    start_timeout_us = _start_timeout_of_apsis(fields.data)
    sudo_argv = _sudo_of_apsis(fields.data)

    def agents(value: Any, at: At) -> AgentSettings:
        inner = Fields(value, at)
        listen = inner.take("listen", _agents_endpoint, None)
        choices = inner.take("groups", _groups, {})
        aliases = inner.take("aliases", _aliases, {})
        timeout_us = inner.take("start_timeout", _duration, start_timeout_us)
        sudo_allow = inner.take("sudo_allow", _absolute, None)
        cgroup = inner.take("cgroup", _absolute, None)
        secrets = inner.take("secrets", _absolute, None)
        secrets_command = inner.take("secrets_command", _command, None)
        abandon_processes_us = inner.take("abandon_processes_after", _some_time, None)
        abandon_results_us = inner.take("abandon_results_after", _some_time, None)
        inner.finish()
        return AgentSettings(
            listen=listen,
            enrol=None if listen is None else next_endpoint(listen),
            choices=choices,
            aliases=aliases,
            start_timeout_us=timeout_us,
            sudo_argv=sudo_argv,
            sudo_allow=sudo_allow,
            cgroup=cgroup,
            secrets=secrets,
            secrets_command=secrets_command,
            abandon_processes_us=abandon_processes_us,
            abandon_results_us=abandon_results_us,
        )

    default = AgentSettings(start_timeout_us=start_timeout_us, sudo_argv=sudo_argv)
    return fields.take("agents", agents, default)


# What is wrong with the keys of Apsis is told elsewhere.


def _start_timeout_of_apsis(data: Mapping[str, Any]) -> int:
    found = _of_apsis(data, "connection", "start_timeout")
    try:
        return 0 if found is None else max(0, parse_duration(found))
    except UserError:
        return 0


def _sudo_of_apsis(data: Mapping[str, Any]) -> tuple[str, ...]:
    found = _of_apsis(data, "sudo", "argv")
    try:
        return () if found is None else many(filled)(found, At((), []))
    except UserError:
        return ()


def _of_apsis(data: Mapping[str, Any], *keys: str) -> Any:
    """Return what stands under `procstar.agent`, None for nothing."""
    found: Any = data
    for key in ("procstar", "agent", *keys):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _absolute(value: Any, at: At) -> str:
    path = filled(value, at)
    if not path.startswith("/"):
        raise UserError(f"{shown(path)}: expected an absolute path")
    return path


def _command(value: Any, at: At) -> str:
    command = filled(value, at)
    try:
        shlex.split(command)
    except ValueError as error:
        raise UserError(f"{shown(command)}: {error}: expected words as of a shell") from None
    return command


def _agents_endpoint(value: Any, at: At) -> str:
    return read_endpoint(value, at, "new agents come in at the next port")


def read_endpoint(value: Any, at: At, then: str = "the next port is needed, too") -> str:
    """Read an address to listen on that leaves room for the next port."""
    endpoint = filled(value, at)
    match = re.fullmatch(r"tcp://([^/\s]+):([0-9]{1,5})", endpoint)
    if match is None or not 1 <= int(match[2]) <= MOST_PORT:
        sentence = f"expected a form like tcp://0.0.0.0:5901; {then}"
        raise UserError(f"{shown(endpoint)}: {sentence}")
    return endpoint


def next_endpoint(endpoint: str) -> str:
    """Return the same address with the next port."""
    head, _, port = endpoint.rpartition(":")
    return f"{head}:{int(port) + 1}"


def _groups(value: Any, at: At) -> dict[str, Choice]:
    fields = Fields(value, at)
    found: dict[str, Choice] = {}
    for name in list(fields.data):
        choice = fields.take(name, _group)
        if choice is not None:
            found[str(name)] = choice
    return found


def _group(value: Any, at: At) -> Choice | None:
    fields = Fields(value, at)
    choice = fields.take("choice", _choice, None)
    fields.finish()
    return choice


def _choice(value: Any, _at: At) -> Choice:
    if value not in CHOICES:
        raise UserError(f"{shown(value)}: expected {', '.join(CHOICES[:-1])} or {CHOICES[-1]}")
    return value  # type: ignore[no-any-return]


def _aliases(value: Any, at: At) -> dict[str, tuple[str, ...]]:
    fields = Fields(value, at)
    before = len(at.problems)
    found = {str(name): fields.take(name, many(filled)) for name in list(fields.data)}
    if len(at.problems) > before:
        raise Told
    return found


def _duration(value: Any, _at: At) -> int:
    found = parse_duration(value)
    if found < 0:
        raise UserError(f"{shown(value)}: expected a duration of 0 or more")
    return found


def _some_time(value: Any, _at: At) -> int:
    found = parse_duration(value)
    if found <= 0:
        raise UserError(f"{shown(value)}: expected a duration of more than 0")
    return found
