"""Gives a forked process a name of its own in `ps`, `top` and `/proc`.

Called once in each role's process, before it has threads. Where the system does not allow it, the
old name stays: a name is a comfort, never a condition.
"""

from __future__ import annotations

import contextlib
import ctypes

PR_SET_NAME = 15
# Opened here, before forks: to do so in each would cost it more than what it is used for.
_LIBC = ctypes.CDLL(None)
# Fields of /proc/self/stat after the command's closing bracket (proc(5): 48 and 49 from 1).
ARG_START, ARG_END = 48 - 3, 49 - 3


def set_title(comm: str, command_line: str) -> None:
    """Name this process `comm` (15 bytes at most) and show `command_line` instead of its arguments,
    cut to the room these have."""
    with contextlib.suppress(OSError, AttributeError):
        _LIBC.prctl(PR_SET_NAME, comm.encode()[:15], 0, 0, 0)
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        start, end = int(fields[ARG_START]), int(fields[ARG_END])
        room = end - start
        if start and room > 1:
            # The arguments are the process's own memory, on its stack; Python has copied them.
            title = command_line.encode()[: room - 1]
            ctypes.memmove(start, title.ljust(room, b"\0"), room)
