"""Opens files below a folder, by paths that somebody else may have had a hand in.

Called by whoever reads or writes outputs. Every part of a path is opened by its name in the folder
before it, and no link is followed: whatever lies there, nothing outside the folder is reached.
"""

from __future__ import annotations

import errno
import os

# Part of a path that means another folder, or none.
_ODD = frozenset({"", ".", ".."})
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_below(root: str, path: str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """Open a regular file by its path below a folder; return its descriptor.

    Args:
        root: the folder, which itself may be reached by links.
        path: relative, with `/` between names.

    Raises:
        OSError: EINVAL: the path is none (empty names, `.`, `..`, NUL); ELOOP or ENOTDIR: there is
            a link in it; EPERM: it is no regular file; else as `os.open`.
    """
    names = path.split("/")
    if "\0" in root or "\0" in path or not _ODD.isdisjoint(names):
        raise OSError(errno.EINVAL, "leads elsewhere", path)
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names[:-1]:
            below = os.open(name, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        # A pipe would have us wait for whoever writes it.
        kept = flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(names[-1], kept, mode, dir_fd=folder)
    finally:
        os.close(folder)
    if not os.path.isfile(fd):
        os.close(fd)
        raise OSError(errno.EPERM, "is not a file", path)
    return fd
