"""Opens ZeroMQ sockets with every option that is wrong by default set right.

Called by `ports.py` only, on the thread that will use the socket (a ZeroMQ socket belongs to one
thread). It must never leave a default that hangs an exit (LINGER), loses a message without a word
(ROUTER_MANDATORY), or lets a peer claim any amount of memory (MAXMSGSIZE, high-water marks).
"""

from __future__ import annotations

import itertools
import struct

import zmq

from ..messages.codec import MAX_FRAME_BYTES
from .curve import ClientSide, ServerSide, guard, introduce

# Frames a socket itself queues per peer and direction. A frame is about 64 KiB at most when full,
# so a peer that does not read holds at most some 64 MiB; what is beyond waits in the port's outbox.
HIGH_WATER_FRAMES = 1_000
# A role that comes back is found again within this time; longer waits back off up to the second.
RECONNECT_MS = 20
RECONNECT_MAX_MS = 1_000
# Over TCP alone, as a rule: a local peer's death closes its socket at once, and a frozen one is not
# dead.
HEARTBEAT_MS = 3_000
HEARTBEAT_DEAD_MS = 12_000
# Over TCP: a first packet that was lost is not waited for longer than this.
CONNECT_MS = 3_000
BACKLOG = 1_024

_monitors = itertools.count(1)


def router(
    context: zmq.Context[zmq.Socket[bytes]], endpoints: list[str], side: ServerSide | None = None
) -> zmq.Socket[bytes]:
    """Bind a ROUTER that says when a peer is unknown, and gives a returning peer its place back.

    Not so with a `side`: among strangers nobody takes another's place.
    """
    socket = _open(context, zmq.ROUTER)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    if side is None:
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
    else:
        guard(socket, side)
    return _bind(socket, endpoints)


def answerer(context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> zmq.Socket[bytes]:
    """Bind a socket that gets questions and may answer them later, in any order."""
    return _bind(_open(context, zmq.ROUTER), [endpoint])


def dealer(
    context: zmq.Context[zmq.Socket[bytes]],
    endpoint: str,
    address: str,
    events: int = 0,
    side: ClientSide | None = None,
    *,
    rival: bool = False,
) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes] | None]:
    """Connect a DEALER whose routing id is `address`; nothing queues while nobody is there.

    With a `side` it has no routing id: its key says who it is. `rival`: somebody else may come by
    the same address, and take it. The router tells nothing to whom it was taken from, and hears no
    more of it; but then it answers no heartbeat either, so that we connect again.

    Returns:
        The socket, and a second one that tells of its `events` (None when there are none): it
        listens from before the first connection, which would else be missed.
    """
    socket = _open(context, zmq.DEALER)
    if side is None:
        socket.setsockopt(zmq.ROUTING_ID, address.encode())
    else:
        introduce(socket, side)
        socket.setsockopt(zmq.RECONNECT_IVL, side.reconnect_ms)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, side.reconnect_max_ms)
        socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_MS)
    socket.setsockopt(zmq.IMMEDIATE, 1)
    if rival:
        _have_heartbeats(socket)
    monitor = socket.get_monitor_socket(events, monitor_endpoint()) if events else None
    return _connect(socket, endpoint), monitor


def event_of(frames: list[bytes]) -> int:
    """Return which event a monitor tells of, one of `zmq.EVENT_…`.

    pyzmq's `parse_monitor_message` does too, but comes with asyncio and ssl: 2.7 MB of each agent.

    Source: zmq_socket_monitor(3): the first frame is the event, 16 bits, and its value, 32 bits.
    """
    event, _ = struct.unpack("=Hi", frames[0])
    return int(event)


def monitor_endpoint() -> str:
    """Return an endpoint that no monitor had before. pyzmq would name it by the socket's file
    descriptor, whose number is free before ZeroMQ has let go of the last one's endpoint."""
    return f"inproc://monitor-{next(_monitors)}"


def publisher(context: zmq.Context[zmq.Socket[bytes]], endpoints: list[str]) -> zmq.Socket[bytes]:
    """Bind a PUB; a subscriber that is slow loses frames and finds the hole by seq."""
    return _bind(_open(context, zmq.PUB), endpoints)


def republisher(
    context: zmq.Context[zmq.Socket[bytes]],
    endpoint: str,
    high_water_frames: int,
    side: ServerSide | None = None,
) -> zmq.Socket[bytes]:
    """Bind a PUB that also tells what is subscribed to; `high_water_frames` may wait for each."""
    socket = _open(context, zmq.XPUB)
    socket.setsockopt(zmq.SNDHWM, high_water_frames)
    if side is not None:
        guard(socket, side)
    return _bind(socket, [endpoint])


def subscriber(
    context: zmq.Context[zmq.Socket[bytes]], endpoint: str, topics: tuple[bytes, ...]
) -> zmq.Socket[bytes]:
    """Connect a SUB to the given topics."""
    socket = _open(context, zmq.SUB)
    for topic in topics:
        socket.setsockopt(zmq.SUBSCRIBE, topic)
    return _connect(socket, endpoint)


def _open(context: zmq.Context[zmq.Socket[bytes]], kind: int) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, HIGH_WATER_FRAMES)
    socket.setsockopt(zmq.RCVHWM, HIGH_WATER_FRAMES)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
    socket.setsockopt(zmq.BACKLOG, BACKLOG)
    return socket


def _heartbeat(socket: zmq.Socket[bytes], endpoints: list[str]) -> None:
    if any(endpoint.startswith("tcp:") for endpoint in endpoints):
        _have_heartbeats(socket)


def _have_heartbeats(socket: zmq.Socket[bytes]) -> None:
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_DEAD_MS)
    socket.setsockopt(zmq.HEARTBEAT_TTL, HEARTBEAT_DEAD_MS)


def _speak_ipv6(socket: zmq.Socket[bytes], endpoints: list[str]) -> None:
    """Allow addresses of IPv6, where one is given. Not for names: ZeroMQ would take no other
    address of a name that has one of IPv6, and the server may listen at those of IPv4 alone."""
    if any(endpoint.startswith("tcp://[") for endpoint in endpoints):
        socket.setsockopt(zmq.IPV6, 1)


def _bind(socket: zmq.Socket[bytes], endpoints: list[str]) -> zmq.Socket[bytes]:
    _heartbeat(socket, endpoints)
    _speak_ipv6(socket, endpoints)
    try:
        for endpoint in endpoints:
            socket.bind(endpoint)
    except BaseException:
        socket.close()
        raise
    return socket


def _connect(socket: zmq.Socket[bytes], endpoint: str) -> zmq.Socket[bytes]:
    _heartbeat(socket, [endpoint])
    _speak_ipv6(socket, [endpoint])
    try:
        socket.connect(endpoint)
    except BaseException:
        socket.close()
        raise
    return socket
