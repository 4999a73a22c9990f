"""Outputs on disk: where each file lies, and how it is read.

`actors/outputs_store.py` writes them; web reads, live ones while they grow. Nothing here writes.
A finished output over 16 KiB is kept as zstd frames of 256 KiB each with a table of them at the end
(the seekable format of the zstd project: any zstd program reads it as a plain file).
"""

from __future__ import annotations

import importlib
import os
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any

import msgspec

from ..jobs.errors import CallsheetError
from ..jobs.keeping import WHOLE, Gap, kept, mark, read_gap
from ..jobs.run import run_number
from ..messages.instructions import OutputRecord
from .below import open_below
from .places import DiskPlace, Place

# Offsets of the frames of a file, packed and plain.
Table = tuple[list[int], list[int]]
# Tables kept in memory; that of a full gigabyte takes 300 KiB.
TABLES_AT_MOST = 32

ZSTD = "zstd"
FRAME_BYTES = 256 * 1024
# Folders the runs are spread over, so that none grows beyond what file systems like.
FOLDERS = 256
TABLE_MAGIC = 0x184D2A5E
FOOTER_MAGIC = 0x8F92EAB1
_ENTRY = struct.Struct("<II")
_HEAD = struct.Struct("<II")
_FOOTER = struct.Struct("<IBI")


class OutputGone(CallsheetError):
    """The file of an output is not there, or is not what its record says."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"output {path}: {what}")


def folder_of(run_id: str) -> str:
    """Return the folder of a run's outputs, relative to the root.

    Raises:
        ValueError: it is not a run id.
    """
    number = run_number(run_id)
    if number is None:
        raise ValueError(f"{run_id!r}: expected a run id")
    return f"{number % FOLDERS:02x}/{run_id}"


def path_of(run_id: str, attempt: int, output_id: str) -> str:
    """Return where a finished output lies, relative to the root."""
    if "/" in output_id or output_id.startswith(".") or not output_id:
        raise ValueError(f"{output_id!r}: expected the id of an output")
    return f"{folder_of(run_id)}/{attempt}.{output_id}"


def live_path_of(run_id: str, attempt: int, output_id: str) -> str:
    """Return where an output lies that still grows, relative to the root."""
    return path_of(run_id, attempt, output_id) + ".part"


def gap_path_of(run_id: str, attempt: int, output_id: str) -> str:
    """Return where it stands what of a growing output is not kept, relative to the root."""
    return live_path_of(run_id, attempt, output_id) + ".gap"


class LiveOutput(msgspec.Struct, frozen=True):
    """An output that grows: its file, and its length when it was looked at."""

    path: str
    length: int

    def span(self, start: int, limit: int) -> tuple[int, bytes]:
        """Return at most `limit` bytes from `start`, and where they begin: after the gap when
        `start` is in it. No bytes when the file has gone meanwhile."""
        try:
            # What is gone was said to be before it went: said after reading, nothing of it is in.
            data = _pread(self.path, start, limit)
            gap = self.gap()
            if gap.length and start < gap.end:
                if start >= gap.start:
                    return gap.end, self.span(gap.end, limit)[1]
                data = data[: gap.start - start]
        except OSError:
            return start, b""
        return start, data

    def gap(self) -> Gap:
        """Return what of it is not kept now."""
        try:
            with open(f"{self.path}.gap", "rb") as file:
                return read_gap(file.read(64))
        except OSError:
            return WHOLE


class OutputFiles:
    """Reads the outputs under a root, and where they are no more, in a place far away; from any
    thread."""

    def __init__(self, root: str, far: Place | None = None) -> None:
        self._root = root
        disk = DiskPlace(root)
        self._places: tuple[Place, ...] = (disk,) if far is None else (disk, far)
        self._tables: dict[str, Table] = {}

    def live(self, run_id: str, attempt: int, output_id: str) -> LiveOutput | None:
        """Return the growing file of an output, None while there is none."""
        try:
            path = f"{self._root}/{live_path_of(run_id, attempt, output_id)}"
            return LiveOutput(path, os.stat(path).st_size)
        except (OSError, ValueError):
            return None

    def span(self, record: OutputRecord, start: int, limit: int) -> tuple[int, bytes]:
        """Return at most `limit` bytes of a finished output from `start`, and where they begin:
        after the gap when `start` is in it.

        Raises:
            OutputGone: its file is not there or is damaged.
        """
        gap = record.gap
        if gap.length and start < gap.start:
            return start, self._kept(record, start, min(limit, gap.start - start))
        if not gap.length or start < 0:
            return start, self._kept(record, start, limit)
        begin = max(start, gap.end)
        return begin, self._kept(record, begin - gap.length, limit)

    def read(self, record: OutputRecord, start: int, limit: int) -> bytes:
        """Return at most `limit` bytes of a finished output as it is shown, from `start`: what is
        kept of it, with a line in the place of the rest.

        Raises:
            OutputGone: its file is not there or is damaged.
        """
        if start < 0:
            return b""
        gap, line = record.gap, mark(record.gap)
        if not line:
            return self._kept(record, start, limit)
        data = b""
        if start < gap.start:
            data = self._kept(record, start, min(limit, gap.start - start))
        place = start + len(data) - gap.start
        if len(data) < limit and 0 <= place < len(line):
            data += line[place : place + limit - len(data)]
        place = start + len(data) - len(line)
        if len(data) < limit and place >= gap.start:
            data += self._kept(record, place, limit - len(data))
        return data

    def read_raw(self, record: OutputRecord, start: int, limit: int) -> bytes:
        """Return bytes of a finished output as they are stored.

        Raises:
            OutputGone: its file is not there.
        """
        if record.data is not None:
            return record.data[start : start + limit]
        return self._read(self._path(record), start, limit)

    def _kept(self, record: OutputRecord, start: int, limit: int) -> bytes:
        """Return bytes of what is kept, as if there had never been more."""
        limit = max(0, min(limit, kept(record.length, record.gap) - start))
        if not limit or start < 0:
            return b""
        if record.data is not None and record.compression is None:
            return record.data[start : start + limit]
        if record.compression is None:
            return self.read_raw(record, start, limit)
        return self._read_frames(record, start, limit)

    def _path(self, record: OutputRecord) -> str:
        assert record.path is not None, f"{record.run_id}: an output without data or path"
        parts = record.path.split("/")
        if record.path.startswith("/") or ".." in parts:
            raise OutputGone(record.path, "lies outside the output folder")
        return record.path

    def _read(self, path: str, start: int, limit: int) -> bytes:
        """Read a file where it is first found."""
        why = ""
        for place in self._places:
            try:
                return place.read(path, start, limit)
            except OSError as error:
                why = why or str(error.strerror or error)
        raise OutputGone(path, f"cannot be read: {why}")

    def _read_frames(self, record: OutputRecord, start: int, limit: int) -> bytes:
        """Decompress just the frames that hold the span."""
        path = self._path(record)
        packed, plain = self._table(path)
        first = bisect_right(plain, start) - 1
        last = bisect_left(plain, start + limit, first + 1, len(plain) - 1)
        body = self._read(path, packed[first], packed[last] - packed[first])
        base = packed[first]
        pieces = [
            decompress(body[packed[i] - base : packed[i + 1] - base]) for i in range(first, last)
        ]
        begin = start - plain[first]
        return b"".join(pieces)[begin : begin + limit]

    def _table(self, path: str) -> Table:
        """Return the table of a file's frames; a finished file never changes."""
        table = self._tables.get(path)
        if table is None:
            size = self._size(path)
            table = read_table(lambda start, limit: self._read(path, start, limit), size, path)
            while len(self._tables) >= TABLES_AT_MOST:
                self._tables.pop(next(iter(self._tables)), None)
            self._tables[path] = table
        return table

    def _size(self, path: str) -> int:
        for place in self._places:
            try:
                return place.size(path)
            except OSError:
                continue
        raise OutputGone(path, "is not there")


