"""What Linux says about processes: whether one is still the one that was started, and strays.

Called by the spool and the local host. It never signals by pid alone: a pid may be another's by
now. Executed by itself, as another user, it signals that user's processes of an attempt
(`reach.py`); so it needs nothing but the standard library.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# The start time in /proc is rounded down to a tick; ours is taken around it.
TICK_SLACK = 2
# A process that has begun to end, in the flags of /proc/PID/stat.
PF_EXITING = 4
# Read of an environment at a time.
ENVIRON_BYTES = 2**15
# Who forks while it is being killed is looked for again, so often at most.
KILL_ROUNDS = 20
ROUND_S = 0.05


class Stat(NamedTuple):
    """What /proc says of a process; `ticks` since boot is when it started."""

    pid: int
    parent: int
    group: int
    session: int
    ticks: int


def boot_id() -> str:
    """Return the id of this boot of the host."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def booted_us() -> int:
    """Return when this host was started, by its wall clock as it is now."""
    return (time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) // 1_000


def stat_of(pid: int) -> Stat | None:
    """Return what a process is; None when there is none (a zombie is none: it is over)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    return Stat(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def is_dying(pid: int) -> bool:
    """Return whether a process is on its way out: it is exiting, or a SIGKILL waits for it."""
    kill = 1 << (signal.SIGKILL - 1)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            flags = int(file.read().rpartition(b")")[2].split()[6])
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as lines:
            waiting = [int(line.split()[1], 16) for line in lines if line[3:8] == "Pnd:\t"]
    except OSError:
        return True
    return bool(flags & PF_EXITING) or any(mask & kill for mask in waiting)


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in ticks since boot; None when there is none."""
    stat = stat_of(pid)
    return None if stat is None else stat.ticks


def is_same(pid: int, low: int, high: int) -> bool:
    """Whether the process with this pid is the one started between two ticks."""
    ticks = start_ticks(pid)
    return ticks is not None and low - TICK_SLACK <= ticks <= high + TICK_SLACK


def name_of(pid: int) -> str:
    """Return the short name of a process, empty when there is none."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def is_roots(pid: int) -> bool:
    """Whether a process acts as root."""
    try:
        return os.stat(f"/proc/{pid}").st_uid == 0
    except OSError:
        return False


def everybody() -> dict[int, Stat]:
    """Return all processes by pid."""
    pids = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return {stat.pid: stat for pid in pids if (stat := stat_of(pid)) is not None}


def below(pids: Iterable[int], known: dict[int, Stat]) -> list[Stat]:
    """Return the processes that descend from some others, those not among them."""
    roots = set(pids)
    found: dict[int, Stat] = {}
    grown = True
    while grown:
        grown = False
        for stat in known.values():
            if stat.pid not in found and (stat.parent in found or stat.parent in roots):
                found[stat.pid] = stat
                grown = True
    return [stat for stat in found.values() if stat.pid not in roots]


def children_of(pid: int) -> list[int]:
    """Return the children of a process of one thread, none when that cannot be said."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def variable_of(pid: int, name: bytes) -> bytes:
    """Return a variable of a process as it was executed; empty when it has none, or hides it."""
    try:
        fd = os.open(f"/proc/{pid}/environ", os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.read(fd, ENVIRON_BYTES)
            while more := os.read(fd, ENVIRON_BYTES):
                data += more
        finally:
            os.close(fd)
    except OSError:
        return b""
    words = data.split(b"\0")
    return next((word[len(name) + 1 :] for word in words if word.startswith(name + b"=")), b"")


def marks(name: bytes, known: Iterable[int]) -> dict[bytes, list[int]]:
    """Return which of the `known` processes carry each value of a variable."""
    found: dict[bytes, list[int]] = {}
    for pid in known:
        value = variable_of(pid, name)
        if value:
            found.setdefault(value, []).append(pid)
    return found


def usages(leaders: set[int]) -> dict[int, tuple[int, int]]:
    """Return the memory (bytes) and processor time (µs) of whole sessions, by their leaders.

    Memory that processes share counts for each of them. What has left its session is not counted.
    """
    found: dict[int, tuple[int, int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        session = int(fields[3])
        if session in leaders:
            rss_bytes, cpu_us = found.get(session, (0, 0))
            ticks = sum(int(field) for field in fields[11:15])
            found[session] = (
                rss_bytes + int(fields[21]) * PAGE_BYTES,
                cpu_us + ticks * 1_000_000 // TICKS,
            )
    return found


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
        signal.pidfd_send_signal(fd, number)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(fd)
    return True


def signal_all(stats: Iterable[Stat], number: int) -> int:
    """Signal processes that are still the same; return how many were."""
    return sum(signal_exactly(stat.pid, number, stat.ticks, stat.ticks) for stat in stats)


def signal_marked(variable: bytes, number: int, *, whole: bool) -> int:
    """Signal the first process that carries `variable`; return how many were signalled.

    `whole`: its group too, and with SIGKILL all that carry it or descend from one that does.
    """
    known = everybody()
    marked = [pid for pid in carriers(variable) if pid in known and pid != os.getpid()]
    firsts = [pid for pid in marked if known[pid].parent not in marked]
    if not firsts:
        return 0
    first = known[firsts[0]]
    if not whole:
        return signal_all([first], number)
    targets = {stat.pid: stat for stat in known.values() if stat.group == first.group}
    if number == signal.SIGKILL:
        targets |= {pid: known[pid] for pid in marked}
        targets |= {stat.pid: stat for stat in below(marked, known)}
    return signal_all(targets.values(), number)


def main(variable: str, number: int, whole: str, patience_s: float) -> int:
    """Signal an attempt's processes of this user, once there are some; print how many."""
    until = time.monotonic() + patience_s
    reached = signal_marked(variable.encode(), number, whole=bool(whole))
    while not reached and time.monotonic() < until:
        time.sleep(ROUND_S)
        reached = signal_marked(variable.encode(), number, whole=bool(whole))
    if number == signal.SIGKILL:
        for _ in range(KILL_ROUNDS):
            if not signal_marked(variable.encode(), number, whole=bool(whole)):
                break
            time.sleep(ROUND_S)
    sys.stdout.write(f"{reached}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])))
