"""What holds for all tests: the order they are handed out in."""

from __future__ import annotations

import pytest

# Those that wait for real processes, longest first: handed out last they would leave all workers
# but one with nothing to do.
LONG = ("simulation", "system", "browser", "cli")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the long rooms first; the order inside a file stays."""
    here = config.rootpath / "tests"

    def rank(item: pytest.Item) -> int:
        room = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        return LONG.index(room) if room in LONG else len(LONG)

    items.sort(key=rank)
