"""The lock of a spool: one agentd at a time.

Called by the spool, which gives it back. The kernel lets go of the lock when the last descriptor of
it is closed. One that is killed while it starts a keeper leaves a copy to a process that has not
executed its program yet and closes it when it does. The next agentd, which may be there sooner,
waits for that; so the lock says who has it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable

from ..jobs.errors import UserError
from . import procs

# Longer than a process takes from its fork to its program, on whatever host.
LOOKS = 1_000
LOOK_S = 0.01
# Of a pid and the end of its line.
BYTES = 20


class SpoolTaken(UserError):
    """Another agentd uses the spool."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path}: another agentd uses this spool: expected a spool of its own")


def take(spool: str, pause: Callable[[float], None] = time.sleep) -> int:
    """Lock a spool, a folder that is there, and return the descriptor that holds the lock.

    Args:
        spool: its path.
        pause: waits so many seconds.

    Raises:
        SpoolTaken: another agentd has it: one that lives, or nobody knows which for `LOOKS` looks.
        OSError: the folder cannot be written.
    """
    fd = os.open(f"{spool}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(LOOKS):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _lives(_holder(fd)):
                break
            pause(LOOK_S)
        else:
            # On a full disk it is not said, and the next one waits a little longer for nothing.
            with contextlib.suppress(OSError):
                os.pwrite(fd, f"{os.getpid()}\n".encode().ljust(BYTES), 0)
            return fd
    os.close(fd)
    raise SpoolTaken(spool)


def _holder(fd: int) -> int:
    """Return the pid that the lock names; 0 when it names none."""
    text = os.pread(fd, BYTES, 0).strip()
    return int(text) if text.isdigit() else 0


def _lives(pid: int) -> bool:
    """Whether a process goes on. In a container that was started anew, one of before may have had
    the pid that is ours."""
    if pid in {0, os.getpid()} or procs.stat_of(pid) is None:
        return False
    return not procs.is_dying(pid)
