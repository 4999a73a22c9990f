"""The record of a claim: one file of fixed slots, each written by one call.

Read by the spool; written by it and by keepers, which load this by itself (`keeper.py`): it needs
nothing but the standard library. A text in a slot ends with a newline; one without was never
finished.
"""

from __future__ import annotations

import os
import time

# (offset, length): by agentd with the claim, the boot of the host it was made in.
BOOT = (24, 40)
# By a keeper before it starts the process, when it lives, and when it is over.
STARTED, PID, EXIT = (64, 192), (256, 64), (512, 1024)
# What agentd did to the process, and after a length in 8 digits what is to be run.
ACTS = (1536, 512)
SPEC_OFFSET = 2048
# What lies in a claim is written, never what it may have been made to point to; and were it made a
# pipe, nobody would wait for whoever reads that.
WRITING = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# The same for what is read.
READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
TICKS = os.sysconf("SC_CLK_TCK")


def write(path: str, slot: tuple[int, int], text: str) -> None:
    """Write a text into a slot of a record, in one call: it is there whole or not at all."""
    offset, length = slot
    data = text.encode("utf-8", "surrogateescape")[: length - 1]
    fd = os.open(path, WRITING)
    try:
        os.pwrite(fd, data + b"\n" if data else b"\0" * length, offset)
    finally:
        os.close(fd)


def boot_ticks() -> int:
    """Return the time since boot in the clock ticks of /proc/PID/stat."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * TICKS)
