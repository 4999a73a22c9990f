"""The responder's core: has the actions carried out that the ledger's outbox owes.

Each action has one id; what it asks of others carries that id, so that a follow-up run is made once
however often it is asked for, and a receiver can tell a repeat. Mail, webhooks, commands and
notifications are carried out at least once, by threads of the stage; an attempt that fails is tried
again, later and later, and is given up in the end. The ledger repeats what is not settled. Never
blocks a run, never writes, never waits for a target.
"""

from __future__ import annotations

import hashlib
import heapq
from typing import Any

from msgspec.structs import replace

from ..jobs.action_texts import fill_plain
from ..jobs.actions import ScheduleAction
from ..jobs.errors import UserError
from ..jobs.words import instance_words
from ..messages.commands import ACTION_COMMAND, ActOn, OutboxItem
from ..messages.hello import Hello, Welcome
from ..messages.instructions import ActionSettled, ActionTried
from ..messages.post import LEDGER, RESPONDER, SCHEDULER, Post
from ..messages.transitions import Beat, FeedFrame
from ..messages.wishes import Done, Refused, ScheduleRun, SchedulerWish
from .delivery_seam import DELIVERY, ArgsFilled, Deliver, Delivered
from .requests import OpenRequests, earliest
from .responder_lines import Lines, target_of

HELLO = ("hello",)
# Settled actions are remembered, in case the ledger asks again before it hears of it.
REMEMBERED = 10_000
# An attempt that fails is followed by another after this time, twice as long each time, at most an
# hour; with the attempts there are by default the last one comes about three hours after the first.
FIRST_WAIT_US = 10_000_000
LONGEST_WAIT_US = 3600_000_000
ATTEMPTS = 12


