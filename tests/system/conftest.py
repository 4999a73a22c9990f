"""Servers that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live_server import Server, end_all_of


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
        end_all_of(server.folder)
