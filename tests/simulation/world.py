"""A world in one thread: virtual time, one seed, a wire that loses, doubles and reorders.

Every node hosts one core as its stage would: messages that arrived are given to it in a batch, its
timer wakes it, its posts go onto the wire. A node can be killed at any instant, also between what
it wrote and what it says, and comes back with nothing but what is durable; it can be frozen; the
clock on the wall can be set. The same seed gives the same history to the byte.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Protocol

from callsheet.actors.stage import by_address
from callsheet.messages.codec import (
    FEED_READER,
    FROM_LEDGER_READER,
    FROM_SCHEDULER_READER,
    TO_AGENT_READER,
    Reader,
    encode,
)
from callsheet.messages.post import FEED, LEDGER, RUNNER, SCHEDULER, Post
from callsheet.messages.transitions import Beat
from callsheet.messages.verbs import READERS, kind_of

SECOND = 1_000_000
START_US = 1_800_000_000 * SECOND
# Where a node may be killed within a turn. `BEFORE`: before what it decided is durable; `SILENT`:
# after that, before it says anything; `HALF`: after some of what it says.
BEFORE, SILENT, HALF = "before", "silent", "half"
# Who follows `BEATS` is sent the feed's beats alone, as a socket that subscribes to their topic.
BEATS = "beats"
# A frame of one message begins so.
ONE = b"\x91"

Local = dict[str, Callable[[list[Any]], None]]


class Wire:
    """How bad the network is: chances per message, delay in microseconds.

    `fifo`: messages between two nodes keep their order. `coded`: they travel as bytes.
    """

    def __init__(
        self, lose: float, double: float, delay_us: int, *, fifo: bool = False, coded: bool = False
    ) -> None:
        self.lose = lose
        self.double = double
        self.delay_us = delay_us
        self.fifo = fifo
        self.coded = coded


GOOD = Wire(0.0, 0.0, 2_000)
BAD = Wire(0.2, 0.2, 400_000)


class Node(Protocol):
    """What the world runs. A node may also have `local`: takers of posts that stay within it."""

    address: str

    def boot(self) -> list[Post]:
        """Start anew from what is durable."""

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        """Take a batch (may be empty: the timer); raise `Killed` to die within it."""

    def wakes_at(self) -> int | None:
        """When `step` is wanted at the latest, by the clock on the wall."""


class Killed(Exception):
    """The node dies here: what it had in memory is gone."""


class World:
    """Time, randomness, the wire and the nodes.

    `true_us` only grows and is what everything is timed by; `now_us`, the clock on the wall, is
    what the cores are told, and may be set.
    """

    def __init__(
        self, seed: int, wire: Wire = BAD, *, slack_us: int = 0, keep_history: bool = False
    ) -> None:
        """Make an empty world; timers go off up to `slack_us` late. `keep_history`: everything
        that is delivered is encoded and hashed."""
        self.seed = seed
        self.random = random.Random(seed)
        self._draw = self.random.random
        self.wire = wire
        self.true_us = 0
        self.offset_us = START_US
        self.steps = 0
        self.kills: dict[str, int] = {}
        self.story: list[str] | None = None
        self.after_step: Callable[[], None] = lambda: None
        self.cut_off: set[str] = set()
        self._slack_us = slack_us
        self._nodes: dict[str, Node] = {}
        self._locals: dict[str, Local | None] = {}
        self._up: dict[str, int] = {}
        self._frozen: dict[str, int] = {}
        self._doom: dict[str, str] = {}
        self._armed: dict[str, int] = {}
        # When each node wants to be woken, as it said after its last turn.
        self._wakes: dict[str, int | None] = {}
        self._inbox: dict[str, list[tuple[str, Any]]] = {}
        self._subscribers: dict[str, list[str]] = {}
        self._last: dict[tuple[str, str], int] = {}
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._lives = 0
        self._hash = hashlib.sha256() if keep_history else None

    @property
    def now_us(self) -> int:
        """The clock on the wall."""
        return self.true_us + self.offset_us

    # --- building -------------------------------------------------------------------------------

    def add(self, node: Node, *, follows: tuple[str, ...] = ()) -> None:
        """Add a node that is sent the frames of these feeds, and start it."""
        self._nodes[node.address] = node
        self._locals[node.address] = getattr(node, "local", None)
        for feed in follows:
            self._subscribers.setdefault(feed, []).append(node.address)
        self._boot(node.address)

    def at(self, at_us: int, act: Callable[[], None]) -> None:
        """Do something when the clock on the wall, if nobody sets it, says `at_us`."""
        self.after(at_us - self.now_us, act)

    def after(self, delay_us: int, act: Callable[..., None], *args: Any) -> None:
        """Call something after a while."""
        self._count += 1
        at_us = self.true_us + delay_us if delay_us > 0 else self.true_us
        heappush(self._queue, (at_us, self._count, act, args))

    def up(self, address: str) -> bool:
        """Whether a node lives."""
        return address in self._up

    # --- running --------------------------------------------------------------------------------

    def run_until(self, at_us: int) -> None:
        """Let time pass up to an instant by the clock on the wall as it goes now."""
        self.run_for(at_us - self.now_us)

    def run_for(self, span_us: int) -> None:
        """Let time pass."""
        end_us = self.true_us + span_us
        queue = self._queue
        while queue and queue[0][0] <= end_us:
            self.true_us, _, act, args = heappop(queue)
            act(*args)
        self.true_us = max(self.true_us, end_us)

    def still_us(self) -> int:
        """Return how long nothing happens from now on; 0 where nothing ever does."""
        return self._queue[0][0] - self.true_us if self._queue else 0

    def jump(self, by_us: int) -> None:
        """Set the clock on the wall forward or back; time itself goes on as ever."""
        self.tell("clock", f"set by {by_us / SECOND:+.1f} s")
        self.offset_us += by_us
        for address in self._up:
            self._arm(address)

    def kill(self, address: str, back_after_us: int) -> None:
        """Kill a node and have it start again later; a dead one stays dead until its time."""
        if address in self._up:
            self.tell(address, "killed")
            del self._up[address]
            self._inbox[address] = []
            self._armed.pop(address, None)
            self._frozen.pop(address, None)
            self._doom.pop(address, None)
            self.kills[address] = self.kills.get(address, 0) + 1
            self.after(back_after_us, self._boot, address)

    def doom(self, address: str, point: str) -> None:
        """Have a node killed at this point of its next turn."""
        if address in self._up:
            self._doom[address] = point

    def doomed(self, address: str) -> str:
        """Where in its present turn a node is to die, empty: it is not."""
        return self._doom.get(address, "")

    def freeze(self, address: str, for_us: int) -> None:
        """Have a node stand still; what is sent to it waits."""
        if address in self._up:
            self.tell(address, f"frozen for {for_us / SECOND:.1f} s")
            self._frozen[address] = self.true_us + for_us

    def take_inbox(self, address: str) -> list[tuple[str, Any]]:
        """Take what waits for a node away from it."""
        taken, self._inbox[address] = self._inbox[address], []
        return taken

    def nudge(self, address: str) -> None:
        """Something that is not a message has happened at a node: have it step."""
        if address in self._up:
            life = self._up[address]
            self.after(self.below(2_000), self._step, address, life)

    def send(
        self, sender: str, posts: list[Post], local: Local | None = None, *, half: bool = False
    ) -> None:
        """Put posts onto the wire in the order of a stage; `half`: some of them only."""
        if not posts and not half:
            return
        if len(posts) == 1 and not half:
            ((to, message),) = posts
            if local and to in local:
                local[to]([message])
            else:
                self._send(sender, to, message)
            return
        groups = list(by_address(posts, local or {}).items())
        if half:
            groups = groups[: self.random.randrange(len(groups) + 1)]
        for to, messages in groups:
            if local and to in local:
                local[to](messages)
                continue
            for message in messages:
                self._send(sender, to, message)

    def history(self) -> str:
        """Return the hash of everything that was delivered, empty: it was not kept."""
        return "" if self._hash is None else self._hash.hexdigest()

    def below(self, count: int) -> int:
        """Return a random number below `count`, quicker than `randrange` does."""
        return int(self._draw() * count)

    def tell(self, who: str, what: str) -> None:
        """Add a line to the story, if it is kept."""
        if self.story is not None:
            wall_s = (self.now_us - START_US) / SECOND
            self.story.append(f"{self.true_us / SECOND:11.6f} (wall {wall_s:+.3f}) {who}: {what}")

    # --- inside ---------------------------------------------------------------------------------

    def _send(self, sender: str, to: str, message: Any) -> None:
        data = b"" if self._hash is None and not self.wire.coded else encode(message)
        if to != FEED:
            self._put(sender, sender, to, message, data)
            return
        for subscriber in self._subscribers.get(FEED, ()):
            self._put(sender, FEED, subscriber, message, data)
        if isinstance(message, Beat):
            for subscriber in self._subscribers.get(BEATS, ()):
                self._put(sender, FEED, subscriber, message, data)

    def _put(self, sender: str, shown_as: str, to: str, message: Any, data: bytes) -> None:
        wire, draw = self.wire, self._draw
        copies = 0 if draw() < wire.lose else 1
        if draw() < wire.double:
            copies += 1
        if self.cut_off and (sender in self.cut_off or to in self.cut_off):
            return
        for _ in range(copies):
            delay_us = 100 + int(draw() * wire.delay_us)
            if wire.fifo:
                at_us = max(self.true_us + delay_us, self._last.get((sender, to), 0) + 1)
                self._last[sender, to] = at_us
                delay_us = at_us - self.true_us
            if wire.coded:
                (message,) = reader_of(shown_as, to).unpack(ONE + data)
            self._count += 1
            args = (shown_as, to, message, data)
            heappush(self._queue, (self.true_us + delay_us, self._count, self._deliver, args))

    def _deliver(self, sender: str, to: str, message: Any, data: bytes) -> None:
        life = self._up.get(to)
        if life is None:
            return
        if self._hash is not None:
            self._hash.update(f"{self.true_us} {self.offset_us} {sender} {to} ".encode())
            self._hash.update(data)
        if self.story is not None:
            self.tell(f"{sender} -> {to}", repr(message))
        inbox = self._inbox[to]
        inbox.append((sender, message))
        if len(inbox) == 1:
            self._count += 1
            at_us = self.true_us + int(self._draw() * 2_000)
            heappush(self._queue, (at_us, self._count, self._step, (to, life)))

    def _boot(self, address: str) -> None:
        self._lives += 1
        self._up[address] = self._lives
        self._inbox[address] = []
        self.tell(address, "starts")
        self._turn(address, self._nodes[address].boot)

    def _step(self, address: str, life: int) -> None:
        if self._up.get(address) != life:
            return
        if address in self._frozen:
            until_us = self._frozen[address]
            if until_us > self.true_us:
                self.after(until_us - self.true_us, self._step, address, life)
                return
            del self._frozen[address]
        batch = self._inbox[address]
        if batch:
            self._inbox[address] = []
        self._turn(address, self._nodes[address].step, batch)

    def _turn(self, address: str, act: Callable[..., list[Post]], *args: Any) -> None:
        """Run a node, send its posts, set its timer."""
        self.steps += 1
        try:
            posts = act(*args)
        except Killed:
            self.after_step()
            self.kill(address, self.random.randrange(SECOND // 10, 3 * SECOND))
            return
        point = self._doom.pop(address, "") if self._doom else ""
        if point != SILENT and (posts or point):
            self.send(address, posts, self._locals[address], half=point == HALF)
        self.after_step()
        if point:
            self.kill(address, self.random.randrange(SECOND // 10, 3 * SECOND))
        elif address in self._up:
            self._arm(address)

    def _arm(self, address: str) -> None:
        """Ask a node when it wants to be woken, and set its timer."""
        self._wakes[address] = self._nodes[address].wakes_at()
        self._set(address)

    def _set(self, address: str) -> None:
        """Set a node's timer; one that is set to go off earlier stays."""
        wakes_at = self._wakes[address]
        if wakes_at is None:
            return
        at_us, soonest_us = wakes_at - self.offset_us, self.true_us + 1_000
        at_us = max(at_us, soonest_us)
        if self._slack_us:
            at_us += int(self._draw() * self._slack_us)
        armed_us = self._armed.get(address)
        if armed_us is None or armed_us > at_us:
            self._armed[address] = at_us
            self._count += 1
            args = (address, self._up[address], at_us)
            heappush(self._queue, (at_us, self._count, self._wake, args))

    def _wake(self, address: str, life: int, armed_us: int) -> None:
        """The timer: only if it is still wanted now, else a later one is set."""
        if self._up.get(address) != life or self._armed.get(address) != armed_us:
            return
        del self._armed[address]
        wakes_at = self._wakes[address]
        if wakes_at is None:
            return
        if wakes_at <= self.true_us + self.offset_us and not self._inbox[address]:
            self._step(address, life)
        else:
            self._set(address)


def reader_of(sender: str, to: str) -> Reader:
    """Return the reader of the port at which `to` hears `sender`."""
    if sender == FEED:
        return FEED_READER
    if to in (LEDGER, SCHEDULER, RUNNER) and sender != LEDGER:
        return READERS[to][kind_of(sender)]
    return {
        LEDGER: FROM_LEDGER_READER,
        SCHEDULER: FROM_SCHEDULER_READER,
        RUNNER: TO_AGENT_READER,
    }[sender]
