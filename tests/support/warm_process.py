"""The process that `warm.py` has programs forked from: `warm_process.py FD MODULE … ROOM`.

It imports the modules, and then does what comes by the socket FD: forks, and buries. ROOM is an
argument of no meaning but its length.
"""

from __future__ import annotations

import array
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from pathlib import Path
from typing import Any

ORDER_BYTES = 2**20


def main() -> None:
    """Import, and fork as often as is asked for; in a fork, be the program."""
    line = socket.socket(fileno=int(sys.argv[1]))
    # A Ctrl-C is for the tests, whose end is this one's too.
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
    del sys.path[0]
    for name in sys.argv[2:-1]:
        importlib.import_module(name)
    assert len(os.listdir("/proc/self/task")) == 1, "a fork has one thread: expected no other here"
    gc.collect()
    gc.freeze()
    while True:
        order, fds = _order(line)
        if "ended" in order:
            line.send(b"%d" % os.waitpid(order["ended"], 0)[1])
            continue
        pid = os.fork()
        if not pid:
            break
        line.send(b"%d" % pid)
        for fd in fds:
            os.close(fd)
    line.close()
    signal.signal(signal.SIGINT, interrupted)
    _become(order, fds)


def _order(line: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for what is to be done; end when nobody is left to say so."""
    room = socket.CMSG_LEN(3 * array.array("i").itemsize)
    data, rights, _, _ = line.recvmsg(ORDER_BYTES, room)
    if not data:
        os._exit(0)
    fds = array.array("i")
    for _, _, content in rights:
        fds.frombytes(content)
    order: dict[str, Any] = json.loads(data)
    return order, list(fds)


def _become(order: dict[str, Any], fds: list[int]) -> None:
    """Be the program of an order, to the end of this process."""
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    for name, text in order["env"].items():
        os.environ.pop(name, None)
        if text is not None:
            os.environ[name] = text
    os.chdir(order["cwd"])
    argv = order["argv"]
    sys.orig_argv[:] = argv
    sys.argv[:] = argv[2:]
    sys.path.insert(0, order["cwd"])
    _show(argv)
    module = argv[2]
    # `python -m` runs a module that nobody has imported; others may have, and keep what they have.
    sys.modules.pop(module, None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _show(argv: list[str]) -> None:
    """Put arguments in the place of those that this process was started with, for `ps`."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    # proc(5): fields 48 and 49, of which two stand before the bracket.
    start, end = int(fields[45]), int(fields[46])
    text = b"".join(os.fsencode(word) + b"\0" for word in argv)
    assert len(text) <= end - start, f"{argv}: longer than the {end - start} bytes of room for it"
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


if __name__ == "__main__":
    main()
