"""What nobody should say on the sockets of a server: every message by its type, sound or not.

What can be read is said by who may say it: broken agents whose frames are all in order, programs
that follow the server, and roles that ask questions. What roles say to each other in earnest is not
made up: a role is trusted by the others as they trust themselves, all in one folder that is nobody
else's. All the rest cannot be read: wounded, of another direction, not this peer's, in parts.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, get_args

import msgspec
from odd_values import Dice, maker_of, odd, wounded

from callsheet.messages.agents import AskAgents
from callsheet.messages.codec import ASKED_READER, BadFrame, Reader
from callsheet.messages.hello import Hello
from callsheet.messages.instructions import AskDigest
from callsheet.messages.standing import AskStanding
from callsheet.messages.transitions import Replay
from callsheet.messages.verbs import AGENT, READERS

KIND = "wire"
AGENTS = 100
# The sockets of a server that hear messages, and who is heard there.
SOCKETS: dict[str, dict[str, Reader]] = {
    "ledger": READERS["ledger/0"],
    "scheduler": READERS["scheduler/0"],
    "agents": READERS["runner/0"],
    "replay": {"asks": ASKED_READER},
}
# Those that only speak: what they hear is a subscription, or nothing.
SPEAKING = ("feed", "outputs", "published")
# What anybody of the house may ask without changing anything.
QUESTIONS = (AskAgents, AskStanding, AskDigest, Replay, Hello)
BOMBS = [
    b"", b"\xc1", b"\x90", b"\x91" * 100_000, b"\xdd\xff\xff\xff\xff",
    b"\xdc\xff\xff" + b"\x90" * 65_535,
    b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\x91\xc7\xff\x01",
    b"\x91\x81\xa4kind\xa5Hello", b"\x91\x81\xa4kind\xc0", b"\x91\xd9\xffx",
    b"\xdd\x00\x00\x27\x11" + b"\xc0" * 10_001,
    b"\x91\x81\xa4kind\xa2\xff\xfe", b"\x00" * 3_000, b"GET / HTTP/1.1\r\n\r\n",
]  # fmt: skip


class Said(NamedTuple):
    """A message: by whom, at which socket. `sound`: it can be read there. `peer` None: by somebody
    without a name."""

    socket: str
    peer: bytes | None
    parts: list[bytes]
    sound: bool
    what: str


def a_message(dice: Dice) -> Said:
    """Return one message."""
    if dice.random() < 0.05:
        topic = dice.choice((b"", b"events", b"\xff" * 200, dice.randbytes(dice.randrange(60))))
        return Said(
            dice.choice(SPEAKING),
            None,
            [dice.choice((b"\0", b"\1", b"\2", b"")) + topic],
            True,
            "a subscription",
        )
    socket = dice.choice(("agents", "agents", "agents", "ledger", "scheduler", "replay"))
    kind = dice.choice(sorted(SOCKETS[socket]))
    if socket == "agents" and dice.random() < 0.7:
        kind = AGENT
    reader = SOCKETS[socket][kind]
    roll = dice.random()
    if roll < 0.06:
        return _unsound(dice, socket, kind, [dice.choice(BOMBS)], "a bomb")
    if roll < 0.1:
        return _unsound(dice, socket, kind, [dice.randbytes(dice.randrange(300))], "random bytes")
    if roll < 0.18:
        # What another peer may say, there or elsewhere.
        others = [one for peers in SOCKETS.values() for one in peers.values()]
        frame = _frame(dice, dice.choice(others))
    else:
        frame = _frame(dice, reader)
    if roll > 0.85:
        frame = wounded(frame, dice)
    if dice.random() < 0.02:
        parts = [frame] * dice.choice((2, 3)) if dice.random() < 0.5 else [b"", frame]
        return _unsound(dice, socket, kind, parts, "in parts")
    messages = readable(reader, frame)
    if messages is None:
        return _unsound(dice, socket, kind, [frame], "not to be read")
    if kind in (AGENT, "asks"):
        name = None if kind == "asks" else b"agent/fuzz%d" % dice.randrange(AGENTS)
        return Said(socket, name, [frame], True, f"read of {kind}")
    if all(isinstance(one, QUESTIONS) for one in messages):
        return Said(socket, f"{kind}/7".encode(), [frame], True, f"read of {kind}")
    other = {"ledger": "checker", "scheduler": "responder", "agents": "checker"}[socket]
    if other == kind or readable(SOCKETS[socket][other], frame) is not None:
        return _unsound(dice, socket, kind, [frame + b"\xc1"], "with something after its end")
    return _unsound(dice, socket, other, [frame], "not this peer's")


def a_line(dice: Dice) -> bytes:
    """Return what comes to the socket of log lines: how many were lost, and a line as JSON."""
    line = {"level": dice.choice(("info", "error", None, 5, "x" * 99)), "message": odd(dice)}
    data = json.dumps(dice.choice((line, line, line, odd(dice))), default=repr).encode()
    head = dice.choice((b"0", b"7", b"-1", b"", b"x", b"9" * 30, b"\xff", b"9" * 5_000))
    return wounded(head + b"\n" + data, dice) if dice.random() < 0.3 else head + b"\n" + data


def readable(reader: Reader, frame: bytes) -> list[Any] | None:
    """Return the messages of a frame, None when it cannot be read."""
    try:
        return reader.unpack(frame)
    except BadFrame:
        return None


def _unsound(dice: Dice, socket: str, kind: str, parts: list[bytes], what: str) -> Said:
    """Say something that cannot be read, by a name that nobody has."""
    name: bytes | None = f"{kind}/{dice.randrange(1_000, 10_000)}".encode()
    if kind == "asks":
        name = None if dice.random() < 0.9 else dice.randbytes(5) or b"x"
    elif kind == AGENT:
        name = b"agent/bad%d" % dice.randrange(10**9)
    if dice.random() < 0.02:
        name = (dice.randbytes(dice.randrange(1, 200)) or b"x").replace(b"\0", b"x")
    return Said(socket, name, parts, False, what)


def _frame(dice: Dice, reader: Reader) -> bytes:
    """Return a frame of what a reader reads, by its type."""
    make = maker_of(get_args(reader.accepts)[0])
    data = [make(dice) for _ in range(dice.choice((1, 1, 1, 1, 2, 3, 0)))]
    try:
        return msgspec.msgpack.encode(data)
    except (OverflowError, UnicodeEncodeError, TypeError):
        # What no message can hold.
        return msgspec.msgpack.encode([repr(odd(dice)).encode("ascii", "replace")])
