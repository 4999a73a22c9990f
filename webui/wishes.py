"""Wishes and questions in the air: repeated until answered, given up in time. Part of the core."""

from __future__ import annotations

from typing import Any

import msgspec

from ..messages.agents import AskAgents
from ..messages.backfills import StartBackfill
from ..messages.post import LEDGER, RUNNER, SCHEDULER, Post
from ..messages.wishes import (
    Done,
    LedgerWish,
    Refused,
    ReloadJobs,
    RerunRun,
    RerunRuns,
    ScheduleRun,
    SchedulerWish,
)
from .seam import LOOP, Answered, AskWho, AskWish, WhoCame

# A wish without an answer is repeated after this long; it is idempotent by its command id.
REPEAT_US = 2_000_000
# Wishes and questions in the air; more are refused at once.
MAX_PENDING = 2_000


class _Pending(msgspec.Struct, kw_only=True):
    """What waits for its answer, in the core's own time."""

    post: Post
    sent: int
    until: int


class Wishes:
    """See the module. Times are the core's own, which no clock sets back."""

    def __init__(self) -> None:
        self.timeouts = 0
        self._wishes: dict[str, _Pending] = {}
        self._questions: dict[str, _Pending] = {}

    def ask(self, ask: AskWish, time: int) -> list[Post]:
        """Bring a wish to who decides it; one that is in the air already waits on."""
        known = self._wishes.get(ask.command_id)
        if known is not None:
            known.until = max(known.until, time + ask.wait_us)
            return []
        if len(self._wishes) >= MAX_PENDING:
            sentence = f"{MAX_PENDING} requests wait for the server already: try again later"
            busy = Refused(command_id=ask.command_id, reason="busy", sentence=sentence)
            return [Post(LOOP, Answered(command_id=ask.command_id, answer=busy))]
        post = _post_of(ask)
        self._wishes[ask.command_id] = _Pending(post=post, sent=time, until=time + ask.wait_us)
        return [post]

    def answered(self, answer: Done | Refused) -> list[Post]:
        """Hand an answer over; one that nobody waits for any more is left out."""
        if self._wishes.pop(answer.command_id, None) is None:
            return []
        return [Post(LOOP, Answered(command_id=answer.command_id, answer=answer))]

    def ask_who(self, ask: AskWho, time: int) -> list[Post]:
        """Ask the runner, once."""
        if len(self._questions) >= MAX_PENDING:
            return [Post(LOOP, WhoCame(request=ask.request, answer=None))]
        post = Post(RUNNER, AskAgents(request=ask.request, processes=ask.processes))
        self._questions[ask.request] = _Pending(post=post, sent=time, until=time + ask.wait_us)
        return [post]

    def who_came(self, request: str) -> bool:
        """The runner has answered; return whether anybody had asked that."""
        return self._questions.pop(request, None) is not None

    def repeat(self, time: int) -> list[Post]:
        """Send unanswered wishes again, give up what has waited long enough."""
        posts = []
        for command_id, pending in list(self._wishes.items()):
            if time >= pending.until:
                del self._wishes[command_id]
                self.timeouts += 1
                posts.append(Post(LOOP, Answered(command_id=command_id, answer=None)))
            elif time >= pending.sent + REPEAT_US:
                pending.sent = time
                posts.append(pending.post)
        for request, pending in list(self._questions.items()):
            if time >= pending.until:
                del self._questions[request]
                posts.append(Post(LOOP, WhoCame(request=request, answer=None)))
        return posts

    def wakes_at(self) -> int | None:
        """Return when `repeat` has something to do."""
        due = [min(one.sent + REPEAT_US, one.until) for one in self._wishes.values()]
        due += [one.until for one in self._questions.values()]
        return min(due, default=None)


def _post_of(ask: AskWish) -> Post:
    """Return the post of a wish: what needs the job folder goes to the scheduler."""
    instruction = ask.instruction
    said: dict[str, Any] = {
        "command_id": ask.command_id,
        "principal": ask.principal,
        "access": ask.access,
    }
    if isinstance(instruction, ScheduleRun | RerunRun | RerunRuns | ReloadJobs | StartBackfill):
        return Post(SCHEDULER, SchedulerWish(instruction=instruction, **said))
    return Post(LEDGER, LedgerWish(instruction=instruction, **said))
