"""The mailbox of a stage: pykka's inbox with ZeroMQ sockets behind it.

This is the only module that touches pykka's `_create_actor_inbox` hook and its `Envelope`
(`pykka>=4.5,<5`; `tests/actors/test_mailbox.py` is the contract). `get()` returns, in this order
of preference: one envelope put by a thread of this process, else the frames that came, else a tick
when the stage's time has come, else a ping when it has to say that it turns. It never decides
anything, nor raises for what a peer did.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import pykka
import zmq
from pykka._envelope import Envelope

from ..wire.ports import Letter, Port

# Frames handed over as one batch: enough to make a commit worth its fsync, small enough that a stop
# or a timer does not wait long behind them.
BATCH_FRAMES = 1_000
# However far the next wake lies by the wall clock, it is compared again after this time, so that a
# clock that was put does not make a stage sleep for long. More than between two beats of the feed,
# which have it compared too where they are heard.
RECHECK_S = 2.5
# Two ticks with no frame between them are at least this far apart: a stage whose time does not move
# on after its tick is wrong, but must not take a whole processor.
TICK_GAP_S = 0.005
# A wait for a time that is this near ends at that time to some 0.1 ms, instead of within the
# millisecond after it: ZeroMQ counts in milliseconds.
NEAR_S = 0.02
MILLISECOND_US = 1_000


class Batch:
    """Frames that came, in order for each port; `letters` may be empty when none was readable."""

    __slots__ = ("letters",)

    def __init__(self, letters: list[Letter]) -> None:
        self.letters = letters


class Tick:
    """The stage's own time (`wakes_at`) has come."""

    __slots__ = ()


class Ping:
    """Asks a stage to prove, by its link, that it turns."""

    __slots__ = ()


_TICK = Tick()
_PING = Ping()


