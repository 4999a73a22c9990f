"""A world in one thread: virtual time, one seed, a wire that loses, doubles and reorders.

Every node hosts one core as its stage would: messages that arrived are given to it in a batch, its
timer wakes it, its posts go onto the wire. A node can be killed at any instant and comes back with
nothing but what is durable. The same seed gives the same history to the byte.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable
from typing import Any, Protocol

from callsheet.messages.codec import encode
from callsheet.messages.post import Post

SECOND = 1_000_000
START_US = 1_800_000_000 * SECOND


class Wire:
    """How bad the network is: chances per message, delay in microseconds."""

    def __init__(self, lose: float, double: float, delay_us: int) -> None:
        self.lose = lose
        self.double = double
        self.delay_us = delay_us


GOOD = Wire(0.0, 0.0, 2_000)
BAD = Wire(0.2, 0.2, 400_000)


class Node(Protocol):
    """What the world runs."""

    address: str

    def boot(self) -> list[Post]:
        """Start anew from what is durable."""

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        """Take a batch (may be empty: the timer); raise `Killed` to die within it."""

    def wakes_at(self) -> int | None:
        """When `step` is wanted at the latest."""


class Killed(Exception):
    """The node dies here: what it had in memory is gone."""


class World:
    """Time, randomness, the wire and the nodes."""

    def __init__(self, seed: int, wire: Wire = BAD) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.wire = wire
        self.now_us = START_US
        self.steps = 0
        self.kills: dict[str, int] = {}
        self.after_step: Callable[[], None] = lambda: None
        self._nodes: dict[str, Node] = {}
        self._up: dict[str, int] = {}
        self._inbox: dict[str, list[tuple[str, Any]]] = {}
        self._subscribers: dict[str, list[str]] = {}
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._lives = 0
        self._hash = hashlib.sha256()

    # --- building -------------------------------------------------------------------------------

    def add(self, node: Node, *, follows: tuple[str, ...] = ()) -> None:
        """Add a node that is sent the frames of these feeds, and start it."""
        self._nodes[node.address] = node
        for feed in follows:
            self._subscribers.setdefault(feed, []).append(node.address)
        self._boot(node.address)

    def at(self, at_us: int, act: Callable[[], None]) -> None:
        """Do something at an instant."""
        self._count += 1
        heapq.heappush(self._queue, (max(at_us, self.now_us), self._count, act))

    def up(self, address: str) -> bool:
        """Whether a node lives."""
        return address in self._up

    # --- running --------------------------------------------------------------------------------

    def run_until(self, at_us: int) -> None:
        """Let time pass up to an instant."""
        while self._queue and self._queue[0][0] <= at_us:
            self.now_us, _, act = heapq.heappop(self._queue)
            act()
        self.now_us = at_us

    def kill(self, address: str, back_after_us: int) -> None:
        """Kill a node and have it start again later; a dead one stays dead until its time."""
        if address in self._up:
            del self._up[address]
            self._inbox[address] = []
            self.kills[address] = self.kills.get(address, 0) + 1
            self.at(self.now_us + back_after_us, lambda: self._boot(address))

    def send(self, sender: str, posts: list[Post]) -> None:
        """Put posts onto the wire."""
        for post in posts:
            if post.to in self._subscribers:
                for subscriber in self._subscribers[post.to]:
                    self._put(sender, post.to, subscriber, post.message)
            else:
                self._put(sender, sender, post.to, post.message)

    def history(self) -> str:
        """Return the hash of everything that was delivered."""
        return self._hash.hexdigest()

    # --- inside ---------------------------------------------------------------------------------

    def _put(self, sender: str, shown_as: str, to: str, message: Any) -> None:
        wire = self.wire
        copies = 0 if self.random.random() < wire.lose else 1
        if self.random.random() < wire.double:
            copies += 1
        for _ in range(copies):
            at_us = self.now_us + self.random.randrange(100, wire.delay_us)
            self.at(at_us, lambda: self._deliver(shown_as, to, message))

    def _deliver(self, sender: str, to: str, message: Any) -> None:
        if to not in self._up:
            return
        self._hash.update(f"{self.now_us} {sender} {to} ".encode())
        self._hash.update(encode(message))
        inbox = self._inbox.setdefault(to, [])
        inbox.append((sender, message))
        if len(inbox) == 1:
            life = self._up[to]
            self.at(self.now_us + self.random.randrange(2_000), lambda: self._step(to, life))

    def _boot(self, address: str) -> None:
        self._lives += 1
        self._up[address] = self._lives
        self._inbox[address] = []
        self._after(address, self._nodes[address].boot)

    def _step(self, address: str, life: int) -> None:
        if self._up.get(address) == life:
            batch, self._inbox[address] = self._inbox[address], []
            self._after(address, lambda: self._nodes[address].step(batch))

    def _after(self, address: str, act: Callable[[], list[Post]]) -> None:
        """Run a node, send its posts, set its timer."""
        self.steps += 1
        life = self._up[address]
        try:
            posts = act()
        except Killed:
            self.kill(address, self.random.randrange(SECOND // 10, 3 * SECOND))
            return
        self.send(address, posts)
        self.after_step()
        wakes_at = self._nodes[address].wakes_at()
        if wakes_at is not None:
            wakes_at = max(wakes_at, self.now_us + 1_000)
            self.at(wakes_at, lambda: self._wake(address, life, wakes_at))

    def _wake(self, address: str, life: int, asked_us: int) -> None:
        """The timer: only if it is still wanted now, else a later one has been set."""
        if self._up.get(address) != life or self._inbox[address]:
            return
        wakes_at = self._nodes[address].wakes_at()
        if wakes_at is not None and wakes_at <= self.now_us:
            self._step(address, life)
