"""Who is let in from other hosts: real sockets, real handshakes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from zmq.utils.monitor import parse_monitor_message

from callsheet.messages.agents import AgentBeat
from callsheet.messages.codec import ENROL_READER, KEYED_AGENT_READER, pack
from callsheet.messages.post import GATE
from callsheet.messages.registry import AdmitKeys, Enrol
from callsheet.wire.curve import KeyPair, ServerSide, new_keys, public_text
from callsheet.wire.gate import (
    AGENTS_DOMAIN,
    ENROL_DOMAIN,
    Admission,
    GatePort,
    KeyedRouterPort,
)
from callsheet.wire.ports import Letter
from callsheet.wire.sockets import monitor_endpoint

PATIENCE_S = 60.0
REFUSED = zmq.EVENT_HANDSHAKE_FAILED_AUTH


class Peer:
    """A raw client, which may do what agentd would not."""

    def __init__(self, context: Any, endpoint: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self.endpoint = endpoint
        self.monitor = self.socket.get_monitor_socket(addr=monitor_endpoint())
        self.events: list[int] = []

    def connect(self) -> Peer:
        self.socket.connect(self.endpoint)
        return self

    def named(self, routing_id: str) -> Peer:
        self.socket.setsockopt(zmq.ROUTING_ID, routing_id.encode())
        return self

    def by_key(self, keys: KeyPair, server: KeyPair) -> Peer:
        self.socket.setsockopt(zmq.CURVE_SERVERKEY, server.public)
        self.socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
        self.socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
        return self

    def by_password(self) -> Peer:
        self.socket.setsockopt(zmq.PLAIN_USERNAME, b"w1")
        self.socket.setsockopt(zmq.PLAIN_PASSWORD, b"x")
        return self

    def look(self) -> list[int]:
        while self.monitor.poll(0):
            self.events.append(int(parse_monitor_message(self.monitor.recv_multipart())["event"]))
        return self.events

    def says(self, message: Any) -> bool:
        """Send if connected; return whether it was."""
        try:
            self.socket.send(pack([message])[0], zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True


class Door:
    """The server's side, as the runner's stage has it."""

    def __init__(self) -> None:
        self.context: Any = zmq.Context()
        self.keys = new_keys()
        self.admission = Admission()
        self.gate = GatePort(self.context, self.admission, clock=time.monotonic)
        self.agents = self.router(AGENTS_DOMAIN, "agent", self.admission)
        self.enrol = self.router(ENROL_DOMAIN, "enrol", None)
        self.letters: list[Letter] = []

    def router(self, domain: str, prefix: str, admission: Admission | None) -> KeyedRouterPort:
        return KeyedRouterPort(
            self.context,
            prefix,
            "tcp://127.0.0.1:*",
            reader=KEYED_AGENT_READER if prefix == "agent" else ENROL_READER,
            prefix=prefix,
            side=ServerSide(keys=self.keys, domain=domain),
            clock=time.monotonic,
            admission=admission,
        )

    def peer(self, port: KeyedRouterPort | None = None) -> Peer:
        endpoint = (port or self.agents).socket.getsockopt_string(zmq.LAST_ENDPOINT)
        return Peer(self.context, endpoint)

    def admit(self, **keys: KeyPair) -> None:
        agents = {public_text(pair.public): agent_id for agent_id, pair in keys.items()}
        self.gate.send(GATE, [AdmitKeys(agents=agents)])

    def turn(self) -> list[Letter]:
        poller = zmq.Poller()
        for port in (self.gate, self.agents, self.enrol):
            poller.register(port.socket, zmq.POLLIN)
        poller.poll(10)
        letters: list[Letter] = []
        for port in (self.gate, self.agents, self.enrol):
            if not port.socket.closed:
                port.receive(100, letters)
        self.letters += letters
        return letters

    def until(self, holds: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.turn()
            found = holds()
            if found:
                return found
            assert time.monotonic() < deadline, f"waited for {what}"

    def hears(self, peer: Peer, message: Any) -> Letter:
        """Have a peer say something, and return the letter it becomes."""
        self.until(lambda: peer.says(message), "the peer to be connected")
        self.until(lambda: self.letters, "its letter")
        return self.letters.pop()

    def refuses(self, peer: Peer) -> None:
        """Wait until a peer has been refused, and see that nothing of it came in."""
        failed = {
            REFUSED,
            zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
            zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
        }
        self.until(lambda: failed & set(peer.look()), "a failed handshake")
        assert zmq.EVENT_HANDSHAKE_SUCCEEDED not in peer.events
        assert not peer.says(a_beat())
        assert self.letters == []


def a_beat(agent_id: str = "w1") -> AgentBeat:
    return AgentBeat(agent_id=agent_id, live=0)


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.context.destroy(linger=0)


def test_a_known_key_is_let_in_under_the_name_it_is_known_by(door):
    keys = new_keys()
    door.admit(w1=keys)
    letter = door.hears(door.peer().by_key(keys, door.keys).connect(), a_beat("somebody else"))
    assert (letter.peer, letter.messages) == ("agent/w1", [a_beat("somebody else")])


def test_an_unknown_key_is_refused_and_told_so(door):
    door.admit(w1=new_keys())
    peer = door.peer().by_key(new_keys(), door.keys).connect()
    door.refuses(peer)
    assert REFUSED in peer.events
    assert door.gate.refused > 0


@pytest.mark.slow
def test_a_peer_without_a_key_is_not_let_in(door):
    door.admit(w1=new_keys())
    door.refuses(door.peer().connect())
    door.refuses(door.peer().by_password().connect())


@pytest.mark.slow
def test_a_client_that_expects_another_server_key_gets_nowhere(door):
    keys = new_keys()
    door.admit(w1=keys)
    door.refuses(door.peer().by_key(keys, new_keys()).connect())


@pytest.mark.slow
def test_without_a_gate_nobody_enters(door):
    keys = new_keys()
    door.admit(w1=keys)
    door.gate.socket.close()
    peer = door.peer().by_key(keys, door.keys).connect()
    poller = zmq.Poller()
    poller.register(door.agents.socket, zmq.POLLIN)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        assert not peer.says(a_beat())
        assert not poller.poll(50)
    assert zmq.EVENT_HANDSHAKE_SUCCEEDED not in peer.look()


def test_handshakes_wait_until_it_is_known_who_is_let_in(door):
    keys, stranger = new_keys(), new_keys()
    peer = door.peer().by_key(keys, door.keys).connect()
    other = door.peer().by_key(stranger, door.keys).connect()
    door.until(lambda: door.gate.counts.received == 2, "both handshakes")
    assert door.gate.counts.sent == 0
    door.admit(w1=keys)
    assert door.hears(peer, a_beat()).peer == "agent/w1"
    door.refuses(other)


def test_a_revoked_key_is_cut_off_at_once_and_not_let_in_again(door):
    keys, other = new_keys(), new_keys()
    door.admit(w1=keys, w2=other)
    peer = door.peer().by_key(keys, door.keys).connect()
    stays = door.peer().by_key(other, door.keys).connect()
    door.hears(peer, a_beat())
    door.hears(stays, a_beat())
    door.admit(w2=other)
    assert door.agents.route("agent/w1") is None
    door.until(lambda: (peer.says(a_beat()), door.agents.cut)[1], "the connection to be cut")
    door.until(lambda: REFUSED in peer.look(), "the next handshake to be refused")
    assert door.letters == []
    assert door.hears(stays, a_beat()).peer == "agent/w2"


def test_a_peer_that_brings_a_routing_id_is_not_heard_and_takes_no_ones_place(door):
    keys, thief_keys = new_keys(), new_keys()
    door.admit(w1=keys, w2=thief_keys)
    thief = door.peer().named("agent/w1").by_key(thief_keys, door.keys).connect()
    door.until(lambda: thief.says(a_beat()), "the thief to be connected")
    door.until(lambda: door.agents.garbage.count, "it to be dropped")
    assert door.letters == []
    peer = door.peer().by_key(keys, door.keys).connect()
    door.hears(peer, a_beat())
    door.agents.send("agent/w1", [a_beat()])
    door.until(lambda: peer.socket.poll(0), "the answer")
    assert not thief.socket.poll(0)


def test_an_answer_goes_to_the_connection_an_agent_was_heard_by_last(door):
    keys = new_keys()
    door.admit(w1=keys)
    before = door.peer().by_key(keys, door.keys).connect()
    door.hears(before, a_beat())
    after = door.peer().by_key(keys, door.keys).connect()
    door.hears(after, a_beat())
    door.agents.send("agent/w1", [a_beat()])
    door.until(lambda: after.socket.poll(0), "the answer")
    assert not before.socket.poll(0)


def test_at_the_enrolment_any_key_is_known_by_itself_and_may_only_enrol(door):
    keys = new_keys()
    peer = door.peer(door.enrol).by_key(keys, door.keys).connect()
    door.admit()
    message = Enrol(secret="s", agent_id="w1")
    letter = door.hears(peer, message)
    assert (letter.peer, letter.messages) == (f"enrol/{public_text(keys.public)}", [message])
    assert peer.says(a_beat())
    door.until(lambda: door.enrol.garbage.count, "anything else to be dropped")
    assert door.letters == []


def test_what_is_sent_to_an_agent_that_never_came_is_counted(door):
    door.admit(w1=new_keys())
    door.agents.send("agent/w1", [a_beat()])
    assert door.agents.counts.unreachable == 1


def test_a_question_that_is_none_lets_nobody_in(door):
    door.admit(w1=new_keys())
    asker = door.context.socket(zmq.DEALER)
    asker.connect("inproc://zeromq.zap.01")
    for parts in (
        [b"", b"1.0", b"1"],
        [b"", b"2.0", b"1", b"agents", b"", b"", b"CURVE", bytes(32)],
        [b"", b"1.0", b"1", b"agents", b"", b"", b"CURVE", b"short"],
        [b"", b"1.0", b"1", b"agents", b"", b"", b"NULL"],
        [b"", b"1.0", b"1", b"other", b"", b"", b"CURVE", bytes(32)],
    ):
        asker.send_multipart(parts)
        door.until(lambda: asker.poll(0), "an answer")
        assert asker.recv_multipart()[3] == b"400"
    asker.close()
