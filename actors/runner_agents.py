"""The runner's table of agents: who they are, whether they are heard of, who gets the next run.

Part of the runner's core. Silence is not death: an agent that is not heard of is *silent*, its runs
are flagged, and nothing else follows (rule I8).
"""

from __future__ import annotations

from collections import deque

import msgspec

from ..messages.agents import AgentHello, AgentInfo
from ..messages.registry import AgentRecord

# An agent beats every 2 s; after this silence its runs are unreachable.
SILENCE_US = 10_000_000
# Between two looks at the clock there is never more time than this, unless the clock was changed
# or this process stood still; neither is the agents' silence.
JUMP_US = 5_000_000
# Beats by which an agent's clock is judged.
SKEWS = 5
# Looks at all agents are so far apart at least, and at most: less than a jump of the clock, and
# more than between two beats, so that at rest there is no look but with a beat.
LOOK_LEAST_US = 500_000
LOOK_MOST_US = 3_000_000

Key = tuple[str, int]


class Agent:
    """One agent as the runner knows it. `hello` None: it is only heard of from the ledger."""

    __slots__ = (
        "agent_id",
        "claims",
        "connected_us",
        "connections",
        "doubt",
        "first_us",
        "has",
        "heard_us",
        "hello",
        "leaving",
        "live",
        "meta",
        "received",
        "recheck",
        "sent",
        "silent",
        "skews_us",
    )

    def __init__(self, agent_id: str, now_us: int) -> None:
        self.agent_id = agent_id
        self.hello: AgentHello | None = None
        # What its last introduction named: (run id, attempt) → state.
        self.claims: dict[Key, str] = {}
        self.first_us = now_us
        self.connected_us = now_us
        self.heard_us = now_us
        self.silent = False
        # It is about to end, so that it gets no new runs.
        self.leaving = False
        self.connections = 0
        self.received = 0
        self.sent = 0
        self.live = 0
        # The attempts in its hands, in order.
        self.has: dict[Key, None] = {}
        # What it was asked about: the question, and each attempt with whether that had a process.
        self.doubt: tuple[str, frozenset[tuple[Key, bool]]] | None = None
        # There is more to ask about than it was.
        self.recheck = False
        self.meta: dict[str, object] = {}
        # How far its clock seemed to be ahead at its last beats.
        self.skews_us: deque[int] = deque(maxlen=SKEWS)

    @property
    def address(self) -> str:
        """Where to post to it."""
        return f"agent/{self.agent_id}"

    @property
    def load(self) -> int:
        """How many attempts it has."""
        return len(self.has)

    @property
    def version(self) -> int:
        """Which version of the dialogue it speaks, 0 if it never came."""
        return self.hello.version if self.hello is not None else 0

    @property
    def connected(self) -> bool:
        """Whether it has introduced itself and is heard of."""
        return self.hello is not None and not self.silent

    @property
    def skew_us(self) -> int:
        """How far its clock is ahead of ours: what its beats took on their way makes it seem less,
        so that the one that took least tells. 0 while there are too few."""
        return max(self.skews_us) if len(self.skews_us) == SKEWS else 0

    def told_the_time(self, at_us: int, now_us: int) -> None:
        """It has told its time (0: it has not)."""
        if at_us:
            self.skews_us.append(at_us - now_us)

    def info(self, record: AgentRecord | None) -> AgentInfo:
        """Return it as people see it; `record`: what the registry has of it."""
        hello = self.hello
        assert hello is not None, f"{self.agent_id}: never met"
        state = "active" if self.connected else "away"
        if record is not None and record.revoked_us is not None:
            state = "revoked"
        elif record is not None and record.draining and self.connected:
            state = "draining"
        return AgentInfo(
            agent_id=self.agent_id,
            group_id=hello.group_id,
            connected=self.connected,
            first_seen_us=self.first_us,
            last_seen_us=self.heard_us,
            connections=self.connections,
            received=self.received,
            sent=self.sent,
            live=self.live,
            hostname=hello.hostname,
            username=hello.username,
            pid=hello.pid,
            uid=hello.uid,
            software=hello.software,
            gid=hello.gid,
            connected_us=self.connected_us,
            state=state,
            labels=hello.labels,
            slots=hello.slots,
            keyed=record is not None and bool(record.public_key),
            version=hello.version,
            draining=record is not None and record.draining,
            skew_us=self.skew_us,
        )


