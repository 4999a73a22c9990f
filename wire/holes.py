"""Files of outputs whose middle is not kept: how it goes, and how it is remembered.

Used on both sides of the wire, where an output is written: by agents and by the output store. What
is gone stands in a file of its own before it goes, so that no reader takes zeros for output.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Iterable
from typing import Any

from ..jobs.keeping import WHOLE, Gap, gap_line, read_gap

_PUNCH_HOLE = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE


def gap_in(path: str) -> Gap:
    """Return what a gap file says, `WHOLE` where there is none."""
    try:
        # What lies there may be a link or a pipe by now, which is neither followed nor waited for.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(path, flags), "rb") as file:
            return read_gap(file.read(64) or b"")
    except OSError:
        return WHOLE


def new_holes(known: Gap, gap: Gap) -> list[tuple[int, int]]:
    """Return the bytes that go when a gap grows from one to another."""
    if not known.length:
        return [gap]
    return [(gap.start, known.start), (known.end, gap.end)]


def widen(gap_path: str, gap: Gap, holes: Iterable[tuple[str, int, int]]) -> bool:
    """Let the gap of an output grow, and give the room of its bytes back to the disk.

    Args:
        gap_path: where it stands what is gone.
        holes: the path of a file, and the first and last offset of bytes that go.

    Returns:
        Whether the room was given back; not every file system can.

    Raises:
        OSError: the disk has failed or is full; the gap may have grown all the same.
    """
    write_gap(gap_path, gap)
    return all(punch(*hole) for hole in holes)


def write_gap(path: str, gap: Gap) -> None:
    """Say in a file what is not kept, in one write.

    Raises:
        OSError: it cannot be said, or something else than a file lies there.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        os.pwrite(fd, gap_line(gap), 0)
    finally:
        os.close(fd)


def punch(path: str, start: int, end: int) -> bool:
    """Make these bytes of a file a hole, which reads as zeros; False where files cannot have any.

    Raises:
        OSError: the file is not there, or the disk has failed.
    """
    if end <= start:
        return True
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not _libc().fallocate(fd, _PUNCH_HOLE, start, end - start):
            return True
        number = ctypes.get_errno()
    finally:
        os.close(fd)
    if number in (errno.EOPNOTSUPP, errno.ENOSYS):
        return False
    raise OSError(number, os.strerror(number), path)


@functools.cache
def _libc() -> Any:
    """Return the C library: Python itself can only reserve room."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return libc
