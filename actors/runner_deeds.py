"""What people decided about agents: revoked and forgotten, shut down, a process killed.

Part of the runner's core. A revoked agent is not heard any more, and its runs are unreachable. One
that is forgotten is gone for good: what it had is lost, since nobody will ever say how it ends.
"""

from __future__ import annotations

from ..messages.agents import ShutDown, StopProcess
from ..messages.commands import AgentsInForce, KillOnAgent, ShutAgentDown
from ..messages.post import Post
from .runner_agents import Agent
from .runner_book import Book
from .runner_meeting import Meeting
from .runner_placing import Placing
from .runner_registry import Registry

# Agents of older versions would drop a frame with this command.
SHUTS_DOWN_SINCE = 2
# They would leave their processes as they are.
STOPS_ALL_SINCE = 3
# Who beats still is told again; told twice is as told once.
AGAIN_US = 5_000_000


class Deeds:
    """See the module."""

    def __init__(self, book: Book, registry: Registry, placing: Placing, meeting: Meeting) -> None:
        self._book = book
        self._registry = registry
        # Who was told to end, in which of its lives, and when it is told again.
        self._ending: dict[str, tuple[str, int, ShutDown]] = {}
        self._placing = placing
        self._meeting = meeting

    def in_force(self, sender: str, message: AgentsInForce, now_us: int) -> list[Post]:
        """Go by the registry."""
        posts, revoked, forgotten = self._registry.in_force(message, self._book.session)
        agents = self._book.agents
        agents.go_by(self._registry.records)
        for agent_id in revoked:
            agent = agents.by_id.get(agent_id)
            if agent is not None and not agent.silent:
                agents.is_silent(agent, silent=True)
                posts += self._meeting.fell_silent(agent)
        if not self._book.epoch:
            return posts
        self._placing.refill()
        for agent_id in forgotten:
            if agent_id in agents.by_id:
                posts += self._meeting.gone(agents.by_id[agent_id], now_us)
        return posts + self.free_the_gone(now_us)

    def free_the_gone(self, now_us: int) -> list[Post]:
        """End what the agents have that can never come back."""
        posts = []
        for agent_id in self._registry.gone():
            agent = self._book.agents.by_id.get(agent_id)
            if agent is not None and agent.has:
                posts += self._meeting.gone(agent, now_us)
        return posts

    def shut_down(self, sender: str, message: ShutAgentDown, now_us: int) -> list[Post]:
        """Have an agent end now. It gets nothing more to start."""
        agent = self._known(message.agent_id, message.epoch)
        since = STOPS_ALL_SINCE if message.stop else SHUTS_DOWN_SINCE
        if agent is None or agent.version < since:
            return []
        self._book.agents.is_leaving(agent)
        agent.sent += 1
        command = _shut_down(message)
        life = agent.hello.incarnation if agent.hello is not None else ""
        self._ending[agent.agent_id] = life, now_us + AGAIN_US, command
        return [Post(agent.address, command)]

    def beat(self, agent: Agent, now_us: int) -> list[Post]:
        """An agent lives. If it was told to end, in this very life, it may not have heard it."""
        if agent.agent_id not in self._ending:
            return []
        life, again_us, command = self._ending[agent.agent_id]
        stale = command.epoch != self._book.epoch
        if stale or agent.hello is None or agent.hello.incarnation != life:
            del self._ending[agent.agent_id]
            return []
        if now_us < again_us:
            return []
        self._ending[agent.agent_id] = life, now_us + AGAIN_US, command
        agent.sent += 1
        return [Post(agent.address, command)]

    def kill(self, sender: str, message: KillOnAgent, now_us: int) -> list[Post]:
        """Have an agent kill a process that belongs to no run under way."""
        agent = self._known(message.agent_id, message.epoch)
        if agent is None:
            return []
        agent.sent += 1
        run_id, attempt = message.run_id, message.attempt
        kill = StopProcess(epoch=message.epoch, run_id=run_id, attempt=attempt, kill=True)
        return [Post(agent.address, kill)]

    def _known(self, agent_id: str, epoch: int) -> Agent | None:
        """Return an agent that has introduced itself, None where a command is not for this time."""
        agent = self._book.agents.by_id.get(agent_id)
        return agent if agent is not None and agent.hello and epoch == self._book.epoch else None


def _shut_down(message: ShutAgentDown) -> ShutDown:
    return ShutDown(epoch=message.epoch, kill=message.kill, stop=message.stop)
