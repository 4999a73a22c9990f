"""Connections: how many at a time, and how long each may take to say what it wants.

A connection that says nothing, or speaks slowly, is closed; too many from one address find no room,
while others are still served.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream

from .security import neighbourhood

# Of a request's head, from when it could begin (a handshake included), and of its body.
HEAD_S = 10.0
BODY_S = 10.0
MAX_HEADER_BYTES = 32 * 2**10
# What comes after a head, whatever it is for: beyond it the connection is cut. The API's own limit,
# in `handlers`, is less and said in a sentence.
MAX_SENT_BYTES = 2 * 2**20
# At an address that others reach, from one address; and at any, from all. Each costs a descriptor.
FROM_ONE = 500
FROM_ALL = 4_000
# Descriptors this process needs for itself.
OWN_FILES = 300
# What goes wrong with connections is said at most so often: strangers cause it.
SAID_EVERY_S = 1.0
# After the stop is asked for, answers under way have this long to end, and connections to close:
# together less than `STOP_WAVE_S` of the supervisor. Looked at so often.
DRAIN_S = 1.5
CLOSE_S = 0.5
DRAIN_LOOK_S = 0.02


def make_room() -> int:
    """Raise this process's limit of descriptors for `FROM_ALL`; return how many connections fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FROM_ALL + OWN_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(FROM_ALL, soft - OWN_FILES))


class Connections:
    """Those that are open at one address of the server."""

    def __init__(self, *, local: bool, most: int) -> None:
        """`most`: from all; `local`: the address is this machine's, where one may have them all."""
        self._local = local
        self._most = most
        self._all: WeakSet[IOStream] = WeakSet()
        self._by_address: dict[str, WeakSet[IOStream]] = {}
        self.refused = 0

    def admit(self, stream: IOStream, address: str) -> bool:
        """Return whether there is room for one more; it is counted then until it is closed."""
        mine = self._by_address.setdefault(address, WeakSet())
        room = _open(self._all, self._most) < self._most
        if room and not self._local:
            room = _open(mine, FROM_ONE) < FROM_ONE
        if not room:
            self.refused += 1
            return False
        self._all.add(stream)
        mine.add(stream)
        if len(self._by_address) > FROM_ALL:
            self._by_address = {one: some for one, some in self._by_address.items() if some}
        return True

    def are_writing(self) -> bool:
        """Return whether something that was said is not with the network yet."""
        return any(stream.writing() for stream in self._all if not stream.closed())


class LimitedServer(HTTPServer):
    """An HTTP server that counts its connections."""

    connections: Connections

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        """Serve a connection, if there is room."""
        host = address[0] if isinstance(address, tuple) else ""
        if self.connections.admit(stream, neighbourhood(str(host))):
            super().handle_stream(stream, address)
        else:
            stream.close()


async def drained(servers: list[LimitedServer], under_way: Callable[[], int]) -> bool:
    """Wait until what was asked is answered, and with the network; return whether it is in time.

    What follows something for as long as it lasts is not waited for. `under_way` returns how many
    answers are being found.
    """
    until_s = time.monotonic() + DRAIN_S
    while under_way() or any(server.connections.are_writing() for server in servers):
        if time.monotonic() > until_s:
            return False
        await asyncio.sleep(DRAIN_LOOK_S)
    return True


class Sparing(logging.Filter):
    """Lets one record pass now and then, with how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._next_s = 0.0
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is written."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            self._left_out += 1
            return False
        if self._left_out:
            record.msg = f"{record.getMessage()} (and {self._left_out} more like it)"
            record.args = ()
        self._next_s, self._left_out = now_s + SAID_EVERY_S, 0
        return True


def _open(streams: WeakSet[IOStream], most: int) -> int:
    """Return how many are open; closed ones are looked for only when it matters."""
    if len(streams) >= most:
        for stream in [one for one in streams if one.closed()]:
            streams.discard(stream)
    return len(streams)
