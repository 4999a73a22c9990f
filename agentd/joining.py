"""How an agent of another host comes to the server: its key, the server's key, its enrolment.

Called by `daemon.py` before it connects. Owns `keys/` in the spool: the agent's own key pair, and
which server took it in and as whom. A token is shown once, over an encrypted connection to the
server whose key the token names; after that the key alone counts.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from pathlib import Path

import msgspec
import zmq

from ..jobs.errors import UserError
from ..messages.codec import FROM_ENROL_READER
from ..messages.hello import Refuse
from ..messages.post import RUNNER
from ..messages.registry import Enrol, EnrolDone
from ..wire.curve import PUBLIC_LENGTH, BadKey, ClientSide, KeyPair, own_keys, public_bytes
from ..wire.curve import read_secret as read_secret_file
from ..wire.ports import DealerPort, Letter
from ..wire.sockets import event_of

log = logging.getLogger("callsheet.agentd")

TOKEN_PREFIX = "cs1."  # noqa: S105 - what tokens begin with is no secret
ASK_AGAIN_S = 2.0
EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_DISCONNECTED
)
FAILURES = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: (
        "it does not let this agent's key in: the agent was never enrolled there, or is revoked"
    ),
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: (
        "it broke off the handshake: expected a callsheet server that has the key we were given"
    ),
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "it speaks another protocol: expected a callsheet server",
}


class NotTaken(UserError):
    """The server does not take this agent in."""

    def __init__(self, server: str, sentence: str) -> None:
        super().__init__(f"{server}: enrolment is refused: {sentence}")


class Token(msgspec.Struct, frozen=True):
    """A token as `callsheetctl agent token` shows it: the server's public key, and a secret."""

    server: str
    secret: str

    def __repr__(self) -> str:
        return f"Token({self.server})"

    __str__ = __repr__


class Membership(msgspec.Struct, frozen=True):
    """Which server took this agent in, by its public key, and as whom."""

    server: str
    agent_id: str
    group_id: str


def read_token(path: Path) -> Token:
    """Return the token in a file, which nobody else may read.

    Raises:
        BadKey: there is none.
    """
    text = read_secret_file(path).decode("utf-8", "replace").strip()
    server = text[len(TOKEN_PREFIX) : len(TOKEN_PREFIX) + PUBLIC_LENGTH]
    dot = text[len(TOKEN_PREFIX) + PUBLIC_LENGTH :][:1]
    secret = text[len(TOKEN_PREFIX) + PUBLIC_LENGTH + 1 :]
    if not text.startswith(TOKEN_PREFIX) or dot != "." or not secret:
        raise BadKey(str(path), "it holds no token", "what `callsheetctl agent token` shows")
    public_bytes(server, str(path))
    return Token(server, secret)


def side_of(keys: KeyPair, server: str) -> ClientSide:
    """Return what a socket to that server needs; delays differ from agent to agent."""
    return ClientSide(
        keys=keys,
        server=server,
        reconnect_ms=250 + secrets.randbelow(750),
        reconnect_max_ms=2_000 + secrets.randbelow(1_500),
    )


class Desk:
    """The agent's `keys/` in its spool."""

    def __init__(self, spool: str) -> None:
        """Read the key pair, made at the first need.

        Raises:
            BadKey: others may read it, or it is none.
        """
        folder = Path(spool) / "keys"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = folder / "membership.json"
        self.keys = own_keys(folder / "agent.key")

    def membership(self) -> Membership | None:
        """Return which server took this agent in, None for none yet.

        Raises:
            BadKey: the file cannot be read for what it is.
        """
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Membership)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise BadKey(str(self._file), str(error), "what agentd wrote there") from None

    def enrol(self, server: str, token: Token, agent_id: str, group_id: str) -> Membership:
        """Show the token until the server has answered, however long that takes.

        Args:
            server: where known agents come in; new ones do at the next port.

        Raises:
            NotTaken: the server has refused.
        """
        message = Enrol(secret=token.secret, agent_id=agent_id, group_id=group_id)
        found = _ask(server, token, self.keys, message)
        membership = Membership(token.server, found.agent_id, found.group_id)
        part = self._file.with_suffix(".part")
        with part.open("wb") as file:
            file.write(msgspec.json.encode(membership))
            file.flush()
            os.fsync(file.fileno())
        part.rename(self._file)
        return membership


def enrol_endpoint(server: str) -> str:
    """Return where a server takes new agents in."""
    head, _, port = server.rpartition(":")
    return f"{head}:{int(port) + 1}"


def failure_of(event: int, server: str) -> str | None:
    """Return why a connection did not come to be, None when the event is no failure."""
    sentence = FAILURES.get(zmq.Event(event))
    return None if sentence is None else f"{server}: {sentence}"


def _ask(server: str, token: Token, keys: KeyPair, message: Enrol) -> EnrolDone:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    endpoint = enrol_endpoint(server)
    try:
        while True:
            found = _Try(context, endpoint, side_of(keys, token.server)).play(message)
            if isinstance(found, EnrolDone):
                return found
            if isinstance(found, Refuse):
                raise NotTaken(server, found.sentence)
            time.sleep(1 + secrets.randbelow(2_000) / 1e3)
    finally:
        context.destroy(linger=0)


class _Try:
    """One socket at the enrolment's port; a handshake that was refused needs another one."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, side: ClientSide
    ) -> None:
        self._endpoint = endpoint
        self._port = DealerPort(
            context,
            "enrolment",
            endpoint,
            address="",
            peer=RUNNER,
            reader=FROM_ENROL_READER,
            clock=time.monotonic,
            events=EVENTS,
            side=side,
        )
        assert self._port.monitor is not None, "events were asked for"
        self._monitor = self._port.monitor
        self._connected = False
        self._told = ""

    def play(self, message: Enrol) -> EnrolDone | Refuse | None:
        """Return the answer, None when the handshake was refused for good."""
        poller = zmq.Poller()
        poller.register(self._port.socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        asked_s = float("-inf")
        try:
            while True:
                if self._connected and time.monotonic() >= asked_s + ASK_AGAIN_S:
                    self._port.send(RUNNER, [message])
                    asked_s = time.monotonic()
                poller.poll(int(ASK_AGAIN_S * 1e3))
                if self._is_refused():
                    return None
                letters: list[Letter] = []
                self._port.receive(10, letters)
                for letter in letters:
                    for answer in letter.messages:
                        return answer  # type: ignore[no-any-return]
        finally:
            self._port.socket.disable_monitor()
            self._port.close()

    def _is_refused(self) -> bool:
        with contextlib.suppress(zmq.Again):
            while True:
                event = event_of(self._monitor.recv_multipart(zmq.NOBLOCK))
                self._connected = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
                sentence = failure_of(event, self._endpoint)
                if sentence is not None and sentence != self._told:
                    self._told = sentence
                    log.warning("%s", sentence)
                if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                    return True
        return False
