"""A network of its own for an agent under test: a namespace behind a pair of virtual cables.

Needs root. What is cut here is cut by the kernel: no packet passes, and nobody is told.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


class Network:
    """`here` is the address of this end, `there` that of the end in the namespace.

    This end is in a namespace too, which the calling thread and what it starts live in while the
    network is open: a browser on this machine drops what it loads whenever an interface of its
    own namespace comes or goes (ERR_NETWORK_CHANGED).
    """

    def __init__(self) -> None:
        self._near, self._far = (f"callsheet{os.getpid()}{side}" for side in ("near", "far"))
        self.here, self.there = "10.200.0.1", "10.200.0.2"
        self._home: int | None = None

    def open(self) -> None:
        """Make it, and move the calling thread into it.

        Raises:
            OSError: it cannot be made here.
        """
        for words in (
            f"netns add {self._near}",
            f"netns add {self._far}",
            f"-n {self._near} link add cable type veth peer name cable netns {self._far}",
            f"-n {self._near} addr add {self.here}/30 dev cable",
            f"-n {self._far} addr add {self.there}/30 dev cable",
            *(
                f"-n {name} link set {link} up"
                for name in (self._near, self._far)
                for link in ("lo", "cable")
            ),
        ):
            done = _ip(words)
            if done.returncode:
                raise OSError(f"ip {words}: {done.stderr.strip()}")
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        near = os.open(f"/run/netns/{self._near}", os.O_RDONLY)
        try:
            _enter(near)
        finally:
            os.close(near)

    def close(self) -> None:
        """Take it away, and the calling thread back to where it was."""
        if self._home is not None:
            _enter(self._home)
            os.close(self._home)
            self._home = None
        _ip(f"netns del {self._near}")
        _ip(f"netns del {self._far}")

    def inside(self, command: list[str]) -> list[str]:
        """Return the command that runs another one at the far end."""
        return ["ip", "netns", "exec", self._far, *command]

    def cut(self) -> None:
        """Let nothing pass, either way."""
        _ip(f"-n {self._near} link set cable down")

    def lose_to_here(self) -> None:
        """Let nothing pass from inside to here."""
        _ip(f"-n {self._far} route add blackhole {self.here}/32")

    def lose_to_there(self) -> None:
        """Let nothing pass from here to inside."""
        _ip(f"-n {self._near} route add blackhole {self.there}/32")

    def heal(self) -> None:
        """Let everything pass again."""
        _ip(f"-n {self._near} link set cable up")
        _ip(f"-n {self._far} route del blackhole {self.here}/32")
        _ip(f"-n {self._near} route del blackhole {self.there}/32")


def _enter(namespace: int) -> None:
    """Move the calling thread into a network namespace (setns(2); os.setns is 3.12's)."""
    if _LIBC.setns(namespace, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


def open_network() -> Network:
    """Return a network, or skip the test where none can be made (in CI: fail)."""
    network = Network()
    try:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise OSError("needs root and ip(8)")
        network.open()
    except OSError as error:
        network.close()
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    return network


def _ip(words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False)