class Responder:
    """Has actions carried out; each at most `attempts` times."""

    def __init__(
        self,
        *,
        attempts: int = ATTEMPTS,
        incarnation: str = "",
        address: str = RESPONDER,
    ) -> None:
        self.address = address
        self._attempts = attempts
        self._incarnation = incarnation
        self._epoch = 0
        self._requests = OpenRequests()
        self._items: dict[str, OutboxItem] = {}
        self._lines = Lines()
        self._later: list[tuple[int, str]] = []
        self._settled: dict[str, ActionSettled] = {}

    def figures(self) -> dict[str, float]:
        """Return how much it has in hand."""
        return {"open_actions": len(self._items), "actions_tried_again": len(self._later)}

    def begin(self, now_us: int) -> list[Post]:
        """Greet the ledger; it sends all that is owed."""
        hello = Hello(role=self.address, incarnation=self._incarnation)
        return [self._requests.send(HELLO, Post(LEDGER, hello), now_us)]

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        """Take one message."""
        match message:
            case ActOn():
                return [post for item in message.items for post in self._act_on(item, now_us)]
            case Delivered():
                return self._delivered(message, now_us)
            case ArgsFilled():
                return self._args_filled(message, now_us)
            case Done():
                return self._done(message)
            case Refused():
                return self._refused(message)
            case Welcome():
                self._requests.answered(HELLO)
                self._epoch = max(self._epoch, message.epoch)
            case Beat() | FeedFrame() if message.epoch > self._epoch > 0:
                self._epoch = message.epoch
                return self.begin(now_us)
        return []

    def settle(self, now_us: int) -> list[Post]:
        """Begin those whose turn it is; repeat what has had no answer."""
        while self._later and self._later[0][0] <= now_us:
            _, action_id = heapq.heappop(self._later)
            self._line_up(self._items[action_id])
        begun = [Post(DELIVERY, Deliver(item=self._items[one])) for one in self._lines.next()]
        return begun + self._requests.repeat(now_us)

    def wakes_at(self) -> int | None:
        """Return when something is to be tried again or repeated."""
        later_us = self._later[0][0] if self._later else None
        return earliest(later_us, self._requests.wakes_at())

    # --- beginning ------------------------------------------------------------------------------

    def _act_on(self, item: OutboxItem, now_us: int) -> list[Post]:
        """Begin an action, or say again how far it is."""
        settled = self._settled.get(item.action_id)
        if settled is not None:
            return [Post(LEDGER, settled)]
        known = self._items.get(item.action_id)
        if known is not None:
            # The ledger may not have heard of the last attempt.
            return [_tried(known)] if known.attempts > item.attempts else []
        self._items[item.action_id] = item
        if isinstance(item.action, ScheduleAction):
            return self._begin_schedule(item, item.action, now_us)
        if item.next_us > now_us:
            heapq.heappush(self._later, (item.next_us, item.action_id))
        else:
            self._line_up(item)
        return []

    def _line_up(self, item: OutboxItem) -> None:
        self._lines.join(item.action_id, target_of(item))

    def _begin_schedule(self, item: OutboxItem, action: ScheduleAction, now_us: int) -> list[Post]:
        """Ask for a follow-up run; where its args are more than names, have them filled first."""
        try:
            texts = {name: fill_plain(text, item.of_run.args) for name, text in action.args.items()}
        except UserError as error:
            return [self._settle_action(item.action_id, error=str(error))]
        args = {name: text for name, text in texts.items() if text is not None}
        if len(args) < len(texts):
            self._line_up(item)
            return []
        return [self._ask(item, action, args, now_us)]

    def _ask(
        self, item: OutboxItem, action: ScheduleAction, args: dict[str, str], now_us: int
    ) -> Post:
        wish = SchedulerWish(
            command_id=ACTION_COMMAND + item.action_id,
            principal=f"action:{item.of_run.run_id}",
            instruction=ScheduleRun(
                job_id=action.job_id,
                args=args,
                source_run=item.of_run.run_id,
                source_args=item.of_run.args,
                source_results=item.of_run.results,
            ),
        )
        return self._requests.send(wish.command_id, Post(SCHEDULER, wish), now_us)

    # --- ending ---------------------------------------------------------------------------------

    def _args_filled(self, message: ArgsFilled, now_us: int) -> list[Post]:
        if not self._lines.done(message.action_id):
            return []
        item = self._items[message.action_id]
        assert isinstance(item.action, ScheduleAction), f"{item.action_id}: has no args"
        return [self._ask(item, item.action, message.args, now_us)]

    def _delivered(self, message: Delivered, now_us: int) -> list[Post]:
        """An attempt is over: settle the action, or try it again later."""
        if not self._lines.done(message.action_id):
            return []
        if not message.error:
            return [self._settle_action(message.action_id, message=message.message)]
        item = self._items[message.action_id]
        attempts = item.attempts + 1
        if message.final or attempts >= self._attempts:
            error = message.error
            if not message.final:
                error = f"{error}: given up after {attempts} attempts"
            return [self._settle_action(message.action_id, error=error)]
        next_us = now_us + wait_us(message.action_id, attempts)
        item = replace(item, attempts=attempts, next_us=next_us, error=message.error)
        self._items[message.action_id] = item
        heapq.heappush(self._later, (next_us, message.action_id))
        return [_tried(item)]

    def _done(self, message: Done) -> list[Post]:
        if not self._requests.answered(message.command_id):
            return []
        action_id = message.command_id.removeprefix(ACTION_COMMAND)
        made = [f"{instance_words(run.job_id, run.args)} as {run.run_id}" for run in message.each()]
        what = ", ".join(made) or "nothing"
        return [self._settle_action(action_id, message=f"action scheduling {what}")]

    def _refused(self, message: Refused) -> list[Post]:
        """An action that is refused has failed; one that finds others busy is asked for again."""
        if message.reason == "busy" or not self._requests.answered(message.command_id):
            return []
        action_id = message.command_id.removeprefix(ACTION_COMMAND)
        return [self._settle_action(action_id, error=message.sentence)]

    def _settle_action(self, action_id: str, *, message: str = "", error: str = "") -> Post:
        del self._items[action_id]
        settled = ActionSettled(
            action_id=action_id, message=message or f"error: {error}", error=error
        )
        self._settled[action_id] = settled
        if len(self._settled) > REMEMBERED:
            del self._settled[next(iter(self._settled))]
        return Post(LEDGER, settled)


def wait_us(action_id: str, attempts: int) -> int:
    """Return how long to wait after that many failed attempts.

    Up to a quarter is added by a hash, so that actions which failed together do not come together.
    """
    plain_us = min(FIRST_WAIT_US << min(attempts - 1, 20), LONGEST_WAIT_US)
    digest = hashlib.sha256(f"{action_id}:{attempts}".encode()).digest()
    return plain_us + plain_us * int.from_bytes(digest[:2], "big") // (4 << 16)


def _tried(item: OutboxItem) -> Post:
    tried = ActionTried(
        action_id=item.action_id, attempts=item.attempts, next_us=item.next_us, error=item.error
    )
    return Post(LEDGER, tried)
