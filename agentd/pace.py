"""How large the chunks of output are, so that beats and commands are not held up behind them.

Used by the agent's core, and as pure. So many chunks may be on their way at once (`streams.py`); on
a quick network each is large, and on a slow one so small that all of them together are through in
about two seconds. Every chunk that is taken measures the network; one that is sent again does not,
since it cannot be told which of the two was taken.
"""

from __future__ import annotations

CHUNK_BYTES = 256 * 1024
# Four of the smallest, and what TCP says of them, are through in a second at 16 KiB/s.
LEAST_BYTES = 4 * 1024
# The first ones, of which nobody knows yet how quick the network is.
FIRST_BYTES = 16 * 1024
# Taken sooner than the first: the next may be larger. Later than the second: smaller. An agent
# beats every 2 s, and is not heard of after 10 s.
QUICK_US = 1_000_000
SLOW_US = 2_000_000
# What is not taken in so many times as long as usual is sent again, within these limits. A
# connection loses nothing while it lasts, so that there is no hurry.
TIMES = 4
PATIENCE_US = 2_000_000
PATIENCE_MAX_US = 32_000_000


class Pace:
    """See the module. Monotonic µs; one for each connection to a server."""

    def __init__(self) -> None:
        self.chunk_bytes = FIRST_BYTES
        self.patience_us = PATIENCE_US

    def begin(self) -> None:
        """The connection is new: the network may be another."""
        self.chunk_bytes = min(self.chunk_bytes, FIRST_BYTES)
        self.patience_us = PATIENCE_US

    def taken(self, length: int, took_us: int) -> None:
        """A chunk of so many bytes, sent once, was taken so long after it was sent."""
        self.patience_us = min(max(PATIENCE_US, TIMES * took_us), PATIENCE_MAX_US)
        if length < self.chunk_bytes:
            return  # The last of an output, or sent before the size was changed.
        if took_us < QUICK_US:
            self.chunk_bytes = min(2 * self.chunk_bytes, CHUNK_BYTES)
        elif took_us > SLOW_US:
            self.chunk_bytes = max(self.chunk_bytes // 2, LEAST_BYTES)

    def missed(self) -> None:
        """Chunks were not taken in time, and are sent again."""
        self.chunk_bytes = max(self.chunk_bytes // 2, LEAST_BYTES)
        self.patience_us = min(2 * self.patience_us, PATIENCE_MAX_US)
