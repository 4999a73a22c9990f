"""Ports: what a stage sends to and receives from. Each wraps one ZeroMQ socket of one direction.

Opened, used and closed on the stage's own thread. A port decodes what comes, counts and drops what
it cannot read, and keeps what a busy peer cannot take yet in a bounded outbox. It never blocks,
never raises for anything a peer did, and never decides what a message means.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import zmq

from ..messages.codec import BadFrame, Reader, frames_of
from . import sockets
from .curve import ClientSide, ServerSide
from .feed import EVENTS_TOPIC
from .garbage import Garbage

log = logging.getLogger("callsheet.wire")

# What may wait for a peer that does not read or is not there yet, beyond its socket's own queue.
OUTBOX_BYTES = 64 * 2**20
# What is read at one go: as messages it takes several times the room, which seldom is given back.
BATCH_BYTES = 128 * 2**10
# Older than this nobody waits for it any more: askers ask again, the ledger repeats its commands.
OUTBOX_AGE_S = 10.0
# Parts of a message on a ROUTER (routing id, payload) and on a SUB (topic, payload).
ROUTED_PARTS = 2

Context = zmq.Context[zmq.Socket[bytes]]
Clock = Callable[[], float]


class Letter(NamedTuple):
    """The messages of one frame, and who sent them by which port."""

    port: str
    peer: str
    messages: list[Any]


class Counts:
    """What a port has counted since it was opened, in frames."""

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self.unreachable = 0
        self.overflowed = 0
        self.expired = 0


class Port:
    """What every port can do; by itself it neither sends nor waits."""

    socket: zmq.Socket[bytes]

    def __init__(self, name: str, reader: Reader | None, clock: Clock) -> None:
        self.name = name
        self.counts = Counts()
        self.garbage = Garbage(name)
        self._reader = reader
        self._clock = clock

    def receive(self, limit: int, letters: list[Letter]) -> int:
        """Append what has come, `limit` frames or `BATCH_BYTES`; return how many were taken."""
        size = 0
        for count in range(limit):
            if size >= BATCH_BYTES or (parts := self._take()) is None:
                self.counts.received += count
                return count
            size += sum(map(len, parts))
            peer = self._source(parts)
            if self.garbage.deaf and not self.garbage.heard(peer, self._clock()):
                continue
            try:
                letters.append(self._read(parts))
            except BadFrame as error:
                if line := self.garbage.report(peer, error, self._clock()):
                    log.warning("%s", line)
        self.counts.received += limit
        return limit

    def _take(self) -> list[bytes] | None:
        """Receive the parts of one frame, None when there is none."""
        try:
            return self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None

    def _source(self, parts: list[bytes]) -> bytes:
        """Return whom garbage in this frame is counted against."""
        return self.name.encode()

    def _read(self, parts: list[bytes]) -> Letter:
        """Decode one frame.

        Raises:
            BadFrame: it is not what this port reads.
        """
        raise BadFrame(f"{len(parts)} parts: expected none, this port only sends")

    def _unpack(self, payload: bytes) -> list[Any]:
        assert self._reader is not None, f"port {self.name} has no reader"
        return self._reader.unpack(payload)

    def send(self, to: str, messages: Iterable[Any]) -> None:
        """Send messages, in order, to a peer; what cannot leave yet waits in the outbox."""
        raise AssertionError(f"port {self.name}: message to {to}: this port only receives")

    def flush(self) -> None:
        """Try again to send what waits."""

    def waits_to_write(self) -> bool:
        """Return whether the socket's becoming writable is worth being woken for."""
        return False

    def waiting(self) -> int:
        """Return how many frames wait here to be sent."""
        return 0

    def retry_in_s(self) -> float | None:
        """Return in how many seconds `flush` is worth calling whatever the socket says."""
        return None

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


