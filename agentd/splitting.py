"""stdout and stderr told apart: two files, and the order in which they were written.

Used by `outputs.py`. The kernel says in which order files are written to (inotify), and their sizes
say how much: so an agentd that is at its work knows the order line by line, and nothing is between
the process and its files. What is written while there is no agentd is in order within each stream,
stdout first. A process that writes faster than agentd should look is looked at now and then.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import struct
import time
from itertools import groupby
from typing import NamedTuple

from ..jobs.keeping import WHOLE, Gap
from ..jobs.order import LINES_BYTES, Order, in_order
from .host import Key
from .keeper_record import READING, WRITING
from .launch import ERR, STARTED
from .masked import Masker, reading

OUT, ORDER = "out", "order"
_EVENT = struct.Struct("iIII")
_MODIFY = 0x2
_QUEUE_OVERFLOW = 0x4000
_APPEND = os.O_CREAT | os.O_APPEND | WRITING
Sizes = tuple[int, int]
# How often sizes are asked for anew at once because something was written meanwhile.
LOOKS = 8
# Wakes between two looks; a process that causes more is looked at with the others again.
WAKES_A_LOOK = 50
# Entries of an order that are written as they come; beyond them one a second, then one a minute.
FINE, COARSE = 2**16, 2**17


class Split(NamedTuple):
    """A claim whose streams are told apart. `head`: bytes of stderr that are not the program's."""

    folder: str
    order: Order
    head: list[int]
    noted_s: list[float]