def shown_length(record: OutputRecord) -> int:
    """Return how long an output is as `OutputFiles.read` shows it."""
    return kept(record.length, record.gap) + len(mark(record.gap))


def seek_table(sizes: list[tuple[int, int]]) -> bytes:
    """Return the table that goes after the frames: (compressed, plain) bytes of each."""
    body = b"".join(_ENTRY.pack(*size) for size in sizes)
    body += _FOOTER.pack(len(sizes), 0, FOOTER_MAGIC)
    return _HEAD.pack(TABLE_MAGIC, len(body)) + body


def read_table(read: Callable[[int, int], bytes], size: int, path: str) -> Table:
    """Return the offsets at which the frames begin, packed and plain, with the end of each last.

    Args:
        read: gives bytes of the file from an offset, at most so many.
        size: of the file.
        path: for what is said of it.

    Raises:
        OutputGone: there is no such table.
    """
    count, flags, magic = 0, 0, 0
    footer = read(size - _FOOTER.size, _FOOTER.size) if size >= _FOOTER.size + _HEAD.size else b""
    if len(footer) == _FOOTER.size:
        count, flags, magic = _FOOTER.unpack(footer)
    length = count * _ENTRY.size
    begin = size - _FOOTER.size - length
    if magic != FOOTER_MAGIC or flags or begin < _HEAD.size:
        raise OutputGone(path, "has no table of its frames")
    packed, plain = [0], [0]
    for one, other in _ENTRY.iter_unpack(read(begin, length)):
        packed.append(packed[-1] + one)
        plain.append(plain[-1] + other)
    return packed, plain


def decompress(data: bytes) -> bytes:
    """Return one zstd frame's content; never more than a frame of ours holds.

    Raises:
        OutputGone: it is not such a frame.
    """
    zstd = zstd_module()
    decompressor = zstd.ZstdDecompressor()
    try:
        plain = bytes(decompressor.decompress(data, max_length=FRAME_BYTES))
    except zstd.ZstdError as error:
        raise OutputGone("frame", str(error)) from None
    if not decompressor.eof:
        raise OutputGone("frame", f"holds more than {FRAME_BYTES} bytes")
    return plain


def zstd_module() -> Any:
    """Return Python's own zstd module, or its backport."""
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        return importlib.import_module("backports.zstd")


def _pread(path: str, start: int, limit: int) -> bytes:
    fd = open_below(os.path.dirname(path), os.path.basename(path))
    try:
        return os.pread(fd, limit, start)
    finally:
        os.close(fd)