class _Outbox:
    """Frames that wait, in order, each with the time it came and who gets it."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, bytes]] = deque()
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._frames)

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: bytes, now_s: float) -> bool:
        """Keep a frame; False when there is no room and it is dropped."""
        if self._bytes + len(frame) > OUTBOX_BYTES:
            return False
        self._frames.append((now_s, frame))
        self._bytes += len(frame)
        return True

    def drop_older(self, before_s: float) -> int:
        """Drop frames that came before `before_s`; return how many."""
        count = 0
        while self._frames and self._frames[0][0] < before_s:
            self.pop()
            count += 1
        return count

    def head(self) -> bytes:
        """Return the frame to be sent next."""
        return self._frames[0][1]

    def pop(self) -> None:
        """Take that frame out."""
        self._bytes -= len(self._frames.popleft()[1])


class _Sender:
    """Sends frames to one peer without ever waiting, in order."""

    def __init__(self, counts: Counts, clock: Clock, head: list[bytes]) -> None:
        self.outbox = _Outbox()
        self._counts = counts
        self._clock = clock
        self._head = head

    def send(self, socket: zmq.Socket[bytes], messages: Iterable[Any]) -> None:
        for frame in frames_of(messages):
            if not self.outbox and self._try(socket, frame):
                continue
            if not self.outbox.put(frame, self._clock()):
                self._counts.overflowed += 1

    def flush(self, socket: zmq.Socket[bytes]) -> None:
        self._counts.expired += self.outbox.drop_older(self._clock() - OUTBOX_AGE_S)
        while self.outbox and self._try(socket, self.outbox.head()):
            self.outbox.pop()

    def _try(self, socket: zmq.Socket[bytes], frame: bytes) -> bool:
        """Send or drop a frame; False when it has to wait."""
        try:
            if self._head:
                socket.send_multipart([*self._head, frame], zmq.NOBLOCK)
            else:
                socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._counts.unreachable += 1
            return True
        self._counts.sent += 1
        return True


class RouterPort(Port):
    """A bound ROUTER: many peers, each known by its address. Who is not there gets nothing: what
    it missed it asks for when it comes."""

    # ZeroMQ cannot say which peer of a ROUTER has room again, so that is looked at this often.
    RETRY_S = 0.02
    # Names of peers remembered as good; a flood of invented ones empties the memory, no more.
    NAMES_AT_MOST = 10_000

    def __init__(
        self,
        context: Context,
        name: str,
        endpoints: list[str],
        *,
        reader: Reader | Mapping[str, Reader],
        peers: str | re.Pattern[str],
        clock: Clock,
        side: ServerSide | None = None,
    ) -> None:
        """Bind; `peers` is the regular expression all addresses of peers match, `reader` may be one
        for each kind of them. With a `side` all is encrypted, and only whom the gate admits is let
        in."""
        super().__init__(name, reader if isinstance(reader, Reader) else None, clock)
        self._readers = {} if isinstance(reader, Reader) else reader
        self._peers = re.compile(peers)
        self._names: dict[bytes, str] = {}
        self._waiting: dict[bytes, _Sender] = {}
        self.socket = sockets.router(context, endpoints, side)

    def leads_to(self, to: str) -> bool:
        """Return whether a message to that address should go by this router rather than another."""
        return True

    def route(self, to: str) -> bytes | None:
        """Return the routing id of an address, None when there is none."""
        return to.encode()

    def _source(self, parts: list[bytes]) -> bytes:
        return parts[0]

    def _read(self, parts: list[bytes]) -> Letter:
        if len(parts) != ROUTED_PARTS:
            raise BadFrame(f"{len(parts)} parts: expected {ROUTED_PARTS}")
        name = self._names.get(parts[0]) or self._meet(parts[0])
        reader = self._reader or self._readers.get(name.partition("/")[0])
        if reader is None:
            raise BadFrame("a peer from whom nothing is taken")
        return Letter(self.name, name, reader.unpack(parts[1]))

    def _meet(self, peer: bytes) -> str:
        """Return a peer's address, kept so that it is checked once."""
        name = peer.decode("utf-8", "replace")
        if self._peers.fullmatch(name) is None:
            raise BadFrame("an unknown peer: expected the address of a role or agent")
        if len(self._names) >= self.NAMES_AT_MOST:
            self._names.clear()
        self._names[peer] = name
        return name

    def send(self, to: str, messages: Iterable[Any]) -> None:
        """See `Port`."""
        peer = self.route(to)
        if peer is None:
            self.counts.unreachable += 1
            return
        sender = self._waiting.get(peer) or _Sender(self.counts, self._clock, [peer])
        sender.send(self.socket, messages)
        if sender.outbox:
            self._waiting[peer] = sender

    def flush(self) -> None:
        """See `Port`."""
        for peer, sender in list(self._waiting.items()):
            sender.flush(self.socket)
            if not sender.outbox:
                del self._waiting[peer]

    def waiting(self) -> int:
        """See `Port`."""
        return sum(len(sender.outbox) for sender in self._waiting.values())

    def retry_in_s(self) -> float | None:
        """See `Port`."""
        return self.RETRY_S if self._waiting else None


