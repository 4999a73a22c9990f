"""The databases that benchmarks are given: filled without a server, and read as one of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from callsheet.jobs.run_filter import RunFilter
from callsheet.store.reader import SqliteReader

BENCH = Path(__file__).parents[2] / "bench"


def test_a_filled_database_is_read_as_a_servers_own(tmp_path):
    path = tmp_path / "filled.db"
    done = subprocess.run(
        [sys.executable, str(BENCH / "fill.py"), str(path), "300"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    reader = SqliteReader(str(path))
    found = reader.find(RunFilter(), before=None, limit=500).runs
    assert len(found) == 300
    assert sum(reader.count_found(RunFilter()).values()) == 300
    middle_us = sorted(run.schedule_us for run in found)[150]
    later = reader.find(RunFilter(since_us=middle_us), before=None, limit=500).runs
    assert len(later) == 150
    reader.close()
