"""What an agent of another host says of an attempt that nobody here knows: first ask the ledger.

Part of the runner's core. Such an agent is believed about attempts that were given to it, and about
no others: else it could end, or write the output of, any run whose id it guesses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..jobs.run import run_number
from ..jobs.states import State
from ..messages.agents import (
    AgentBeat,
    Fenced,
    OutputChunk,
    ProcessEnded,
    ProcessList,
    ProcessLost,
)
from ..messages.commands import ClaimKnown
from ..messages.instructions import AskClaim
from ..messages.post import LEDGER, Post
from .requests import OpenRequests
from .runner_agents import Agent
from .runner_book import Book, Key
from .runner_ends import Ends

Stop = Callable[..., list[Post]]
# States of claims whose process lives.
LIVE = frozenset({"running", "unkept"})

Claimed = OutputChunk | ProcessEnded | ProcessLost

# Claims in doubt at one time; agents say them again.
DOUBTS_AT_MOST = 1_000
# Claims that are known to be none of an agent's, so that the ledger is not asked again and again.
FOREIGN_AT_MOST = 10_000
FOREIGN_US = 60_000_000


class Claims:
    """See the module. `foreign` counts what agents said of attempts that were not theirs."""

    def __init__(self, book: Book, ends: Ends, stop: Stop) -> None:
        """`stop(key, now_us, kill=…)` stops the process of an attempt in the book."""
        self.foreign = 0
        self._book = book
        self._stop = stop
        self._ends = ends
        self._asking = OpenRequests()
        self._said: dict[tuple[str, Key], Claimed] = {}
        self._foreign: dict[tuple[str, Key], int] = {}

    def doubts(self, agent: Agent, message: object) -> bool:
        """Return whether the ledger must be asked before the message is taken."""
        if not isinstance(message, Claimed) or not self._book.agents.is_keyed(agent.agent_id):
            return False
        key = (message.run_id, message.attempt)
        if key in self._book.attempts:
            return False
        # The end of a run that was lost may still come, from the agent that had it.
        return self._book.over.get(key, State.LOST) is State.LOST

    def ask(self, agent: Agent, message: Claimed, now_us: int) -> list[Post]:
        """Ask whose attempt it is; what is said of it meanwhile is said again."""
        claim = (agent.agent_id, (message.run_id, message.attempt))
        if self._foreign.get(claim, 0) > now_us:
            self.foreign += 1
            return []
        if claim in self._said or len(self._said) >= DOUBTS_AT_MOST:
            return []
        self._said[claim] = message
        return [self._ask(claim, now_us)]

    def strays(self, agent: Agent, now_us: int) -> list[Post]:
        """Ask about the living processes an agent names and nobody here knows: that of a run which
        was to be stopped, while the agent was away, is stopped now."""
        posts = []
        for key, state in agent.claims.items():
            if len(self._asking) >= DOUBTS_AT_MOST:
                break
            claim = (agent.agent_id, key)
            if state in LIVE and key not in self._book.attempts and claim not in self._asking:
                posts.append(self._ask(claim, now_us))
        return posts

    def known(self, sender: str, message: ClaimKnown, now_us: int) -> list[Post]:
        """The ledger says whose it is."""
        key = (message.run_id, message.attempt)
        claim = (message.agent_id, key)
        self._asking.answered(claim)
        said = self._said.pop(claim, None)
        agent = self._book.agents.by_id.get(message.agent_id)
        if agent is None:
            return []
        posts = []
        if message.stop and key not in self._book.attempts:
            self._book.stranger(agent, key, now_us)
            posts = self._stop(key, now_us, kill=message.kill)
        return posts + self._take(agent, said, message, now_us) if said is not None else posts

    def _take(self, agent: Agent, said: Claimed, message: ClaimKnown, now_us: int) -> list[Post]:
        """Take what an agent has said of a claim, now that it is known whose it is."""
        key = (message.run_id, message.attempt)
        if message.verdict == "theirs":
            if key not in self._book.attempts:
                self._book.stranger(agent, key, now_us)
            if isinstance(said, OutputChunk):
                return self._ends.chunk(agent, said, now_us)
            return self._ends.ended(agent, said, now_us)
        if message.verdict == "over":
            agent.sent += 1
            return [Post(agent.address, self._book.forget_command(key))]
        self.foreign += 1
        if len(self._foreign) >= FOREIGN_AT_MOST:
            self._foreign.clear()
        self._foreign[agent.agent_id, key] = now_us + FOREIGN_US
        return []

    def _ask(self, claim: tuple[str, Key], now_us: int) -> Post:
        agent_id, (run_id, attempt) = claim
        question = AskClaim(run_id=run_id, attempt=attempt, agent_id=agent_id)
        return self._asking.send(claim, Post(LEDGER, question), now_us)

    def settle(self, now_us: int) -> list[Post]:
        """Ask again where there is no answer."""
        return self._asking.repeat(now_us)

    def wakes_at(self) -> int | None:
        """Return when `settle` has something to do."""
        return self._asking.wakes_at()


def names_a_run(message: Any) -> bool:
    """Whether a message of a process is of one there can be: files are named by it."""
    if isinstance(message, AgentBeat | ProcessList | Fenced):
        return True
    return run_number(message.run_id) is not None and message.attempt > 0
