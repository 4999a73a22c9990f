"""Consoles for a benchmark: WebSockets subscribed to the list of runs, read as cheaply as can be.

Run as a program (`python listeners.py HOST:PORT COUNT SECONDS`) it follows with COUNT sockets, so
that reading does not take time from what writes, and prints JSON: what arrived when.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

# A text frame of the server's is never masked; lengths are 7, 16 or 64 bits (RFC 6455, 5.2).
SHORT, MEDIUM = 126, 127


class Listener:
    """One console. `arrivals` are (seconds since the epoch, text) of what came about runs; all
    but the first listener keep only the seq that a text begins with."""

    def __init__(self, address: str, *, whole: bool) -> None:
        self._address = address
        self._whole = whole
        self.arrivals: list[tuple[float, Any]] = []
        self.resyncs = 0

    async def run(self, ready: asyncio.Event) -> None:
        """Follow until cancelled."""
        host, _, port = self._address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=2**24)
        key = "dGhlIHNhbXBsZSBub25jZQ=="  # the sample of RFC 6455: any will do
        writer.write(
            f"GET /api/v2/stream HTTP/1.1\r\nHost: {self._address}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_frame(b'{"op":"subscribe","id":"1","topic":"runs"}'))
        while True:
            text = await _message(reader)
            now_s = time.time()
            if not text.startswith(b'{"id":"1"'):
                continue
            ready.set()
            if b'"resync"' in text[:60]:
                self.resyncs += 1
            elif self._whole:
                self.arrivals.append((now_s, text.decode()))
            else:
                self.arrivals.append((now_s, seq_of(text)))


def seq_of(text: bytes) -> int:
    """Return the seq that a message about runs begins with."""
    head = text[: text.index(b",", text.index(b'"seq"'))]
    return int(head[head.rindex(b":") + 1 :])


def _frame(data: bytes) -> bytes:
    """Return a text frame of a client's: always masked."""
    mask = os.urandom(4)
    body = bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))
    return bytes((0x81, 0x80 | len(data))) + mask + body


async def _message(reader: asyncio.StreamReader) -> bytes:
    """Return the next text; pings are not answered, a benchmark is over before that matters."""
    parts = []
    while True:
        head = await reader.readexactly(2)
        size = head[1] & 0x7F
        if size == SHORT:
            size = int.from_bytes(await reader.readexactly(2))
        elif size == MEDIUM:
            size = int.from_bytes(await reader.readexactly(8))
        data = await reader.readexactly(size)
        if head[0] & 0x0F in (0, 1):
            parts.append(data)
        if head[0] & 0x8F in (0x80, 0x81):
            return b"".join(parts)


async def follow(address: str, count: int, seconds: float) -> list[Listener]:
    """Follow with `count` sockets for so long after all have begun; print `ready` then."""
    listeners = [Listener(address, whole=n == 0) for n in range(count)]
    begun = [asyncio.Event() for _ in listeners]
    tasks = [
        asyncio.create_task(one.run(event)) for one, event in zip(listeners, begun, strict=True)
    ]
    for event in begun:
        await asyncio.wait_for(event.wait(), 60)
    print("ready", flush=True)
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return listeners


def main() -> None:
    """Follow, then print what came."""
    address, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    listeners = asyncio.run(follow(address, count, seconds))
    found = [{"arrivals": one.arrivals, "resyncs": one.resyncs} for one in listeners]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
