"""Forecast, plan and apply against a real server."""

from __future__ import annotations

import json
import sys

import pytest
from live_server import PATIENCE_S, Server, until
from warm import run

pytestmark = pytest.mark.slow

HOURLY = "program: {type: no-op}\nschedule: {type: interval, interval: 1h}\n"
TWICE = "program: {type: no-op}\nschedule: {type: interval, interval: 30min}\n"
WAITS = "program: {type: no-op}\ncondition: {type: const, value: false}\n"


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path, {"a": HOURLY, "b": HOURLY, "w": WAITS}).start()
    yield server
    assert server.stop() == 0


def callsheet(server, *args):
    command = [sys.executable, "-m", "callsheet.cli.people", "--port", str(server.port), *args]
    return run(command, timeout=PATIENCE_S)


def test_a_plan_is_made_carried_out_and_refused_when_stale(server, tmp_path):
    run_id = server.schedule("w")
    until(lambda: server.run(run_id)["state"] == "waiting", "the waiting run")
    new = tmp_path / "new"
    new.mkdir()
    (new / "a.yaml").write_text(TWICE)
    (new / "b.yaml").write_text(HOURLY)
    (new / "w.yaml").write_text(WAITS + "successors: b\n")
    made = callsheet(server, "plan", "--jobs", str(new), "--days", "1", "--format", "json")
    assert made.returncode == 0, made.stderr
    plan = json.loads(made.stdout)
    assert {job["job_id"]: job["parts"] for job in plan["jobs"]} == {
        "a": ["schedule"],
        "w": ["action"],
    }
    assert {run["what"] for run in plan["runs"]} == {"appears"}
    assert [run["run_id"] for run in plan["waiting"]] == [run_id]
    file = tmp_path / "plan.json"
    file.write_text(made.stdout)

    # The server's folder does not hold these jobs yet.
    refused = callsheet(server, "apply", str(file))
    assert refused.returncode == 1
    assert "the job folder holds other jobs than it was made for" in refused.stderr

    for name in ("a", "w"):
        (tmp_path / "jobs" / f"{name}.yaml").write_text((new / f"{name}.yaml").read_text())
    by_server = json.loads(callsheet(server, "plan", "--days", "1", "--format", "json").stdout)
    assert (by_server["id"], by_server["jobs"]) == (plan["id"], plan["jobs"])
    text = callsheet(server, "plan", "--days", "1").stdout
    assert "~ a: schedule; " in text
    assert f"{run_id}  w()" in text

    applied = callsheet(server, "apply", str(file))
    assert (applied.returncode, applied.stdout) == (0, "Jobs changed:\n  a\n  w\n")
    stale = callsheet(server, "apply", "--plan", plan["id"])
    assert stale.returncode == 1
    assert "other jobs are in force than when it was made" in stale.stderr
    assert server.run(run_id)["state"] == "waiting"

    forecast = callsheet(server, "forecast", "a", "--to", "+2h", "--format", "json")
    rows = json.loads(forecast.stdout)
    assert len(rows) == 4
    assert all(row["run_id"] for row in rows)


def test_the_command_line_explains_runs_and_why_there_is_none(server, tmp_path):
    run_id = server.schedule("w")
    until(lambda: server.run(run_id)["state"] == "waiting", "the waiting run")
    found = callsheet(server, "why", run_id)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[0].startswith(f"{run_id}  w  for ")
    assert "waiting" in found.stdout
    assert "constant False" in found.stdout
    found = callsheet(server, "why", "a", "--at", "2030-01-01T00:00:00Z")
    assert "It will be made by every 3600.0 sec" in found.stdout
    found = callsheet(server, "why", "a", "--at", "2030-01-01T00:00:07Z", "--format", "json")
    assert json.loads(found.stdout)["verdict"] == "not_scheduled"
    (tmp_path / "jobs" / "a.yaml").unlink()
    server.post("/api/control/reload_jobs?dry_run=False")
    row = json.loads(callsheet(server, "why", "a", "--at", "+2h", "--format", "json").stdout)
    assert row["verdict"] in ("withdrawn", "unknown_job")
