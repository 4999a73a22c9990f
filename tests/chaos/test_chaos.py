"""A short spell of chaos; `make chaos` makes long ones."""

from __future__ import annotations

import pytest
from checker import judge
from history import write
from trouble import Trouble


@pytest.mark.slow
def test_whatever_is_killed_stopped_or_lied_to_every_run_is_started_once_and_told_of_truly(
    tmp_path,
):
    trouble = Trouble(tmp_path, seed=1, seconds=15, runs=60, blows=48, reloads=10)
    try:
        history = trouble.run()
    finally:
        trouble.close()
    write(history, tmp_path / "history.json")
    faults = {check: found for check, found in judge(history).items() if found}
    assert faults == {}, trouble.server.log()[-5_000:]
