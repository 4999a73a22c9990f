"""A keeper's end of the line to agentd: one agentd at a time, the latest that has called.

Owned by `keeper.py`, which loads this by itself: it needs nothing but the standard library. It
knows nothing of processes. An agentd that does not read is hung up on; it reads the spool then.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import socket
import sys
import time
from collections import deque

# (`typing` itself would be a tenth of a keeper's memory.)
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What agentd has not read yet; beyond it the connection is cut, and agentd reads the spool.
UNSENT_AT_MOST = 4_096
DATAGRAM_BYTES = 60_000
# A call that cannot be answered now is looked at again after this time.
BUSY_S = 0.05


class Line:
    """See the module. `told` is what agentd is to be told next."""

    def __init__(self, folder: str, name: str, epoll: select.epoll) -> None:
        self.told: list[list[Any]] = []
        self.agent: socket.socket | None = None
        self._unsent: deque[bytes] = deque()
        # Whether we are woken when agentd has read some of it.
        self._waits = False
        self._socket = listen(folder, f"{name}.sock")
        self._epoll = epoll
        epoll.register(self._socket, select.EPOLLIN)

    def is_call(self, fd: int) -> bool:
        """Whether what happened is that an agentd calls."""
        return fd == self._socket.fileno()

    def answer(self) -> socket.socket | None:
        """Return the connection of an agentd that calls, None when it has given up."""
        try:
            return self._socket.accept()[0]
        except BlockingIOError:
            return None
        except OSError as error:
            # No more files may be opened now. The call waits, and must not keep us busy meanwhile.
            say(f"agentd: cannot be answered yet: {error.strerror}")
            time.sleep(BUSY_S)
            return None

    def take(self, new: socket.socket, introduction: list[list[Any]]) -> None:
        """Speak with a new agentd, now that nobody is on the line: who we are, and `ready`."""
        assert self.agent is None, "hang up first"
        new.setblocking(False)
        new.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.agent, self._waits = new, False
        self._epoll.register(new, select.EPOLLIN)
        self._unsent += [json.dumps([item]).encode() for item in introduction]
        self._unsent.append(b'[["ready"]]')

    def hear(self) -> list[list[Any]]:
        """Return what agentd asks; it is gone when nothing comes."""
        asked: list[list[Any]] = []
        while self.agent is not None:
            try:
                data = self.agent.recv(1 << 20)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.hang_up()
                break
            try:
                asked += json.loads(data)
            except (ValueError, TypeError) as error:
                self.not_understood(error)
        return asked

    def not_understood(self, error: Exception) -> None:
        """Nothing an agentd says may end a keeper: its jobs would lose their parent."""
        say(f"agentd: not understood: {error}")
        self.hang_up()

    def hang_up(self) -> None:
        """The connection is over, as may have been found out already."""
        if self.agent is None:
            return
        self._epoll.unregister(self.agent)
        self.agent.close()
        self.agent = None
        self._unsent.clear()
        self.told.clear()

    def close(self) -> None:
        """Let nobody call any more."""
        self._socket.close()

    def send(self) -> None:
        """Send what there is to tell, as far as agentd takes it."""
        if self.agent is None:
            self.told.clear()
            return
        for i in range(0, len(self.told), 40):
            self._unsent.append(json.dumps(self.told[i : i + 40]).encode())
        self.told.clear()
        if not self._unsent:
            return
        try:
            while self._unsent:
                self.agent.send(self._unsent[0])
                self._unsent.popleft()
        except BlockingIOError:
            self._epoll.modify(self.agent, select.EPOLLIN | select.EPOLLOUT)
            self._waits = True
            if len(self._unsent) > UNSENT_AT_MOST:
                self.hang_up()
        except OSError:
            self.hang_up()
        else:
            if self._waits:
                self._epoll.modify(self.agent, select.EPOLLIN)
                self._waits = False


def lock(path: str, text: str) -> int:
    """Take the lock for as long as this process lives; end when another keeper has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(0)
    os.ftruncate(fd, 0)
    os.write(fd, text.encode() + b"\n")
    return fd


def listen(folder: str, name: str) -> socket.socket:
    """Bind the socket, for this user alone. The detour over /proc is for long paths."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=fd)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mask = os.umask(0o177)
    made.bind(f"/proc/self/fd/{fd}/{name}")
    os.umask(mask)
    os.close(fd)
    made.listen(8)
    made.setblocking(False)
    return made


def say(text: str) -> None:
    """Write a line into the log of the keeper; a full disk is no reason to end."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)
