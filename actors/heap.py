"""Gives back to the system what a process at rest has freed and keeps.

C's heap keeps what is freed between what is not; a burst of runs, or a look at many, leaves
megabytes of it behind in each process. Used by stages with their beats. Where the C library has no
`malloc_trim` nothing is given back.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# A process that has grown by less since the last time has nothing to give back.
GROWN_BYTES = 2**19


def resident_bytes() -> int:
    """Return how much of this process is in memory."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * PAGE_BYTES


class Heap:
    """See the module. One for a process; used by one thread."""

    def __init__(self) -> None:
        self._trim = _malloc_trim()
        self._rests_at_bytes = 0

    def tidy(self) -> bool:
        """Give back what is free, if the process has grown since the last time; say whether."""
        if self._trim is None or resident_bytes() < self._rests_at_bytes + GROWN_BYTES:
            return False
        self._trim(0)
        self._rests_at_bytes = resident_bytes()
        return True


def _malloc_trim() -> Callable[[int], int] | None:
    """Return the function of the C library (glibc's), None where it has none."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except AttributeError:
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    found: Callable[[int], int] = trim
    return found