class Splits:
    """See the module. `runs`: the spool's folder of claims. `fd` is to be polled while `polls`."""

    def __init__(self, runs: str) -> None:
        self._runs = runs
        self._of: dict[Key, Split] = {}
        self._watched: dict[int, tuple[Key, int]] = {}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self._wakes = 0

    @property
    def polls(self) -> bool:
        """Whether to wake at every write."""
        return bool(self._watched) and self._wakes < WAKES_A_LOOK

    def __contains__(self, key: Key) -> bool:
        return key in self._of

    def look(self) -> None:
        """Take what the kernel has told, and wake at every write again."""
        self.hear()
        self._wakes = 0

    def open(self, key: Key, *, has_head: bool) -> Split:
        """Watch the files of a claim, which are made where they are not there yet.

        Args:
            has_head: launchers write to stderr before the program does.

        Raises:
            OSError: the spool cannot hold them.
        """
        folder = f"{self._runs}/{key}"
        for stream, name in enumerate((OUT, ERR)):
            os.close(os.open(f"{folder}/{name}", os.O_CREAT | WRITING, 0o600))
            watch = self._libc.inotify_add_watch(
                self.fd, os.fsencode(f"{folder}/{name}"), ctypes.c_uint32(_MODIFY)
            )
            if watch >= 0:
                self._watched[watch] = (key, stream)
        data = b""
        with (
            contextlib.suppress(FileNotFoundError),
            open(os.open(f"{folder}/{ORDER}", READING), "rb") as file,
        ):
            data = file.read() or b""
        split = self._of[key] = Split(folder, Order(data), [-1 if has_head else 0], [0.0])
        return split

    def close(self, key: Key) -> None:
        """The claim goes."""
        if self._of.pop(key, None) is not None:
            for watch in [w for w, (of, _) in self._watched.items() if of == key]:
                del self._watched[watch]
                self._libc.inotify_rm_watch(self.fd, watch)

    def hear(self) -> None:
        """Take what the kernel has told of."""
        for key, (bursts, sizes) in self._listen().items():
            # A full disk shows at the next look, or the claim is going.
            with contextlib.suppress(OSError):
                self._note(self._of[key], bursts, sizes)

    def order(self, key: Key, *, has_head: bool, final: bool) -> Order:
        """Return the order of all that is written now, or in the end.

        Raises:
            OSError: the spool cannot be read or written to.
        """
        split = self._of.get(key) or self.open(key, has_head=has_head)
        told = self._listen(key)
        self._wakes = 0
        for other, (bursts, sizes) in told.items():
            if other != key:
                with contextlib.suppress(OSError):
                    self._note(self._of[other], bursts, sizes)
        bursts, sizes = told[key] if key in told else ([], _sizes(split))
        self._note(split, bursts, sizes, final=final)
        return split.order

    def read(
        self, key: Key, offset: int, limit: int, masker: Masker | None = None, gap: Gap = WHOLE
    ) -> bytes:
        """Return bytes of the output, both streams in their order. Each is masked by itself: what
        the other has written in between makes no secret of it less of one.

        Raises:
            OSError: they cannot be read.
        """
        split = self._of.get(key)
        if split is None:
            return b""
        found: list[bytes] = []
        files: dict[int, int] = {}
        try:
            for piece in split.order.pieces(offset, offset + limit):
                if piece.stream not in files:
                    path = f"{split.folder}/{(OUT, ERR)[piece.stream]}"
                    files[piece.stream] = os.open(path, READING)
                head = split.head[0] if piece.stream else 0
                pread = functools.partial(os.pread, files[piece.stream])
                place, length = piece.place + head, piece.end - piece.start
                if masker is None:
                    found.append(pread(length, place))
                else:
                    ends = (split.order.places(end)[piece.stream] + head for end in gap)
                    found.append(masker.read(pread, place, length, Gap(*ends)))
        finally:
            for fd in files.values():
                os.close(fd)
        return b"".join(found)

    def clear(self, key: Key, masker: Masker) -> int:
        """Return up to where the output is certain to be read as it will be ever after.

        Raises:
            OSError: it cannot be read.
        """
        split = self._of[key]
        most = split.order.size
        for stream, (name, part) in enumerate(zip((OUT, ERR), split.order.parts, strict=True)):
            head = split.head[0] if stream else 0
            with reading(f"{split.folder}/{name}") as pread:
                upto = masker.clear(pread, head + part) - head
            if upto < part:
                most = min(most, split.order.offset_of(stream, max(0, upto)))
        return most

    def head(self, key: Key) -> int:
        """Return how many bytes of its stderr are not the program's."""
        split = self._of.get(key)
        return max(0, split.head[0]) if split is not None else 0

    # --- inside ---------------------------------------------------------------------------------

    def _listen(self, *also: Key) -> dict[Key, tuple[list[int], Sizes]]:
        """Take what the kernel has told: which streams were written to, and how much there is.

        Sizes are asked for until nothing was written meanwhile: a write that shows in a size and
        was not told of would stand among those that were, wherever agentd was held just then.

        Args:
            also: claims whose sizes are wanted though they be not told of.
        """
        self._wakes += 1
        found: dict[Key, tuple[list[int], Sizes]] = {}
        asked = set(also)
        for _ in range(LOOKS):
            told = self._told()
            if not asked and not told:
                break
            for key in asked | told.keys():
                split = self._of.get(key)
                if split is not None:
                    before = found[key][0] if key in found else []
                    # A claim that is going: what it wrote is not asked for any more.
                    with contextlib.suppress(OSError):
                        found[key] = (_one_after_other(before + told.get(key, [])), _sizes(split))
            asked.clear()
        return found

    def _told(self) -> dict[Key, list[int]]:
        """Return the streams that were written to since it was asked last, in their order."""
        bursts: dict[Key, list[int]] = {}
        while True:
            try:
                data = os.read(self.fd, 65_536)
            except BlockingIOError:
                return bursts
            offset = 0
            while offset < len(data):
                watch, mask, _, length = _EVENT.unpack_from(data, offset)
                offset += _EVENT.size + length
                known = self._watched.get(watch)
                if not mask & _QUEUE_OVERFLOW and known is not None:
                    key, stream = known
                    bursts.setdefault(key, []).append(stream)

    def _note(self, split: Split, bursts: list[int], there: Sizes, *, final: bool = False) -> None:
        """Put what is new of the bytes that are there into the order."""
        now_s = time.time()
        known = split.order
        if not final and len(known) > FINE:
            if now_s - split.noted_s[0] < (1.0 if len(known) < COARSE else 60.0):
                return
            bursts = []
        begins = split.head[0] < 0
        if begins and not _find_head(split):
            return
        sizes = (there[0], there[1] - split.head[0])
        counts = [max(0, size - noted) for size, noted in zip(sizes, known.parts, strict=True)]
        if not any(counts):
            return
        if len(bursts) > 2 and sum(counts) <= LINES_BYTES:
            fresh = self._fresh(split, counts)
            if begins and bursts[0] == 1 and fresh[1].count(b"\n") < bursts.count(1):
                bursts = bursts[1:]  # what launchers said, and not the program
            ordered = in_order(bursts, fresh)
        else:
            first = bursts[0] if bursts else 0
            ordered = [(stream, counts[stream]) for stream in (first, 1 - first) if counts[stream]]
        at_us = int(now_s * 1e6)
        data = b"".join(known.append(stream, count, at_us) for stream, count in ordered)
        split.noted_s[0] = now_s
        fd = os.open(f"{split.folder}/{ORDER}", _APPEND, 0o600)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)

    def _fresh(self, split: Split, counts: list[int]) -> tuple[bytes, bytes]:
        """Return the new bytes of both streams."""
        found = []
        parts = split.order.parts
        for stream, name in enumerate((OUT, ERR)):
            with open(os.open(f"{split.folder}/{name}", READING), "rb") as file:
                file.seek(parts[stream] + (split.head[0] if stream else 0))
                found.append(file.read(counts[stream]))
        return found[0], found[1]


def _sizes(split: Split) -> Sizes:
    """How many bytes are in either file."""
    out, err = (os.stat(f"{split.folder}/{name}").st_size for name in (OUT, ERR))
    return out, err


def _one_after_other(streams: list[int]) -> list[int]:
    """Leave out each that is the same as the one before it."""
    return [stream for stream, _ in groupby(streams)]


def _find_head(split: Split) -> bool:
    """Find where launchers have ended and the program begins; False while they have not."""
    with open(os.open(f"{split.folder}/{ERR}", READING), "rb") as file:
        said, line, _ = file.read(8_192).partition(f"{STARTED}\n".encode())
    if line:
        split.head[0] = len(said) + len(line)
    return bool(line)
