"""Servers that end with their test."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live_server import Server


@pytest.fixture
def a_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Make servers in the test's folder; each is killed, with its agent's keepers, at the end."""
    yield from _servers(tmp_path)


@pytest.fixture(scope="module")
def a_lasting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """The same for all tests of a module."""
    yield from _servers(tmp_path_factory.mktemp("lasting"))


def _servers(parent: Path) -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def make(jobs: dict[str, str], settings: str = "", name: str = "site") -> Server:
        folder = parent / name
        folder.mkdir()
        server = Server(folder, jobs, settings)
        made.append(server)
        return server

    yield make
    for server in made:
        if server.process is not None:
            server.stop()
        _end_all_of(server.folder)


def _end_all_of(folder: Path) -> None:
    """Kill what still runs for this folder: keepers outlive a server on purpose."""
    marker = os.fsencode(str(folder))
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            ours = marker in (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if ours:
            try:
                os.kill(int(entry.name), signal.SIGKILL)
            except ProcessLookupError:
                continue