class Mailbox:
    """See the module. Made by the creator's thread; `attach` and `get` belong to the actor's."""

    def __init__(self) -> None:
        self._local: deque[Envelope[Any]] = deque()
        self._lock = threading.Lock()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller = zmq.Poller()
        self._poller.register(self._wake_fd, zmq.POLLIN)
        self._ports: list[Port] = []
        self._flags: dict[Port, int] = {}
        self._wakes_at: Callable[[], int | None] = _never
        self._now_us: Callable[[], int] = int
        self._pings_in_s: Callable[[], float | None] = _never
        self._first = 0
        self._ticked = False
        self.paused = False
        # A stage that must not be late is awake this long before its time: as a thread takes to
        # wake up. That costs the processor, so it is nothing for the others.
        self.awake_us = 0

    # --- pykka's protocol -----------------------------------------------------------------------

    def put(self, envelope: Envelope[Any], /) -> None:
        """Add a local envelope and wake the actor; from any thread."""
        with self._lock:
            self._local.append(envelope)
            if self._wake_fd >= 0:
                os.eventfd_write(self._wake_fd, 1)

    def empty(self) -> bool:
        """Return whether no local envelope waits (frames do not count: peers ask again)."""
        return not self._local

    def waiting(self) -> int:
        """Return how many local envelopes wait; of frames only ZeroMQ knows."""
        return len(self._local)

    def get(self) -> Envelope[Any]:
        """Wait for the next envelope, batch, tick or ping."""
        while True:
            if self._local:
                return self._local.popleft()
            letters: list[Letter] = []
            if self._poll_once(letters):
                self._ticked = False
                return Envelope(Batch(letters))
            self._wait_out()
            if self._local:
                continue
            if self._is_time():
                self._ticked = True
                return Envelope(_TICK)
            ping_s = self._pings_in_s()
            if ping_s is not None and ping_s <= 0:
                return Envelope(_PING)

    # --- the actor's thread ---------------------------------------------------------------------

    def attach(
        self,
        ports: list[Port],
        wakes_at: Callable[[], int | None],
        now_us: Callable[[], int],
        pings_in_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Receive from these ports too, tick when `now_us() >= wakes_at()`, and ping when there is
        nothing else to do and `pings_in_s()` seconds have passed (None: never)."""
        self._ports, self._wakes_at, self._now_us = list(ports), wakes_at, now_us
        self._pings_in_s = pings_in_s

    def close(self) -> None:
        """Close the ports and the wake; local envelopes may still be taken and put."""
        for port in self._ports:
            port.close()
        self._ports, self._flags = [], {}
        self._poller = zmq.Poller()
        with self._lock:
            if self._wake_fd >= 0:
                os.close(self._wake_fd)
                self._wake_fd = -1

    # --- inside ---------------------------------------------------------------------------------

    def _poll_once(self, letters: list[Letter]) -> bool:
        """Wait once; return whether any frame came."""
        assert self._wake_fd >= 0, "mailbox: asked after it was closed and emptied"
        self._listen()
        events = dict(self._poller.poll(self._timeout_ms()))
        if events.pop(self._wake_fd, 0):
            os.eventfd_read(self._wake_fd)
        for port in self._ports:
            if port.waits_to_write() or port.retry_in_s() is not None:
                port.flush()
        if not events or self.paused or self._local:
            return False
        return self._receive(events, letters) > 0

    def _receive(self, events: dict[Any, int], letters: list[Letter]) -> int:
        """Take what came, beginning each time with another port so that none starves the rest."""
        count = 0
        ports = self._ports
        self._first = (self._first + 1) % len(ports)
        for port in ports[self._first :] + ports[: self._first]:
            if count < BATCH_FRAMES and events.get(port.socket, 0) & zmq.POLLIN:
                count += port.receive(BATCH_FRAMES - count, letters)
        return count

    def _listen(self) -> None:
        """Register each port for what it waits for now."""
        for port in self._ports:
            flags = 0 if self.paused else zmq.POLLIN
            if port.waits_to_write():
                flags |= zmq.POLLOUT
            if self._flags.get(port, 0) != flags:
                self._flags[port] = flags
                self._poller.register(port.socket, flags)

    def _timeout_ms(self) -> int | None:
        """Return how long to wait, None: until something comes."""
        waits = [wait for port in self._ports if (wait := port.retry_in_s()) is not None]
        wakes_at = self._wakes_at()
        if wakes_at is not None:
            least_s = TICK_GAP_S if self._ticked else 0.0
            waits.append(min(RECHECK_S, max(least_s, (wakes_at - self._now_us()) / 1e6)))
        ping_s = self._pings_in_s()
        if ping_s is not None:
            waits.append(max(0.0, ping_s))
        if not waits:
            return None
        wait_s = min(waits)
        # Rounded up: waking before the time would only mean asking again. What is near is not to
        # be late: the rest of it is waited out.
        return int(wait_s * 1e3 + (0 if wait_s < NEAR_S else 0.999))

    def _wait_out(self) -> None:
        """Wait for the stage's time when less than a millisecond is left, or a local envelope."""
        wakes_at = self._wakes_at()
        if wakes_at is None:
            return
        left_us = wakes_at - self._now_us()
        if 0 < left_us < MILLISECOND_US and not self._local:
            if left_us > self.awake_us:
                select.select([self._wake_fd], [], [], (left_us - self.awake_us) / 1e6)
            # (A clock that is put back meanwhile is no reason to go on.)
            while not self._local and 0 < wakes_at - self._now_us() <= self.awake_us:
                pass

    def _is_time(self) -> bool:
        wakes_at = self._wakes_at()
        return wakes_at is not None and self._now_us() >= wakes_at


class MailboxActor(pykka.ThreadingActor):
    """A pykka actor whose inbox is a `Mailbox`."""

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        """Pykka's hook: one inbox per actor, made by the thread that creates the actor."""
        return Mailbox()

    @property
    def mailbox(self) -> Mailbox:
        """The inbox as what it is."""
        inbox = self.actor_inbox
        assert isinstance(inbox, Mailbox)
        return inbox


def _never() -> None:
    return None
