"""What Linux says about processes: whether one is still the one that was started, and strays.

Called by the spool and the local host. It never signals by pid alone: a pid may be another's by
now.
"""

from __future__ import annotations

import contextlib
import os
import signal

TICKS = os.sysconf("SC_CLK_TCK")
# The start time in /proc is rounded down to a tick; ours is taken around it.
TICK_SLACK = 2


def boot_id() -> str:
    """Return the id of this boot of the host."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in ticks since boot; None when there is none (a zombie is
    none: it is over)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def is_same(pid: int, low: int, high: int) -> bool:
    """Whether the process with this pid is the one started between two ticks."""
    ticks = start_ticks(pid)
    return ticks is not None and low - TICK_SLACK <= ticks <= high + TICK_SLACK


def carriers(variable: bytes, not_before_ticks: int = 0) -> list[int]:
    """Return the processes whose environment holds `variable` (`NAME=value`), oldest first."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                environ = file.read()
        except OSError:
            continue
        if variable in environ and variable in environ.split(b"\0"):
            ticks = start_ticks(int(entry))
            if ticks is not None and ticks + TICK_SLACK >= not_before_ticks:
                found.append((ticks, int(entry)))
    return [pid for _, pid in sorted(found)]


def open_same(pid: int, low: int, high: int) -> int | None:
    """Return a pidfd of the process if it is the one started between two ticks, else None."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    # Checked after the fd is held: from here on it cannot become another process.
    if is_same(pid, low, high):
        return fd
    os.close(fd)
    return None


def signal_exactly(pid: int, number: int, low: int, high: int) -> bool:
    """Signal a process if it is the one started between two ticks; return whether it was."""
    fd = open_same(pid, low, high)
    if fd is None:
        return False
    try:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(fd, number)
    finally:
        os.close(fd)
    return True
