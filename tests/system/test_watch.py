"""A real server that watches its job folder."""

from __future__ import annotations

import os
import shutil

import pytest
from live_server import Server, until

pytestmark = pytest.mark.slow

JOB = "program: {type: no-op}\nschedule: {type: interval, interval: 1h}\n"
DESCRIBED = JOB + "metadata: {labels: told}\n"


def jobs(server):
    return {job["job_id"] for job in server.get("/api/v1/jobs").json}


def standing(server):
    return server.get("/api/v2/health").json["jobs"]


@pytest.fixture
def start(tmp_path):
    servers = []

    def begin(watch):
        server = Server(tmp_path, {"a": JOB, "b": JOB}, settings=f"job_watch: {watch}\n")
        servers.append(server.start())
        return server

    yield begin
    for server in servers:
        assert server.stop() == 0


def test_an_automatic_watch_follows_the_folder_whatever_is_done_to_it(start, tmp_path):
    server = start("auto")
    folder = tmp_path / "jobs"
    (folder / "c.yaml").write_text(JOB)
    until(lambda: jobs(server) == {"a", "b", "c"}, "an added job")
    # A broken file keeps the last good set, and shows.
    (folder / "b.yaml").unlink()
    (folder / "d.yaml").write_text("program: {type: no-")
    found = until(lambda: (s := standing(server))["problems"] and s, "the mistake to be shown")
    assert "d.yaml:2:1: not YAML" in found["problems"][0]
    assert server.get("/api/v2/health").json["status"] == "degraded"
    assert jobs(server) == {"a", "b", "c"}
    # The other half of it is written.
    (folder / "d.yaml").write_text("program: {type: no-op}\n")
    until(lambda: jobs(server) == {"a", "c", "d"}, "the mended folder")
    # The scheduler hears that they are in force after the store has them.
    until(lambda: standing(server)["problems"] == [], "no mistake to be shown")
    # A checkout that replaces the whole folder.
    made = tmp_path / "made"
    made.mkdir()
    (made / "e.yaml").write_text(JOB)
    os.rename(folder, tmp_path / "old")
    os.rename(made, folder)
    until(lambda: jobs(server) == {"e"}, "the folder that was put there")
    # Gone for good: the last good set stays.
    shutil.rmtree(folder)
    until(lambda: standing(server)["problems"], "the missing folder to be shown")
    assert jobs(server) == {"e"}
    folder.mkdir()
    (folder / "f.yaml").write_text(JOB)
    until(lambda: jobs(server) == {"f"}, "the folder made again")


def test_a_watch_with_notice_says_what_differs_and_loads_it_when_told(start, tmp_path):
    server = start("notify")
    runs = {r["run_id"] for r in server.get("/api/v2/runs?state=scheduled").json["runs"]}
    (tmp_path / "jobs" / "b.yaml").write_text(DESCRIBED)
    (tmp_path / "jobs" / "c.yaml").write_text(JOB)
    found = until(lambda: (s := standing(server))["different"] == 2 and s, "the difference")
    assert (found["watch"], found["added"], found["changed"]) == ("notify", ["c"], ["b"])
    assert jobs(server) == {"a", "b"}
    answer = server.post("/api/control/reload_jobs?dry_run=False")
    assert (answer.json["added"], answer.json["changed"]) == (["c"], ["b"])
    until(lambda: standing(server)["different"] == 0, "no difference")
    after = server.get("/api/v2/runs?state=scheduled&limit=500").json["runs"]
    assert runs <= {run["run_id"] for run in after}, "runs of a and b kept their ids"
    assert {tuple(run["labels"]) for run in after if run["job_id"] == "b"} == {("told",)}
