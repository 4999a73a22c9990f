"""What nobody should say on a WebSocket: frames sound, odd, broken, in parts, too long, or none."""

from __future__ import annotations

import json
import struct

from odd_values import BY_NAME, TEXTS, Dice, maker_of, odd, wounded

from callsheet.webui.topics import Op

KIND = "socket"
STREAM = "/api/v2/stream"
OUTPUT = "/api/v1/runs/r1/output/output/updates"
PATHS = [
    "/api/v1/summary", "/api/v1/summary?init", "/api/v1/summary?init&init=%FF", f"{STREAM}?x=%00",
    "/api/v1/runs/r1/updates?init", "/api/v1/runs/r2/updates", "/api/v1/runs/%00/updates?init",
    f"{OUTPUT}?start=-1", f"{OUTPUT}?start=0", f"{OUTPUT}?start=x",
    "/api/v1/runs/..%2f/output/x/updates",
    f"{OUTPUT}?start=99999999999999999999", "/api/v1/runs/r2/output/%F0%9F/updates",
    "/api/v1/nothing",
    "/api/v1/runs/r999999/updates", "/api/v1/runs/" + "r" * 3_000 + "/updates", "/healthz",
    f"{STREAM}/",
]  # fmt: skip
HEADERS = [
    ("Origin", "null"), ("Origin", "http://evil.example"), ("Sec-WebSocket-Version", "99"),
    ("Host", "x.example"),
    ("Sec-WebSocket-Key", ""), ("Upgrade", "h2c"), ("Sec-WebSocket-Extensions",
    "permessage-deflate; a=b"),
    ("Sec-WebSocket-Protocol", "x, y"), ("Authorization", "Bearer cst_wrong"), ("Connection",
    "close"),
    ("Sec-WebSocket-Extensions", "permessage-deflate"), ("Content-Length", "5"), ("Cookie",
    "cs=;;="),
]  # fmt: skip
TOPICS = ["runs", "run", "output", "jobs", "agents", "checks", "pauses", "log", "", "odd", "RUNS"]
IDS = ["a", "b", "c", "d", "e", "f", "g", "", "x" * 100, "x" * 101, "\x00", "\u202e"]
VALUES = [
    None, True, 0, -1, 10**30, 1.5, "", "r1", "r0", "r-1", "r99999999999999999999", "3:1", "0:0",
    ":",
    "999999999999999999999:1", "-1:-1", "\u0661:\u0661", "\x00", "running", "state:running",
    "state:",
    "(" * 500, '"', "label:x or", "time:now..", "{{7*7}}", "a" * 5_000, [], ["a", "b"], [1], {},
    "output",
    "../../etc/passwd", "2020-01-01", "-6h", "9" * 400, "since:1h job:noop", "not not not",
]  # fmt: skip
FIELDS = [
    "run_id", "output_id", "start", "resume", "job", "state", "label", "arg", "q", "since",
    "until", "more",
    "", "op",
]  # fmt: skip
# Text that is JSON of no op, or none.
JUNK = [
    b"",
    b"{",
    b"null",
    b"[" * 3_000,
    b'"\\ud800"',
    b"1e999",
    b"\xff\xfe",
    b"{}",
    b'{"op":1}',
    b"\xed\xa0\x80",
]

# What may want more bytes than there are: nothing can follow it.
UNENDED = {"too long", "not masked", "no frame", "wounded"}


