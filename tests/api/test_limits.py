"""Limits on everything that comes in: who exceeds one is cut off, and others are still served."""

import contextlib
import json
import logging
import resource
import socket
import time

import pytest
from certificates import Authority
from live_server import until
from web_stand import WebStand, a_job
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from callsheet.webui import connections
from callsheet.webui.connections import Connections, Sparing

WAIT_S = 60.0
SOON_S = 0.3
BODY_BEGUN = (
    b"POST /api/v2/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{"
)


@pytest.fixture
def quick(monkeypatch):
    """A server whose patience is short."""
    monkeypatch.setattr(connections, "HEAD_S", SOON_S)
    monkeypatch.setattr(connections, "BODY_S", SOON_S)


@pytest.fixture
def few(monkeypatch):
    """A server with room for few connections."""
    monkeypatch.setattr(connections, "FROM_ALL", 40)


@pytest.fixture
def stand(tmp_path):
    stand = WebStand(tmp_path, jobs=(a_job("a"),))
    yield stand
    stand.close()


@pytest.fixture
def speak(stand):
    """Open connections and say something on them."""
    with contextlib.ExitStack() as stack:

        def said(data):
            opened = socket.create_connection(("127.0.0.1", stand.port), WAIT_S)
            stack.enter_context(opened)
            opened.sendall(data)
            return opened

        yield said


