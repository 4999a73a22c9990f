"""Work in portions, shared with a second process, so that it takes half as long on two cores.

Used by the job folder, to read and to check its jobs. This process does the portions from the first
on, a fork of it from the last, and it tells what came of each. Where they meet the work is over.
This process waits for nobody: what it has not been told of by then it does itself. So a fork that
dies, hangs or runs out of memory costs time and nothing else, and whatever is to be found out about
a piece of work is found out here. The fork opens nothing, keeps nothing, and is gone in the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import os
import signal
from collections.abc import Callable
from typing import Any, Generic, NoReturn, Self, TypeVar

import msgspec

T = TypeVar("T")

# What it may have told before it waits for somebody to listen; Linux gives no more to anybody.
PIPE_BYTES = 2**20
LENGTH_BYTES = 4
# Of prctl(2).
PR_SET_PDEATHSIG = 1
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def share_out(count: int, do: Callable[[int], T], kind: type[T]) -> list[T]:
    """Return what `do` makes of each of the portions 0 to `count` - 1, in this order.

    Args:
        count: how many portions there are. Of fewer than two, or with a single core, all are done
            here.
        do: does one; it may be called in a fork of this process, and for the same portion in both.
        kind: what it returns, which msgpack must be able to hold.
    """
    done: list[T] = []
    with contextlib.ExitStack() as stack:
        other = None
        if count > 1 and len(os.sched_getaffinity(0)) > 1:
            with contextlib.suppress(OSError):  # no process or pipe to be had
                other = stack.enter_context(_Other(count, do, kind))
        for number in range(count):
            if other is not None and number in other.told():
                return done + [other.told()[rest] for rest in range(number, count)]
            done.append(do(number))
    return done


class _Other(Generic[T]):
    """The second process, from here. It tells its portions in order, the last one first, each as
    its length and the message itself."""

    def __init__(self, count: int, do: Callable[[int], T], kind: type[T]) -> None:
        """Start it.

        Raises:
            OSError: it cannot be started.
        """
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._told: dict[int, T] = {}
        self._next = count - 1
        self._heard = bytearray()
        first = os.getpid()
        self._from, into = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self._from, False)
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self._from)
            os.close(into)
            raise
        if self._pid == 0:
            _play(count, do, into, first)
        os.close(into)

    def __enter__(self) -> Self:
        """It is at work."""
        return self

    def __exit__(self, *error: object) -> None:
        """End it, wherever it is."""
        os.close(self._from)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def told(self) -> dict[int, T]:
        """Return what has come of its portions so far, by their numbers."""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._from, PIPE_BYTES):
                self._heard += part
        begin = 0
        while (body := begin + LENGTH_BYTES) <= len(self._heard):
            end = body + int.from_bytes(self._heard[begin:body])
            if end > len(self._heard):
                break
            self._told[self._next] = self._decode(self._heard[body:end])
            self._next -= 1
            begin = end
        del self._heard[:begin]
        return self._told


def _play(count: int, do: Callable[[int], Any], into: int, first: int) -> NoReturn:
    """Be the second process of the one with the pid `first`."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == first:
            _tell(count, do, into)
    finally:
        # Whatever was raised: the first process does that portion itself, and meets it there.
        os._exit(0)


def _tell(count: int, do: Callable[[int], Any], into: int) -> None:
    """Do portions and tell of them until there are no more."""
    # What this process has open besides is not its own: nobody must think that the first one lives
    # on when it is this one that still holds its sockets and locks.
    os.closerange(3, into)
    os.closerange(into + 1, os.sysconf("SC_OPEN_MAX"))
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    gc.freeze()  # Looking for garbage among all that was there would copy its pages.
    encode = msgspec.msgpack.Encoder().encode
    for portion in reversed(range(count)):
        body = encode(do(portion))
        left = memoryview(len(body).to_bytes(LENGTH_BYTES) + body)
        while left:
            left = left[os.write(into, left) :]
