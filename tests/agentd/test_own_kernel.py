"""What takes a kernel of its own: cgroups of runs, and agents kept by the systemd of their user.

It is booted once for all of these: the boot, and Python's start in it, are most of what they cost.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kernel import pytest_command, run_inside

HERE = Path(__file__).parent
SYSTEMD = "/lib/systemd/systemd"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What the tests inside have said; those of systemd are among them where it is installed."""
    files = [HERE / "inside_cgroups.py"]
    if os.access(SYSTEMD, os.X_OK):
        files.append(HERE / "inside_systemd.py")
    return run_inside(pytest_command(*files), tmp_path_factory.mktemp("kernel"))


def test_limits_hold_in_a_kernel_with_cgroups(said):
    assert len(passed(said, "inside_cgroups.py")) == 9


def test_an_agent_is_kept_by_the_systemd_of_its_user(said):
    if not os.access(SYSTEMD, os.X_OK):
        if os.environ.get("CI") == "true":
            pytest.fail("no systemd: install systemd")
        pytest.skip("there is no systemd")
    assert len(passed(said, "inside_systemd.py")) == 1


def passed(said, file):
    """Return the tests of a file that have passed inside."""
    return {
        line for line in said.splitlines() if line.startswith("PASSED ") and f"{file}::" in line
    }
