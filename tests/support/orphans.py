"""Roles that outlive their server: its supervisor is killed, and they do not notice.

A role ends as soon as the line to its supervisor does. Here a copy of the supervisor's end of the
line is kept, so that a role goes on for as long as a test wants: what one that stands still, or
waits for a disk that does not answer, has milliseconds for.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

from live_server import ROLES, Server, until
from other_users import missing

# The number of the call, which is the same on all platforms of Linux.
PIDFD_GETFD = 438


def _copy_of(pid: int, fd: int) -> int:
    """Return a copy of a descriptor of another process.

    Raises:
        OSError: the kernel has no such call, or does not let us.
    """
    call = ctypes.CDLL(None, use_errno=True).syscall
    handle = os.pidfd_open(pid)
    try:
        found = int(call(PIDFD_GETFD, handle, fd, 0))
    finally:
        os.close(handle)
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Orphans:
    """Roles of a server that was killed; they stand still until they are to `go_on`."""

    def __init__(self, server: Server, *roles: str, unaware: bool) -> None:
        """Kill the server and all its processes but these.

        Args:
            server: it is up.
            roles: those that are left.
            unaware: they do not learn that their supervisor is gone.
        """
        assert server.process is not None
        found = server.processes()
        self.pids = [found[role] for role in roles]
        self._lines: list[int] = []
        if unaware:
            try:
                self._keep_lines(server.process.pid)
            except OSError as error:
                if error.errno not in (errno.ENOSYS, errno.EPERM):
                    raise
                missing(f"a copy of the line of a process: {error.strerror}")
        _signal(self.pids, signal.SIGSTOP)
        server.process.kill()
        server.process.wait()
        others = [found[role] for role in ROLES if role not in roles]
        _signal(others, signal.SIGKILL)
        until(lambda: all(map(gone, others)), "the others to end")

    def _keep_lines(self, pid: int) -> None:
        """Keep what a supervisor has of the lines to its roles."""
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            if os.readlink(entry).startswith("socket:"):
                self._lines.append(_copy_of(pid, int(entry.name)))

    def go_on(self) -> None:
        """Let them go on."""
        _signal(self.pids, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        for fd in self._lines:
            os.close(fd)
        _signal(self.pids, signal.SIGKILL)
        until(lambda: all(map(gone, self.pids)), "the orphans to end")


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
