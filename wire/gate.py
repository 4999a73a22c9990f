"""The gate: who is let in from other hosts, by key and by nothing else.

Both sockets belong to the runner's stage. `GatePort` answers what ZeroMQ asks at each handshake
(ZAP); `KeyedRouterPort` names each letter by the key it came with, never by anything in it. ZeroMQ
asks at handshakes only, so a key that is not admitted any more is also cut off here.
"""

from __future__ import annotations

import contextlib
import os
import socket as sockets_of_system
from collections.abc import Iterable
from typing import Any

import zmq

from ..messages.codec import BadFrame, Reader
from ..messages.post import GATE
from ..messages.registry import AdmitKeys
from . import sockets
from .curve import KEY_BYTES, ServerSide, raw_text
from .ports import Clock, Context, Letter, Port, RouterPort

# Where ZeroMQ looks for the gate, in the context of the sockets it guards.
ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_VERSION = b"1.0"
# Domains: sockets for agents that are known, and for those that want to be.
AGENTS_DOMAIN = "agents"
ENROL_DOMAIN = "enrol"
# Parts of a request: who asks, an empty one, version, request id, domain, address, routing id,
# mechanism, and for CURVE the key.
ZAP_PARTS = 9
# Handshakes that may wait until it is known who is let in; later ones are refused.
WAITING_AT_MOST = 1_000


class Admission:
    """Who is let in: shared by the gate and the sockets it guards. `known` is false until the
    runner has said so for the first time."""

    def __init__(self) -> None:
        self.known = False
        self._agents: dict[str, str] = {}
        self._ids: frozenset[str] = frozenset()

    def set(self, agents: dict[str, str]) -> None:
        """Let in these keys, each as the agent it maps to, and no others."""
        self._agents, self._ids, self.known = dict(agents), frozenset(agents.values()), True

    def agent_of(self, key: str) -> str | None:
        """Return the agent of a key, None when it is not let in."""
        return self._agents.get(key)

    def admits(self, agent_id: str) -> bool:
        """Return whether an agent's key is let in now."""
        return agent_id in self._ids


class GatePort(Port):
    """Answers ZeroMQ's questions; `send` takes `AdmitKeys`. No letters come from it.

    For the domain of known agents the answer's user id is the agent's id, for enrolment the key
    itself. While nobody has said yet who is let in, handshakes wait.
    """

    def __init__(
        self,
        context: Context,
        admission: Admission,
        *,
        clock: Clock,
        domain: str = AGENTS_DOMAIN,
    ) -> None:
        """`domain`: of the sockets for those who are known."""
        super().__init__(GATE, None, clock)
        self._domain = domain
        self.refused = 0
        self._admission = admission
        self._waiting: list[list[bytes]] = []
        self.socket = sockets.answerer(context, ZAP_ENDPOINT)

    def receive(self, limit: int, letters: list[Letter]) -> int:
        """Answer at most `limit` questions; return 0, since there is nothing for the core."""
        del letters
        for _ in range(limit):
            try:
                parts = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            self.counts.received += 1
            if self._admission.known or len(self._waiting) >= WAITING_AT_MOST:
                self._answer(parts)
            else:
                self._waiting.append(parts)
        return 0

    def send(self, to: str, messages: Iterable[Any]) -> None:
        """Take who is let in from now on, and answer those who waited for it."""
        for message in messages:
            assert isinstance(message, AdmitKeys), f"port {self.name}: {message!r}: not for it"
            self._admission.set(message.agents)
        waiting, self._waiting = self._waiting, []
        for parts in waiting:
            self._answer(parts)

    def _answer(self, parts: list[bytes]) -> None:
        user = self._user(parts)
        self.refused += not user
        status, text = (b"200", b"OK") if user else (b"400", b"not admitted")
        request = parts[3] if len(parts) > 3 else b""
        reply = [*parts[:2], ZAP_VERSION, request, status, text, user.encode(), b""]
        with contextlib.suppress(zmq.ZMQError):  # whoever asked has gone
            self.socket.send_multipart(reply, zmq.NOBLOCK)
            self.counts.sent += 1

    def _user(self, parts: list[bytes]) -> str:
        """Return whom the question is about, empty: nobody who is let in."""
        if len(parts) != ZAP_PARTS or parts[2] != ZAP_VERSION or parts[7] != b"CURVE":
            return ""
        if len(parts[8]) != KEY_BYTES:
            return ""
        key = raw_text(parts[8])
        domain = parts[4].decode("ascii", "replace")
        if domain == self._domain:
            return self._admission.agent_of(key) or ""
        return key if domain == ENROL_DOMAIN and self._domain == AGENTS_DOMAIN else ""


