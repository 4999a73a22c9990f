"""Bytes without the secrets that are in them, as they leave the host: as long as they were.

Used by the local host for what a process has written. A secret is starred out wherever it lies, so
that offsets mean the same before and after, and however a file is cut into chunks each byte comes
out the same.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from ..jobs.keeping import WHOLE, Gap
from ..jobs.masking import MASK, SECRET_CHARACTERS, forms_of
from .keeper_record import READING

# Reads at most so many bytes from an offset.
Pread = Callable[[int, int], bytes]


class Masker:
    """Knows the secrets of one process. `reach`: so far beside a byte those are that say what it
    is part of."""

    def __init__(self, secrets: Iterable[str]) -> None:
        texts = set(chain.from_iterable(map(forms_of, secrets)))
        self._texts = sorted(texts, key=len, reverse=True)
        self._forms = [text.encode("utf-8", "surrogateescape") for text in self._texts]
        self.reach = max(map(len, self._forms), default=1) - 1

    def text(self, text: str) -> str:
        """Return a text for people without secrets."""
        for form in self._texts:
            text = text.replace(form, MASK)
        return text

    def mask(self, data: bytes) -> bytes:
        """Return bytes of the same number, without what is a whole secret among them."""
        found: bytearray | None = None
        for form in self._forms:
            at = data.find(form)
            while at >= 0:
                found = found or bytearray(data)
                found[at : at + len(form)] = b"*" * len(form)
                at = data.find(form, at + 1)
        return data if found is None else bytes(found)

    def begun(self, data: bytes) -> int:
        """Return how many bytes at the end may be the beginning of a secret that goes on."""
        most = 0
        for form in self._forms:
            tail = data[max(0, len(data) - len(form) + 1) :]
            at = tail.find(form[:1])
            while 0 <= at < len(tail) - most:
                if form.startswith(tail[at:]):
                    most = len(tail) - at
                    break
                at = tail.find(form[:1], at + 1)
        return most

    def ended(self, data: bytes) -> int:
        """Return how many bytes at the beginning may be the end of a secret that began before."""
        most = 0
        for form in self._forms:
            head = data[: len(form) - 1]
            at = head.rfind(form[-1:])
            while at >= most:
                if form.endswith(head[: at + 1]):
                    most = at + 1
                    break
                at = head.rfind(form[-1:], 0, at)
        return most

    def read(self, pread: Pread, offset: int, limit: int, gap: Gap = WHOLE) -> bytes:
        """Return at most `limit` bytes of a file from an offset. Of a secret that the gap has cut,
        what is left beside it is masked, too; what is read does not reach across the gap."""
        low = max(0, offset - self.reach)
        high = offset + limit + self.reach
        is_head = gap.length > 0 and offset < gap.start
        is_tail = gap.length > 0 and offset >= gap.end
        if is_head:
            high = min(high, gap.start)
        elif is_tail:
            low = max(low, gap.end)
        data = pread(high - low, low)
        found = self.mask(data)
        if is_head and low + len(data) == gap.start:
            found = _starred(found, len(found) - self._cut(self.begun(data)), len(found))
        if is_tail and low == gap.end:
            found = _starred(found, 0, self._cut(self.ended(data)))
        return found[offset - low : offset - low + limit]

    def clear(self, pread: Pread, size: int) -> int:
        """Return up to where a file of `size` bytes, which may grow, is certain to be read as it
        will be ever after."""
        begin = max(0, size - self.reach)
        return size - self.begun(pread(size - begin, begin))

    @staticmethod
    def _cut(length: int) -> int:
        """Return how much of the rest of a secret is masked: what is too short is anybody's."""
        return length if length >= SECRET_CHARACTERS else 0


@contextlib.contextmanager
def reading(path: str) -> Iterator[Pread]:
    """Open a file to be read anywhere; a link is not followed.

    Raises:
        OSError: it cannot be.
    """
    fd = os.open(path, READING)
    try:
        yield functools.partial(os.pread, fd)
    finally:
        os.close(fd)


def _starred(data: bytes, begin: int, end: int) -> bytes:
    return data[:begin] + b"*" * (end - begin) + data[end:]
