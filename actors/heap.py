"""Gives back to the system what a process at rest has freed and keeps.

C's heap keeps what is freed between what is not; a burst of runs, or a look at many, leaves
megabytes of it behind in each process. Used by stages with their beats. Where the C library has no
`malloc_trim` nothing is given back.

And fills Python's own heap before forks, so that they begin on pages of their own, and has C's heap
give back large blocks at once.
"""

from __future__ import annotations

import ctypes
import os
import sys
from array import array
from collections.abc import Callable

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# A process that has grown by less since the last time has nothing to give back.
GROWN_BYTES = 2**19
# What is large, for C's heap: its own numbers at first. Both names are glibc's.
LARGE_BYTES = 2**17
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# Python's heap: its pools have blocks of one size each, which is up to so many bytes.
POOL_BYTES = 2**14
BLOCK_BYTES = range(16, 513, 16)
# What a pool has besides its blocks, and blocks of it that somebody may have taken meanwhile.
HEAD_BYTES, SLACK_BLOCKS = 48, 4
# More holes of one size than these are none: this is another heap than the one that is meant.
MOST_BYTES = 2**18


def resident_bytes() -> int:
    """Return how much of this process is in memory."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * PAGE_BYTES


def _malloc_trim() -> Callable[[int], int] | None:
    """Return the function of the C library (glibc's), None where it has none."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except AttributeError:
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    found: Callable[[int], int] = trim
    return found


# Found here, before forks: to look for it in each would copy pages that they share.
_TRIM = _malloc_trim()


def forget_looked_up() -> None:
    """Let go of the names that were last looked up at types, for one that forks.

    Python remembers some thousand. Each fork would let go of them one by one, for those that it
    looks up itself, and copy the page of each: 0.4 MB.
    """
    # (A later Python may have it under another name.)
    forget = getattr(sys, "_clear_type_cache", None)
    if forget is not None:
        forget()


def keep_thresholds() -> None:
    """Have C's heap give back each large block when it is freed, here and in forks.

    By itself it does so only at first: a block that was freed raises the size from which on the
    next ones come from the system, and what may stay free at a heap's end, to megabytes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_TRIM_THRESHOLD, LARGE_BYTES)


class Heap:
    """See the module. One for a process; used by one thread."""

    def __init__(self) -> None:
        self._trim = _TRIM
        self._rests_at_bytes = 0

    def tidy(self, let_go: Callable[[], None] = lambda: None) -> bool:
        """Give back what is free, if the process has grown since the last time; say whether.

        Args:
            let_go: frees before what can be had again, as caches are.
        """
        if self._trim is None or resident_bytes() < self._rests_at_bytes + GROWN_BYTES:
            return False
        let_go()
        self._trim(0)
        self._rests_at_bytes = resident_bytes()
        return True


def fill_holes() -> int:
    """Take what is free between the objects of this process, for good; return how many bytes.

    For one that forks, when it has all that its forks are to share: the first objects of each fork
    would fill these holes, and copy a shared page for almost each of them.
    """
    return sum(_fill(size) for size in reversed(BLOCK_BYTES))


def _fill(size: int) -> int:
    """Take blocks of a size until they are those of an empty pool, which are put back."""
    take, put_back = ctypes.pythonapi.PyObject_Malloc, ctypes.pythonapi.PyObject_Free
    take.argtypes, take.restype = [ctypes.c_size_t], ctypes.c_void_p
    put_back.argtypes, put_back.restype = [ctypes.c_void_p], None
    whole = (POOL_BYTES - HEAD_BYTES) // size - SLACK_BLOCKS
    taken, in_pool = array("Q"), 0
    while in_pool < whole and len(taken) * size < MOST_BYTES:
        block = take(size)
        same = in_pool and block // POOL_BYTES == taken[-1] // POOL_BYTES
        in_pool = in_pool + 1 if same else 1
        taken.append(block)
    kept = len(taken) - in_pool if in_pool >= whole else 0
    for block in reversed(taken[kept:]):
        put_back(block)
    return kept * size
