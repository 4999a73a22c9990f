"""What holds for all tests: the order they are handed out in, and which are tried again."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import tempfile
from collections.abc import Generator

import pytest

# Those that wait for real processes, longest first: handed out last they would leave all workers
# but one with nothing to do.
LONG = ("simulation", "chaos", "system", "browser", "cli")
# Those without a process, thread, socket or clock of the real world: they say the same each time.
# Any other may fail where a machine of CI stands still in the midst of it, so there it is tried
# once more, and the summary names it: such a test is a defect, of itself or of callsheet.
PURE = {"jobs", "messages", "simulation", "sweep"}


def pytest_configure(config: pytest.Config) -> None:
    """Give the servers of tests a folder for their sockets that is removed with what they left:
    the paths of tests are too long for sockets, and killed servers clear nothing away."""
    folder = tempfile.mkdtemp(prefix="cs-")
    os.environ["XDG_RUNTIME_DIR"] = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without looking for garbage, and never again among what is there then: there is
    none, and it is a million objects in each worker."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the long rooms first; the order inside a file stays."""

    def room(item: pytest.Item) -> str:
        # Of the id, which is there already: paths are slow to compare, seven thousand times.
        where, _, rest = item.nodeid.partition("/")
        return rest.partition("/")[0] if where == "tests" else ""

    items.sort(key=lambda item: LONG.index(room(item)) if room(item) in LONG else len(LONG))
    if os.environ.get("CI"):
        for item in items:
            if room(item) not in PURE:
                item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(autouse=True)
def _others_are_heard() -> Generator[None]:
    """Fail a test that leaves callsheet's log silent, or loud, for those after it."""
    logger = logging.getLogger("callsheet")
    before = (logger.level, logger.manager.disable)
    yield
    after = (logger.level, logger.manager.disable)
    logger.setLevel(before[0])
    logging.disable(before[1])
    assert after == before, f"the log's level was {before} and is left as {after}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why a test was tried again: what passed then is a defect that may not come back soon."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"tried again: {report.nodeid}", sep="_")
        terminalreporter.line(report.longreprtext)
        for title, text in report.sections:
            terminalreporter.section(title, sep="-")
            terminalreporter.line(text)
