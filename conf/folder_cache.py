"""What was read of a job folder last, so that only what changed is read again.

Called by the job folder. Entries are known by relative path, and hold while time of change, size
and inode of the file, and the defaults around it, are the same.
"""

from __future__ import annotations

import os
import time

import msgspec

from .. import __version__
from ..jobs.job import Job

# To be raised when the meaning of job files changes without a new version of the package.
CACHE_FORMAT = f"{__version__}/2"
# A file changed so recently may change again without its time showing it: it is not cached.
UNSETTLED_NS = 2_000_000_000


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A job as it was read, the hash of its definition, and that of the defaults around it."""

    mtime_ns: int
    size: int
    inode: int
    hash: str
    job: Job
    defaults: str


class _CacheFile(msgspec.Struct, frozen=True, array_like=True):
    format: str
    entries: dict[str, Entry]


_decode_format = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw]).decode
_decode_cache = msgspec.msgpack.Decoder(_CacheFile).decode


class FolderCache:
    """Jobs as they were read last.

    It belongs to one folder, and only ever spares work: lost or damaged, it is made anew.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self._file = os.fspath(file)
        self._entries: dict[str, Entry] = {}
        self._fresh: dict[str, Entry] = {}
        self._changed = False

    def load(self) -> None:
        """Read the file, if it is there and whole."""
        try:
            with open(self._file, "rb") as file:
                raw = file.read()
            if _decode_format(raw)[0] == CACHE_FORMAT:
                self._entries = _decode_cache(raw).entries
        except (OSError, ValueError):
            self._entries = {}

    def save(self) -> bool:
        """Write what the last load of the folder met; return whether the file is now current."""
        if not self._changed and self._fresh.keys() == self._entries.keys():
            return True
        raw = msgspec.msgpack.encode(_CacheFile(format=CACHE_FORMAT, entries=self._fresh))
        part = f"{self._file}.{os.getpid()}.part"
        try:
            with open(part, "wb") as file:
                file.write(raw)
            os.replace(part, self._file)
        except OSError:
            return False
        self._entries, self._changed = self._fresh, False
        return True

    def begin(self) -> None:
        """A load begins: only what it meets will be kept."""
        self._fresh = {}
        self._changed = False

    def get(self, path: str, found: os.stat_result, defaults: str) -> Entry | None:
        """Return the entry of a file that has not changed, under defaults that have not."""
        entry = self._entries.get(path)
        if (
            entry is None
            or entry.mtime_ns != found.st_mtime_ns
            or entry.size != found.st_size
            or entry.inode != found.st_ino
            or entry.defaults != defaults
        ):
            return None
        self._fresh[path] = entry
        return entry

    def put(self, path: str, entry: Entry) -> None:
        """Keep a job that was read, unless its file is too young to be trusted."""
        if time.time_ns() - entry.mtime_ns < UNSETTLED_NS:
            return
        self._changed = True
        self._fresh[path] = entry
