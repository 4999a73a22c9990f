"""A database of the first version, with what a real server wrote into it, is served by this one.

`first_version.sql` is that database as SQL: two finished runs of `hello`, one to come, an ad hoc
run, and a nightly job's next run.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

FIRST = Path(__file__).with_name("first_version.sql")
APPLICATION_ID = 1667329132
JOBS = {
    "hello": "params: [name]\nprogram: {type: shell, command: 'echo hello {{ name }}'}\n",
    "fails": "program: {type: no-op, success: false}\n",
    "nightly": (
        "params: [date]\n"
        "schedule: {type: daily, tz: Europe/Berlin, daytime: '02:30:00', calendar: Mon-Fri}\n"
        "program: {type: no-op}\n"
        "condition: {type: max_running}\n"
        "successors: [fails]\n"
    ),
}


def put_first_version(path: Path) -> None:
    """Put the old database in the place of a new one."""
    path.unlink()
    database = sqlite3.connect(path)
    database.executescript(FIRST.read_text())
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute("PRAGMA user_version = 1")
    database.execute("PRAGMA journal_mode = WAL")
    database.close()


@pytest.mark.slow
def test_a_database_of_the_first_version_is_migrated_and_served(a_server):
    server = a_server(JOBS)
    database = server.folder / "callsheet.db"
    put_first_version(database)
    server.has_outputs = False

    refused = server.callsheetctl("serve", "--config", str(server.config), "--bind", "127.0.0.1:0")
    assert refused.returncode != 0
    assert "callsheetctl migrate" in refused.stderr
    migrated = server.callsheetctl("migrate", str(database))
    assert (migrated.returncode, "migrated" in migrated.stdout) == (0, True)
    again = server.callsheetctl("migrate", str(database))
    assert "up to date already" in again.stdout

    server.start()
    runs = server.get("/api/v1/runs?job_id=hello").json["runs"]
    assert {
        run_id: (run["state"], run["args"], run["meta"]["program"]["status"]["exit_code"])
        for run_id, run in runs.items()
        if run["state"] != "scheduled"
    } == {"r2": ("success", {"name": "Ada"}, 0), "r3": ("success", {"name": "Grace"}, 0)}
    found = server.get("/api/v2/runs?q=hello+agent:local+state:success&counts=0").json["runs"]
    assert [run["run_id"] for run in found] == ["r3", "r2"]
    # The schedules mean what they meant: what was planned keeps its row and its id.
    assert server.run("r1")["job_id"] == "nightly"
    assert server.run("r4")["times"]["schedule"] == "2027-01-01T00:00:00.000+00:00"
    assert server.run("r5")["state"] == "success"
    log = server.get("/api/v1/runs/r2/log").json["run_log"]
    assert [line["message"] for line in log][-1] == "success"
    rerun = server.insist("/api/v1/runs/r2/rerun", {}).json
    assert server.finished(rerun["show_run_id"])["state"] == "success"
    assert int(rerun["show_run_id"][1:]) > 5
