"""Folders of programs that live long, in places where files do not: `/tmp` and the like."""

from __future__ import annotations

import contextlib
import fcntl
import os


def hold(folder: str | os.PathLike[str]) -> None:
    """Have a folder stay, and what is below it, until this process ends.

    `systemd-tmpfiles` removes what nobody has touched for days, be it a link or a file of a living
    program, unless it is below a folder that is locked (tmpfiles.d(5), on the age of files). Where
    a folder cannot be locked nothing happens.
    """
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        # Shared: whoever comes after this process holds it as well. The descriptor stays open:
        # closed, it would end the lock.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
