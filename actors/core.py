"""What every core is: a pure machine that takes messages and the time, and returns posts.

The stage (see `stage.py`) calls `receive` once per message of a batch, then `settle` once, and
sends what came back; for the ledger it commits `take_changes()` between the two. Cores never see a
socket, clock, thread, file, random number or log.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..messages.post import Post


class Core(Protocol):
    """A role's decisions. `address` is the role's own address, such as `waiter/0`."""

    address: str

    def begin(self, now_us: int) -> list[Post]:
        """Say what is to be said at the start (a `Hello`)."""

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        """Take one message from the peer at `sender`; return what follows from it."""

    def settle(self, now_us: int) -> list[Post]:
        """The batch is over, or the time of `wakes_at` has come: return what is due."""

    def wakes_at(self) -> int | None:
        """Return when `settle` is to be called at the latest (microseconds UTC), None: never."""
