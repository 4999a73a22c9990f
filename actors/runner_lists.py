"""Answers who asks for the agents: at once, or once each of them has said what it keeps.

Part of the runner's core.
"""

from __future__ import annotations

from ..messages.agents import AgentsAnswer, AskAgents, ListProcesses, ProcessInfo, ProcessList
from ..messages.post import Post
from .runner_agents import Agent
from .runner_book import Book

# An asker of all processes is answered after this time though not every agent has.
LIST_US = 1_000_000


class _Listing:
    """One asker who waits for what the agents keep."""

    def __init__(self, sender: str, request: str, until_us: int) -> None:
        self.sender = sender
        self.request = request
        self.until_us = until_us
        self.waits_for: set[str] = set()
        self.processes: dict[str, list[ProcessInfo]] = {}


class Lists:
    """See the module."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._open: dict[str, _Listing] = {}

    def ask(self, sender: str, message: AskAgents, now_us: int) -> list[Post]:
        """Somebody asks for the agents, and perhaps for their processes."""
        listing = _Listing(sender, message.request, now_us + LIST_US)
        key = f"{sender} {message.request}"
        self._open[key] = listing
        posts = []
        if message.processes and self._book.epoch:
            for agent in self._book.agents.by_id.values():
                if agent.connected:
                    listing.waits_for.add(agent.agent_id)
                    ask = ListProcesses(epoch=self._book.epoch, request=key)
                    posts.append(Post(agent.address, ask))
        return posts if listing.waits_for else [self._done(key)]

    def listed(self, agent: Agent, message: ProcessList, now_us: int) -> list[Post]:
        """An agent says what it keeps."""
        listing = self._open.get(message.request)
        if listing is None or agent.agent_id not in listing.waits_for:
            return []
        listing.waits_for.discard(agent.agent_id)
        listing.processes[agent.agent_id] = message.processes
        return [] if listing.waits_for else [self._done(message.request)]

    def settle(self, now_us: int) -> list[Post]:
        """Answer those who have waited long enough."""
        return [
            self._done(request)
            for request, listing in list(self._open.items())
            if now_us >= listing.until_us or now_us < listing.until_us - LIST_US
        ]

    def wakes_at(self) -> int | None:
        """Return when `settle` has something to do."""
        return min((listing.until_us for listing in self._open.values()), default=None)

    def _done(self, key: str) -> Post:
        listing = self._open.pop(key)
        agents = self._book.agents
        answer = AgentsAnswer(
            request=listing.request, agents=agents.infos(), processes=listing.processes
        )
        return Post(listing.sender, answer)
