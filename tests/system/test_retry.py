"""Retries on a real server: a job that fails twice, and one whose keeper dies under it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from live_server import Server, until

FLAKY = """\
program:
  type: shell
  command: |
    echo "attempt $CALLSHEET_ATTEMPT"
    [ "$CALLSHEET_ATTEMPT" -ge 3 ] || exit 75
retry: {attempts: 3, backoff: 0.2s, on: [], exit_codes: {retry: 75}}
action: {type: schedule, job_id: after, if: {states: [success, failure, error]}}
"""
AFTER = "program: {type: no-op}\n"
LOST = """\
program:
  type: shell
  command: |
    echo "attempt $CALLSHEET_ATTEMPT"
    [ "$CALLSHEET_ATTEMPT" -ge 2 ] || exec sleep 600
retry: {attempts: 2, backoff: 0.2s, on_lost: rerun}
"""


def keepers(folder: Path) -> list[int]:
    """The keepers of a server's agent."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(str(folder)) in words and b"keeper.py" in words:
                found.append(int(entry.name))
    return found


def page(server: Server, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = server.get(f"/api/v2/runs/{run_id}").json["run"]
    return found


@pytest.mark.slow
def test_a_run_that_fails_twice_succeeds_at_its_third_attempt(a_server):
    server = a_server({"flaky": FLAKY, "after": AFTER}).start()
    run_id = server.schedule("flaky")
    assert server.finished(run_id)["state"] == "success"
    run = page(server, run_id)
    states = [(one["attempt"], one["state"]) for one in run["attempts"]]
    assert states == [(1, "failure"), (2, "failure"), (3, "success")]
    assert [one["attempt"] for one in run["outputs"]] == [1, 2, 3]
    for attempt in (1, 2, 3):
        path = f"/api/v2/runs/{run_id}/output/output?attempt={attempt}"
        assert server.get(path).json["data"] == f"attempt {attempt}\n"
    assert server.get(f"/api/v2/runs/{run_id}/output/output?attempt=4").status == 404
    assert "attempts" not in server.run(run_id)
    until(lambda: not page(server, run_id)["owed"], "the action to be done")
    assert len(server.get("/api/v1/runs?job_id=after").json["runs"]) == 1


@pytest.mark.slow
def test_a_run_whose_keeper_is_killed_is_run_again_where_its_job_says_so(a_server):
    server = a_server({"lost": LOST}).start()
    run_id = server.schedule("lost")
    until(lambda: server.run(run_id)["state"] == "running", f"{run_id} to run")
    pid = server.run(run_id)["meta"]["program"]["proc_stat"]["pid"]
    for keeper in keepers(server.folder):
        os.kill(keeper, signal.SIGKILL)
    # Without its keeper nobody hears how the process ends.
    os.kill(pid, signal.SIGKILL)
    assert server.finished(run_id)["state"] == "success"
    states = [(one["attempt"], one["state"]) for one in page(server, run_id)["attempts"]]
    assert states == [(1, "lost"), (2, "success")]
