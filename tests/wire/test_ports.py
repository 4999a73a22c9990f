"""Ports over real sockets: delivery, absence, backlog, garbage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from callsheet.actors.ports import LEDGER_PEERS
from callsheet.messages.codec import (
    FEED_READER,
    FROM_LEDGER_READER,
    LEDGER_READER,
    MAX_FRAME_BYTES,
    TARGET_FRAME_BYTES,
    pack,
)
from callsheet.messages.commands import IdsLeased
from callsheet.messages.hello import Hello
from callsheet.messages.instructions import LeaseIds, NoteRun, RunsDue
from callsheet.messages.post import LEDGER
from callsheet.messages.transitions import Beat
from callsheet.messages.verbs import READERS
from callsheet.wire import ports, sockets
from callsheet.wire.feed import BEAT_TOPIC, EVENTS_TOPIC
from callsheet.wire.garbage import BAD_FRAMES_AT_MOST, DEAF_S
from callsheet.wire.ports import DealerPort, Letter, Port, PublisherPort, RouterPort, SubscriberPort

PEERS = r"(web|waiter)/\d+"
DEADLINE_S = 60.0


class ManualClock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def context() -> Iterator[ports.Context]:
    context: ports.Context = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/s"


def a_router(context: ports.Context, endpoint: str, clock: ports.Clock) -> RouterPort:
    return RouterPort(context, "ledger", [endpoint], reader=LEDGER_READER, peers=PEERS, clock=clock)


def a_dealer(
    context: ports.Context,
    endpoint: str,
    clock: ports.Clock,
    address: str = "web/0",
    *,
    rival: bool = False,
) -> DealerPort:
    return DealerPort(
        context,
        "ledger",
        endpoint,
        address=address,
        peer="ledger/0",
        reader=FROM_LEDGER_READER,
        clock=clock,
        rival=rival,
    )


def arrive(port: Port, count: int, *others: Port) -> list[Letter]:
    """Receive until `count` messages have come, flushing all ports meanwhile."""
    letters: list[Letter] = []
    until_s = time.monotonic() + DEADLINE_S
    while sum(len(letter.messages) for letter in letters) < count:
        assert time.monotonic() < until_s, f"only {letters} came"
        for other in (port, *others):
            other.flush()
        port.socket.poll(5)
        port.receive(1_000, letters)
    return letters


def messages(letters: list[Letter]) -> list[object]:
    return [message for letter in letters for message in letter.messages]


def test_messages_go_there_and_back_in_order(
    context: ports.Context, endpoint: str, clock: ManualClock
) -> None:
    router, dealer = a_router(context, endpoint, clock), a_dealer(context, endpoint, clock)
    asked = [LeaseIds(count=n) for n in range(500)]
    dealer.send("ledger/0", asked)
    letters = arrive(router, 500, dealer)
    assert {letter.peer for letter in letters} == {"web/0"}
    assert messages(letters) == asked
    answers = [IdsLeased(first_id=n, count=1) for n in range(500)]
    router.send("web/0", answers)
    assert messages(arrive(dealer, 500, router)) == answers


@pytest.mark.parametrize("bound", ["tcp://[::1]:*", "tcp://[::]:*"])
def test_addresses_of_ipv6_are_spoken_at(
    context: ports.Context, bound: str, clock: ManualClock
) -> None:
    router = a_router(context, bound, clock)
    port = router.socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]
    hosts = ["[::1]"] if "[::1]" in bound else ["[::1]", "127.0.0.1"]
    for host in hosts:
        dealer = a_dealer(context, f"tcp://{host}:{port}", clock)
        dealer.send("ledger/0", [LeaseIds(count=1)])
        assert messages(arrive(router, 1, dealer)) == [LeaseIds(count=1)]
        dealer.close()


def test_a_dealer_sends_what_waited_once_its_peer_is_there(
    context: ports.Context, endpoint: str, clock: ManualClock
) -> None:
    dealer = a_dealer(context, endpoint, clock)
    dealer.send("ledger/0", [LeaseIds(count=1)])
    dealer.send("ledger/0", [LeaseIds(count=2)])
    assert dealer.waits_to_write()
    router = a_router(context, endpoint, clock)
    assert messages(arrive(router, 2, dealer)) == [LeaseIds(count=1), LeaseIds(count=2)]
    assert not dealer.waits_to_write()


def test_what_waited_too_long_is_not_sent_any_more(
    context: ports.Context, endpoint: str, clock: ManualClock
) -> None:
    dealer = a_dealer(context, endpoint, clock)
    dealer.send("ledger/0", [LeaseIds(count=1)])
    clock.now_s += ports.OUTBOX_AGE_S + 1
    dealer.send("ledger/0", [LeaseIds(count=2)])
    router = a_router(context, endpoint, clock)
    assert messages(arrive(router, 1, dealer)) == [LeaseIds(count=2)]
    assert dealer.counts.expired == 1


def test_a_full_outbox_refuses_and_counts(
    context: ports.Context, endpoint: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "OUTBOX_BYTES", 100_000)
    dealer = a_dealer(context, endpoint, clock)
    for n in range(20):
        dealer.send("ledger/0", [NoteRun(run_id=f"r{n}", message="x" * 20_000)])
    assert dealer.counts.overflowed == 16


def test_a_post_to_an_absent_peer_of_a_router_is_dropped_and_counted(
    context: ports.Context, endpoint: str, clock: ManualClock
) -> None:
    router = a_router(context, endpoint, clock)
    router.send("waiter/0", [IdsLeased(first_id=1, count=1)])
    assert (router.counts.unreachable, router.counts.sent) == (1, 0)
    assert router.retry_in_s() is None


def test_a_peer_that_does_not_read_holds_up_nobody_and_loses_nothing_within_bounds(
    context: ports.Context, endpoint: str, clock: ManualClock
) -> None:
    router = a_router(context, endpoint, clock)
    slow = a_dealer(context, endpoint, clock, "waiter/0")
    quick = a_dealer(context, endpoint, clock, "web/0")
    for dealer in (slow, quick):
        dealer.send("ledger/0", [Hello(role=dealer.name)])
    arrive(router, 2, slow, quick)
    answers = [IdsLeased(first_id=n, count=1) for n in range(6_000)]
    for answer in answers:
        router.send("waiter/0", [answer])
    router.send("web/0", [IdsLeased(first_id=0, count=7)])
    assert messages(arrive(quick, 1)) == [IdsLeased(first_id=0, count=7)]
    assert router.retry_in_s() is not None
    assert messages(arrive(slow, 6_000, router)) == answers
    assert router.retry_in_s() is None


def test_a_peer_that_comes_back_takes_its_place(
    context: ports.Context, endpoint: str, clock: ManualClock
) -> None:
    router = a_router(context, endpoint, clock)
    before = a_dealer(context, endpoint, clock)
    before.send("ledger/0", [LeaseIds(count=1)])
    arrive(router, 1, before)
    after = a_dealer(context, endpoint, clock)
    after.send("ledger/0", [LeaseIds(count=2)])
    arrive(router, 1, after)
    router.send("web/0", [IdsLeased(first_id=1, count=2)])
    assert messages(arrive(after, 1)) == [IdsLeased(first_id=1, count=2)]


def test_an_address_goes_from_one_rival_to_the_other_and_neither_is_unheard_for_ever(
    context: ports.Context, endpoint: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "HEARTBEAT_MS", 50)
    monkeypatch.setattr(sockets, "HEARTBEAT_DEAD_MS", 200)
    router = a_router(context, endpoint, clock)
    first = a_dealer(context, endpoint, clock, rival=True)
    first.send("ledger/0", [LeaseIds(count=1)])
    arrive(router, 1, first)
    second = a_dealer(context, endpoint, clock, rival=True)
    second.send("ledger/0", [LeaseIds(count=2)])
    arrive(router, 1, second)

    def is_heard(dealer: DealerPort, count: int) -> bool:
        """Say it once more, and see whether it arrives in a while."""
        dealer.send("ledger/0", [LeaseIds(count=count)])
        letters: list[Letter] = []
        router.socket.poll(20)
        router.receive(100, letters)
        dealer.flush()
        return LeaseIds(count=count) in messages(letters)

    until_s = time.monotonic() + DEADLINE_S
    for dealer, count in ((first, 1), (second, 2), (first, 1)):
        while not is_heard(dealer, count):
            assert time.monotonic() < until_s, f"{count} is never heard again"


def raw_dealer(context: ports.Context, endpoint: str, name: bytes) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.ROUTING_ID, name)
    socket.connect(endpoint)
    return socket


@pytest.mark.parametrize(
    "parts",
    [
        [b"\xc1"],
        [b""],
        [b"\x91" * 300_000],
        [b"\xdd\xff\xff\xff\xff"],
        pack([Beat(epoch=1, seq=1)]),
        [b"a", b"b", b"c"],
    ],
    ids=["no msgpack", "empty", "deep", "huge claim", "another direction", "more parts"],
)
def test_garbage_is_dropped_and_the_next_message_read(
    context: ports.Context, endpoint: str, clock: ManualClock, parts: list[bytes]
) -> None:
    router = a_router(context, endpoint, clock)
    peer = raw_dealer(context, endpoint, b"web/0")
    peer.send_multipart(parts)
    peer.send(pack([LeaseIds(count=1)])[0])
    assert messages(arrive(router, 1)) == [LeaseIds(count=1)]
    assert router.garbage.count == 1


def test_a_name_that_is_nobodys_is_not_heard(
    context: ports.Context, endpoint: str, clock: ManualClock
) -> None:
    router = a_router(context, endpoint, clock)
    names = (b"evil", b"\xff\xfe", b"web/0\n")
    strangers = [raw_dealer(context, endpoint, name) for name in names]
    for stranger in strangers:
        stranger.send(pack([LeaseIds(count=1)])[0])
    dealer = a_dealer(context, endpoint, clock)
    letters: list[Letter] = []
    until_s = time.monotonic() + DEADLINE_S
    while router.garbage.count < 3:
        assert time.monotonic() < until_s
        router.socket.poll(5)
        router.receive(10, letters)
    dealer.send("ledger/0", [LeaseIds(count=2)])
    assert messages(letters + arrive(router, 1, dealer)) == [LeaseIds(count=2)]


def test_a_peer_of_nothing_but_garbage_is_ignored_for_a_while(
    context: ports.Context, endpoint: str, clock: ManualClock
) -> None:
    router = a_router(context, endpoint, clock)
    peer = raw_dealer(context, endpoint, b"web/0")
    for _ in range(BAD_FRAMES_AT_MOST):
        peer.send(b"\xc1")
    peer.send(pack([LeaseIds(count=1)])[0])
    letters: list[Letter] = []
    until_s = time.monotonic() + DEADLINE_S
    while router.garbage.unheard < 1:
        assert time.monotonic() < until_s
        router.socket.poll(5)
        router.receive(100, letters)
    assert letters == []
    clock.now_s += DEAF_S + 1
    peer.send(pack([LeaseIds(count=2)])[0])
    assert messages(arrive(router, 1)) == [LeaseIds(count=2)]


def test_no_more_is_read_at_one_go_than_may_be_in_memory_at_once(
    context: ports.Context, endpoint: str, clock: ManualClock
) -> None:
    router, dealer = a_router(context, endpoint, clock), a_dealer(context, endpoint, clock)
    large = RunsDue(run_ids=["r1"] * (TARGET_FRAME_BYTES // 3))
    for _ in range(5):
        dealer.send("ledger/0", [large])
    goes: list[int] = []
    until_s = time.monotonic() + DEADLINE_S
    while sum(goes) < 5:
        assert time.monotonic() < until_s
        dealer.flush()
        router.socket.poll(5)
        goes.append(router.receive(1_000, []))
    assert max(goes) <= -(-ports.BATCH_BYTES // TARGET_FRAME_BYTES) + 1
    assert router.counts.received == 5


def test_a_frame_beyond_the_limit_never_arrives(
    context: ports.Context, endpoint: str, clock: ManualClock
) -> None:
    router = a_router(context, endpoint, clock)
    peer = raw_dealer(context, endpoint, b"waiter/0")
    peer.send(b"x" * (MAX_FRAME_BYTES + 1))
    dealer = a_dealer(context, endpoint, clock)
    dealer.send("ledger/0", [LeaseIds(count=1)])
    assert messages(arrive(router, 1, dealer)) == [LeaseIds(count=1)]
    assert router.counts.received == 1


def test_subscribers_get_the_topics_they_asked_for(
    context: ports.Context, endpoint: str, clock: ManualClock
) -> None:
    publisher = PublisherPort(context, "feed", [endpoint], clock=clock)
    full, beats = (
        SubscriberPort(context, "feed", endpoint, topics=topics, reader=FEED_READER, clock=clock)
        for topics in ((EVENTS_TOPIC, BEAT_TOPIC), (BEAT_TOPIC,))
    )
    letters: dict[SubscriberPort, list[Letter]] = {full: [], beats: []}
    until_s = time.monotonic() + DEADLINE_S
    while not all(letters.values()):
        assert time.monotonic() < until_s
        publisher.publish(BEAT_TOPIC, [Beat(epoch=1, seq=1)])
        for subscriber, come in letters.items():
            subscriber.socket.poll(5)
            subscriber.receive(1_000, come)
    publisher.send("feed", [Beat(epoch=1, seq=2)])
    publisher.publish(BEAT_TOPIC, [Beat(epoch=1, seq=3)])
    ends = {}
    for subscriber, come in letters.items():
        while messages(come)[-1] != Beat(epoch=1, seq=3):
            assert time.monotonic() < until_s
            subscriber.socket.poll(5)
            subscriber.receive(1_000, come)
        ends[subscriber] = [m for m in messages(come) if m != Beat(epoch=1, seq=1)]
    assert ends[full] == [Beat(epoch=1, seq=2), Beat(epoch=1, seq=3)]
    assert ends[beats] == [Beat(epoch=1, seq=3)]


def test_the_first_connection_of_a_dealer_is_told(
    context: ports.Context, endpoint: str, clock: ManualClock
) -> None:
    router = a_router(context, endpoint, clock)
    for number in range(20):
        dealer = DealerPort(
            context,
            "ledger",
            endpoint,
            address=f"web/{number}",
            peer="ledger/0",
            reader=FROM_LEDGER_READER,
            clock=clock,
            events=zmq.EVENT_HANDSHAKE_SUCCEEDED,
        )
        assert dealer.monitor is not None
        assert dealer.monitor.poll(int(DEADLINE_S * 1e3)), "no event of the handshake came"
    assert router.counts.received == 0


def test_a_dealer_is_monitored_though_the_one_before_is_not_quite_gone(
    context: ports.Context, endpoint: str, clock: ManualClock
) -> None:
    """Its file descriptor's number is free before the name that pyzmq makes of it."""
    gone = context.socket(zmq.PAIR)
    for descriptor in range(512):
        gone.bind(f"inproc://monitor.s-{descriptor}")
    router = a_router(context, endpoint, clock)
    _, monitor = sockets.dealer(context, endpoint, "web/0", zmq.EVENT_HANDSHAKE_SUCCEEDED)
    assert monitor is not None
    assert monitor.poll(int(DEADLINE_S * 1e3)), "no event of the handshake came"
    router.close()


