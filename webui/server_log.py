"""The last lines of the server's log, and who follows them. Owned by the loop's thread.

Lines have numbers of their own: `seq`, counted within an `epoch`, which is this web server's start.
Nothing here logs anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from ..wire.log_feed import LogLine, LogSocket

KEPT_LINES = 1_000
KEPT_BYTES = 4 * 2**20
# Lines taken at once, and sent as one message.
LINES_AT_ONCE = 200

Numbered = tuple[int, LogLine]


class ServerLog:
    """See the module."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.seq = 0
        self._kept: deque[Numbered] = deque()
        self._bytes = 0
        self._followers: dict[Callable[[list[Numbered]], None], None] = {}
        self._socket: LogSocket | None = None

    def open(self, path: str) -> None:
        """Begin to take lines, on the running loop.

        Raises:
            OSError: the socket cannot be bound.
        """
        self._socket = LogSocket(path)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._arrived)

    def close(self) -> None:
        """Take no more."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def follow(self, take: Callable[[list[Numbered]], None]) -> None:
        """Call `take` with the lines that come."""
        self._followers[take] = None

    def unfollow(self, take: Callable[[list[Numbered]], None]) -> None:
        """Call it no more."""
        self._followers.pop(take, None)

    def since(self, resume: tuple[int, int] | None) -> tuple[list[Numbered], bool]:
        """Return the lines after (epoch, seq), None: all that are kept; and whether some between
        are not kept any more."""
        if resume is None:
            return [*self._kept], False
        epoch, seq = resume
        if epoch != self.epoch:
            return [*self._kept], True
        first = self._kept[0][0] if self._kept else self.seq + 1
        return [one for one in self._kept if one[0] > seq], seq + 1 < first

    def add(self, lines: list[LogLine]) -> None:
        """Keep these lines, and tell all who follow."""
        numbered = []
        for line in lines:
            self.seq += 1
            numbered.append((self.seq, line))
            self._bytes += line.size
        self._kept.extend(numbered)
        while len(self._kept) > KEPT_LINES or self._bytes > KEPT_BYTES:
            self._bytes -= self._kept.popleft()[1].size
        for take in list(self._followers):
            take(numbered)

    def _arrived(self) -> None:
        assert self._socket is not None
        lines = self._socket.take(LINES_AT_ONCE)
        if lines:
            self.add(lines)
