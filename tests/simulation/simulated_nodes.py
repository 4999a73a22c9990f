"""The nodes of the simulated server: each hosts a real core, as its stage does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from simulated_host import SimulatedHost
from world import BEFORE, SECOND, Killed, World

from callsheet.actors.ledger import Ledger
from callsheet.actors.ledger_needs import Found, find
from callsheet.actors.outputs_seam import (
    OUTPUTS,
    PLACEMENTS,
    STORE,
    AppendOutput,
    FinishOutput,
    KeepPlaced,
    OutputFinished,
    OutputStored,
    Placed,
)
from callsheet.actors.runner import Runner
from callsheet.agentd.core import AgentCore
from callsheet.agentd.host import Key
from callsheet.agentd.launch import spec_of
from callsheet.messages.agents import AGENT_VERSIONS, AgentHello, StartProcess
from callsheet.messages.instructions import OutputRecord
from callsheet.messages.post import FEED, LEDGER, RUNNER, Post
from callsheet.messages.transitions import Beat
from callsheet.store.interface import Changes, StoreBroken, StoreError
from callsheet.store.memory import MemoryDisk, MemoryWriter

BEAT_US = SECOND
RETRY_FIRST_US, RETRY_MOST_US = SECOND // 10, 5 * SECOND


class LedgerNode:
    """The ledger's stage: decide, persist, publish, command. Beats and retries are monotonic."""

    address = LEDGER

    def __init__(
        self,
        world: World,
        disk: MemoryDisk,
        make_ledger: Callable[..., Ledger] = Ledger,
        make_writer: Callable[[MemoryDisk], MemoryWriter] = MemoryWriter,
    ) -> None:
        self.world, self.disk = world, disk
        self._make_ledger, self._make_writer = make_ledger, make_writer
        self.core: Ledger
        self.writer: MemoryWriter
        self._unsent: tuple[Changes, list[Post]] | None = None
        self._held: list[tuple[str, Any]] = []
        self._wait_us = self._retry_us = self._beat_us = self._said_seq = 0
        self._idle = True

    def boot(self) -> list[Post]:
        self.disk.crash()
        self.writer = self._make_writer(self.disk)
        self.core = self._make_ledger(self.writer.open(self.world.now_us))
        self._unsent, self._held = None, []
        self._said_seq, self._beat_us = self.core.seq, 0
        return self.core.begin(self.world.now_us)

    def leave_behind(self) -> LedgerNode:
        """Return this ledger as one that stands still while another takes its place."""
        frozen = LedgerNode(self.world, self.disk, self._make_ledger, self._make_writer)
        frozen.__dict__.update(self.__dict__)
        return frozen

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        posts: list[Post] = []
        self._held += batch
        if self._unsent is None:
            batch, self._held = self._held, []
            posts = self._play(batch)
        elif self._retry_us <= self.world.true_us:
            posts = self._persist(*self._unsent)
        if self._beat_us <= self.world.true_us:
            self._beat_us = self.world.true_us + BEAT_US
            posts.append(Post(FEED, Beat(epoch=self.core.epoch, seq=self._said_seq)))
            if self._idle and self._unsent is None:
                self.writer.maintain(self.world.now_us)
            self._idle = True
        return posts

    def wakes_at(self) -> int | None:
        due_us = self._beat_us if self._unsent is None else min(self._beat_us, self._retry_us)
        due_us += self.world.offset_us
        core_us = self.core.wakes_at() if self._unsent is None else None
        return due_us if core_us is None else min(due_us, core_us)

    def _play(self, batch: list[tuple[str, Any]]) -> list[Post]:
        now_us, core = self.world.now_us, self.core
        if batch:
            self._idle = False
        needs = core.needs(batch, now_us)
        core.admit(find(needs, self.writer, now_us, core.epoch) if needs else Found())
        for sender, message in batch:
            core.receive(sender, message, now_us)
        posts = core.settle(now_us)
        changes = core.take_changes()
        self._wait_us = RETRY_FIRST_US
        return self._persist(changes, posts) if changes else _feed_first(posts)

    def _persist(self, changes: Changes, posts: list[Post]) -> list[Post]:
        if self.world.doomed(LEDGER) == BEFORE:
            raise Killed
        try:
            self.writer.commit(changes)
        except StoreBroken:
            raise
        except StoreError:
            self._retry_us = self.world.true_us + self._wait_us
            self._wait_us = min(self._wait_us * 2, RETRY_MOST_US)
            self._unsent = changes, posts
            return []
        if self._unsent is not None:
            self._unsent = None
            # The frames that waited in the sockets meanwhile.
            self.world.nudge(LEDGER)
        self._said_seq = self.core.seq
        return _feed_first(posts)


def _feed_first(posts: list[Post]) -> list[Post]:
    feed = [post for post in posts if post.to == FEED]
    return feed + [post for post in posts if post.to != FEED]


class CoreNode:
    """A core made anew at each boot by `make(life, now_us)`; `life` counts from 1."""

    def __init__(self, world: World, address: str, make: Callable[[int, int], Any]) -> None:
        self.world, self.address, self.make = world, address, make
        self.life = 0
        self.core: Any = None

    def boot(self) -> list[Post]:
        self.life += 1
        self.core = self.make(self.life, self.world.now_us)
        return self.core.begin(self.world.now_us)

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        now_us = self.world.now_us
        posts: list[Post] = []
        for sender, message in batch:
            posts += self.core.receive(sender, message, now_us)
        return posts + self.core.settle(now_us)

    def wakes_at(self) -> int | None:
        return self.core.wakes_at()