def test_what_is_not_a_peers_to_say_is_not_heard_from_it(
    context: ports.Context, endpoint: str, clock: ManualClock
) -> None:
    router = RouterPort(
        context, "ledger", [endpoint], reader=READERS[LEDGER], peers=LEDGER_PEERS, clock=clock
    )
    peers = {}
    for address in ("waiter/0", "web/0"):
        peers[address] = DealerPort(
            context,
            "ledger",
            endpoint,
            address=address,
            peer=LEDGER,
            reader=FROM_LEDGER_READER,
            clock=clock,
        )
    try:
        note = NoteRun(run_id="r1", message="m")
        peers["web/0"].send(LEDGER, [note])
        peers["web/0"].send(LEDGER, [Hello(role="web/0", incarnation="i")])
        peers["waiter/0"].send(LEDGER, [note])
        heard = {}
        until_s = time.monotonic() + DEADLINE_S
        while len(heard) < 2:
            assert time.monotonic() < until_s
            for peer in peers.values():
                peer.flush()
            letters: list[Letter] = []
            router.receive(10, letters)
            heard |= {letter.peer: letter.messages for letter in letters}
            router.socket.poll(10)
        assert heard["waiter/0"] == [note]
        assert [type(message) for message in heard["web/0"]] == [Hello]
    finally:
        for port in (router, *peers.values()):
            port.close()