def opening(path: str, dice: Dice | None = None, token: str = "") -> bytes:
    """Return the request that opens a socket; with dice at times an odd one."""
    headers = {
        "Host": "localhost", "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if dice is not None and dice.random() < 0.15:
        name, value = dice.choice(HEADERS)
        headers[name] = value
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    # A body that is said to come and does not is waited for, as the API's is.
    body = "hello" if headers.get("Content-Length") == "5" else ""
    return f"GET {path} HTTP/1.1\r\n{head}\r\n{body}".encode()


def frame(data: bytes, opcode: int = 1, flags: int = 0x80, length: int | None = None) -> bytes:
    """Return a masked frame, with whatever first byte and length are asked for."""
    size = len(data) if length is None else length
    if size < 126:
        head = struct.pack("!BB", flags | opcode, 0x80 | size)
    elif size < 2**16:
        head = struct.pack("!BBH", flags | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", flags | opcode, 0x80 | 127, size)
    # A mask of zeros is one, too.
    return head + bytes(4) + data


def a_frame(dice: Dice) -> tuple[str, bytes]:
    """Return a frame, or several that belong together, and what it is."""
    roll = dice.random()
    if roll < 0.55:
        return "op", frame(_op(dice))
    if roll < 0.65:
        return "op by type", frame(_typed(dice))
    if roll < 0.75:
        return "op in parts", _parts(_op(dice), dice)
    if roll < 0.82:
        return "text", frame(dice.choice(JUNK))
    if roll < 0.9:
        return "op wounded", frame(wounded(_op(dice), dice))
    return _broken(dice)


def _op(dice: Dice) -> bytes:
    """An op with the right names and at times odd values."""
    op = {
        "op": dice.choice(("subscribe", "subscribe", "unsubscribe", "", "SUBSCRIBE")),
        "id": dice.choice(IDS),
        "topic": dice.choice(TOPICS),
    }
    if op["topic"] in ("run", "output"):
        op["run_id"] = dice.choice(BY_NAME["run_id"])
    if op["topic"] == "output":
        op |= {"output_id": "output", "start": 0}
    for _ in range(dice.randrange(3)):
        op[dice.choice(FIELDS)] = dice.choice(VALUES)
    if dice.wrong and dice.random() < dice.wrong:
        op[dice.choice(("op", "id", "topic", *TEXTS))] = odd(dice)
    return json.dumps(op, default=repr).encode()


def _typed(dice: Dice) -> bytes:
    return json.dumps(maker_of(Op)(dice), default=repr).encode()


def _parts(data: bytes, dice: Dice) -> bytes:
    """A text in several frames, with a ping between them, or something that may not be there."""
    at = dice.randrange(len(data) + 1)
    between = dice.choice(
        (b"", frame(b"x", opcode=9), frame(b"", opcode=0, flags=0), frame(b"y", opcode=1))
    )
    return frame(data[:at], flags=0) + between + frame(data[at:], opcode=0)


def _broken(dice: Dice) -> tuple[str, bytes]:
    junk = dice.randbytes(dice.randrange(200))
    made = [
        ("binary", lambda: frame(junk, opcode=2)),
        ("not UTF-8", lambda: frame(b"\xff" + junk)),
        ("any opcode", lambda: frame(junk[:100], opcode=dice.randrange(16))),
        (
            "any flags",
            lambda: frame(junk, opcode=dice.randrange(3), flags=dice.randrange(256) & 0xF0),
        ),
        ("long control", lambda: frame(b"x" * 126, opcode=dice.choice((8, 9, 10)))),
        (
            "close",
            lambda: frame(dice.choice((b"", b"\x03", b"\x03\xe8", b"\xff\xff!", junk)), opcode=8),
        ),
        ("ping or pong", lambda: frame(junk[:100], opcode=dice.choice((9, 10)))),
        ("two beginnings", lambda: frame(b"{", flags=0) * 2),
        ("a part of nothing", lambda: frame(b"}", opcode=0)),
        ("too long", lambda: frame(b"", length=dice.choice((2**16, 2**31, 2**63, 2**64 - 1)))),
        ("rather long", lambda: frame(b"x" * 70_000)),
        ("not masked", lambda: b"\x81" + bytes([len(junk) % 126]) + junk[: len(junk) % 126]),
        ("no frame", lambda: junk),
        ("wounded", lambda: wounded(frame(_op(dice)), dice)),
    ]
    name, make = dice.choice(made)
    return name, make()