class DealerPort(Port):
    """A connected DEALER: one peer, `peer`, that may be away for a while; then frames wait here,
    for seconds, not in the socket."""

    def __init__(
        self,
        context: Context,
        name: str,
        endpoint: str,
        *,
        address: str,
        peer: str,
        reader: Reader,
        clock: Clock,
        events: int = 0,
        side: ClientSide | None = None,
        rival: bool = False,
    ) -> None:
        """Connect as `address`; `monitor` tells of the connection's `events`, if any are named.
        With a `side` all is encrypted, and the peer knows us by our key; `rival`: see `dealer`."""
        super().__init__(name, reader, clock)
        self.peer = peer
        self._sender = _Sender(self.counts, clock, [])
        found = sockets.dealer(context, endpoint, address, events, side, rival=rival)
        self.socket, self.monitor = found

    def _read(self, parts: list[bytes]) -> Letter:
        if len(parts) != 1:
            raise BadFrame(f"{len(parts)} parts: expected 1")
        return Letter(self.name, self.peer, self._unpack(parts[0]))

    def send(self, to: str, messages: Iterable[Any]) -> None:
        """See `Port`."""
        assert to == self.peer, f"port {self.name}: message to {to}: expected {self.peer}"
        self._sender.send(self.socket, messages)

    def flush(self) -> None:
        """See `Port`."""
        self._sender.flush(self.socket)

    def waits_to_write(self) -> bool:
        """See `Port`."""
        return bool(self._sender.outbox)

    def waiting(self) -> int:
        """See `Port`."""
        return len(self._sender.outbox)


class PublisherPort(Port):
    """A bound PUB. It never waits; who cannot follow loses frames."""

    def __init__(
        self,
        context: Context,
        name: str,
        endpoints: list[str],
        *,
        clock: Clock,
        topic: bytes = EVENTS_TOPIC,
    ) -> None:
        super().__init__(name, None, clock)
        self._topic = topic
        self.socket = sockets.publisher(context, endpoints)

    def receive(self, limit: int, letters: list[Letter]) -> int:
        """Return 0: nothing comes from subscribers."""
        return 0

    def send(self, to: str, messages: Iterable[Any]) -> None:
        """Publish messages on the port's own topic."""
        self.publish(self._topic, messages)

    def publish(self, topic: bytes, messages: Iterable[Any]) -> None:
        """Publish messages on a topic."""
        for frame in frames_of(messages):
            self.socket.send_multipart([topic, frame], zmq.NOBLOCK)
            self.counts.sent += 1


class SubscriberPort(Port):
    """A connected SUB; its letters come from the port's own name, such as `feed`."""

    def __init__(
        self,
        context: Context,
        name: str,
        endpoint: str,
        *,
        topics: tuple[bytes, ...],
        reader: Reader,
        clock: Clock,
    ) -> None:
        super().__init__(name, reader, clock)
        self._topics = frozenset(topics)
        self.socket = sockets.subscriber(context, endpoint, topics)

    def _read(self, parts: list[bytes]) -> Letter:
        if len(parts) != ROUTED_PARTS or parts[0] not in self._topics:
            raise BadFrame(f"{len(parts)} parts: expected a known topic and a payload")
        return Letter(self.name, self.name, self._unpack(parts[1]))
