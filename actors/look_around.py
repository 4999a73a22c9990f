"""Asks the operating system for what the checker wants to know of the host; its core's port."""

from __future__ import annotations

import os
import time

from .surroundings import Disk, Surroundings


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
