"""What waits to be sent on one WebSocket: bounded, so that a slow reader costs no memory.

Frames are bytes that many sockets may share. At the limit everything that waits is thrown away and
the socket's owner told, who sends its client to read again; a client that takes nothing at all for
a while is disconnected.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

MAX_FRAMES = 1_000
MAX_BYTES = 4 * 2**20
# A client that takes nothing for so long is gone or stuck.
STUCK_S = 60.0


class Outbox:
    """See the module. Used on the loop's thread only."""

    def __init__(self, socket: WebSocketHandler, overflowed: Callable[[], None]) -> None:
        self._socket = socket
        self._overflowed = overflowed
        self._frames: deque[tuple[bytes, bool]] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._closed = False
        self.cut = 0
        self._task = asyncio.get_running_loop().create_task(self._write())

    def push(self, frame: bytes, *, binary: bool = False) -> None:
        """Send a frame when its turn comes, or throw all away when too much waits."""
        if self._closed:
            return
        full = len(self._frames) >= MAX_FRAMES or self._bytes + len(frame) > MAX_BYTES
        # A single frame above the limit is sent: there is nothing to throw away for it.
        if full and self._frames:
            self._frames.clear()
            self._bytes = 0
            self.cut += 1
            self._overflowed()
            return
        self._frames.append((frame, binary))
        self._bytes += len(frame)
        self._drained.clear()
        self._filled.set()

    async def room(self) -> None:
        """Wait until all that was pushed has been taken by the network."""
        while not self._closed and self._frames:
            await self._drained.wait()

    async def close(self) -> None:
        """Send what waits, then close the socket."""
        await self.room()
        if not self._closed:
            self._socket.close(1000)

    def stop(self) -> None:
        """The socket is closed: forget everything."""
        self._closed = True
        self._frames.clear()
        self._drained.set()
        self._task.cancel()

    async def _write(self) -> None:
        try:
            while True:
                await self._filled.wait()
                while self._frames:
                    frame, binary = self._frames[0]
                    await asyncio.wait_for(self._socket.write_message(frame, binary), STUCK_S)
                    if self._frames and self._frames[0][0] is frame:
                        self._frames.popleft()
                        self._bytes -= len(frame)
                self._filled.clear()
                self._drained.set()
        except (WebSocketClosedError, StreamClosedError):
            self._end()
        except TimeoutError:
            self._end()
            stream = self._socket.ws_connection and self._socket.ws_connection.stream
            if stream:
                stream.close()

    def _end(self) -> None:
        self._closed = True
        self._frames.clear()
        self._drained.set()
