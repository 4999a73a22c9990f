"""What is paused is skipped on record, over a restart, and starts again when it is resumed."""

from __future__ import annotations

import pytest
from live_server import until

pytestmark = pytest.mark.slow

JOB = "schedule: {type: interval, interval: 1}\nprogram: {type: no-op}\n"


def test_paused_runs_are_skipped_with_the_reason_until_they_are_resumed(a_server):
    server = a_server({"shop/tick": JOB}).start()

    def states():
        runs = server.get("/api/v1/runs?job_id=shop/tick").json["runs"].values()
        return [run["state"] for run in sorted(runs, key=lambda run: int(run["run_id"][1:]))]

    until(lambda: "success" in states(), "a run that starts")
    assert server.callsheet("pause", "--folder", "shop", "--reason", "move").returncode == 0
    until(lambda: states().count("skipped") >= 2, "runs that are skipped")
    server.stop()
    server.start()
    before = states().count("skipped")
    until(lambda: states().count("skipped") > before, "runs that are skipped after a restart")
    ahead = server.get("/api/v2/runs?state=scheduled&limit=1").json["runs"][0]
    why = server.get(f"/api/v2/runs/{ahead['run_id']}").json["run"]["why"]
    assert "It will be skipped: folder shop is paused by local: move." in why
    [skipped, *_] = server.get("/api/v2/runs?state=skipped").json["runs"]
    assert skipped["reason"] == "folder shop is paused by local: move"
    assert server.callsheet("resume", "--folder", "shop").returncode == 0
    done = states().count("success")
    until(lambda: states().count("success") > done, "a run that starts again")
