"""Which agent gets a run: by group or alias, free slots, and the group's policy.

Part of the runner's core. There is no entropy here: *random* is a hash of the attempt, the same for
whoever asks again.
"""

from __future__ import annotations

import bisect
import hashlib
import heapq
from collections.abc import Mapping, Sequence

from .runner_agents import Agent

LEAST_LOADED = "least_loaded"
# Entries that are not so any more, beyond which the ranks are made anew.
HEAP_SLACK = 256


class Choice:
    """See the module. `choices` maps a group to its policy; `aliases` maps a name to the agents and
    groups it stands for, and to those of a group with a label: `group+label`."""

    def __init__(
        self,
        choices: Mapping[str, str] | None = None,
        aliases: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._choices = dict(choices or {})
        self._aliases = dict(aliases or {})
        self._last: dict[str, str] = {}
        self._ranks: dict[str, _Ranks] = {}

    def fits(self, agent: Agent, group_id: str) -> bool:
        """Return whether an agent may have runs of a group, whatever it is doing now."""
        if agent.hello is None:
            return False
        hello, names = agent.hello, self._aliases.get(group_id)
        if names is None:
            return hello.group_id == group_id
        if hello.group_id in names or agent.agent_id in names:
            return True
        # A label is the agent's own word, so that it counts within its group alone.
        return any(f"{hello.group_id}+{label}" in names for label in hello.labels)

    def choose(self, agents: Sequence[Agent], group_id: str, key: tuple[str, int]) -> Agent | None:
        """Return the one that gets an attempt, of agents that may have it; None for none.

        The same list of agents is asked again as long as nobody comes, goes or changes.
        """
        ranks = self._ranks.get(group_id)
        if ranks is None or ranks.agents is not agents:
            ranks = self._ranks[group_id] = _Ranks(agents)
        match self._choices.get(group_id, LEAST_LOADED):
            case "round_robin":
                chosen = ranks.after(self._last.get(group_id, ""))
                if chosen is not None:
                    self._last[group_id] = chosen.agent_id
                return chosen
            case "random":
                digest = hashlib.sha256(f"{key[0]}.{key[1]}".encode()).digest()
                return ranks.from_place(int.from_bytes(digest[:8], "big"))
            case _:
                return ranks.least_loaded()

    def load_changed(self, agent: Agent) -> None:
        """An agent has one attempt more, or one less."""
        for ranks in self._ranks.values():
            ranks.load_changed(agent)


class _Ranks:
    """The agents that take runs of a group, in order of id and by how much they have.

    Who has fewest is found without looking at all: each change of a load is put on a heap, and what
    is not so any more is left out when it comes to the top.
    """

    def __init__(self, agents: Sequence[Agent]) -> None:
        self.agents = agents
        self._by_id = sorted(agents, key=_id)
        self._ids = [agent.agent_id for agent in self._by_id]
        self._members = set(self._ids)
        self._count = 0
        self._heap: list[tuple[int, int, Agent]] = []
        self._rank_all()

    def least_loaded(self) -> Agent | None:
        """The one with the fewest attempts; among equals who has waited longest."""
        while self._heap:
            load, _, agent = self._heap[0]
            if load == agent.load and has_slot(agent):
                return agent
            heapq.heappop(self._heap)
        return None

    def after(self, agent_id: str) -> Agent | None:
        """The first with a slot after that id."""
        return self.from_place(bisect.bisect_right(self._ids, agent_id))

    def from_place(self, place: int) -> Agent | None:
        """The first with a slot from that place on, round and round."""
        for step in range(len(self._by_id)):
            agent = self._by_id[(place + step) % len(self._by_id)]
            if has_slot(agent):
                return agent
        return None

    def load_changed(self, agent: Agent) -> None:
        """See `Choice`."""
        if agent.agent_id not in self._members:
            return
        self._push(agent)
        if len(self._heap) > 4 * len(self._ids) + HEAP_SLACK:
            self._rank_all()

    def _push(self, agent: Agent) -> None:
        self._count += 1
        heapq.heappush(self._heap, (agent.load, self._count, agent))

    def _rank_all(self) -> None:
        self._heap = []
        for agent in self.agents:
            self._push(agent)


def has_slot(agent: Agent) -> bool:
    """Return whether one more attempt may be given to an agent."""
    slots = agent.hello.slots if agent.hello is not None else 0
    return not slots or agent.load < slots


def _id(agent: Agent) -> str:
    return agent.agent_id