class KeyedRouterPort(RouterPort):
    """A ROUTER for peers that have shown a key: each is `<prefix>/<user id>` by what the gate said
    at its handshake.

    The routing ids are the router's own, new for each connection: a peer that brings one along is
    not heard, since it could be another's. What is sent to an agent goes to the connection from
    which it was heard last.
    """

    def __init__(
        self,
        context: Context,
        name: str,
        endpoint: str,
        *,
        reader: Reader,
        prefix: str,
        side: ServerSide,
        clock: Clock,
        admission: Admission | None = None,
    ) -> None:
        """Bind; with an `admission`, whoever is not in it any more is cut off."""
        super().__init__(
            context, name, [endpoint], reader=reader, peers=".*", clock=clock, side=side
        )
        self.cut = 0
        self._prefix = prefix
        self._admission = admission
        self._routes: dict[str, bytes] = {}

    def leads_to(self, to: str) -> bool:
        """See `RouterPort`."""
        return to in self._routes

    def route(self, to: str) -> bytes | None:
        """See `RouterPort`."""
        prefix, _, user = to.partition("/")
        if prefix != self._prefix or not self._admits(user):
            return None
        return self._routes.get(to)

    def _take(self) -> list[bytes] | None:
        """Receive one message; its last part is the user id the gate gave."""
        try:
            frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        try:
            user = str(frames[-1].get("User-Id"))
        except zmq.ZMQError:
            user = ""
        if not self._admits(user):
            self._routes.pop(f"{self._prefix}/{user}", None)
            self._cut_off(frames[-1])
        return [*(frame.bytes for frame in frames), user.encode()]

    def _source(self, parts: list[bytes]) -> bytes:
        return parts[-1]

    def _read(self, parts: list[bytes]) -> Letter:
        routing_id, *rest, user_bytes = parts
        user = user_bytes.decode("utf-8", "replace")
        if not self._admits(user):
            raise BadFrame("its key is not admitted any more")
        if routing_id[:1] != b"\0":
            raise BadFrame("it named itself: expected a peer that is named by its key")
        if len(rest) != 1:
            raise BadFrame(f"{len(rest)} parts: expected 1")
        name = f"{self._prefix}/{user}"
        messages = self._unpack(rest[0])
        if len(self._routes) >= self.NAMES_AT_MOST and name not in self._routes:
            del self._routes[next(iter(self._routes))]
        self._routes[name] = routing_id
        return Letter(self.name, name, messages)

    def _admits(self, user: str) -> bool:
        return bool(user) and (self._admission is None or self._admission.admits(user))

    def _cut_off(self, frame: zmq.Frame) -> None:
        """End the connection a frame came by. ZeroMQ cannot; the system can.

        The descriptor is ZeroMQ's and may have been given out again meanwhile: it is shut down only
        if it is a connection to this very port.
        """
        with contextlib.suppress(OSError, zmq.ZMQError, ValueError):
            fd = os.dup(int(frame.get(zmq.SRCFD)))
            with sockets_of_system.socket(fileno=fd) as connection:
                here = self.socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]
                if str(connection.getsockname()[1]) == here:
                    connection.shutdown(sockets_of_system.SHUT_RDWR)
                    self.cut += 1
