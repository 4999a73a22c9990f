"""Following a run or an output over a WebSocket; asynchronous."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from socket import AF_UNIX, AF_UNSPEC, AddressFamily
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.netutil import Resolver
from tornado.websocket import WebSocketClientConnection, websocket_connect

from .http import Connection

# An output's frame holds at most 256 KiB of data; runs may have much in their meta.
MAX_MESSAGE_BYTES = 64 * 2**20

_RANGE = re.compile(rb"bytes[= ](\d+)-(\d+)/(\d+)")


async def run_updates(
    server: Connection, run_id: str, *, init: bool
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the updates of a run until the server closes the socket."""
    target = f"/api/v1/runs/{run_id}/updates{'?init' if init else ''}"
    socket = await open_socket(server, target)
    try:
        while (message := await socket.read_message()) is not None:
            yield json.loads(message)
    finally:
        socket.close()


async def output_updates(
    server: Connection, run_id: str, output_id: str, *, start: int | None
) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of an output, contiguous, until the run is finished."""
    query = "" if start is None else f"?start={start}"
    target = f"/api/v1/runs/{run_id}/output/{output_id}/updates{query}"
    socket = await open_socket(server, target)
    offset: int | None = start
    try:
        while (message := await socket.read_message()) is not None:
            assert isinstance(message, bytes), "expected binary frames"
            head, _, data = message.partition(b"\r\n\r\n")
            found = _RANGE.search(head)
            assert found is not None, "expected a Content-Range"
            first, last = int(found[1]), int(found[2])
            assert last + 1 - first == len(data), "expected as much data as the range says"
            assert offset is None or first == offset, "expected contiguous data"
            offset = last + 1
            yield data
    finally:
        socket.close()


async def open_socket(server: Connection, target: str) -> WebSocketClientConnection:
    """Open a socket at the server that a connection speaks to, in the same way."""
    url = f"ws{'s' if server.tls else ''}://{server.authority}{target}"
    request = HTTPRequest(url, headers=server.headers, ssl_options=server.tls)
    return await websocket_connect(
        request,
        max_message_size=MAX_MESSAGE_BYTES,
        resolver=ToPath(server.path) if server.path else None,
    )


class ToPath(Resolver):
    """Leads every name to one Unix socket."""

    def initialize(self, path: str) -> None:
        """Take the socket's path."""
        self._path = path

    async def resolve(
        self, host: str, port: int, family: AddressFamily = AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        """Return the socket, whatever is asked for."""
        return [(AF_UNIX, self._path)]
