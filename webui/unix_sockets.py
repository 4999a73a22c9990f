"""Listening on a Unix socket, and who is at its other end.

A socket's file says by its mode who may connect. One that a killed server left behind is replaced;
one at which somebody answers, or that is another kind of file, is not touched.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import socket
import stat
import struct

BACKLOG = 128
ASK_S = 1.0

_CREDENTIALS = struct.Struct("3i")


def listen(path: str, mode: int) -> socket.socket:
    """Return a listening socket at a path.

    Raises:
        OSError: somebody listens there, there is another file, or it cannot be made.
    """
    _make_way(path)
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        # From the first moment nobody else can connect; then whoever is to.
        before = os.umask(0o177)
        try:
            opened.bind(path)
        finally:
            os.umask(before)
        os.chmod(path, mode)
        opened.listen(BACKLOG)
    except BaseException:
        opened.close()
        raise
    return opened


def _make_way(path: str) -> None:
    """Remove a socket that nobody listens on any more."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "there is a file that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        asked.settimeout(ASK_S)
        try:
            asked.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            raise OSError(errno.EADDRINUSE, f"it cannot be asked: {error}") from None
    raise OSError(errno.EADDRINUSE, "another server listens there")


def forget(path: str) -> None:
    """Remove the file of a socket that was closed, unless somebody else listens there by now."""
    with contextlib.suppress(OSError):
        _make_way(path)


def peer_of(opened: socket.socket) -> str:
    """Return who is at the other end, `user NAME`; empty when that cannot be known."""
    try:
        data = opened.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return ""
    _pid, uid, _gid = _CREDENTIALS.unpack(data)
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
