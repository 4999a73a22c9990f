"""What the checker is told of the host besides the store: disks, and how far the clock was set.

The only module of the checker that asks the operating system; called by its core as a port.
"""

from __future__ import annotations

import os
import time

import msgspec


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """The file system below a path: bytes that are free to us, and all there are."""

    path: str
    free_bytes: int
    all_bytes: int


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What there is. `begun_us`: by the clock on the wall, when the host was started; it changes by
    as much as that clock is set. `log_bytes`: the database's write-ahead log."""

    disks: list[Disk] = []
    begun_us: int = 0
    log_bytes: int = 0


def look_around(database: str, outputs: str) -> Surroundings:
    """Return what there is now; a disk that cannot be asked is left out."""
    disks: dict[int, Disk] = {}
    for path in (database, outputs):
        try:
            device = os.stat(path).st_dev
            found = os.statvfs(path)
        except OSError:
            continue
        free_bytes, all_bytes = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
        disks.setdefault(device, Disk(path=path, free_bytes=free_bytes, all_bytes=all_bytes))
    try:
        log_bytes = os.stat(f"{database}-wal").st_size
    except OSError:
        log_bytes = 0
    since_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    begun_us = (time.time_ns() - since_ns) // 1000
    return Surroundings(disks=list(disks.values()), begun_us=begun_us, log_bytes=log_bytes)
