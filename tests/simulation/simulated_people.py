"""People: what they wish for at random, asked until it is answered; and a follower of the feed.

A wish is repeated under its command id, also for no reason, as impatient people and proxies do.
"""

from __future__ import annotations

import random
from typing import Any

from simulated_host import Violation
from simulated_jobs import Folder
from world import SECOND, World

from callsheet.jobs.run import Run
from callsheet.jobs.states import ACTIVE, FINISHED, MARKABLE, State
from callsheet.messages.access import Access, Role
from callsheet.messages.post import LEDGER, SCHEDULER, WEB, Post
from callsheet.messages.transitions import Beat, FeedFrame, Replay, Replayed, RunWithdrawn
from callsheet.messages.wishes import (
    Done,
    HoldRun,
    LedgerWish,
    MarkRun,
    Refused,
    ReleaseRun,
    ReloadJobs,
    RerunRun,
    ScheduleRun,
    SchedulerWish,
    SignalRun,
    SkipRun,
    StartNow,
    StopRun,
)
from callsheet.store.memory import MemoryReader
from callsheet.wire.feed import FeedFollower, Then

WORDS = ("start", "skip", "hold", "release", "stop", "kill", "mark", "rerun", "usr1")
FOLLOWER = "web/1"
MAY_ALL = Access(role=Role.ADMIN)
USR1 = 10


class People:
    """`asked` holds every wish, `answers` what was said to each; `open` those that wait."""

    address = WEB

    def __init__(self, world: World, reader: MemoryReader, folder: Folder) -> None:
        self.world, self.reader, self.folder = world, reader, folder
        self.rnd = random.Random(f"{world.seed} people")
        self.asked: dict[str, Any] = {}
        self.open: dict[str, tuple[Post, int]] = {}
        self.answers: dict[str, Done | Refused] = {}
        self.signals: dict[str, int] = {}

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
        known = self.answers.setdefault(message.command_id, message)
        reload = isinstance(self.asked[message.command_id].instruction, ReloadJobs)
        if not reload and type(known) is not type(message):
            raise Violation(f"wish {message.command_id}: two answers: {known!r}, {message!r}")

    # --- wishing --------------------------------------------------------------------------------

    def wish(self) -> None:
        """Wish for something."""
        command_id = f"w{len(self.asked) + 1}"
        dice = self.rnd.random()
        if dice < 0.35:
            instruction, to = self._schedule(), SCHEDULER
        elif dice < 0.45:
            self.folder.edit()
            instruction, to = ReloadJobs(dry_run=self.rnd.random() < 0.1), SCHEDULER
        else:
            instruction, to = self._about_a_run()
        if instruction is None:
            return
        kind = SchedulerWish if to == SCHEDULER else LedgerWish
        wish = kind(
            command_id=command_id,
            principal=f"ann {command_id}",
            instruction=instruction,
            access=MAY_ALL,
        )
        self.asked[command_id] = wish
        self.open[command_id] = Post(to, wish), self.world.true_us
        self.world.nudge(self.address)

    def _schedule(self) -> ScheduleRun:
        rnd = self.rnd
        job_id = rnd.choice(self.folder.ids)
        args = {"x": rnd.choice("123")} if self.folder.params(job_id) else {}
        if rnd.random() < 0.05:
            args["y"] = "?"
        schedule_us = None
        if rnd.random() < 0.4:
            schedule_us = self.world.now_us + rnd.randrange(-5, 40) * SECOND
        stop_after_us = rnd.choice((None, None, None, 3 * SECOND))
        count = rnd.choice((1, 1, 1, 2, 5))
        if rnd.random() < 0.1:
            job = {"program": {"type": "no-op"}}
            return ScheduleRun(job=job, count=count, schedule_us=schedule_us)
        return ScheduleRun(
            job_id=job_id,
            args=args,
            count=count,
            schedule_us=schedule_us,
            stop_after_us=stop_after_us,
        )

    def _about_a_run(self) -> tuple[Any, str]:
        rnd = self.rnd
        word = rnd.choice(WORDS)
        run = self._a_run(word)
        if run is None:
            return None, LEDGER
        run_id = run.run_id
        match word:
            case "start":
                return StartNow(run_id=run_id), LEDGER
            case "skip":
                return SkipRun(run_id=run_id, reason=rnd.choice(("", "no need"))), LEDGER
            case "hold":
                return HoldRun(run_id=run_id), LEDGER
            case "release":
                return ReleaseRun(run_id=run_id), LEDGER
            case "stop" | "kill":
                return StopRun(run_id=run_id, kill=word == "kill"), LEDGER
            case "mark":
                return MarkRun(run_id=run_id, state=rnd.choice(sorted(MARKABLE))), LEDGER
            case "usr1":
                self.signals[run_id] = self.signals.get(run_id, 0) + 1
                return SignalRun(run_id=run_id, signal=USR1), LEDGER
        return RerunRun(run_id=run_id, job_id=run.job_id, args=run.args), SCHEDULER

    def _a_run(self, word: str) -> Run | None:
        """Pick a run, mostly one for which the wish makes sense."""
        tables = self.reader._tables
        wanted = {
            "start": (State.SCHEDULED, State.WAITING),
            "skip": (State.SCHEDULED, State.WAITING),
            "hold": (State.SCHEDULED, State.WAITING),
            "release": (State.SCHEDULED, State.WAITING),
            "mark": FINISHED,
            "rerun": FINISHED,
        }.get(word, ACTIVE - {State.WAITING})
        runs = list(tables.runs.values())
        fit = [
            run
            for run in runs[-200:]
            if run.state in wanted
            and (word != "release" or run.held)
            and (word != "start" or run.schedule_us < self.world.now_us + 60 * SECOND)
        ]
        if fit and self.rnd.random() < 0.9:
            return self.rnd.choice(fit)
        return self.rnd.choice(runs) if runs and self.rnd.random() < 0.3 else None


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
