"""A network of its own for an agent under test: a namespace behind a pair of virtual cables.

Needs root. What is cut here is cut by the kernel: no packet passes, and nobody is told.
"""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


class Network:
    """`here` is the address of this end, `there` that of the end in the namespace."""

    def __init__(self) -> None:
        number = os.getpid() % 16_000
        self.name = f"callsheet{os.getpid()}"
        self._link = f"csn{os.getpid()}"
        octets = f"10.{200 + number // 4_000}.{number % 4_000 // 16}"
        first = number % 16 * 4
        self.here, self.there = f"{octets}.{first + 1}", f"{octets}.{first + 2}"

    def open(self) -> None:
        """Make it.

        Raises:
            OSError: it cannot be made here.
        """
        peer = f"{self._link}p"
        for words in (
            f"netns add {self.name}",
            f"link add {self._link} type veth peer name {peer} netns {self.name}",
            f"addr add {self.here}/30 dev {self._link}",
            f"link set {self._link} up",
            f"-n {self.name} addr add {self.there}/30 dev {peer}",
            f"-n {self.name} link set {peer} up",
            f"-n {self.name} link set lo up",
        ):
            done = _ip(words)
            if done.returncode:
                raise OSError(f"ip {words}: {done.stderr.strip()}")

    def close(self) -> None:
        """Take it away."""
        _ip(f"netns del {self.name}")
        _ip(f"link del {self._link}")

    def inside(self, command: list[str]) -> list[str]:
        """Return the command that runs another one inside."""
        return ["ip", "netns", "exec", self.name, *command]

    def cut(self) -> None:
        """Let nothing pass, either way."""
        _ip(f"link set {self._link} down")

    def lose_to_here(self) -> None:
        """Let nothing pass from inside to here."""
        _ip(f"-n {self.name} route add blackhole {self.here}/32")

    def lose_to_there(self) -> None:
        """Let nothing pass from here to inside."""
        _ip(f"route add blackhole {self.there}/32")

    def heal(self) -> None:
        """Let everything pass again."""
        _ip(f"link set {self._link} up")
        _ip(f"-n {self.name} route del blackhole {self.here}/32")
        _ip(f"route del blackhole {self.there}/32")


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
