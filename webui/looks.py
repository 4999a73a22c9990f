"""What no event tells, or not in full: looked up in the store again and again while somebody
follows it, once for all of them, and sent when it has changed.

Owned by the loop's thread. A look is what a topic of the stream shows whole: the checker's
findings, the pauses in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from ..messages.agents import AgentsAnswer
from ..store.interface import Reader
from .hub import Hub
from .pool import ReaderPool
from .routing import Problem, encode
from .seam import Changed, Followed, OutputCame, Resync, Shared, Status

# How many beats (seconds) there are between two looks.
BEATS = 2


class Watcher(Protocol):
    """A subscription to a look."""

    def looked(self, tail: Shared) -> None:
        """What there is now: the tail of a frame that an id goes before."""


class Look:
    """See the module. A follower of the hub's beat while anybody watches."""

    def __init__(
        self, hub: Hub, pool: ReaderPool, name: str, read: Callable[[Reader], Any]
    ) -> None:
        self._hub = hub
        self._pool = pool
        self._name = name
        self._read = read
        self._watchers: dict[Watcher, None] = {}
        self._last: Shared | None = None
        self._beats = 0
        self._task: asyncio.Task[None] | None = None

    def watch(self, watcher: Watcher) -> None:
        """Tell a watcher what there is, and whenever it changes."""
        if not self._watchers:
            self._last = None
            self._hub.add_beat(self)
        self._watchers[watcher] = None
        if self._last is not None:
            watcher.looked(self._last)
        else:
            self.again()

    def leave(self, watcher: Watcher) -> None:
        """Tell it no more."""
        self._watchers.pop(watcher, None)
        if not self._watchers:
            self._hub.drop_beat(self)

    def show(self, watcher: Watcher) -> None:
        """Tell a watcher once more what there is."""
        if self._last is not None and watcher in self._watchers:
            watcher.looked(self._last)

    def again(self) -> None:
        """Look now, if anybody watches; what a look under way has missed comes with the next."""
        if not self._watchers:
            return
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        try:
            found = await self._pool.read(self._read)
        except Problem:
            return  # The store does not answer: looked again with the next beats.
        tail = b"," + encode({self._name: found})[1:]
        if self._last is not None and tail == self._last.data:
            return
        self._last = Shared(tail)
        for watcher in list(self._watchers):
            watcher.looked(self._last)

    # --- as a follower of the hub -----------------------------------------------------------------

    def status(self, status: Status) -> None:
        """See `Follower`."""
        self._beats += 1
        if self._beats % BEATS == 0:
            self.again()

    def followed(self, message: Followed) -> None:
        """See `Follower`."""

    def changed(self, tick: Changed, body: Shared | None) -> None:
        """See `Follower`."""

    def resync(self, message: Resync) -> None:
        """See `Follower`."""

    def agents(self, answer: AgentsAnswer) -> None:
        """See `Follower`."""

    def output(self, message: OutputCame) -> None:
        """See `Follower`."""
