"""What the ledger says once a batch is durable, and what it says again when nobody answers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, takewhile
from typing import Any, TypeVar

from ..jobs.internal_programs import BoundInternal
from ..jobs.run import Run
from ..jobs.states import State
from ..messages.commands import ActOn, StartRun, StopAttempt
from ..messages.door import Unfit
from ..messages.post import FEED, RESPONDER, RUNNER, Post
from ..messages.transitions import FeedFrame
from ..messages.wishes import Refused
from .ledger_book import Book

# A command to the runner or responder is repeated when it has not been answered for so long.
REPEAT_US = 5_000_000
# At most so many are repeated at once, so that a long burst is not doubled.
REPEATS_AT_ONCE = 500
# Events of a feed frame and actions of a message: each keeps frames small.
FRAME_EVENTS = 100
ACTIONS_AT_ONCE = 100

T = TypeVar("T")


class Outgoing:
    """Replies of this batch, the commands it causes, and when each open command was last sent."""

    def __init__(self, book: Book) -> None:
        self.published_seq = book.seq
        self.unfit_count = 0
        self._book = book
        self._replies: list[Callable[[], Post]] = []
        self._starts: dict[str, None] = {}
        self._stops: dict[str, None] = {}
        self._settled_us = 0
        # In the order of their times, so that the first is the oldest: there may be thousands.
        self._sent_us: dict[str, int] = {}
        self._acts_sent_us: dict[str, int] = dict.fromkeys(book.acts.outbox, 0)

    def reply(self, to: str, message: Any) -> None:
        """Send a message after the commit."""
        post = Post(to, message)
        self._replies.append(lambda: post)

    def unfit(self, sender: str, message: Unfit, now_us: int) -> None:
        """Refuse what the door has not let in; who wished for it is told."""
        self.unfit_count += 1
        if message.command_id:
            self.reply(
                sender,
                Refused(
                    command_id=message.command_id,
                    reason="bad_request",
                    sentence=message.sentence,
                ),
            )

    def reply_with(self, make: Callable[[], Post]) -> None:
        """Send what `make` returns, called when the whole batch has been decided."""
        self._replies.append(make)

    def start(self, run_id: str) -> None:
        """Command the start of a run that is starting, until `answered`."""
        self._starts[run_id] = None

    def stop(self, run_id: str) -> None:
        """Command the stop of a run that is stopping, until it has ended."""
        self._stops[run_id] = None

    def answered(self, run_id: str, *, ended: bool) -> None:
        """The runner has answered: no more starts; when it has ended, no more stops either."""
        self._sent_us.pop(run_id, None)
        self._starts.pop(run_id, None)
        if ended:
            self._stops.pop(run_id, None)

    def act_settled(self, action_id: str) -> None:
        """The responder has settled an action."""
        self._acts_sent_us.pop(action_id, None)

    def act_tried(self, action_id: str, next_us: int) -> None:
        """The responder tries an action again at that time: no need to repeat it before."""
        self._acts_sent_us[action_id] = next_us

    def runner_told(self, runs: list[Run], now_us: int) -> None:
        """The runner's welcome holds these runs; their commands need not be repeated yet."""
        for run in runs:
            self._sent(run.run_id, now_us)

    def responder_new(self) -> None:
        """The responder has forgotten everything: all open actions are to be sent again."""
        self._acts_sent_us = dict.fromkeys(self._book.acts.outbox, 0)

    def wakes_at(self) -> int | None:
        """Return when the oldest unanswered command is to be repeated, None when there is none."""
        dates = [next(iter(self._sent_us.values()))] if self._sent_us else []
        dates += [min(self._acts_sent_us.values())] if self._acts_sent_us else []
        return min(dates) + REPEAT_US if dates else None

    def settle(self, now_us: int) -> list[Post]:
        """Return the batch's posts: feed frames, replies, commands."""
        if now_us < self._settled_us:
            self._set_back(self._settled_us - now_us)
        self._settled_us = now_us
        again = self._repeat(now_us)
        posts = self._frames()
        posts.extend(make() for make in self._replies)
        self._replies = []
        posts.extend(self._commands(now_us))
        posts.extend(again)
        return posts

    # --- inside ---------------------------------------------------------------------------------

    def _sent(self, run_id: str, now_us: int) -> None:
        """A command for a run is sent now."""
        self._sent_us.pop(run_id, None)
        self._sent_us[run_id] = now_us

    def _set_back(self, by_us: int) -> None:
        """The clock was set back: that must not silence the repeats."""
        for sent in (self._sent_us, self._acts_sent_us):
            for key in sent:
                sent[key] -= by_us

    def _frames(self) -> list[Post]:
        """The feed's frames of this batch: events in order, each with the runs it concerns."""
        posts = []
        touched = self._book.touched
        events = self._book.changes.events
        for some in parts(events, FRAME_EVENTS) if events else []:
            ids = dict.fromkeys(getattr(event, "run_id", "") for event in some)
            frame = FeedFrame(
                epoch=self._book.epoch,
                after_seq=self.published_seq,
                events=some,
                runs=[touched[run_id] for run_id in ids if run_id in touched],
            )
            posts.append(Post(FEED, frame))
            self.published_seq += len(some)
        return posts

    def _commands(self, now_us: int) -> list[Post]:
        """The starts, stops and actions that are due."""
        posts = []
        epoch = self._book.epoch
        for run_id in self._starts:
            run = self._book.active.get(run_id)
            if run is not None and run.state is State.STARTING:
                posts.append(Post(RUNNER, StartRun(epoch=epoch, run=run)))
                self._sent(run_id, now_us)
        for run_id in self._stops:
            run = self._book.active.get(run_id)
            if run is not None and run.state is State.STOPPING and not is_internal(run):
                stop = StopAttempt(
                    epoch=epoch, run_id=run_id, attempt=run.attempt, kill=run.kill_asked
                )
                posts.append(Post(RUNNER, stop))
                self._sent(run_id, now_us)
        self._starts, self._stops = {}, {}
        owed = self._book.changes.outbox.values()
        items = [item for item in owed if item is not None and item.attempts == 0]
        self._acts_sent_us.update((item.action_id, now_us) for item in items)
        posts.extend(Post(RESPONDER, ActOn(items=some)) for some in parts(items, ACTIONS_AT_ONCE))
        return posts

    def _repeat(self, now_us: int) -> list[Post]:
        """Have sent again what has had no answer for too long."""
        overdue_us = now_us - REPEAT_US
        oldest = islice(self._sent_us.items(), REPEATS_AT_ONCE)
        for run_id, _ in list(takewhile(lambda sent: sent[1] <= overdue_us, oldest)):
            run = self._book.active.get(run_id)
            if run is not None and run.state is State.STARTING:
                self._starts[run_id] = None
            elif run is not None and run.state is State.STOPPING:
                self._stops[run_id] = None
            else:
                del self._sent_us[run_id]
        items = []
        for action_id in _overdue(self._acts_sent_us, overdue_us):
            item = self._book.acts.outbox.get(action_id)
            if item is None:
                del self._acts_sent_us[action_id]
            elif action_id not in self._book.changes.outbox:
                self._acts_sent_us[action_id] = now_us
                items.append(item)
        return [Post(RESPONDER, ActOn(items=some)) for some in parts(items, ACTIONS_AT_ONCE)]


def is_internal(run: Run) -> bool:
    """Whether the ledger carries out the run's program itself, and no runner."""
    return isinstance(run.program, BoundInternal)


def _overdue(sent_us: dict[str, int], overdue_us: int) -> list[str]:
    """Return what has had no answer for too long."""
    return [key for key, at_us in sent_us.items() if at_us <= overdue_us][:REPEATS_AT_ONCE]


def parts(items: list[T], size: int) -> list[list[T]]:
    """Cut a list into parts of at most `size`; an empty list has none."""
    return [items[i : i + size] for i in range(0, len(items), size)]
