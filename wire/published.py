"""The sockets by which other programs follow the server: what is published, and what they ask.

Opened by the web server's stage (`actors/ports.py`). On this host they are files in the server's
private directory. Over TCP they are two ports, encrypted by CURVE and open only to the keys that
the settings name; those sockets and their gate have a ZeroMQ context of their own, since a context
has room for one gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import zmq

from ..messages.codec import ASKED_READER, BadFrame
from ..messages.post import PUBLISHED, PUBLISHED_FAR
from ..messages.published import BEAT, EVENTS, PublishedBeat, Wanted
from . import sockets
from .curve import ServerSide, public_bytes
from .gate import Admission, GatePort
from .place import FeedDoor
from .ports import Clock, Context, Letter, Port, PublisherPort, RouterPort

FEED_DOMAIN = "feed"
# Frames that wait for a subscriber which does not read: of at most some 64 KiB each, and kept once
# for all who wait for the same.
HIGH_WATER_FRAMES = 64


class PublishedPort(PublisherPort):
    """A bound XPUB: like a PUB, and its letters say what is subscribed to."""

    def __init__(
        self,
        context: Context,
        name: str,
        endpoint: str,
        *,
        clock: Clock,
        side: ServerSide | None = None,
    ) -> None:
        Port.__init__(self, name, None, clock)
        self.socket = sockets.republisher(context, endpoint, HIGH_WATER_FRAMES, side)

    def receive(self, limit: int, letters: list[Letter]) -> int:
        """See `Port`."""
        return Port.receive(self, limit, letters)

    def _read(self, parts: list[bytes]) -> Letter:
        if len(parts) != 1 or parts[0][:1] not in (b"\0", b"\1") or len(parts[0]) > 100:
            raise BadFrame("expected a subscription")
        return Letter(self.name, self.name, [Wanted(parts[0][1:], parts[0][:1] == b"\1")])

    def send(self, to: str, messages: Iterable[Any]) -> None:
        """Publish messages, each on its topic."""
        for message in messages:
            topic = BEAT if isinstance(message, PublishedBeat) else EVENTS
            self.publish(topic, [message])


class AskedPort(RouterPort):
    """A bound ROUTER for what programs ask. Each is `asks/ID` by the id that the router gave its
    connection, which is nobody else's."""

    PREFIX = "asks/"

    def __init__(
        self,
        context: Context,
        name: str,
        endpoint: str,
        *,
        clock: Clock,
        side: ServerSide | None = None,
    ) -> None:
        super().__init__(
            context, name, [endpoint], reader=ASKED_READER, peers=".*", clock=clock, side=side
        )
        self._prefix = f"{self.PREFIX}{name}/"

    def _meet(self, peer: bytes) -> str:
        if peer[:1] != b"\0":
            raise BadFrame("it named itself: expected a peer without a routing id")
        return f"{self._prefix}{peer.hex()}"

    def leads_to(self, to: str) -> bool:
        """See `RouterPort`."""
        return to.startswith(self._prefix)

    def route(self, to: str) -> bytes | None:
        """See `RouterPort`."""
        return bytes.fromhex(to.removeprefix(self._prefix))


class FeedGate(GatePort):
    """Lets in whom the settings name; owns the context of the sockets that it guards."""

    def __init__(self, context: Context, allow: Mapping[str, str], *, clock: Clock) -> None:
        """`allow`: public keys as text, by name.

        Raises:
            BadKey: one of them is none.
        """
        admission = Admission()
        for name, key in allow.items():
            public_bytes(key, f"feed.allow.{name}")
        admission.set({key: name for name, key in allow.items()})
        super().__init__(context, admission, clock=clock, domain=FEED_DOMAIN)
        self._context = context

    def close(self) -> None:
        """Close the gate and all that it guards."""
        self._context.destroy(linger=0)


def here(context: Context, publish: str, ask: str, clock: Clock) -> list[Port]:
    """Open the sockets for programs of this host."""
    return [
        PublishedPort(context, PUBLISHED, publish, clock=clock),
        AskedPort(context, "replay", ask, clock=clock),
    ]


def far(door: FeedDoor, side: ServerSide, clock: Clock) -> list[Port]:
    """Open the sockets for programs of other hosts, and their gate.

    Raises:
        zmq.ZMQError: an address is taken or not ours.
        BadKey: a key that is to be let in is none.
    """
    context: Context = zmq.Context()
    try:
        return [
            FeedGate(context, door.allow, clock=clock),
            PublishedPort(context, PUBLISHED_FAR, door.publish, clock=clock, side=side),
            AskedPort(context, "replay over tcp", door.ask, clock=clock, side=side),
        ]
    except BaseException:
        context.destroy(linger=0)
        raise
