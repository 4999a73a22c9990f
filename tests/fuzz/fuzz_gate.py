"""The ports where agents of other hosts come in, and new ones enrol: bytes before, inside and after
the handshake, half of one held open, many connections at once.

Whoever knows the server's public key, as every agent does, gets through to the enrolment, and says
there what makes no sense. After each batch somebody new asks in order: it is answered, or the
server hangs.
"""

from __future__ import annotations

import contextlib
import socket as sockets
import struct
import time
from collections import deque
from pathlib import Path

import msgspec
import zmq
from fuzzed_server import FuzzedServer, looked_after, on_a_server
from odd_values import Dice, maker_of, wounded
from verdict import FOR_EVER, HANG_S, Verdict

from callsheet.messages.codec import FROM_ENROL_READER, BadFrame, pack
from callsheet.messages.registry import Enrol
from callsheet.wire.curve import public_bytes

KIND = "gate"
# Connections that are held open, the oldest closed for a new one; the server itself ends those that
# do not come to the end of their handshake.
HELD = 1_500
BATCH = 250
GREETING = b"\xff\0\0\0\0\0\0\0\1\x7f"
MECHANISMS = (b"CURVE", b"CURVE", b"CURVE", b"NULL", b"PLAIN", b"GSSAPI", b"", b"\xff" * 20)
COMMANDS = (
    b"HELLO",
    b"HELLO",
    b"INITIATE",
    b"WELCOME",
    b"READY",
    b"ERROR",
    b"MESSAGE",
    b"",
    b"\xff",
)
MAKE = maker_of(Enrol)


class Doors:
    """The two ports of a server, and those who stand before them."""

    def __init__(self, server: FuzzedServer) -> None:
        self._ports = (server.listen, server.listen + 1)
        [key] = Path(server.server.state).rglob("*.pub")
        self._server_key = public_bytes(key.read_text().strip(), str(key))
        self._held: deque[sockets.socket] = deque()
        self._context = zmq.Context()
        self._keys = [zmq.curve_keypair() for _ in range(20)]

    def knock(self, dice: Dice) -> str:
        """Say something before the handshake is over."""
        data = _bytes(dice)
        link = sockets.create_connection(("127.0.0.1", dice.choice(self._ports)), HANG_S)
        with contextlib.suppress(OSError):
            link.sendall(data)
        roll = dice.random()
        if roll < 0.5:
            self._held.append(link)
            if len(self._held) > HELD:
                self._held.popleft().close()
            return "held"
        if roll < 0.6:
            # Ended by a reset.
            link.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
        elif roll < 0.7:
            with contextlib.suppress(OSError):
                link.shutdown(sockets.SHUT_WR)
        link.close()
        return "closed"

    def come_in(self, dice: Dice) -> str:
        """Say something as somebody whose handshake is in order."""
        dealer = self._dealer(dice.choice(self._keys), self._ports[0 if dice.random() < 0.1 else 1])
        try:
            if dice.random() < 0.1:
                dealer.setsockopt(zmq.ROUTING_ID, dice.randbytes(dice.randrange(1, 200)) or b"x")
            dealer.send_multipart(_said(dice), zmq.NOBLOCK)
        except (zmq.Again, zmq.ZMQError, ValueError):
            return "not said"
        finally:
            dealer.close(linger=500)
        return "said"

    def ask(self, verdict: Verdict, number: int) -> None:
        """Enrol with a secret that nobody has, by a new key: that is refused, in words."""
        began_s = time.monotonic()
        dealer = self._dealer(zmq.curve_keypair(), self._ports[1])
        dealer.send(pack([Enrol(secret="x", agent_id="asks")])[0])
        if dealer.poll(int(HANG_S * 1e3)):
            try:
                [answer] = FROM_ENROL_READER.unpack(dealer.recv())
                verdict.seen[f"answered {type(answer).__name__}"] += 1
            except (BadFrame, ValueError) as error:
                verdict.fault(f"an answer that nobody reads: {error}", number)
        else:
            verdict.fault("the enrolment does not answer", number)
        verdict.waited(time.monotonic() - began_s, number)
        dealer.close(linger=0)

    def _dealer(self, keys: tuple[bytes, bytes], port: int) -> zmq.Socket[bytes]:
        dealer = self._context.socket(zmq.DEALER)
        dealer.curve_publickey, dealer.curve_secretkey = keys
        dealer.curve_serverkey = self._server_key
        dealer.connect(f"tcp://127.0.0.1:{port}")
        return dealer

    def close(self) -> None:
        """Go away."""
        for link in self._held:
            link.close()
        self._context.destroy(linger=0)


