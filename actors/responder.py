"""The responder's core: carries out the actions that the ledger's outbox owes.

Each action has one id; what it asks of others carries that id, so that an action is carried out
once however often it is asked for. The ledger repeats what is not settled, the responder repeats
what is not answered. Never blocks a run, never writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..jobs.actions import ScheduleAction
from ..jobs.errors import UserError
from ..jobs.templates import expand
from ..messages.commands import ActOn, OutboxItem
from ..messages.hello import Hello, Welcome
from ..messages.instructions import ActionSettled
from ..messages.post import LEDGER, RESPONDER, SCHEDULER, Post
from ..messages.transitions import Beat, FeedFrame
from ..messages.wishes import Done, Refused, ScheduleRun, SchedulerWish
from .requests import OpenRequests
from .waiting_words import instance_text

HELLO = ("hello",)
# Settled actions are remembered, in case the ledger asks again before it hears of it.
REMEMBERED = 10_000
PREFIX = "act-"

RenderArgs = Callable[[dict[str, str], dict[str, str]], dict[str, str]]


def render_args(texts: dict[str, str], args: dict[str, str]) -> dict[str, str]:
    """Fill an action's args, templates over the run's args and nothing else.

    Raises:
        TemplateError: one of them cannot be filled.
    """
    return {name: expand(text, args, {}, {}) for name, text in texts.items()}


class Responder:
    """Carries out actions; `render` fills an action's args over the run's args alone."""

    def __init__(
        self,
        render: RenderArgs = render_args,
        *,
        incarnation: str = "",
        address: str = RESPONDER,
    ) -> None:
        self.address = address
        self._render = render
        self._incarnation = incarnation
        self._epoch = 0
        self._requests = OpenRequests()
        self._items: dict[str, OutboxItem] = {}
        self._settled: dict[str, ActionSettled] = {}

    def begin(self, now_us: int) -> list[Post]:
        """Greet the ledger; it sends all that is owed."""
        hello = Hello(role=self.address, incarnation=self._incarnation)
        return [self._requests.send(HELLO, Post(LEDGER, hello), now_us)]

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        """Take one message."""
        match message:
            case ActOn():
                return [post for item in message.items for post in self._act_on(item, now_us)]
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
        """Repeat what has had no answer."""
        return self._requests.repeat(now_us)

    def wakes_at(self) -> int | None:
        """Return when something is to be repeated."""
        return self._requests.wakes_at()

    # --- inside ---------------------------------------------------------------------------------

    def _act_on(self, item: OutboxItem, now_us: int) -> list[Post]:
        """Begin an action, or say again how it ended."""
        settled = self._settled.get(item.action_id)
        if settled is not None:
            return [Post(LEDGER, settled)]
        if item.action_id in self._items:
            return []
        match item.action:
            case ScheduleAction():
                return self._schedule(item, item.action, now_us)

    def _schedule(self, item: OutboxItem, action: ScheduleAction, now_us: int) -> list[Post]:
        try:
            args = self._render(action.args, item.run.args)
        except UserError as error:
            return [self._settle_action(item.action_id, error=str(error))]
        self._items[item.action_id] = item
        wish = SchedulerWish(
            command_id=PREFIX + item.action_id,
            principal=f"action:{item.run.run_id}",
            instruction=ScheduleRun(
                job_id=action.job_id,
                args=args,
                source_run=item.run.run_id,
                source_args=item.run.args,
            ),
        )
        return [self._requests.send(wish.command_id, Post(SCHEDULER, wish), now_us)]

    def _done(self, message: Done) -> list[Post]:
        if not self._requests.answered(message.command_id):
            return []
        action_id = message.command_id.removeprefix(PREFIX)
        item = self._items.pop(action_id)
        made = [f"{instance_text(run.job_id, run.args)} as {run.run_id}" for run in message.runs]
        what = ", ".join(made) or item.action.job_id
        return [self._settle_action(action_id, message=f"action scheduling {what}")]

    def _refused(self, message: Refused) -> list[Post]:
        """An action that is refused has failed; one that finds others busy is asked for again."""
        if message.reason == "busy" or not self._requests.answered(message.command_id):
            return []
        action_id = message.command_id.removeprefix(PREFIX)
        del self._items[action_id]
        return [self._settle_action(action_id, error=message.sentence)]

    def _settle_action(self, action_id: str, *, message: str = "", error: str = "") -> Post:
        settled = ActionSettled(
            action_id=action_id, message=message or f"error: {error}", error=error
        )
        self._settled[action_id] = settled
        if len(self._settled) > REMEMBERED:
            del self._settled[next(iter(self._settled))]
        return Post(LEDGER, settled)