class Agents:
    """All agents; see the module."""

    def __init__(self) -> None:
        self.by_id: dict[str, Agent] = {}
        self.records: dict[str, AgentRecord] = {}
        # Who has named an attempt in its last introduction.
        self.named: dict[Key, list[Agent]] = {}
        # Grows with every change of who takes runs.
        self.changes = 0
        self._looked_us: int | None = None
        # When the first of those that are heard of would be silent, as of the last look.
        self._silent_us: int | None = None

    def known(self, agent_id: str, now_us: int) -> Agent:
        """Return an agent, first put into the table if it is new."""
        agent = self.by_id.get(agent_id)
        if agent is None:
            agent = self.by_id[agent_id] = Agent(agent_id, now_us)
        return agent

    def met(self, hello: AgentHello, now_us: int) -> Agent:
        """Take an agent's introduction. The group of one with a key is what its enrolment says."""
        agent = self.known(hello.agent_id, now_us)
        record = self.records.get(hello.agent_id)
        if record is not None and record.group_id:
            hello = msgspec.structs.replace(hello, group_id=record.group_id)
        if agent.hello is None or agent.hello.incarnation != hello.incarnation:
            agent.connections += 1
            agent.connected_us = now_us
            agent.leaving = False
        agent.hello = hello
        self._name(agent, {(claim.run_id, claim.attempt): claim.state for claim in hello.claims})
        self.changes += 1
        agent.meta = {
            "procstar_conn": {
                "conn_id": hello.agent_id,
                "group_id": hello.group_id,
                "restricted_exe": None,
            },
            "procstar_agent": {
                "pid": hello.pid,
                "uid": hello.uid,
                "gid": hello.gid,
                "username": hello.username,
                "hostname": hello.hostname,
            },
        }
        return agent

    def _name(self, agent: Agent, claims: dict[Key, str]) -> None:
        """Put what an agent names in the place of what it named before."""
        for key in agent.claims:
            namers = self.named.get(key, [])
            if agent in namers:
                namers.remove(agent)
            if not namers:
                self.named.pop(key, None)
        agent.claims = claims
        for key in claims:
            self.named.setdefault(key, []).append(agent)

    def go_by(self, records: dict[str, AgentRecord]) -> None:
        """Go by the registry."""
        self.records = records
        self.changes += 1

    def is_silent(self, agent: Agent, *, silent: bool) -> None:
        """An agent is not heard of any more, or again."""
        agent.silent = silent
        self.changes += 1

    def is_leaving(self, agent: Agent) -> None:
        """An agent is about to end."""
        agent.leaving = True
        self.changes += 1

    def is_keyed(self, agent_id: str) -> bool:
        """Return whether an agent came in from another host by its key."""
        record = self.records.get(agent_id)
        return record is not None and bool(record.public_key)

    def takes_runs(self, agent: Agent) -> bool:
        """Return whether an agent is there and gets new runs."""
        record = self.records.get(agent.agent_id)
        drains = record is not None and (record.draining or record.revoked_us is not None)
        return agent.connected and not agent.leaving and not drains

    def rests(self, agent: Agent) -> bool:
        """Return whether an agent that is let in gets no new runs."""
        record = self.records.get(agent.agent_id)
        if record is not None and record.revoked_us is not None:
            return False
        return agent.leaving or (record is not None and record.draining)

    def infos(self) -> list[AgentInfo]:
        """Return all agents as people see them: those that came, and those that might."""
        found = [
            agent.info(self.records.get(agent.agent_id))
            for agent in self.by_id.values()
            if agent.hello is not None and not self._is_forgotten(agent)
        ]
        came = {info.agent_id for info in found}
        for record in self.records.values():
            is_there = record.agent_id in came or record.forgotten_us is not None
            if record.public_key and not is_there:
                found.append(
                    AgentInfo(
                        agent_id=record.agent_id,
                        group_id=record.group_id,
                        connected=False,
                        first_seen_us=record.since_us,
                        last_seen_us=record.since_us,
                        connections=0,
                        state="away" if record.revoked_us is None else "revoked",
                        keyed=True,
                        draining=record.draining,
                    )
                )
        return found

    def _is_forgotten(self, agent: Agent) -> bool:
        """Return whether an agent is gone for good. One without a key may come back after all."""
        record = self.records.get(agent.agent_id)
        if record is None or record.forgotten_us is None:
            return False
        return bool(record.public_key) or agent.heard_us < record.forgotten_us

    def follow_clock(self, now_us: int) -> bool:
        """Return whether the clock was set, or this process stood still, since the last look: then
        the agents are as long silent as they were. To be called before one is heard."""
        if self._looked_us is None or 0 <= now_us - self._looked_us <= JUMP_US:
            return False
        for agent in self.by_id.values():
            agent.heard_us += now_us - self._looked_us
        self._looked_us = now_us
        return True

    def look(self, now_us: int) -> list[Agent]:
        """Return the agents that have just fallen silent."""
        looked_us = self._looked_us
        if (
            looked_us is not None
            and not self.follow_clock(now_us)
            and now_us < looked_us + LOOK_LEAST_US
        ):
            return []
        self._looked_us, self._silent_us = now_us, None
        fallen = []
        for agent in self.by_id.values():
            if agent.silent:
                continue
            silent_us = agent.heard_us + SILENCE_US + 1
            if silent_us <= now_us:
                self.is_silent(agent, silent=True)
                fallen.append(agent)
            elif self._silent_us is None or silent_us < self._silent_us:
                self._silent_us = silent_us
        return fallen

    def wakes_at(self) -> int | None:
        """Return when to `look` again."""
        if self._looked_us is None or not self.by_id:
            return None
        most_us = self._looked_us + LOOK_MOST_US
        if self._silent_us is None:
            return most_us
        return min(most_us, max(self._silent_us, self._looked_us + LOOK_LEAST_US))