class RunnerNode(CoreNode):
    """The runner's stage: its journal of placements and its output store are durable."""

    def __init__(self, world: World, agents: list[AgentNode]) -> None:
        super().__init__(world, RUNNER, self._make)
        self.placed: dict[tuple[str, int], Placed] = {}
        self.outputs = SimulatedOutputs(world, [agent.host for agent in agents])
        self.local = {
            STORE: self._to_store,
            PLACEMENTS: self._write_placements,
            OUTPUTS: lambda _: None,
        }
        self._told: list[Any] = []
        self._agents = agents

    def boot(self) -> list[Post]:
        self._told = []
        posts = super().boot()
        for agent in self._agents:
            delay_us = self.world.random.randrange(1_000, SECOND)
            self.world.after(delay_us, partial(self._connected, agent, self.life))
        return posts

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        told, self._told = self._told, []
        return super().step([*(("local", message) for message in told), *batch])

    def _make(self, life: int, now_us: int) -> Runner:
        return Runner(placed=dict(self.placed), incarnation=f"runner {life}", server_id="sim")

    def _connected(self, agent: AgentNode, life: int) -> None:
        """An agent's connection is there again."""
        if life == self.life and self.world.up(agent.address):
            agent.connect()

    def _write_placements(self, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, KeepPlaced):
                self.placed = {(p.run_id, p.attempt): p for p in message.placed}
            else:
                self.placed[message.run_id, message.attempt] = message

    def _to_store(self, messages: list[Any]) -> None:
        """The store works on threads of its own, and tells later, if anybody is there still."""
        life = self.life
        for message in messages:
            delay_us = self.world.random.randrange(200, 20_000)
            self.world.after(delay_us, partial(self._stored, message, life))

    def _stored(self, message: Any, life: int) -> None:
        answer = self.outputs.do(message)
        if life == self.life and self.world.up(RUNNER):
            self._told.append(answer)
            self.world.nudge(RUNNER)


class SimulatedOutputs:
    """What the output store does, by the port `actors/outputs_seam.py`."""

    def __init__(self, world: World, hosts: list[SimulatedHost]) -> None:
        self._world = world
        self._hosts = {host.name: host for host in hosts}
        self.fails = 0.0
        self.growing: dict[tuple[str, int], bytes] = {}
        self.kept: dict[tuple[str, int], bytes] = {}

    def do(self, message: AppendOutput | FinishOutput) -> OutputStored | OutputFinished:
        """Carry out one message and return the answer to it."""
        key = (message.run_id, message.attempt)
        fields: dict[str, Any] = {
            "run_id": key[0], "attempt": key[1], "output_id": message.output_id
        }  # fmt: skip
        there = self.growing.get(key, b"")
        if isinstance(message, AppendOutput):
            if message.offset <= len(there):
                there += message.data[len(there) - message.offset :]
                self.growing[key] = there
            return OutputStored(length=len(there), **fields)
        if self._world.random.random() < self.fails:
            return OutputFinished(error="No space left on device", **fields)
        data = self._spooled(key, message) or there
        if len(data) < message.length:
            return OutputFinished(length=len(there), **fields)
        self.kept[key] = data[: message.length]
        self.growing.pop(key, None)
        record = OutputRecord(length=message.length, path=f"{key[0]}.{key[1]}", **fields)
        return OutputFinished(record=record, **fields)

    def _spooled(self, key: tuple[str, int], message: FinishOutput) -> bytes:
        if message.spool_path is None:
            return b""
        host = self._hosts[message.spool_path.partition("/")[0]]
        return host.read_output(Key(*key), "output", 0, message.length)


class AgentNode:
    """The agent's daemon over a simulated host."""

    def __init__(self, world: World, host: SimulatedHost, group_id: str) -> None:
        self.world, self.host, self.group_id = world, host, group_id
        self.address = host.address
        self.core: AgentCore
        self._events: list[str] = []

    def boot(self) -> list[Post]:
        self.host.attach()
        self._events = []
        identity = AgentHello(
            agent_id=self.host.name,
            group_id=self.group_id,
            incarnation=f"{self.host.name} {self.host.life}",
            boot_id=self.host.boot_id,
            version=AGENT_VERSIONS[-1],
        )
        self.core = AgentCore(identity, self.host, self._spec, epoch=self.host.epoch)
        posts = self.core.begin(self.host.now())
        self.host.flush()
        life = self.host.life
        self.world.after(
            self.world.random.randrange(1_000, SECOND // 2),
            lambda: self.connect() if self.host.life == life else None,
        )
        return posts

    def connect(self) -> None:
        """The connection to the runner is there, perhaps to another one than before."""
        self._events = ["part", "meet"]
        self.world.nudge(self.address)

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        core, now = self.core, self.host.now()
        posts: list[Post] = []
        for event in self._events:
            if event == "meet":
                posts += core.meet(now)
            else:
                core.part()
        self._events = []
        for fact in self.host.facts():
            posts += core.happened(fact, now)
        for sender, message in batch:
            posts += core.receive(sender, message, now)
        posts += core.settle(now)
        if self.world.doomed(self.address) == BEFORE:
            raise Killed
        self.host.flush()
        if not batch:
            self.host.clean()
        return posts

    def wakes_at(self) -> int | None:
        monotonic_us = self.core.wakes_at()
        if monotonic_us is None:
            return None
        return monotonic_us + self.host.boot_us + self.world.offset_us

    def _spec(self, message: StartProcess) -> Any:
        key = Key(message.run_id, message.attempt)
        return spec_of(
            key,
            message.program,
            folder=f"{self.host.name}/runs/{key}",
            stop_us=message.stop_us,
            job_id=message.job_id,
            cookie=f"{key}",
        )
