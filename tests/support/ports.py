"""Ports for servers that tests start, each for one of all the tests that run on this machine.

A port that the kernel picks is soon picked again: for another test, or for any connection that goes
out. A server that is killed and started anew would find it taken. So ports are taken from below
those that the kernel gives away, and are claimed by a lock that ends with the process.
"""

from __future__ import annotations

import fcntl
import functools
import os
import random
import socket
import tempfile
from pathlib import Path

KERNELS = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST, KERNELS_LOWEST = 10_000, 32_768

_mine: set[int] = set()


def free_port(in_a_row: int = 1) -> int:
    """Return a port of the loopback address that nobody listens on, and that is for this process
    alone; with as many after it as are asked for."""
    kernels = kernels_lowest()
    while True:
        # Where the kernel gives all away, any may be lost.
        port = random.randrange(LOWEST, kernels if kernels > LOWEST + 1_000 else 60_000)
        if all(claim(port + more) for more in range(in_a_row)):
            return port


def kernels_lowest() -> int:
    """Return the lowest port that the kernel gives to who asks for any."""
    try:
        return int(KERNELS.read_text().split()[0])
    except OSError:
        return KERNELS_LOWEST


def claim(port: int) -> bool:
    """Take a port for this process; False where somebody has it."""
    if port in _mine:
        return False
    try:
        fcntl.lockf(_locked_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _mine.add(port)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@functools.cache
def _locked_file() -> int:
    """Return the file whose bytes are locked, one for each port. It stays open as long as the
    process lives: with the first that is closed all locks of a process are gone."""
    path = Path(tempfile.gettempdir()) / f"callsheet-ports-of-tests.{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
