"""A migration that is killed anywhere goes on from there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from migrating import contents_of, put_first_version

from callsheet.store.migrate import migrate_database, newest_version

MIGRATING = Path(__file__).with_name("migrating.py")


def test_a_migration_killed_before_each_of_its_statements_ends_as_one_that_was_not(tmp_path):
    for name in ("killed.db", "calm.db"):
        put_first_version(tmp_path / name)
    # Its children are forks: of a process without threads.
    command = [sys.executable, str(MIGRATING), str(tmp_path / "killed.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kills = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert migrate_database(tmp_path / "calm.db") == newest_version() - 1
    assert contents_of(tmp_path / "killed.db") == contents_of(tmp_path / "calm.db")
    # Each step but the last has the kill after its commit, where the next one begins.
    steps = {str(version) for version in range(1, newest_version())}
    assert {version for version, _ in kills} == steps
    assert sum(what.startswith("COMMIT") for _, what in kills) == len(steps)
    assert len(kills) > 3 * len(steps)
