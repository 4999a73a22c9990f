"""Nodes for `world.World`: the real ledger over a store in memory, real cores, a tiny runner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ledger_driver import LedgerDriver
from people import ADMIN
from world import BAD, SECOND, START_US, Wire, World

from callsheet.jobs.programs import BoundNoOp
from callsheet.jobs.run import NewRun, Run
from callsheet.jobs.states import State
from callsheet.messages.agents import AgentsAnswer, AskAgents
from callsheet.messages.commands import AgentsInForce, Recorded, StartRun, StopAttempt
from callsheet.messages.hello import Hello, RunnerWelcome
from callsheet.messages.instructions import AgentsTaken, AttemptEnded, AttemptStarted
from callsheet.messages.post import FEED, LEDGER, RUNNER, WEB, Post
from callsheet.messages.transitions import Beat, FeedFrame
from callsheet.messages.wishes import AddRuns, Done, LedgerWish, Refused
from callsheet.store.memory import MemoryReader

DAY = 86_400 * SECOND
# How often the runner tells of an end again: the wire loses one in five of whatever goes over it.
REPEATS = 30


class LedgerNode:
    """The ledger's core over the store in memory, with the beat its stage adds."""

    address = LEDGER
    beat_every_us = SECOND

    def __init__(self, world: World, since_us: int = 0, driver: LedgerDriver | None = None) -> None:
        self.world = world
        self.driver = driver or LedgerDriver(now_us=world.now_us)
        self.driver.disk.tables.since_us = since_us
        self.beat_us = 0

    def boot(self) -> list[Post]:
        self.driver.now_us = self.world.now_us
        self.driver.restart()
        return []

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        driver = self.driver
        driver.now_us = self.world.now_us
        posts: list[Post] = []
        for sender, message in batch:
            driver.tell(message, sender=sender)
            posts += driver.posts
        driver.tell()
        posts += driver.posts
        if self.beat_us <= self.world.now_us:
            self.beat_us = self.world.now_us + self.beat_every_us
            ledger = driver.ledger
            posts.append(Post(FEED, Beat(epoch=ledger.epoch, seq=ledger.seq)))
        return posts

    def wakes_at(self) -> int | None:
        wakes_at = self.driver.ledger.wakes_at()
        return self.beat_us if wakes_at is None else min(self.beat_us, wakes_at)


class CoreNode:
    """A core made anew at each boot by `make(now_us)`."""

    def __init__(self, world: World, address: str, make: Callable[[int], Any]) -> None:
        self.world, self.address, self.make = world, address, make
        self.core: Any = None

    def boot(self) -> list[Post]:
        self.core = self.make(self.world.now_us)
        return self.core.begin(self.world.now_us)

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        posts: list[Post] = []
        for sender, message in batch:
            posts += self.core.receive(sender, message, self.world.now_us)
        return posts + self.core.settle(self.world.now_us)

    def wakes_at(self) -> int | None:
        return self.core.wakes_at()


class RunnerNode:
    """Starts what it is told at once and ends it after `lasts_us`; the ledger repeats the rest.

    All runs succeed but no-ops that are to fail.
    """

    address = RUNNER

    def __init__(self, world: World, lasts_us: int = SECOND) -> None:
        self.world, self.lasts_us = world, lasts_us
        self.started: dict[tuple[str, int], int] = {}
        # Those that are told of, and how often each was told to have ended.
        self.again: dict[tuple[str, int], int] = {}
        self.failing: set[str] = set()
        self.wake_us = world.now_us
        self.epoch, self.session = 0, (0, 0)

    def boot(self) -> list[Post]:
        return [Post(LEDGER, Hello(role=RUNNER))]

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        posts = []
        for sender, message in batch:
            if isinstance(message, AskAgents):
                posts.append(Post(sender, AgentsAnswer(request=message.request, agents=[])))
            elif isinstance(message, Beat | FeedFrame) and message.epoch > self.epoch:
                posts.append(Post(LEDGER, Hello(role=RUNNER)))
            elif isinstance(message, RunnerWelcome):
                self.epoch, self.session = message.epoch, (message.epoch, message.session)
                for run in message.runs:
                    key = (run.run_id, run.attempt)
                    self.started.setdefault(key, self.world.now_us)
                    self.again[key] = 0
                    posts.append(self._started(key))
            elif isinstance(message, StartRun):
                key = (message.run.run_id, message.run.attempt)
                if key not in self.started:
                    self.started[key], self.again[key] = self.world.now_us, 0
                if message.run.program == BoundNoOp(success=False):
                    self.failing.add(message.run.run_id)
                posts.append(self._started(key))
                posts += self._ended(key)
            elif isinstance(message, StopAttempt):
                posts += self._ended((message.run_id, message.attempt))
            elif isinstance(message, Recorded) and message.ended:
                self.again.pop((message.run_id, message.attempt), None)
            elif isinstance(message, AgentsInForce):
                taken = AgentsTaken(seq=message.seq, session=self.session)
                posts.append(Post(LEDGER, taken))
        if self.world.now_us < self.wake_us:
            return posts
        self.wake_us = self.world.now_us + SECOND // 2
        for key, times in list(self.again.items()):
            ended = self._ended(key)
            posts += ended
            if ended and times == REPEATS:
                del self.again[key]
            elif ended:
                self.again[key] = times + 1
        return posts

    def _started(self, key: tuple[str, int]) -> Post:
        return Post(LEDGER, AttemptStarted(run_id=key[0], attempt=key[1], at_us=self.world.now_us))

    def _ended(self, key: tuple[str, int]) -> list[Post]:
        if self.started.get(key, 0) + self.lasts_us > self.world.now_us:
            return []
        state = State.FAILURE if key[0] in self.failing else State.SUCCESS
        ended = AttemptEnded(run_id=key[0], attempt=key[1], at_us=self.world.now_us, state=state)
        return [Post(LEDGER, ended)]

    def wakes_at(self) -> int | None:
        return self.wake_us if self.again else None


