"""Outputs on disk: where each file lies, and how it is read.

`actors/outputs_store.py` writes them; web reads, live ones while they grow. Nothing here writes.
A finished output over 16 KiB is kept as zstd frames of 256 KiB each with a table of them at the end
(the seekable format of the zstd project: any zstd program reads it as a plain file).
"""

from __future__ import annotations

import importlib
import os
import struct
from bisect import bisect_right
from typing import Any

import msgspec

from ..jobs.errors import CallsheetError
from ..jobs.run import run_number
from ..messages.instructions import OutputRecord

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


class LiveOutput(msgspec.Struct, frozen=True):
    """An output that grows: its file, and its length when it was looked at."""

    path: str
    length: int

    def read(self, start: int, limit: int) -> bytes:
        """Return at most `limit` bytes from `start`; empty when the file has gone meanwhile."""
        try:
            return _pread(self.path, start, limit)
        except OSError:
            return b""


class OutputFiles:
    """Reads the outputs under a root; from any thread."""

    def __init__(self, root: str) -> None:
        self._root = root

    def live(self, run_id: str, attempt: int, output_id: str) -> LiveOutput | None:
        """Return the growing file of an output, None while there is none."""
        try:
            path = f"{self._root}/{live_path_of(run_id, attempt, output_id)}"
            return LiveOutput(path, os.stat(path).st_size)
        except (OSError, ValueError):
            return None

    def read(self, record: OutputRecord, start: int, limit: int) -> bytes:
        """Return at most `limit` bytes of a finished output from `start`, decompressed.

        Raises:
            OutputGone: its file is not there or is damaged.
        """
        limit = max(0, min(limit, record.length - start))
        if not limit or start < 0:
            return b""
        if record.data is not None and record.compression is None:
            return record.data[start : start + limit]
        if record.compression is None:
            return self.read_raw(record, start, limit)
        return self._read_frames(record, start, limit)

    def read_raw(self, record: OutputRecord, start: int, limit: int) -> bytes:
        """Return bytes of a finished output as they are stored.

        Raises:
            OutputGone: its file is not there.
        """
        if record.data is not None:
            return record.data[start : start + limit]
        path = self._path(record)
        try:
            return _pread(path, start, limit)
        except OSError as error:
            raise OutputGone(path, f"cannot be read: {error.strerror}") from None

    def _path(self, record: OutputRecord) -> str:
        assert record.path is not None, f"{record.run_id}: an output without data or path"
        parts = record.path.split("/")
        if record.path.startswith("/") or ".." in parts:
            raise OutputGone(record.path, "lies outside the output folder")
        return f"{self._root}/{record.path}"

    def _read_frames(self, record: OutputRecord, start: int, limit: int) -> bytes:
        """Decompress just the frames that hold the span."""
        path = self._path(record)
        try:
            with open(path, "rb") as file:
                packed, plain = read_table(file.fileno(), path)
                first = bisect_right(plain, start) - 1
                pieces = []
                for i in range(first, len(plain) - 1):
                    if plain[i] >= start + limit:
                        break
                    body = os.pread(file.fileno(), packed[i + 1] - packed[i], packed[i])
                    pieces.append(decompress(body))
        except OSError as error:
            raise OutputGone(path, f"cannot be read: {error.strerror}") from None
        begin = start - plain[first]
        return b"".join(pieces)[begin : begin + limit]


def seek_table(sizes: list[tuple[int, int]]) -> bytes:
    """Return the table that goes after the frames: (compressed, plain) bytes of each."""
    body = b"".join(_ENTRY.pack(*size) for size in sizes)
    body += _FOOTER.pack(len(sizes), 0, FOOTER_MAGIC)
    return _HEAD.pack(TABLE_MAGIC, len(body)) + body


def read_table(fd: int, path: str) -> tuple[list[int], list[int]]:
    """Return the offsets at which the frames begin, packed and plain, with the end of each last.

    Raises:
        OutputGone: there is no such table.
    """
    size = os.fstat(fd).st_size
    count, flags, magic = 0, 0, 0
    if size >= _FOOTER.size + _HEAD.size:
        count, flags, magic = _FOOTER.unpack(os.pread(fd, _FOOTER.size, size - _FOOTER.size))
    length = count * _ENTRY.size
    begin = size - _FOOTER.size - length
    if magic != FOOTER_MAGIC or flags or begin < _HEAD.size:
        raise OutputGone(path, "has no table of its frames")
    packed, plain = [0], [0]
    for one, other in _ENTRY.iter_unpack(os.pread(fd, length, begin)):
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
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, limit, start)
    finally:
        os.close(fd)
