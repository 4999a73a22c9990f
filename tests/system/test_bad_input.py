"""What a server does with what it should not be given: a sentence, a status, nothing lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys

import pytest
from live_server import until

NOOP = "program: {type: no-op}\n"
BEAT = "schedule: {type: interval, interval: 1}\nprogram: {type: no-op}\n"


def serve_once(server, *options: str) -> subprocess.CompletedProcess[str]:
    """Start a server that is expected to end by itself."""
    return server.callsheetctl("serve", "--config", str(server.config), *options)


def one_sentence(text: str) -> str:
    """Assert that a person was told in plain words."""
    assert "Traceback" not in text, text
    assert text.strip(), "nothing was said"
    return text


@pytest.mark.slow
def test_a_second_server_on_the_same_database_is_refused(a_server):
    server = a_server({"a": NOOP}).start()
    second = serve_once(server, "--bind", "127.0.0.1:0")
    assert second.returncode != 0
    assert "expected no other server" in one_sentence(second.stderr)
    assert server.get("/api/v1/running").status == 200


@pytest.mark.slow
def test_a_database_of_a_newer_version_is_refused(a_server):
    server = a_server({"a": NOOP})
    database = sqlite3.connect(server.folder / "callsheet.db")
    version = database.execute("PRAGMA user_version").fetchone()[0]
    database.execute(f"PRAGMA user_version = {version + 1}")
    database.close()
    refused = serve_once(server, "--bind", "127.0.0.1:0")
    assert refused.returncode != 0
    assert "newer" in one_sentence(refused.stderr)


@pytest.mark.slow
def test_a_missing_database_is_not_made_in_silence(a_server):
    server = a_server({"a": NOOP})
    (server.folder / "callsheet.db").unlink()
    refused = serve_once(server, "--bind", "127.0.0.1:0")
    assert refused.returncode != 0
    assert "callsheet.db" in one_sentence(refused.stderr)
    assert not (server.folder / "callsheet.db").exists()


@pytest.mark.slow
def test_a_file_that_is_no_database_is_refused(a_server):
    server = a_server({"a": NOOP})
    (server.folder / "callsheet.db").write_bytes(b"these are not the rows you want\n" * 99)
    refused = serve_once(server, "--bind", "127.0.0.1:0")
    assert refused.returncode != 0
    one_sentence(refused.stderr)


@pytest.mark.slow
def test_a_broken_job_file_is_refused_and_the_running_set_stays(a_server):
    server = a_server({"good": NOOP}).start()
    (server.folder / "jobs" / "bad.yaml").write_text("program: {type: no-op}\nprogam: 1\n")
    answer = server.post("/api/control/reload_jobs?dry_run=False")
    assert answer.status == 400
    (problem,) = answer.json["job_errors"]
    assert problem[0] == "bad"
    assert "bad.yaml:2:1:" in problem[1]
    assert [job["job_id"] for job in server.get("/api/v1/jobs").json] == ["good"]


@pytest.mark.slow
def test_a_server_starts_with_a_broken_folder_on_its_last_good_set(a_server):
    server = a_server({"good": NOOP}).start()
    assert server.stop() == 0
    (server.folder / "jobs" / "bad.yaml").write_text("program: [\n")
    server.start()
    assert server.finished(server.schedule("good"))["state"] == "success"
    assert "scheduler/0: jobs: bad.yaml:" in server.log()
    checks = server.callsheet("checks")
    assert (checks.returncode, "job folder: bad.yaml:" in checks.stderr) == (1, True)
    (server.folder / "jobs" / "bad.yaml").unlink()
    assert server.callsheet("reload").returncode == 0
    until(lambda: "scheduler/0 is well again" in server.log(), "the log to say so")
    assert server.callsheet("checks").returncode == 0


@pytest.mark.slow
def test_sigterm_ends_the_server_with_status_0_and_jobs_live_on(a_server, tmp_path):
    mark = tmp_path / "mark"
    job = f"program: {{type: shell, command: 'sleep 3; echo done > {mark}'}}\n"
    server = a_server({"nap": job}).start()
    run_id = server.schedule("nap")
    until(lambda: server.run(run_id)["state"] == "running", "the nap to begin")
    assert server.stop() == 0
    until(mark.exists, "the job to end without its server")
    server.start()
    assert server.finished(run_id)["state"] == "success"


@pytest.mark.slow
def test_an_address_others_can_reach_is_refused(a_server):
    server = a_server({"a": NOOP})
    refused = serve_once(server, "--bind", "0.0.0.0:0")
    assert refused.returncode != 0
    assert "0.0.0.0" in one_sentence(refused.stderr)


@pytest.mark.slow
def test_inline_runs_the_same_roles_in_one_process(a_server):
    server = a_server({"beat": BEAT}).start("--inline")
    run_id = server.schedule("beat")
    assert server.finished(run_id)["state"] == "success"
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGTERM)
    assert server.process.wait(60) == 0
    assert sys.executable
