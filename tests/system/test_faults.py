"""What a server does when its disk is full, fails or is held by others: nothing acknowledged is
lost, and it heals by itself."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from faults import failing, fill, inside, on_a_small_disk
from live_server import ROLES, until

pytestmark = pytest.mark.slow
NOOP = "program: {type: no-op}\n"
SAYS = "program: {type: shell, command: 'echo hello; echo there'}\n"


def waiting(path):
    return (
        f"program: {{type: shell, command: 'while [ ! -e {path} ]; do sleep 0.1; done; exit 3'}}\n"
    )


def test_a_full_disk_loses_nothing_and_heals_by_itself(a_server, tmp_path):
    disk = tmp_path / "site"
    server = a_server({"a": NOOP, "says": SAYS, "waits": waiting(tmp_path / "go")})
    server.prefix = on_a_small_disk(disk, "48m")
    server.start()
    waits = server.schedule("waits")
    before = [server.schedule(job_id) for job_id in ("a", "says") * 5]
    until(lambda: server.run(waits)["state"] == "running", "the process to run")
    filler = inside(server.process.pid, disk / "filler")
    fill(filler)
    assert server.post("/api/v1/runs", {"job_id": "says"}).status in (200, 503)
    (tmp_path / "go").touch()
    filler.unlink()
    ended = server.finished(waits)
    assert ended["state"] == "failure"
    assert ended["meta"]["program"]["status"]["exit_code"] == 3
    assert server.finished(server.schedule("says"))["state"] == "success"
    assert all(server.finished(run_id)["state"] == "success" for run_id in before)
    assert "Traceback" not in server.log()
    assert server.stop() == 0


def test_a_disk_that_cannot_flush_ends_the_ledger_and_the_next_one_goes_on(a_server):
    server = a_server({"a": NOOP}).start()
    before = server.processes()["ledger/0"]
    with failing(before, "fdatasync,fsync", "EIO"):
        runs = [server.schedule("a") for _ in range(3)]
    assert all(server.finished(run_id)["state"] == "success" for run_id in runs)
    assert server.processes()["ledger/0"] != before
    assert "could not make a write durable" in server.log()


def _all_of(pids):
    return pids if set(ROLES) <= pids.keys() else None


def test_a_database_that_another_process_holds_is_waited_for(a_server):
    server = a_server({"a": NOOP})
    settings = server.config.read_text()
    assert "database: callsheet.db" in settings
    soon = "database: {path: callsheet.db, timeout: 1}"
    server.config.write_text(settings.replace("database: callsheet.db", soon))
    server.start()
    # It is ready as soon as those are there whom people ask: the agent may be listed after it.
    pids = until(lambda: _all_of(server.processes()), "all roles")
    with contextlib.closing(sqlite3.connect(server.folder / "callsheet.db")) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        status = server.post("/api/v1/runs", {"job_id": "a"}).status
        until(lambda: "the store cannot write" in server.log(), "the ledger to say so")
        holder.execute("ROLLBACK")
    assert status in (200, 503)
    assert server.finished(server.schedule("a"))["state"] == "success"
    assert server.processes() == pids
    assert "the store can write again" in server.log()
