"""What nobody should send on a WebSocket: refused or answered, never by a fault, and nothing of it
stays behind.

A round prints nothing but its seed when it fails; the same seed sends the same frames.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct

import pytest
from live_server import until

STREAM = "/api/v2/stream"
WAIT_S = 120.0
FRAMES = 250
OPS = ["subscribe", "unsubscribe", "", "SUBSCRIBE", "odd", None, 1, {}]
TOPICS = [
    "runs", "run", "output", "jobs", "agents", "checks", "pauses", "log", "", "odd", None, 7, [],
]  # fmt: skip
IDS = ["a", "b", "", "x" * 100, "x" * 101, "\x00", "\ud83d\ude00", None, 1, ["a"]]
VALUES = [
    None, True, 0, -1, 10**30, 1.5, "", "r1", "r0", "r-1", "r99999999999999999999", "3:1", "0:0",
    "999999999999999999999:1", ":", "-1:-1", "\u0661:\u0661", "\x00", "running", "state:running",
    "state:", "(" * 500, '"', "label:x or", "time:now..", "{{7*7}}", "a" * 5_000, [], ["a", "b"],
    [1], {}, "output", "../../etc/passwd", "2020-01-01", "-6h", "9" * 400,
]  # fmt: skip
FIELDS = [
    "run_id", "output_id", "start", "resume", "job", "state", "label", "arg", "q", "since",
    "until", "more", "", "op",
]  # fmt: skip
PATHS = [
    "/api/v1/summary", "/api/v1/summary?init", "/api/v1/summary?init&init=%FF", STREAM + "?x=%00",
    "/api/v1/runs/r1/updates?init", "/api/v1/runs/r2/updates", "/api/v1/runs/%00/updates?init",
    "/api/v1/runs/r1/output/output/updates?start=-1", "/api/v1/runs/..%2f/output/x/updates",
    "/api/v1/runs/r2/output/output/updates?start=99999999999999999999",
    "/api/v1/runs/r2/output/output/updates?start=x", "/api/v1/runs/r2/output/%F0%9F/updates",
]  # fmt: skip


def frame(data: bytes, opcode: int = 1, flags: int = 0x80, length: int | None = None) -> bytes:
    """A masked frame, with whatever first byte and length are asked for."""
    size = len(data) if length is None else length
    if size < 126:
        head = struct.pack("!BB", flags | opcode, 0x80 | size)
    elif size < 2**16:
        head = struct.pack("!BBH", flags | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", flags | opcode, 0x80 | 127, size)
    mask = b"\x01\x02\x03\x04"
    return head + mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))


def an_op(rng: random.Random) -> bytes:
    """An op with the right names and odd values."""
    op = {"op": rng.choice(OPS), "id": rng.choice(IDS), "topic": rng.choice(TOPICS)}
    if rng.random() < 0.5:
        op |= {"op": "subscribe", "id": rng.choice("abcdefg")}
    for _ in range(rng.randrange(4)):
        op[rng.choice(FIELDS)] = rng.choice(VALUES)
    return frame(json.dumps(op).encode())


def an_odd_frame(rng: random.Random) -> bytes:
    """A frame that no client would make, or a text that says nothing."""
    junk = rng.randbytes(rng.randrange(200))
    odd = [
        lambda: frame(junk),
        lambda: frame(junk, opcode=2),
        lambda: frame(rng.choice([b"", b"{", b"null", b"[" * 3_000, b'"\\ud800"', b"1e999"])),
        lambda: frame(junk, opcode=rng.randrange(16)),
        lambda: frame(junk, opcode=rng.randrange(16), flags=rng.randrange(256) & 0xF0),
        lambda: frame(b"x" * 126, opcode=rng.choice([8, 9, 10])),
        lambda: frame(rng.choice([b"", b"\x03", b"\x03\xe8", b"\xff\xff!", junk]), opcode=8),
        lambda: frame(junk[:100], opcode=rng.choice([9, 10])),
        lambda: frame(b"{", flags=0) + frame(b"}", opcode=0),
        lambda: frame(b"{", flags=0) * 2,
        lambda: frame(b"", length=rng.choice([2**16, 2**31, 2**63, 2**64 - 1])),
        lambda: frame(b"x" * 70_000),
        lambda: b"\x81" + bytes([len(junk) % 126]) + junk[: len(junk) % 126],
        lambda: junk,
    ]
    return rng.choice(odd)()


class Wire:
    """A connection on which whatever is wished can be said; opened again when it was closed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.opened = 0
        self._socket: socket.socket | None = None

    def open(self, path: str) -> None:
        self.close()
        self.opened += 1
        self._socket = socket.create_connection(("127.0.0.1", self.port), WAIT_S)
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def say(self, data: bytes, path: str) -> None:
        """Send bytes; what comes is thrown away."""
        if self._socket is None:
            self.open(path)
        assert self._socket is not None
        try:
            self._socket.sendall(data)
            self._socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while self._socket.recv(2**16):
                    pass
                self.close()
        except OSError:
            self.close()
        if self._socket is not None:
            self._socket.settimeout(WAIT_S)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_odd_frames_are_refused_and_nothing_of_them_stays(stand, seed, caplog):
    rng = random.Random(seed)
    stand.a_running_run()
    stand.a_run()
    stream, other = Wire(stand.port), Wire(stand.port)
    for _ in range(FRAMES // 2):
        stream.say(an_op(rng) if rng.random() < 0.8 else an_odd_frame(rng), STREAM)
        path = rng.choice(PATHS)
        if rng.random() < 0.2:
            other.open(path)
        other.say(an_op(rng) if rng.random() < 0.2 else an_odd_frame(rng), path)
    stream.close()
    other.close()
    services = stand.server.services
    until(lambda: not services.open_sockets, f"seed {seed}: the end of all sockets", WAIT_S)
    until(lambda: not services.hub.followed_topics, f"seed {seed}: no follower", WAIT_S)
    assert services.waiting.bytes == 0
    faults = [record for record in caplog.records if record.exc_info or record.levelname == "ERROR"]
    assert faults == [], f"seed {seed}: {faults[0].getMessage()}: {faults[0].exc_info}"
    assert stand.ask("GET", "/api/v1/alive") == (200, {})


def test_an_op_in_two_parts_is_one(stand, open_socket):
    socket = open_socket(STREAM)
    text = json.dumps({"op": "subscribe", "id": "a", "topic": "runs"})
    socket.socket.send(iter([text[:5], text[5:]]))
    assert socket.about("a")["runs"] == []
