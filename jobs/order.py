"""The order in which a process wrote to stdout and stderr: which bytes of its output are whose.

A process whose streams are told apart writes to two files; its output is both of them in the order
of time, and an `Order` says how: entry after entry, the bytes up to an offset of the output came
from one stream, and were there at a time. Agents write it, web reads it. Pure.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from typing import NamedTuple

from .keeping import LONGEST_BYTES

ENTRY = struct.Struct("<QQ")
# Batches with more new bytes than this are not looked at line by line.
LINES_BYTES = 64 * 1024


class Piece(NamedTuple):
    """Bytes of the output from `start` up to `end` that came from a stream, from `place` of it."""

    stream: int
    start: int
    end: int
    place: int


class Order:
    """See the module. Streams are 0 (stdout) and 1 (stderr)."""

    def __init__(self, data: bytes = b"") -> None:
        """`data`: entries as they are written; a torn last one is left out, and so is one that goes
        back, or beyond any output, with all that follow it."""
        self._ends = array("Q")
        self._outs = array("Q")  # how much of stdout there is up to each end
        for word, _ in ENTRY.iter_unpack(data[: len(data) // ENTRY.size * ENTRY.size]):
            if not self.size <= word >> 1 <= LONGEST_BYTES:
                break
            self._add(word >> 1, word & 1)

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def size(self) -> int:
        """How many bytes are in order."""
        return self._ends[-1] if self._ends else 0

    @property
    def parts(self) -> tuple[int, int]:
        """How many of them came from stdout, and from stderr."""
        out = self._outs[-1] if self._outs else 0
        return out, self.size - out

    def append(self, stream: int, count: int, at_us: int) -> bytes:
        """Let the next `count` bytes come from a stream; return the entry that says so."""
        end = self.size + count
        self._add(end, stream)
        return ENTRY.pack(end << 1 | stream, at_us)

    def _add(self, end: int, stream: int) -> None:
        more = 0 if stream else end - self.size
        self._outs.append((self._outs[-1] if self._outs else 0) + more)
        self._ends.append(end)

    def places(self, offset: int) -> tuple[int, int]:
        """Return how many bytes of either stream come before an offset of the output."""
        i = bisect_right(self._ends, offset)
        begin, out = (self._ends[i - 1], self._outs[i - 1]) if i else (0, 0)
        if i < len(self._ends) and self._outs[i] > out:
            out += offset - begin
        return out, offset - out

    def pieces(self, start: int, end: int) -> list[Piece]:
        """Return the pieces that the output consists of from one offset up to another."""
        found: list[Piece] = []
        i = bisect_right(self._ends, start)
        while start < end and i < len(self._ends):
            out = self._outs[i - 1] if i else 0
            stream = 0 if self._outs[i] > out else 1
            upto = min(end, self._ends[i])
            found.append(Piece(stream, start, upto, self.places(start)[stream]))
            start, i = upto, i + 1
        return found

    def offset_of(self, stream: int, place: int) -> int:
        """Return the offset in the output of a byte of a stream, its size where there is none."""
        low, high = 0, len(self._ends)
        while low < high:
            middle = (low + high) // 2
            if self._upto(stream, middle) > place:
                high = middle
            else:
                low = middle + 1
        if low == len(self._ends):
            return self.size
        begin = self._ends[low - 1] if low else 0
        return begin + place - (self._upto(stream, low - 1) if low else 0)

    def _upto(self, stream: int, i: int) -> int:
        return self._outs[i] if stream == 0 else self._ends[i] - self._outs[i]


def in_order(bursts: list[int], fresh: tuple[bytes, bytes]) -> list[tuple[int, int]]:
    """Return in which order new bytes of both streams were written, as (stream, count).

    Args:
        bursts: the streams in the order in which they were written to, as the system told it:
            after each other never the same one. How much was written each time is not told.
        fresh: what is new of either.

    A process that prints lines writes one at a time: so each burst of a stream has one line of it,
    and the last has all that is left.
    """
    left = [len(data) for data in fresh]
    rest = list(fresh)
    turns = [bursts.count(0), bursts.count(1)]
    found: list[tuple[int, int]] = []
    for stream in bursts:
        turns[stream] -= 1
        count = left[stream]
        if turns[stream] and sum(map(len, fresh)) <= LINES_BYTES:
            line = rest[stream].partition(b"\n")
            count = len(line[0]) + len(line[1])
            rest[stream] = line[2]
        elif turns[stream]:
            count = 0
        if count:
            found.append((stream, count))
            left[stream] -= count
    found += [(stream, left[stream]) for stream in (0, 1) if left[stream]]
    return found
