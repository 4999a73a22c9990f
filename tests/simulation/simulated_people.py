"""People: what they wish for at random, asked until it is answered; and a follower of the feed.

A wish is repeated under its command id, also for no reason, as impatient people and proxies do.
"""

from __future__ import annotations

import random
from typing import Any

from simulated_host import Violation
from simulated_jobs import Folder
from simulated_wishes import Wishes
from world import SECOND, World

from callsheet.jobs.run import Run
from callsheet.messages.access import Access, Role
from callsheet.messages.post import LEDGER, SCHEDULER, WEB, Post
from callsheet.messages.transitions import Beat, FeedFrame, Replay, Replayed, RunWithdrawn
from callsheet.messages.wishes import Done, LedgerWish, Refused, ReloadJobs, SchedulerWish
from callsheet.store.memory import MemoryReader
from callsheet.wire.feed import FeedFollower, Then

FOLLOWER = "web/1"
MAY_ALL = Access(role=Role.ADMIN)


class People:
    """`asked` holds every wish, `answers` what was said to each; `open` those that wait."""

    address = WEB

    def __init__(self, world: World, reader: MemoryReader, folder: Folder) -> None:
        self.world, self.reader, self.folder = world, reader, folder
        self.wishes = Wishes(world, reader, folder)
        self.rnd = self.wishes.rnd
        self.asked: dict[str, Any] = {}
        self.open: dict[str, tuple[Post, int]] = {}
        self.answers: dict[str, Done | Refused] = {}

    def boot(self) -> list[Post]:
        return []

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        for _, message in batch:
            if isinstance(message, Done | Refused):
                self._answered(message)
        posts = []
        for command_id, (post, again_us) in list(self.open.items()):
            if again_us <= self.world.true_us:
                wait_us = self.rnd.randrange(SECOND // 2, 4 * SECOND)
                self.open[command_id] = post, self.world.true_us + wait_us
                posts.append(post)
        return posts

    def wakes_at(self) -> int | None:
        if not self.open:
            return None
        return min(again_us for _, again_us in self.open.values()) + self.world.offset_us

    def _answered(self, message: Done | Refused) -> None:
        if isinstance(message, Refused) and message.reason == "busy":
            return
        self.open.pop(message.command_id, None)
        command_id = message.command_id
        known = self.answers.setdefault(command_id, message)
        may_differ = isinstance(self.asked[command_id].instruction, ReloadJobs)
        if not may_differ and type(known) is not type(message):
            raise Violation(f"wish {message.command_id}: two answers: {known!r}, {message!r}")

    def wish(self) -> None:
        """Wish for something."""
        command_id = f"w{len(self.asked) + 1}"
        made = self.wishes.make(command_id)
        if made is None:
            return
        instruction, to = made
        kind = SchedulerWish if to == SCHEDULER else LedgerWish
        wish = kind(
            command_id=command_id,
            principal=name_of(command_id),
            instruction=instruction,
            access=MAY_ALL,
        )
        self.asked[command_id] = wish
        self.open[command_id] = Post(to, wish), self.world.true_us
        self.world.nudge(self.address)


def name_of(command_id: str) -> str:
    """Return who has made a wish: each is another's, so that its traces can be told apart."""
    return f"ann {command_id}"


class Follower:
    """Keeps a replica of all runs by the feed; asks for what it missed, or reads the store."""

    address = FOLLOWER

    def __init__(self, world: World, reader: MemoryReader) -> None:
        self.world, self.reader = world, reader
        self.rnd = random.Random(f"{world.seed} follower")
        self.feed = FeedFollower()
        self.runs: dict[str, Run] = {}
        self.reads = self.replays = 0
        self._asked_us = -SECOND

    def boot(self) -> list[Post]:
        self.feed = FeedFollower()
        self.runs = {}
        return []

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        posts: list[Post] = []
        for _, message in batch:
            if isinstance(message, Replayed):
                if message.frame is not None:
                    posts += self._take(message.frame)
                if not message.complete:
                    self._read()
            elif isinstance(message, FeedFrame | Beat):
                posts += self._take(message)
        return posts

    def wakes_at(self) -> int | None:
        return None

    def _take(self, message: FeedFrame | Beat) -> list[Post]:
        step = self.feed.take(message)
        match step.then:
            case Then.APPLY:
                for run in step.runs:
                    known = self.runs.get(run.run_id)
                    if known is None or known.version <= run.version:
                        self.runs[run.run_id] = run
                for event in step.events:
                    if isinstance(event, RunWithdrawn):
                        self.runs.pop(event.run_id, None)
            case Then.NEW_EPOCH:
                self._read()
            case Then.HOLE:
                if self.rnd.random() < 0.3:
                    self._read()
                elif self.world.true_us - self._asked_us > SECOND // 2:
                    self._asked_us = self.world.true_us
                    self.replays += 1
                    return [Post(LEDGER, Replay(after_seq=step.after_seq))]
        return []

    def _read(self) -> None:
        self.reads += 1
        with self.reader.snapshot():
            self.feed.stand(*self.reader.head())
            tables = self.reader._tables
            self.runs = {run.run_id: run for run in tables.runs.values()}