class WebNode:
    """Asks for what the test wishes, again each half second until it is answered."""

    address = WEB
    asks_every_us = SECOND // 2

    def __init__(self, world: World) -> None:
        self.world = world
        self.open: dict[str, Post] = {}
        self.answers: dict[str, Done | Refused] = {}
        self.wake_us = world.now_us

    def boot(self) -> list[Post]:
        return []

    def wish(self, post: Post) -> None:
        self.open[post.message.command_id] = post
        self.world.nudge(self.address)

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        for _, message in batch:
            if isinstance(message, Done | Refused):
                self.open.pop(message.command_id, None)
                known = self.answers.setdefault(message.command_id, message)
                assert type(known) is type(message)
        self.wake_us = self.world.now_us + self.asks_every_us
        return list(self.open.values())

    def wakes_at(self) -> int | None:
        return self.wake_us if self.open else None


def a_runner(world: World, lasts_us: int = SECOND) -> RunnerNode:
    """Add a runner that follows the feed."""
    runner = RunnerNode(world, lasts_us)
    world.add(runner, follows=(FEED,))
    return runner


class PlanningWorld(World):
    """A world with a ledger in it; `runs` are those of the store."""

    def __init__(
        self,
        seed: int = 1,
        wire: Wire = BAD,
        *,
        since_us: int = 0,
        driver: LedgerDriver | None = None,
    ) -> None:
        super().__init__(seed, wire)
        self.ledger = LedgerNode(self, since_us, driver)
        self.add(self.ledger)

    @property
    def reader(self) -> MemoryReader:
        return MemoryReader(self.ledger.driver.disk)

    @property
    def runs(self) -> list[Run]:
        return sorted(self.ledger.driver.disk.tables.runs.values(), key=lambda run: run.number)

    def core(self, address: str, make: Callable[[int], Any], *feeds: str) -> CoreNode:
        node = CoreNode(self, address, make)
        self.add(node, follows=feeds)
        return node

    def add_runs(self, *runs: dict[str, Any]) -> list[str]:
        """Have runs made by a person, without any loss; return their ids."""
        driver = self.ledger.driver
        driver.now_us = self.now_us
        first = driver.writer and driver.ledger.book.next_number
        driver.ledger.book.next_number += len(runs)
        driver.ledger.book.changes.next_run_number = driver.ledger.book.next_number
        made = [
            NewRun(
                **{
                    "run_id": f"r{first + n}",
                    "job_id": "a",
                    "args": {},
                    "schedule_us": self.now_us,
                    "program": BoundNoOp(),
                }
                | fields
            )
            for n, fields in enumerate(runs)
        ]
        wish = LedgerWish(
            command_id=f"add{first}",
            principal="ann",
            instruction=AddRuns(runs=made),
            access=ADMIN,
        )
        driver.tell(wish, sender=WEB)
        self.send(LEDGER, driver.posts)
        return [run.run_id for run in made]

    def wait_until(self, done: Callable[[], bool], seconds: float = 120) -> None:
        """Let time pass until something holds; fail when it takes longer than that."""
        end_us, step_us = self.now_us + int(seconds * SECOND), SECOND // 10
        while not done():
            assert self.now_us < end_us, f"not within {seconds} s"
            # Whole steps, and as many as nothing happens in: nothing changes meanwhile.
            steps = max(1, -(-self.still_us() // step_us))
            self.run_for(steps * step_us)

    def states(self, *run_ids: str) -> list[State]:
        found = {run.run_id: run.state for run in self.runs}
        return [found[run_id] for run_id in run_ids]


__all__ = ["BAD", "DAY", "SECOND", "START_US", "PlanningWorld", "WebNode", "a_runner"]
