"""What goes wrong, when: faults and wishes at random instants, all from the seed.

Each seed has its own set of kinds of faults and its own wire, so that some worlds are nearly whole
and others fall apart in one way; most bugs need few kinds of faults, and many of those.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

from simulated_host import SimulatedHost
from simulated_nodes import AgentNode, LedgerNode, RunnerNode
from simulated_people import People
from world import BEFORE, HALF, SECOND, SILENT, Killed, Wire, World

from callsheet.messages.post import BINDER, LEDGER, RESPONDER, RUNNER, SCHEDULER, WAITER
from callsheet.store.interface import StoreBroken

ROLES = (LEDGER, LEDGER, SCHEDULER, BINDER, WAITER, RUNNER, RUNNER, RESPONDER)
MINUTE, HOUR = 60 * SECOND, 3_600 * SECOND


def a_wire(rnd: random.Random) -> Wire:
    """Return a wire, from a good one to one that hardly works."""
    bad = rnd.choice((0.0, 0.05, 0.2, 0.3))
    return Wire(
        lose=bad * rnd.random(),
        double=bad * rnd.random(),
        delay_us=rnd.choice((5_000, 50_000, 400_000, 3 * SECOND)),
        fifo=rnd.random() < 0.25,
        coded=rnd.random() < 0.1,
    )


class Director:
    """Plans the faults of a world; `heal` ends those that last."""

    def __init__(
        self,
        world: World,
        ledger: LedgerNode,
        runner: RunnerNode,
        agents: list[AgentNode],
        people: People,
    ) -> None:
        self.world, self.ledger, self.runner = world, ledger, runner
        self.agents, self.people = agents, people
        self.rnd = random.Random(f"{world.seed} faults")
        self.over = False
        self.counts: dict[str, int] = {}
        self.binder_bombs = 0
        self._kinds: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "doom": self._doom,
            "freeze": self._freeze,
            "zombie": self._zombie,
            "clock": self._clock,
            "disk": self._disk,
            "keeper": self._keeper,
            "reboot": self._reboot,
            "partition": self._partition,
            "bomb": self._bomb,
            "full": self._full,
        }

    def plan(self, span_us: int, faults: int, wishes: int, kinds: Sequence[str] = ()) -> None:
        """Plan this many of each within a span from now on; `kinds` of faults, else by chance."""
        rnd = self.rnd
        kinds = kinds or [kind for kind in self._kinds if rnd.random() < 0.5]
        for _ in range(faults if kinds else 0):
            self.world.after(rnd.randrange(span_us), partial(self._strike, rnd.choice(kinds)))
        for _ in range(wishes):
            self.world.after(rnd.randrange(span_us), self.people.wish)

    def heal(self, wire: Wire) -> None:
        """Let nothing go wrong any more."""
        self.over = True
        self.world.wire = wire
        self.world.cut_off.clear()
        self.ledger.disk.fault = None
        self.runner.outputs.fails = 0.0
        for agent in self.agents:
            agent.host.refuses = 0.0
            for keeper in agent.host.keepers:
                keeper.dies_starting = False

    # --- kinds ----------------------------------------------------------------------------------

    def _strike(self, kind: str) -> None:
        if not self.over:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self._kinds[kind]()

    def _address(self) -> str:
        return self.rnd.choice((*ROLES, *(agent.address for agent in self.agents)))

    def _host(self) -> SimulatedHost:
        return self.rnd.choice(self.agents).host

    def _while(self, span_us: int, end: Callable[[], None]) -> None:
        self.world.after(self.rnd.randrange(SECOND // 10, span_us), end)

    def _kill(self) -> None:
        self.world.kill(self._address(), self.rnd.randrange(SECOND // 20, 6 * SECOND))

    def _doom(self) -> None:
        self.world.doom(self._address(), self.rnd.choice((BEFORE, SILENT, HALF, HALF)))

    def _freeze(self) -> None:
        self.world.freeze(self._address(), self.rnd.randrange(SECOND // 10, 20 * SECOND))

    def _zombie(self) -> None:
        """The ledger stands still, another takes its place; then the first one wakes."""
        if not self.world.up(LEDGER):
            return
        frozen = self.ledger.leave_behind()
        batch = self.world.take_inbox(LEDGER)
        self.world.kill(LEDGER, 1_000)
        self._while(10 * SECOND, partial(self._wake, frozen, batch))

    def _wake(self, frozen: LedgerNode, batch: list[tuple[str, object]]) -> None:
        self.world.tell(LEDGER, f"an older one of epoch {frozen.core.epoch} wakes")
        try:
            posts = frozen.step(batch)
            self.world.send(LEDGER, posts)
            self.world.send(LEDGER, frozen.step([]))
        except (StoreBroken, Killed):
            self.world.tell(LEDGER, "the older one is fenced")

    def _clock(self) -> None:
        dice = self.rnd.random()
        by_us = self.rnd.randrange(1, 40) * SECOND
        if dice < 0.2:
            by_us = self.rnd.randrange(1, 60) * MINUTE
        elif dice < 0.25:
            by_us = self.rnd.randrange(20, 30) * HOUR
        self.world.jump(by_us if self.rnd.random() < 0.5 else -by_us)

    def _disk(self) -> None:
        self.ledger.disk.fault = "the disk is full"

        def free() -> None:
            self.ledger.disk.fault = None

        self._while(8 * SECOND, free)

    def _keeper(self) -> None:
        host = self._host()
        if host.keepers:
            keeper = self.rnd.choice(host.keepers)
            if self.rnd.random() < 0.3:
                keeper.dies_starting = True
            else:
                host.kill_keeper(keeper)

    def _reboot(self) -> None:
        self._host().reboot()

    def _partition(self) -> None:
        address = self._address()
        self.world.cut_off.add(address)
        self._while(30 * SECOND, partial(self.world.cut_off.discard, address))

    def _bomb(self) -> None:
        self.binder_bombs += 1

    def _full(self) -> None:
        """The server's output store or an agent's spool cannot write for a while."""
        outputs, host = self.runner.outputs, self._host()
        outputs.fails, host.refuses = self.rnd.random(), self.rnd.random()

        def free() -> None:
            outputs.fails = host.refuses = 0.0

        self._while(10 * SECOND, free)
