"""The lock that lets one process write a database: `flock` on a file beside it, held for life.

The kernel drops it when its holder dies, however that happens. Used by the writer and migrations.
"""

from __future__ import annotations

import fcntl
import os

from .interface import StoreUnusable


class WriterLock:
    """Holds `<path>.lock`. The file outlives the lock; its text is for people only."""

    def __init__(self, path: str) -> None:
        """Take the lock at once or not at all.

        Raises:
            StoreUnusable: another process holds it, or the file cannot be made.
        """
        self._fd = -1
        lock_path = f"{path}.lock"
        try:
            fd = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            sentence = f"database {path}: its lock cannot be opened: {error.strerror}: {lock_path}"
            raise StoreUnusable(sentence) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
            os.close(fd)
            who = f"process {holder}" if holder else "another process"
            sentence = f"database {path}: {who} has it in use: expected no other server"
            raise StoreUnusable(sentence) from None
        self._fd = fd
        os.ftruncate(fd, 0)
        try:
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            # A full disk: the number is only a courtesy to whoever finds the lock taken.
            return

    def release(self) -> None:
        """Let go; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
