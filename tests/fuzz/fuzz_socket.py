"""WebSockets of a real server, several at once, each opened again when it is closed.

Between the frames each is asked whether it is still there: a ping comes back, or the socket is
closed. In the end the server has no socket open and follows nothing for anybody.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import suppress

from fuzzed_server import FuzzedServer, looked_after, on_a_server
from live_server import until
from odd_frames import KIND, PATHS, STREAM, UNENDED, a_frame, frame, opening
from odd_values import Dice
from verdict import FOR_EVER, HANG_S, Verdict

SOCKETS = 32
# Frames after which a socket is asked whether it is there.
PING_EVERY = 20
ASKED = b"are you there"
# How a frame begins that says the end; its length and reason are its rest.
CLOSE = b"\x88"
OPEN = re.compile(rb"^callsheet_sockets ([0-9]+)", re.MULTILINE)


class Gone(Exception):
    """The server is not there any more."""


class Wire:
    """One connection on which whatever is wished can be said."""

    def __init__(self, port: int, verdict: Verdict) -> None:
        self._port, self._verdict = port, verdict
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._said = 0

    async def open(self, request: bytes, number: int) -> None:
        """Open a socket, or be refused."""
        self.close()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**22)
        except OSError as error:
            self._verdict.fault(f"nobody listens any more: {error}", number)
            raise Gone from None
        writer.write(request)
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANG_S)
        except TimeoutError:
            self._verdict.fault(f"no answer to {request[:200]!r}", number)
            head = b""
        except (OSError, asyncio.IncompleteReadError):
            head = b"HTTP/1.1 000 "
        status = head[9:12].decode("ascii", "replace")
        self._verdict.seen[f"opened {status}"] += 1
        if status != "101":
            if status[:1] == "5" and status != "503":
                self._verdict.fault(f"{status} to {request[:200]!r}", number)
            writer.close()
            return
        self._reader, self._writer = reader, writer

    @property
    def is_open(self) -> bool:
        """Whether something can be said."""
        return self._writer is not None

    async def say(self, data: bytes, number: int, *, last: bool) -> None:
        """Say something, and now and then ask whether anybody is there; after the last word, whose
        end may be missing, wait for the end."""
        assert self._writer is not None, "open first"
        began_s = time.monotonic()
        try:
            if self._writer.transport.is_closing():
                raise ConnectionResetError
            self._writer.write(data)
            self._said += 1
            if last:
                self._writer.write_eof()
                await asyncio.wait_for(self._is_there(), HANG_S)
                self._verdict.seen["ended"] += 1
                self.close()
            elif self._said % PING_EVERY == 0:
                self._writer.write(frame(ASKED, opcode=9))
                if not await asyncio.wait_for(self._is_there(), HANG_S):
                    self._verdict.seen["closed"] += 1
                    self.close()
            elif self._writer.transport.get_write_buffer_size():
                await asyncio.wait_for(self._writer.drain(), HANG_S)
        except TimeoutError:
            self._verdict.fault("neither an answer nor an end", number)
            self.close()
        except OSError:
            self._verdict.seen["closed"] += 1
            self.close()
        self._verdict.waited(time.monotonic() - began_s, number)

    async def _is_there(self) -> bool:
        """Read until the ping comes back; False when the socket is closed instead, or is to be: who
        is told so and says nothing is waited for, for seconds."""
        assert self._reader is not None, "open first"
        heard = b""
        while part := await self._reader.read(2**16):
            heard = heard[-100:] + part
            if ASKED in heard:
                return True
            at = heard.rfind(CLOSE)
            if at >= 0 and at + 1 < len(heard) and heard[at + 1] == len(heard) - at - 2:
                return False
        return False

    def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def _speak(
    server: FuzzedServer, seed: int, numbers: Iterator[int], path_of: str, verdict: Verdict
) -> None:
    wire = Wire(server.port, verdict)
    for number in numbers:
        dice = Dice(KIND, seed, number)
        verdict.played()
        if not wire.is_open or dice.random() < 0.002:
            token = dice.choice(server.tokens) if dice.random() < 0.2 else ""
            await wire.open(opening(path_of or dice.choice(PATHS), dice, token), number)
            if not wire.is_open:
                continue
        name, data = a_frame(dice)
        verdict.seen[name] += 1
        await wire.say(data, number, last=name in UNENDED)
    wire.close()


async def _speak_all(
    server: FuzzedServer, seed: int, numbers: range, verdict: Verdict, until_s: float
) -> None:
    shared = looked_after(server, numbers, verdict, until_s)
    # Three in four speak the stream of topics, the others the sockets of Apsis's clients.
    paths = [STREAM if place % 4 else "" for place in range(SOCKETS)]
    with suppress(Gone):
        await asyncio.gather(*(_speak(server, seed, shared, path, verdict) for path in paths))


def fuzz(seed: int, numbers: range, until_s: float = FOR_EVER) -> Verdict:
    """Say what these cases say; all that was seen."""
    return on_a_server(KIND, play, seed, numbers, until_s)


def play(server: FuzzedServer, seed: int, numbers: range, until_s: float, verdict: Verdict) -> None:
    """Say to a server what these cases say."""
    for _ in range(3):
        server.server.schedule("grp/echo", word="x")
    asyncio.run(_speak_all(server, seed, numbers, verdict, until_s))
    try:
        until(lambda: _open_sockets(server) == 0, "the end of all sockets")
    except (AssertionError, OSError) as error:
        verdict.fault(str(error))


def _open_sockets(server: FuzzedServer) -> int:
    found = OPEN.search(server.server.get("/metrics").body)
    assert found is not None, "the metrics do not say how many sockets are open"
    return int(found[1])


def show(seed: int, number: int) -> None:
    """Print one case."""
    print(a_frame(Dice(KIND, seed, number)))