def _bytes(dice: Dice) -> bytes:
    """Return what is no handshake, or a part of one, or one with something wrong in it."""
    roll = dice.random()
    if roll < 0.1:
        return dice.choice((b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0", b"\0" * 999))
    if roll < 0.2:
        return dice.randbytes(dice.randrange(500))
    version = dice.choice((b"\3\0", b"\3\0", b"\3\1", b"\1\0", b"\xff\xff", b"\0\0"))
    mechanism = dice.choice(MECHANISMS)[:20].ljust(20, b"\0")
    data = GREETING + version + mechanism + dice.choice((b"\0", b"\1", b"\xff")) + bytes(31)
    if roll < 0.4:
        return data[: dice.randrange(len(data))]
    for _ in range(dice.randrange(1, 4)):
        data += _command(dice)
    return wounded(data, dice) if roll > 0.85 else data


def _command(dice: Dice) -> bytes:
    name = dice.choice(COMMANDS)
    body = bytes([len(name)]) + name
    if name == b"HELLO" and dice.random() < 0.7:
        body += b"\1\0" + bytes(72) + dice.randbytes(32) + dice.randbytes(8) + dice.randbytes(80)
    else:
        body += dice.randbytes(dice.choice((0, 1, 30, 194, 257, 2_000)))
    size = dice.choice((len(body), len(body), len(body), 0, 2**31, 2**63, 2**64 - 1))
    flags = dice.choice((4, 4, 4, 0, 1, 2, 6, 0xFF))
    if size < 256 and not flags & 2:
        return bytes([flags, size]) + body
    return bytes([flags | 2]) + struct.pack("!Q", size) + body


def _said(dice: Dice) -> list[bytes]:
    """Return the parts of what is said at the enrolment."""
    roll = dice.random()
    if roll < 0.2:
        return [dice.randbytes(dice.randrange(300))]
    try:
        frame = msgspec.msgpack.encode([MAKE(dice) for _ in range(dice.choice((0, 1, 1, 3)))])
    except (OverflowError, UnicodeEncodeError, TypeError):
        frame = b"\xc1"
    if roll < 0.4:
        frame = wounded(frame, dice)
    return [frame] if dice.random() < 0.9 else [frame] * dice.choice((2, 3)) + [b""]


def play(server: FuzzedServer, seed: int, numbers: range, until_s: float, verdict: Verdict) -> None:
    """Stand before the doors of a server."""
    doors = Doors(server)
    try:
        for number in looked_after(server, numbers, verdict, until_s):
            dice = Dice(KIND, seed, number)
            try:
                what = doors.knock(dice) if dice.random() < 0.8 else doors.come_in(dice)
            except OSError as error:
                verdict.fault(f"nobody listens any more: {error}", number)
                return
            verdict.seen[what] += 1
            verdict.played()
            if number % BATCH == 0 or number == numbers[-1]:
                doors.ask(verdict, number)
                if verdict.faulty:
                    return
    finally:
        doors.close()


def fuzz(seed: int, numbers: range, until_s: float = FOR_EVER) -> Verdict:
    """Do what these cases do; all that was seen."""
    return on_a_server(KIND, play, seed, numbers, until_s)


def show(seed: int, number: int) -> None:
    """Print one case."""
    dice = Dice(KIND, seed, number)
    print(_bytes(dice) if dice.random() < 0.8 else _said(dice))
