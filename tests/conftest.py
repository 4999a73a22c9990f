"""What holds for all tests: the order they are handed out in, and which are tried again."""

from __future__ import annotations

import os

import pytest

# Those that wait for real processes, longest first: handed out last they would leave all workers
# but one with nothing to do.
LONG = ("simulation", "chaos", "system", "browser", "cli")
# Those that have real processes, sockets and browsers in them. A machine of CI that stands still
# in the midst of one may fail it, so there it is tried once more, and the summary names it: a test
# that is named there is a defect, of itself or of callsheet. All others say the same each time.
REAL = {"chaos", "system", "browser", "cli", "agentd", "api", "wire"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the long rooms first; the order inside a file stays."""
    here = config.rootpath / "tests"

    def room(item: pytest.Item) -> str:
        return item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""

    items.sort(key=lambda item: LONG.index(room(item)) if room(item) in LONG else len(LONG))
    if os.environ.get("CI"):
        for item in items:
            if room(item) in REAL:
                item.add_marker(pytest.mark.flaky(reruns=1))
