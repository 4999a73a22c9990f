"""What waits to be sent on WebSockets: bounded, so that slow readers cost no memory.

An `Outbox` is one socket's: at its limit everything that waits is thrown away, and nothing waits
any more until the client has taken what was being written; then the socket's owner is told, who
sends the client to read again. A client that takes nothing at all for a while is disconnected.
`Waiting` bounds all outboxes of a server together. Frames that many sockets share are kept once,
and counted once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from .seam import Shared

MAX_FRAMES = 1_000
MAX_BYTES = 4 * 2**20
# Of all sockets together: a hundred that have stopped, each with a query of its own, stay below it.
MAX_ALL_BYTES = 24 * 2**20
# A client that takes nothing for so long is gone or stuck.
STUCK_S = 60.0
# The code with which a socket is closed whose client could not be told what it had to be: try
# again later.
TOO_SLOW = 1013


class _Frame(NamedTuple):
    """`head` goes before the shared part. `must`: without it the client waits for ever."""

    head: bytes
    shared: Shared
    binary: bool
    must: bool

    @property
    def size(self) -> int:
        return len(self.head) + len(self.shared.data)


class Waiting:
    """All outboxes of a server: what waits in them, in bytes, shared parts counted once."""

    def __init__(self, most_bytes: int = MAX_ALL_BYTES) -> None:
        self.bytes = 0
        self.cuts = 0
        self._most_bytes = most_bytes
        self._boxes: set[Outbox] = set()

    def enter(self, box: Outbox) -> None:
        """Count an outbox from now on."""
        self._boxes.add(box)

    def leave(self, box: Outbox) -> None:
        """Count it no more; nothing waits in it."""
        self._boxes.discard(box)

    def hold(self, frame: _Frame) -> None:
        """Count a frame that begins to wait; cut off the fullest while it is too much."""
        self.bytes += len(frame.head) + (0 if frame.shared.holders else len(frame.shared.data))
        frame.shared.holders += 1
        while self.bytes > self._most_bytes:
            fullest = max(self._boxes, key=lambda box: box.bytes)
            if len(self._boxes) == 0 or not fullest.bytes:
                return
            fullest.cut_off()

    def release(self, frame: _Frame) -> None:
        """Count a frame no more."""
        frame.shared.holders -= 1
        self.bytes -= len(frame.head) + (0 if frame.shared.holders else len(frame.shared.data))


class Outbox:
    """See the module. Used on the loop's thread only."""

    def __init__(
        self, socket: WebSocketHandler, overflowed: Callable[[], None], waiting: Waiting
    ) -> None:
        """`overflowed` is called once the client takes something again after it was cut off."""
        self.bytes = 0
        self.cuts = 0
        self._socket = socket
        self._overflowed = overflowed
        self._waiting = waiting
        self._frames: deque[_Frame] = deque()
        self._cut = False
        self._closed = False
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        waiting.enter(self)
        self._task = asyncio.get_running_loop().create_task(self._write())

    @property
    def frames(self) -> int:
        """How many frames wait."""
        return len(self._frames)

    def push(
        self,
        frame: bytes | Shared,
        *,
        head: bytes = b"",
        binary: bool = False,
        must: bool = False,
    ) -> None:
        """Send a frame when its turn comes, or throw all away when too much waits.

        Args:
            frame: what is sent, after `head`; `Shared` when others may send the same.
            must: the client is disconnected rather than left without it.
        """
        if self._closed:
            return
        shared = frame if isinstance(frame, Shared) else Shared(frame)
        new = _Frame(head, shared, binary, must)
        # A single frame above the limit is sent: there is nothing to throw away for it.
        full = len(self._frames) >= MAX_FRAMES or self.bytes + new.size > MAX_BYTES
        if full and self._frames:
            self.cut_off()
        if self._cut:
            if must:
                self._socket.close(TOO_SLOW, "too slow")
            return
        self._frames.append(new)
        self.bytes += new.size
        self._drained.clear()
        self._filled.set()
        self._waiting.hold(new)

    def cut_off(self) -> None:
        """Throw away all that waits; nothing waits before the client has taken something."""
        missed = any(frame.must for frame in self._frames)
        self._forget()
        self._cut = True
        self.cuts += 1
        self._waiting.cuts += 1
        self._filled.set()
        if missed:
            self._socket.close(TOO_SLOW, "too slow")

    async def room(self) -> None:
        """Wait until all that was pushed has been taken by the network."""
        while not self._closed and not self._drained.is_set():
            await self._drained.wait()

    async def close(self) -> None:
        """Send what waits, then close the socket."""
        await self.room()
        if not self._closed:
            self._socket.close(1000)

    def stop(self) -> None:
        """The socket is closed: forget everything."""
        self._end()
        self._task.cancel()

    async def _write(self) -> None:
        try:
            while True:
                await self._filled.wait()
                while self._frames:
                    frame = self._frames.popleft()
                    self.bytes -= frame.size
                    self._waiting.release(frame)
                    # From here on it is the network's; of each socket one frame.
                    sent = self._socket.write_message(frame.head + frame.shared.data, frame.binary)
                    del frame
                    async with asyncio.timeout(STUCK_S):
                        await sent
                if self._cut:
                    self._cut = False
                    self._overflowed()
                    continue
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
        self._forget()
        self._waiting.leave(self)
        self._drained.set()

    def _forget(self) -> None:
        for frame in self._frames:
            self._waiting.release(frame)
        self._frames.clear()
        self.bytes = 0