def rest(opened):
    """Return all that comes until the server closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := opened.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def is_well(stand):
    return stand.ask("GET", "/healthz") == (200, {})


def test_a_head_that_is_too_long_is_refused(stand, speak):
    line = b"X-Long: " + b"x" * connections.MAX_HEADER_BYTES + b"\r\n"
    answer = rest(speak(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + line + b"\r\n"))
    assert not answer.startswith(b"HTTP/1.1 200")
    assert is_well(stand)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow:",
        BODY_BEGUN,
    ],
)
def test_who_begins_and_does_not_go_on_is_cut_off(quick, stand, speak, begun):
    assert b"200" not in rest(speak(begun))[:12]
    assert is_well(stand)


def test_a_handshake_that_is_never_made_is_cut_off(quick, tmp_path):
    files = Authority(tmp_path).issue("server")
    stand = WebStand(tmp_path, bind=("https://127.0.0.1:0",), **files)
    try:
        with socket.create_connection(("127.0.0.1", stand.port), WAIT_S) as opened:
            assert rest(opened) == b""
    finally:
        stand.close()


def test_a_kept_connection_that_is_idle_is_closed(quick, stand, speak):
    opened = speak(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert rest(opened).startswith(b"HTTP/1.1 200")


def test_a_length_beyond_all_measure_is_refused_before_it_is_sent(stand, speak):
    head = b"POST /api/v2/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for length in (b"10000000000", b"2000000", b"9" * 5_000):
        answer = rest(speak(head + b"Content-Length: " + length + b"\r\n\r\n"))
        assert answer.startswith(b"HTTP/1.1 413 ")
    assert is_well(stand)


def test_a_length_that_is_no_number_is_refused(stand, speak):
    head = b"POST /api/v2/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for length in (b"-1", b"+3", b"1.5", b"", b"\xb33", b"\xb2"):
        answer = rest(speak(head + b"Content-Length: " + length + b"\r\n\r\n"))
        assert answer.startswith(b"HTTP/1.1 400 ")
    assert is_well(stand)


def test_a_body_without_a_length_is_cut_at_the_limit(stand, speak):
    head = (
        b"POST /api/v2/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    answer = rest(speak(head + chunk * 20 + b"0\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_message_to_a_socket_that_is_too_long_ends_it(stand):
    with connect(f"ws://127.0.0.1:{stand.port}/api/v2/stream") as opened:
        opened.recv(timeout=WAIT_S)
        opened.send(json.dumps({"op": "subscribe", "id": "x" * 70_000}))

        def closed():
            try:
                opened.recv(timeout=0.1)
            except ConnectionClosed:
                return True
            except TimeoutError:
                return False
            return False

        until(closed, "the end of the socket", WAIT_S)
    assert is_well(stand)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2/runs?limit=1001",
        "/api/v2/audit-log?limit=1001",
        "/api/v2/runs?limit=-1",
        "/api/v2/runs?" + "&".join(["q=a"] * 300),
    ],
)
def test_a_page_is_never_larger_than_the_limit(stand, path):
    status, said = stand.ask("GET", path)
    assert (status, "expected" in said["error"]) == (400, True)


def test_who_takes_all_the_room_there_is_gets_no_more(few, stand, speak):
    held = [speak(b"GET /") for _ in range(60)]
    until(lambda: sum(_is_closed(one) for one in held) >= 20, "those for whom no room is", WAIT_S)
    for one in held:
        one.close()
    until(lambda: _answers(stand), "room again", WAIT_S)


def test_connections_are_counted_by_address_where_others_come_in(monkeypatch):
    monkeypatch.setattr(connections, "FROM_ONE", 3)
    outer, local = Connections(local=False, most=5), Connections(local=True, most=5)
    streams = [Stream() for _ in range(20)]
    assert [outer.admit(one, "192.0.2.1") for one in streams[:4]] == [True] * 3 + [False]
    assert [outer.admit(one, "192.0.2.2") for one in streams[4:7]] == [True] * 2 + [False]
    streams[0].is_closed = True
    assert [outer.admit(one, "192.0.2.1") for one in streams[7:9]] == [True, False]
    assert outer.refused == 3
    assert [local.admit(one, "127.0.0.1") for one in streams[9:15]] == [True] * 5 + [False]


def test_what_strangers_cause_is_logged_now_and_then(monkeypatch):
    sparing = Sparing()
    records = [logging.makeLogRecord({"msg": "SSL Error %d", "args": (n,)}) for n in range(5)]
    assert [sparing.filter(one) for one in records[:4]] == [True, False, False, False]
    later_s = time.monotonic() + 10
    monkeypatch.setattr(connections.time, "monotonic", lambda: later_s)
    assert sparing.filter(records[4])
    assert records[4].getMessage() == "SSL Error 4 (and 3 more like it)"


class Stream:
    """As much of a connection as is counted."""

    is_closed = False

    def closed(self):
        return self.is_closed


def _is_closed(opened):
    opened.settimeout(0.01)
    try:
        return opened.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def _answers(stand):
    try:
        return is_well(stand)
    except OSError:
        return False


SLOW = 2_000


@pytest.fixture
def patient(monkeypatch):
    """A server that waits for whoever is slow as long as a test takes."""
    monkeypatch.setattr(connections, "HEAD_S", 600.0)


def test_beside_two_thousand_who_speak_slowly_others_are_answered(patient, stand):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = 2 * SLOW + 1_000
    if hard != resource.RLIM_INFINITY and hard < files:
        pytest.skip(f"this process may open {hard} files: expected {files}")
    if soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    before = resident_bytes()
    held = []
    try:
        for _ in range(SLOW):
            opened = socket.create_connection(("127.0.0.1", stand.port), WAIT_S)
            opened.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
            held.append(opened)
        for opened in held[:: SLOW // 10]:
            opened.sendall(b"a")
            assert is_well(stand)
            assert stand.ask("GET", "/api/v2/runs")[0] == 200
        assert not any(_is_closed_now(opened) for opened in held), "nobody has cut them off yet"
        # For both ends of each, since they are in this process.
        assert resident_bytes() - before < 200 * 2**20
    finally:
        for opened in held:
            opened.close()
    until(lambda: _answers(stand), "an answer when they have gone")


@pytest.mark.parametrize(
    "path", ["/nothing", "/static/app.js", "/runs", "/api/v2/stream", "/metrics"]
)
def test_a_body_for_which_there_is_no_use_fills_no_memory(stand, path):
    before = resident_bytes()
    held = []
    try:
        for _ in range(8):
            opened = socket.create_connection(("127.0.0.1", stand.port), WAIT_S)
            held.append(opened)
            with contextlib.suppress(OSError):
                length = f"Content-Length: {60 * 2**20}"
                opened.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n".encode())
                for _ in range(30 * 16):
                    opened.sendall(b"x" * 65_536)
        assert is_well(stand)
        assert resident_bytes() - before < 100 * 2**20
    finally:
        for opened in held:
            opened.close()


def resident_bytes():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _is_closed_now(opened):
    opened.setblocking(False)
    try:
        return opened.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
