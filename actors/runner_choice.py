"""Which agent gets a run: by group or alias, free slots, and the group's policy.

Part of the runner's core. There is no entropy here: *random* is a hash of the attempt, the same for
whoever asks again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from .runner_agents import Agent

LEAST_LOADED = "least_loaded"


class Choice:
    """See the module. `choices` maps a group to its policy; `aliases` maps a name to the agents and
    groups it stands for."""

    def __init__(
        self,
        choices: Mapping[str, str] | None = None,
        aliases: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._choices = dict(choices or {})
        self._aliases = dict(aliases or {})
        self._turns: dict[str, int] = {}
        self._last: dict[str, str] = {}

    def fits(self, agent: Agent, group_id: str) -> bool:
        """Return whether an agent may have runs of a group, whatever it is doing now."""
        if agent.hello is None:
            return False
        names = self._aliases.get(group_id, (group_id,))
        return agent.hello.group_id in names or (
            group_id in self._aliases and agent.agent_id in names
        )

    def choose(self, agents: Iterable[Agent], group_id: str, key: tuple[str, int]) -> Agent | None:
        """Return the one that gets an attempt, of agents that may have it; None for none."""
        free = [agent for agent in agents if has_slot(agent)]
        if len(free) < 2:
            return free[0] if free else None
        match self._choices.get(group_id, LEAST_LOADED):
            case "round_robin":
                return self._next(free, group_id)
            case "random":
                digest = hashlib.sha256(f"{key[0]}.{key[1]}".encode()).digest()
                free.sort(key=_id)
                return free[int.from_bytes(digest[:8], "big") % len(free)]
            case _:
                return self._least_loaded(free, group_id)

    def _next(self, free: list[Agent], group_id: str) -> Agent:
        """The first after the last one, by id."""
        last = self._last.get(group_id, "")
        later = [agent for agent in free if agent.agent_id > last]
        chosen = min(later or free, key=_id)
        self._last[group_id] = chosen.agent_id
        return chosen

    def _least_loaded(self, free: list[Agent], group_id: str) -> Agent:
        """The one with the fewest attempts, in turn among equals."""
        turn = self._turns[group_id] = self._turns.get(group_id, 0) + 1
        free = free[turn % len(free) :] + free[: turn % len(free)]
        return min(free, key=_load)


def has_slot(agent: Agent) -> bool:
    """Return whether one more attempt may be given to an agent."""
    slots = agent.hello.slots if agent.hello is not None else 0
    return not slots or agent.load < slots


def _load(agent: Agent) -> int:
    return agent.load


def _id(agent: Agent) -> str:
    return agent.agent_id
