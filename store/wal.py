"""How full SQLite's write-ahead log is, told from its file without a lock or a checkpoint.

After a checkpoint the log is written from its start again while the file keeps its length, so the
length says little. The frames of the present round carry the salt of the file's header; they are
contiguous, so a binary search finds the last one. Called by the writer.
Source: sqlite.org/fileformat2.html, section 4.1.
"""

from __future__ import annotations

import os

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_SALT = slice(16, 24)


def wal_pages(path: str, page_bytes: int) -> int:
    """Return how many pages the log of the database at `path` holds; 0 when it has none."""
    try:
        fd = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        header = os.pread(fd, _HEADER_BYTES, 0)
        if len(header) < _HEADER_BYTES:
            return 0
        salt = header[_SALT]
        frame_bytes = _FRAME_HEADER_BYTES + page_bytes
        low, high = 0, (os.fstat(fd).st_size - _HEADER_BYTES) // frame_bytes
        while low < high:
            middle = (low + high) // 2
            if os.pread(fd, 8, _HEADER_BYTES + middle * frame_bytes + 8) == salt:
                low = middle + 1
            else:
                high = middle
        return low
    finally:
        os.close(fd)
