"""The bridge between the web's two threads: a core on the actor's thread, a hub on the loop's.

`BridgedCore` is what the stage hosts: it passes everything on to the core and keeps back the posts
to `LOOP`, which it hands to the loop once per batch. The stage gives back a function that tells it
a local message; `Hub` calls it from the loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..messages.post import Post
from .core import WebCore
from .seam import LOOP, FromCore

Deliver = Callable[[list[FromCore]], None]


class BridgedCore:
    """A core for the stage. `deliver` is called on the stage's thread and must not block."""

    def __init__(self, core: WebCore, deliver: Deliver) -> None:
        self.address = core.address
        self._core = core
        self._deliver = deliver
        self._batch: list[FromCore] = []

    def begin(self, now_us: int) -> list[Post]:
        """See `actors.core.Core`."""
        return self._outward(self._core.begin(now_us))

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        """See `actors.core.Core`."""
        return self._outward(self._core.receive(sender, message, now_us))

    def settle(self, now_us: int) -> list[Post]:
        """See `actors.core.Core`; the batch for the loop leaves here."""
        posts = self._outward(self._core.settle(now_us))
        if self._batch:
            batch, self._batch = self._batch, []
            self._deliver(batch)
        return posts

    def wakes_at(self) -> int | None:
        """See `actors.core.Core`."""
        return self._core.wakes_at()

    def _outward(self, posts: list[Post]) -> list[Post]:
        outward = []
        for post in posts:
            if post.to == LOOP:
                self._batch.append(post.message)
            else:
                outward.append(post)
        return outward
