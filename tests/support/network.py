"""A network of its own for agents under test: namespaces, each behind virtual cables of its own.

Needs root. What is cut here is cut by the kernel: no packet passes, and nobody is told.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
# linux/sockios.h and linux/ethtool.h
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17
_BAD_CABLE = Path(__file__).with_name("bad_cable.py")


class Cable:
    """Leads from here to a namespace of its own: `here` is the address of this end, `there` that
    of the far one. A `bad` one loses and delays (`bad_cable.py`) until it is `mended`."""

    def __init__(self, near: str, number: int, *, bad: bool) -> None:
        self.here, self.there = f"10.200.{number}.1", f"10.200.{number}.2"
        self._near, self._far, self._between = near, f"{near}far{number}", f"{near}mid{number}"
        self._link = f"cable{number}"
        self._is_bad = bad
        self._process: subprocess.Popen[str] | None = None

    def open(self) -> None:
        """Lay it.

        Raises:
            OSError: it cannot be laid here.
        """
        _must(f"netns add {self._far}")
        ends = [(self._near, self._link, self.here), (self._far, "cable", self.there)]
        if self._is_bad:
            _must(f"netns add {self._between}")
            for side, (name, link, _) in zip(("east", "west"), ends, strict=True):
                _must(f"-n {name} link add {link} type veth peer name {side} netns {self._between}")
                _must(f"-n {self._between} link set {side} up")
        else:
            _must(
                f"-n {self._near} link add {self._link} type veth peer name cable netns {self._far}"
            )
        for name, link, address in ends:
            _must(f"-n {name} addr add {address}/30 dev {link}")
            for each in ("lo", link):
                _must(f"-n {name} link set {each} up")
        if self._is_bad:
            for name, link, _ in ends:
                with _within(name):
                    _send_whole_frames(link)
            self._process = subprocess.Popen(
                [*_inside(self._between), sys.executable, str(_BAD_CABLE), "east", "west", "1"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert self._process.stdout is not None
            assert self._process.stdout.readline() == "ready\n"

    def mend(self) -> None:
        """Let a bad cable be as good as any."""
        assert self._process is not None, "it is a good one"
        assert self._process.stdin is not None
        self._process.stdin.write("be good\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """Take it away."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(60)
        for name in (self._far, *([self._between] if self._is_bad else [])):
            _ip(f"netns del {name}")

    def inside(self, command: list[str]) -> list[str]:
        """Return the command that runs another one at the far end."""
        return [*_inside(self._far), *command]

    def cut(self) -> None:
        """Let nothing pass, either way."""
        _ip(f"-n {self._near} link set {self._link} down")

    def lose_to_here(self) -> None:
        """Let nothing pass from there to here."""
        _ip(f"-n {self._far} route add blackhole {self.here}/32")

    def lose_to_there(self) -> None:
        """Let nothing pass from here to there."""
        _ip(f"-n {self._near} route add blackhole {self.there}/32")

    def heal(self) -> None:
        """Let everything pass again."""
        _ip(f"-n {self._near} link set {self._link} up")
        _ip(f"-n {self._far} route del blackhole {self.here}/32")
        _ip(f"-n {self._near} route del blackhole {self.there}/32")


class Network:
    """This end of all `cables`, by their names.

    This end is in a namespace too, which the calling thread and what it starts live in while the
    network is open: a browser on this machine drops what it loads whenever an interface of its
    own namespace comes or goes (ERR_NETWORK_CHANGED).
    """

    def __init__(self, good: tuple[str, ...], bad: tuple[str, ...] = ()) -> None:
        self._near = f"callsheet{os.getpid()}near"
        self.cables = {
            name: Cable(self._near, number, bad=name in bad)
            for number, name in enumerate((*good, *bad))
        }
        self._home: int | None = None

    def open(self) -> None:
        """Make it, and move the calling thread into it.

        Raises:
            OSError: it cannot be made here.
        """
        _must(f"netns add {self._near}")
        for cable in self.cables.values():
            cable.open()
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _enter(self._near)

    def close(self) -> None:
        """Take it away, and the calling thread back to where it was."""
        if self._home is not None:
            _set(self._home)
            os.close(self._home)
            self._home = None
        for cable in self.cables.values():
            cable.close()
        _ip(f"netns del {self._near}")


def _send_whole_frames(link: str) -> None:
    """Have checksums and segments made before frames leave by a link: what takes them as they
    are (a packet socket) would get them unfinished."""
    value = ctypes.create_string_buffer(struct.pack("II", _ETHTOOL_STXCSUM, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sP", link.encode(), ctypes.addressof(value))
        fcntl.ioctl(any_socket, _SIOCETHTOOL, request)


@contextmanager
def _within(name: str) -> Iterator[None]:
    """Be in a network namespace, by the calling thread."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    _enter(name)
    try:
        yield
    finally:
        _set(home)
        os.close(home)


def _enter(name: str) -> None:
    namespace = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        _set(namespace)
    finally:
        os.close(namespace)


def _set(namespace: int) -> None:
    """Move the calling thread into a network namespace (setns(2); os.setns is 3.12's)."""
    if _LIBC.setns(namespace, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


def open_network(good: tuple[str, ...], bad: tuple[str, ...] = ()) -> Network:
    """Return a network, or skip the test where none can be made (in CI: fail)."""
    network = Network(good, bad)
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


def _inside(name: str) -> list[str]:
    return ["ip", "netns", "exec", name]


def _must(words: str) -> None:
    done = _ip(words)
    if done.returncode:
        raise OSError(f"ip {words}: {done.stderr.strip()}")


def _ip(words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False)
