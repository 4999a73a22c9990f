"""Which attempt was given to which agent: on record before the agent hears of it.

Part of the runner's core, called by `runner_placing.py`. The record is the journal of placements.
It outlives the runner but perhaps not a loss of power, and neither does what an agent has of an
attempt that has just begun. Whoever may have begun is not started again: it is lost.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..messages.post import Post
from .outputs_seam import PLACEMENTS, KeepPlaced, Placed
from .runner_agents import Agent
from .runner_book import Attempt, Key

# The journal of placements is written anew after so many.
JOURNAL_AFTER = 50_000


class Given:
    """See the module. `placed` is what the journal holds; before `booted_us` its host was down."""

    def __init__(self, placed: Mapping[Key, Placed], booted_us: int) -> None:
        self._placed = dict(placed)
        self._booted_us = booted_us
        self._written = 0

    def of(self, key: Key) -> Placed | None:
        """Return who was given an attempt, None: nobody that is known of."""
        return self._placed.get(key)

    def write(self, attempt: Attempt, agent: Agent) -> tuple[Placed, list[Post]]:
        """Give an attempt to an agent; return the placement, and what writes it down."""
        run_id, number = attempt.key
        boot_id = agent.hello.boot_id if agent.hello is not None else ""
        placed = Placed(run_id=run_id, attempt=number, agent_id=agent.agent_id, boot_id=boot_id)
        self._placed[attempt.key] = placed
        posts = [Post(PLACEMENTS, placed)]
        self._written += 1
        if self._written >= JOURNAL_AFTER:
            posts.append(self._anew())
        return placed, posts

    def drop(self, key: Key) -> None:
        """The end of an attempt is on record."""
        self._placed.pop(key, None)

    def keep_only(self, live: set[Key]) -> Post:
        """Forget all others, and have the journal begin anew."""
        self._placed = {key: placed for key, placed in self._placed.items() if key in live}
        return self._anew()

    def may_be_forgotten(self, attempt: Attempt, agent: Agent) -> bool:
        """Whether an attempt nobody knows of may have been given to this agent, and begun: both the
        host of the journal and the agent's were started anew since the ledger asked for it."""
        asked_us, hello = attempt.asked_us, agent.hello
        if not asked_us or hello is None or attempt.key in agent.claims:
            return False
        return asked_us < self._booted_us and asked_us < hello.booted_us

    def is_doubtful(self, attempt: Attempt) -> bool:
        """Whether the journal may have lost that an attempt was given to somebody."""
        return bool(attempt.asked_us) and attempt.asked_us < self._booted_us

    def _anew(self) -> Post:
        """Have the journal of placements begin anew with those that count."""
        self._written = 0
        return Post(PLACEMENTS, KeepPlaced(placed=list(self._placed.values())))


def has_rebooted(attempt: Attempt, agent: Agent) -> bool:
    """Return whether the host of an agent was started anew since the attempt was given to it."""
    hello = agent.hello
    return hello is not None and bool(attempt.boot_id) and attempt.boot_id != hello.boot_id


def went_with_reboot(attempt: Attempt, agent: Agent) -> bool:
    """Return whether an agent was given an attempt before its host's reboot, and has nothing of it
    now: it may have begun, and what was known of it may have gone with the power."""
    return has_rebooted(attempt, agent) and attempt.key not in agent.claims
