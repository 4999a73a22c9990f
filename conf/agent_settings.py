"""The settings of agents: where those of other hosts come in, and who gets which run.

Called by `settings.py`. The start timeout is also found where Apsis has it.
"""

from __future__ import annotations

import re
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
    group, each for the agents and groups it lists. `start_timeout_us`: how long a run waits for an
    agent.
    """

    listen: str | None = None
    enrol: str | None = None
    choices: dict[str, Choice] = {}
    aliases: dict[str, tuple[str, ...]] = {}
    start_timeout_us: int = 0


def take_agents(fields: Fields) -> AgentSettings:
    """Return what the whole file says of agents."""
    start_timeout_us = _of_apsis(fields.data)

    def agents(value: Any, at: At) -> AgentSettings:
        inner = Fields(value, at)
        listen = inner.take("listen", _endpoint, None)
        choices = inner.take("groups", _groups, {})
        aliases = inner.take("aliases", _aliases, {})
        timeout_us = inner.take("start_timeout", _duration, start_timeout_us)
        inner.finish()
        return AgentSettings(
            listen=listen,
            enrol=None if listen is None else _next(listen),
            choices=choices,
            aliases=aliases,
            start_timeout_us=timeout_us,
        )

    default = AgentSettings(start_timeout_us=start_timeout_us)
    return fields.take("agents", agents, default)


def _of_apsis(data: Mapping[str, Any]) -> int:
    """Return `procstar.agent.connection.start_timeout`; what is wrong with it is told elsewhere."""
    found: Any = data
    for key in ("procstar", "agent", "connection", "start_timeout"):
        found = found.get(key) if isinstance(found, Mapping) else None
    try:
        return 0 if found is None else max(0, parse_duration(found))
    except UserError:
        return 0


def _endpoint(value: Any, at: At) -> str:
    endpoint = filled(value, at)
    match = re.fullmatch(r"tcp://([^/\s]+):([0-9]{1,5})", endpoint)
    if match is None or not 1 <= int(match[2]) <= MOST_PORT:
        sentence = "expected a form like tcp://0.0.0.0:5901; new agents come in at the next port"
        raise UserError(f"{shown(endpoint)}: {sentence}")
    return endpoint


def _next(endpoint: str) -> str:
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
