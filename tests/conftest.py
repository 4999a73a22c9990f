"""What holds for all tests: the order they are handed out in, and which are tried again."""

from __future__ import annotations

import os

import pytest

# Those that wait for real processes, longest first: handed out last they would leave all workers
# but one with nothing to do.
LONG = ("simulation", "chaos", "system", "browser", "cli")
# Those without a process, thread, socket or clock of the real world: they say the same each time.
# Any other may fail where a machine of CI stands still in the midst of it, so there it is tried
# once more, and the summary names it: such a test is a defect, of itself or of callsheet.
PURE = {"jobs", "messages", "simulation", "sweep"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the long rooms first; the order inside a file stays."""
    here = config.rootpath / "tests"

    def room(item: pytest.Item) -> str:
        return item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""

    items.sort(key=lambda item: LONG.index(room(item)) if room(item) in LONG else len(LONG))
    if os.environ.get("CI"):
        for item in items:
            if room(item) not in PURE:
                item.add_marker(pytest.mark.flaky(reruns=1))
