"""The sockets for other programs: whom they let in, what they hold for who does not read."""

from __future__ import annotations

import contextlib
import random
import time

import pytest
import zmq
from feed_stand import PATIENCE_S, FeedStand, a_frame, feed_stand
from zmq.utils.monitor import parse_monitor_message

from callsheet.client.feed import BadFeed, Feed
from callsheet.messages.published import EVENTS, PublishedBeat
from callsheet.wire.curve import BadKey, ServerSide, new_keys, own_keys, public_bytes, public_text
from callsheet.wire.place import FeedDoor
from callsheet.wire.published import FEED_DOMAIN, HIGH_WATER_FRAMES, far
from callsheet.wire.sockets import monitor_endpoint


@pytest.fixture
def near(tmp_path):
    with feed_stand(tmp_path) as stand:
        yield stand


def test_a_program_of_this_host_gets_what_is_and_then_what_happens(near):
    with Feed(near.address) as feed:
        first = near.turn_until(lambda: feed.next(0), "a snapshot")
        assert (first.seq, first.runs, feed.position) == (0, [], "1:0")
        near.turn_until(lambda: (EVENTS, True) in near.wanted, "its subscription")
        near.say(a_frame(1), PublishedBeat(epoch=1, seq=1, time=""))
        news = near.turn_until(lambda: feed.next(0), "an event")
        assert [event["seq"] for event in news.events] == [1]
        assert (feed.position, feed.is_current) == ("1:1", True)
    near.turn_until(lambda: (EVENTS, False) in near.wanted, "the end of its subscription")


def test_who_does_not_read_loses_what_is_beyond_the_mark_and_holds_up_nobody(near):
    context = zmq.Context()
    lazy = context.socket(zmq.SUB)
    lazy.setsockopt(zmq.RCVHWM, 1)
    lazy.setsockopt(zmq.SUBSCRIBE, EVENTS)
    lazy.connect(near.address)
    near.turn_until(lambda: (EVENTS, True) in near.wanted, "its subscription")
    count = 40 * HIGH_WATER_FRAMES
    text = "x" * 20_000
    near.say(*(a_frame(seq, message=text) for seq in range(1, count + 1)))
    assert near.publisher.counts.sent == count
    assert lazy.poll(PATIENCE_S * 1_000)
    got = 0
    while lazy.poll(1_000):
        lazy.recv_multipart()
        got += 1
    # Besides the mark, what the kernel holds.
    assert 0 < got < count / 2
    context.destroy(linger=0)


def test_a_peer_that_names_itself_is_not_heard(near, tmp_path):
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.ROUTING_ID, b"somebody")
    dealer.connect(near.address.replace("published", "replay"))
    for junk in (b"", b"junk", b"\x91\x80"):
        dealer.send(junk)
    with Feed(near.address) as feed:
        near.turn_until(lambda: feed.next(0), "the answer to another")
    near.turn_until(lambda: near.ports[1].counts.received >= 4, "the junk")
    assert near.asked >= 1
    context.destroy(linger=0)


# --- over TCP -------------------------------------------------------------------------------------


@pytest.fixture
def guarded(tmp_path, request):
    keys = own_keys(tmp_path / "server.key")
    friend = own_keys(tmp_path / "friend.key")
    host = getattr(request, "param", "127.0.0.1")
    stand = FeedStand(somewhere(keys, {"friend": public_text(friend.public)}, host))
    stand.address = stand.publisher.socket.getsockopt_string(zmq.LAST_ENDPOINT)
    stand.key = public_text(keys.public)
    yield stand
    stand.close()


def somewhere(keys, allow, host="127.0.0.1"):
    """Open the sockets at whatever two ports beside each other are free."""
    side = ServerSide(keys=keys, domain=FEED_DOMAIN)
    for _ in range(1_000):
        port = random.randrange(20_000, 60_000)
        at = [f"tcp://{host}:{number}" for number in (port, port + 1)]
        door = FeedDoor(publish=at[0], ask=at[1], key_file="", allow=allow)
        with contextlib.suppress(zmq.ZMQError):
            return far(door, side, time.monotonic)
    raise AssertionError("no two free ports")


@pytest.mark.parametrize("guarded", ["127.0.0.1", "[::1]"], indirect=True)
def test_over_tcp_a_program_whose_key_is_allowed_follows(guarded, tmp_path):
    key_file = tmp_path / "friend.key"
    with Feed(guarded.address, key_file=key_file, server_key=guarded.key) as feed:
        guarded.turn_until(lambda: feed.next(0), "a snapshot")
        guarded.turn_until(lambda: (EVENTS, True) in guarded.wanted, "its subscription")
        guarded.say(a_frame(1))
        news = guarded.turn_until(lambda: feed.next(0), "an event")
        assert news.seq == 1


@pytest.mark.parametrize("kind", ["unknown key", "no key"])
def test_over_tcp_nobody_else_is_let_in(guarded, kind):
    context = zmq.Context()
    socket = context.socket(zmq.SUB)
    monitor = socket.get_monitor_socket(addr=monitor_endpoint())
    if kind == "unknown key":
        keys = new_keys()
        socket.setsockopt(zmq.CURVE_SERVERKEY, public_bytes(guarded.key, "the server's"))
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    socket.setsockopt(zmq.SUBSCRIBE, b"")
    socket.connect(guarded.address)
    events = []

    def refused():
        while monitor.poll(0):
            events.append(parse_monitor_message(monitor.recv_multipart())["event"])
        return {zmq.EVENT_HANDSHAKE_FAILED_AUTH, zmq.EVENT_DISCONNECTED} & set(events)

    guarded.turn_until(refused, "a refusal")
    assert zmq.EVENT_HANDSHAKE_SUCCEEDED not in events
    assert guarded.wanted == []
    context.destroy(linger=0)


def test_a_key_that_is_none_is_refused_at_the_start():
    with pytest.raises(BadKey, match=r"feed\.allow\.x: 'y' is no public key"):
        somewhere(new_keys(), {"x": "y"})


@pytest.mark.parametrize(
    ("address", "options", "said"),
    [
        ("http://x", {}, "not an address"),
        ("tcp://x", {}, "not an address"),
        ("tcp://127.0.0.1:1", {}, "a key is missing"),
        ("tcp://127.0.0.1:1", {"key_file": "/nowhere", "server_key": "x"}, "cannot be read"),
        ("ipc:///x/published", {"resume": "now"}, "resume: 'now'"),
    ],
)
def test_what_cannot_be_followed_is_said_in_a_sentence(address, options, said):
    with pytest.raises(BadFeed, match=said):
        Feed(address, **options)
