"""What follows when an agent comes, falls silent, is heard again, or is gone for good.

Part of the runner's core. Silence moves nothing: the agent's runs are flagged. What an agent keeps
is compared with what it should keep; what it has no trace of is lost.
"""

from __future__ import annotations

from ..messages.agents import AgentHello, AskHello
from ..messages.post import Post
from .runner_agents import Agent
from .runner_book import Attempt, Book, Key, Phase
from .runner_ends import Ends
from .runner_given import has_rebooted
from .runner_placing import Placing
from .runner_reports import not_there, rebooted, running, unreachable


class Meeting:
    """See the module. All it does is in proportion to what the agent has."""

    def __init__(self, book: Book, ends: Ends, placing: Placing, incarnation: str) -> None:
        self._book = book
        self._ends = ends
        self._placing = placing
        self._incarnation = incarnation
        self._doubts = 0

    def met(self, agent: Agent, hello: AgentHello, now_us: int) -> list[Post]:
        """An agent has introduced itself: give it what it is to start, and compare."""
        posts = self._placing.agent_came(agent, now_us)
        return posts + self.compare(agent, hello, now_us)

    def compare(self, agent: Agent, hello: AgentHello, now_us: int) -> list[Post]:
        """Compare what an agent has with what it should have.

        What ran there and is not named is lost, and so is what was given to it before a reboot of
        its host. An introduction may be older than it seems, as what an agent says waits in more
        than one place, so that it is the answer to a question which decides.
        """
        agent.recheck = False
        posts: list[Post] = []
        doubted: frozenset[tuple[Key, bool]] = frozenset()
        if agent.doubt is not None and agent.doubt[0] == hello.answers:
            doubted, agent.doubt = agent.doubt[1], None
        for key in agent.claims:
            attempt = self._book.attempts.get(key)
            if attempt is not None and attempt.phase is Phase.RUNNING and not attempt.agent_id:
                self._book.give(attempt, agent.agent_id, now_us)
        missing = set()
        for attempt in self._of(agent):
            key, runs = attempt.key, attempt.phase is Phase.RUNNING
            unsure = attempt.phase is Phase.ASKED and has_rebooted(attempt, agent)
            if key in agent.claims or not (runs or unsure):
                continue
            if (key, runs) in doubted:
                what = rebooted if has_rebooted(attempt, agent) else not_there
                posts += self._ends.over(attempt, what(attempt, now_us), now_us)
            else:
                missing.add((key, runs))
        if missing and (agent.doubt is None or not missing <= agent.doubt[1]):
            # It may have said so before it was told to start them, or before a reboot: ask.
            self._doubts += 1
            # The answer to a question of an earlier runner says nothing of what began since.
            question = f"doubt {self._incarnation} {self._doubts}"
            agent.doubt = (question, frozenset(missing))
        if missing:
            posts += self.ask_again(agent)
        for key, state in agent.claims.items():
            if state == "not_started" and key not in self._book.attempts:
                posts.append(Post(agent.address, self._book.forget_command(key)))
        return posts

    def beat(self, agent: Agent, now_us: int) -> list[Post]:
        """An agent is there: ask it about what is in doubt."""
        if agent.recheck and agent.hello is not None:
            return self.compare(agent, agent.hello, now_us)
        return self.ask_again(agent)

    def ask_again(self, agent: Agent) -> list[Post]:
        """Ask what an agent has that is in doubt, until it answers that very question: a question
        or an answer that was lost would leave a run running for ever."""
        if agent.doubt is None:
            return []
        ask = AskHello(epoch=self._book.epoch, request=agent.doubt[0])
        return [Post(agent.address, ask)]

    def fell_silent(self, agent: Agent) -> list[Post]:
        """Flag the runs of an agent that is not heard of."""
        posts = []
        for attempt in self._of(agent):
            if attempt.is_reported_running:
                attempt.flagged = True
                posts.append(unreachable(attempt, self._book.session))
        return posts

    def heard_again(self, agent: Agent, now_us: int) -> list[Post]:
        """Say of an agent's flagged runs that they run."""
        posts = []
        self._placing.refill()
        for attempt in self._of(agent):
            if attempt.flagged:
                attempt.flagged = False
                if attempt.is_reported_running:
                    posts.append(self._book.report(running(attempt), now_us))
        return posts

    def gone(self, agent: Agent, now_us: int) -> list[Post]:
        """End all that an agent has which is gone for good."""
        posts: list[Post] = []
        for attempt in self._of(agent):
            if not attempt.is_over:
                why = f"agent {agent.agent_id} is gone for good"
                posts += self._placing.give_up(attempt, now_us, why)
        return posts

    def _of(self, agent: Agent) -> list[Attempt]:
        return [self._book.attempts[key] for key in agent.has]
