"""The outputs of one claim, and how their bytes travel: chunk by chunk, a few on their way at once.

Changed by the agent's core alone. How large chunks are, and when those that nobody has taken are
sent again, is the pace of the connection (`pace.py`); bytes that are not kept (`jobs/keeping.py`)
are jumped over, and the next chunk says so.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ..jobs.keeping import WHOLE, Gap
from ..messages.agents import OutputChunk
from .host import Extent, Host, Key
from .pace import Pace

# Chunks on their way at once, per output, and of an agent together.
CREDIT = 4
CREDIT_OF_ALL = 12


class Flight(NamedTuple):
    """A chunk on its way. `again`: its bytes were sent before."""

    end: int
    length: int
    at_us: int
    again: bool


class Stream:
    """One output: `size` bytes are written, the first `taken` of them are with the server.

    `path`: where the server may take all of it from itself, None: nowhere. `parts`: how many came
    from stdout and stderr, None where that is not told apart.
    """

    __slots__ = ("flights", "gap", "high", "name", "parts", "path", "sent", "size", "taken")

    def __init__(self, name: str) -> None:
        self.name = name
        self.size = 0
        self.gap: Gap = WHOLE
        self.sent = 0
        self.taken = 0
        # How far it was ever sent.
        self.high = 0
        self.flights: deque[Flight] = deque()
        self.path: str | None = None
        self.parts: tuple[int, int] | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the server has all there is."""
        return self.taken >= self.size

    def see(self, extent: Extent) -> int:
        """Take how much there is now; return how much that is more."""
        more = extent.size - self.size
        self.size, self.gap, self.parts = extent.size, extent.gap, extent.parts
        return more

    def chunks(
        self, host: Host, key: Key, pace: Pace, now_us: int, budget: int
    ) -> list[OutputChunk]:
        """Return at most `budget` chunks that may be sent now; monotonic time."""
        if self.flights and now_us - self.flights[-1].at_us >= pace.patience_us:
            pace.missed()
            self.go_back(self.taken)
        chunks: list[OutputChunk] = []
        while len(self.flights) < CREDIT and self.sent < self.size and len(chunks) < budget:
            begin = self.sent
            chunk = self._next(host, key, pace.chunk_bytes)
            if chunk is None:
                break
            chunks.append(chunk)
            again = begin < self.high
            self.flights.append(Flight(self.sent, self.sent - chunk.offset, now_us, again))
            self.high = max(self.high, self.sent)
        return chunks

    def _next(self, host: Host, key: Key, limit: int) -> OutputChunk | None:
        """Read the next chunk of at most `limit` bytes; None when there is none."""
        skipped, end = 0, self.size
        if self.sent < self.gap.start:
            end = self.gap.start
        elif self.sent < self.gap.end:
            skipped, self.sent = self.gap.end - self.sent, self.gap.end
        data = host.read_output(key, self.name, self.sent, min(limit, end - self.sent))
        if not data:
            # None: it cannot be read now. No bytes: there are no more, whatever was said before.
            self.size = self.size if data is None else self.sent
            return None
        body, compression = host.compress(data)
        offset, self.sent = self.sent, self.sent + len(data)
        return OutputChunk(
            run_id=key.run_id,
            attempt=key.attempt,
            name=self.name,
            offset=offset,
            data=body,
            compression=compression,
            gap=skipped,
        )

    def take(self, upto: int, pace: Pace, now_us: int) -> None:
        """The server has the output up to an offset: more may be sent, or again from there."""
        if upto < self.taken:
            self.go_back(upto)
            return
        self.taken = min(upto, self.size)
        while self.flights and self.flights[0].end <= upto:
            flight = self.flights.popleft()
            if not flight.again:
                pace.taken(flight.length, now_us - flight.at_us)
        self.sent = max(self.sent, self.taken)

    def go_back(self, offset: int) -> None:
        """Send again from an offset."""
        self.taken = self.sent = offset
        self.flights.clear()
