"""Agents that are kept by the systemd of their user: real ones, in a kernel of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kernel import pytest_command, run_inside

SYSTEMD = "/lib/systemd/systemd"


@pytest.mark.slow
def test_an_agent_is_kept_by_the_systemd_of_its_user(tmp_path):
    if not os.access(SYSTEMD, os.X_OK):
        if os.environ.get("CI") == "true":
            pytest.fail("no systemd: install systemd")
        pytest.skip("there is no systemd")
    said = run_inside(pytest_command(Path(__file__).with_name("inside_systemd.py")), tmp_path)
    assert "1 passed" in said
