"""A run keeps the definition it was bound to, and its commit; ad hoc jobs are jobs."""

import os
import re
import shutil
import subprocess

import pytest
from live_server import until

ECHO = "params: [x]\nprogram: 'echo {{ x }} %s'\n"


def git(server, *args):
    command = ["git", "-c", "user.name=n", "-c", "user.email=e@x", *args]
    done = subprocess.run(
        command, cwd=server.folder / "jobs", capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(server):
    git(server, "add", "--all")
    git(server, "commit", "--quiet", "-m", "more")
    return git(server, "rev-parse", "HEAD")


def rerun(server, run_id, which):
    headers = {"Content-Type": "application/json"}
    body = {"definition": which}
    answer = server.request("POST", f"/api/v2/runs/{run_id}/rerun", body, headers)
    return answer.json["runs"][0]["run_id"] if answer.status == 200 else answer


def output(server, run_id):
    return server.get(f"/api/v1/runs/{run_id}/output/output").body.decode()


@pytest.mark.slow
def test_a_run_shows_and_repeats_what_it_was_when_its_job_has_changed_or_gone(a_server):
    if shutil.which("git") is None:
        assert "CI" not in os.environ, "git is missing"
        pytest.skip("git is missing")
    server = a_server({"a": ECHO % "old", "b": ECHO % "b"})
    git(server, "init", "--quiet")
    first = commit(server)
    server.start()
    run_id = server.schedule("a", x="1")
    assert server.finished(run_id)["state"] == "success"
    before = server.get(f"/api/v2/runs/{run_id}").json["run"]
    assert before["commit"] == first
    assert server.get("/api/v2/jobs/a").json["definition"] == before["definition"]

    (server.folder / "jobs" / "a.yaml").write_text(ECHO % "new")
    second = commit(server)
    assert server.insist("/api/control/reload_jobs", {}).json["changed"] == ["a"]
    job = server.get("/api/v2/jobs/a").json
    assert (job["commit"], job["definition"] != before["definition"]) == (second, True)
    assert server.get("/api/v2/jobs/b").json["commit"] == first, "b has not changed since"
    changed = rerun(server, run_id, "current")
    as_it_was = rerun(server, run_id, "stored")
    assert server.finished(changed)["state"] == server.finished(as_it_was)["state"] == "success"
    assert (output(server, changed), output(server, as_it_was)) == ("1 new\n", "1 old\n")

    (server.folder / "jobs" / "a.yaml").unlink()
    assert server.insist("/api/control/reload_jobs", {}).json["removed"] == ["a"]
    shown = server.get(f"/api/v2/runs/{run_id}").json["run"]
    assert (shown["definition"], shown["commit"]) == (before["definition"], first)
    known = server.get(f"/api/v2/definitions?hash={shown['definition']}").json["definitions"]
    assert known[shown["definition"]]["program"]["command"] == "echo {{ x }} old"
    gone = rerun(server, run_id, "current")
    again = rerun(server, run_id, "stored")
    assert server.finished(gone)["state"] == "error"
    assert server.finished(again)["state"] == "success"
    assert output(server, again) == "1 old\n"
    assert rerun(server, run_id, "later").status == 400


@pytest.mark.slow
def test_an_ad_hoc_job_with_a_schedule_runs_by_it_until_the_server_stops_and_after(a_server):
    server = a_server({"a": "program: {type: no-op}\n"}).start()
    job = {
        "program": {"type": "no-op"},
        "schedule": {"type": "interval", "interval": 1},
        "metadata": {"labels": ["mine"]},
    }
    answer = server.insist("/api/v1/runs", {"job": job})
    assert answer.status == 200
    job_id = next(iter(answer.json["runs"].values()))["job_id"]

    def done():
        runs = server.get(f"/api/v1/runs?job_id={job_id}").json["runs"].values()
        return sum(run["state"] == "success" for run in runs)

    until(lambda: done() >= 3, "three runs of the ad hoc job")
    assert job_id not in [one["job_id"] for one in server.get("/api/v1/jobs").json]
    shown = server.get(f"/api/v1/jobs/{job_id}").json
    assert (shown["ad_hoc"], shown["schedule"][0]["interval"]) == (True, 1.0)
    ahead = server.get("/api/v2/forecast?q=adhoc:yes&to=%2B10s").json["forecast"]
    assert {row["job_id"] for row in ahead} == {job_id}
    server.stop()
    before = server.start() and done()
    until(lambda: done() > before + 1, "more runs of the ad hoc job after a restart")


@pytest.mark.slow
def test_an_ad_hoc_job_is_found_by_its_id_alone_and_marked_wherever_it_shows(a_server):
    server = a_server({"a": "program: {type: no-op}\n"}).start()
    job = {
        "params": ["x"],
        "program": "echo {{ x }}",
        "condition": {"type": "max_running"},
        "schedule": {"type": "daily", "tz": "UTC", "daytime": "09:30:00", "enabled": False},
    }
    answer = server.insist("/api/v1/runs", {"job": job, "args": {"x": 1}})
    [run_id] = answer.json["runs"]
    job_id = answer.json["runs"][run_id]["job_id"]
    assert re.fullmatch("adhoc-[A-Za-z]{12}", job_id)
    assert server.finished(run_id)["state"] == "success"
    again = server.schedule(job_id, x="2")
    assert server.finished(again)["state"] == "success"
    assert output(server, again) == "2\n"
    assert server.get(f"/api/v2/runs/{run_id}").json["run"]["ad_hoc"] is True
    assert server.get("/api/v2/runs?q=adhoc:yes").json["counts"]["success"] == 2
    shown = server.get(f"/api/v1/jobs/{job_id}").json
    assert (shown["ad_hoc"], shown["params"]) == (True, ["x"])
    assert shown["schedule"][0]["calendar"] == "all days"
    for command, found in (("job", job_id), ("run", run_id), ("runs", job_id)):
        assert "(ad hoc)" in server.callsheet(command, found).stdout
    assert server.get("/api/v1/jobs/adhoc").status == 404, "words of it do not find it"
    assert [one["job_id"] for one in server.get("/api/v1/jobs").json] == ["a"]
    assert [one["job_id"] for one in server.get("/api/v2/jobs").json["jobs"]] == ["a"]
    wrong = server.insist("/api/v1/runs", {"job": {"progam": "x"}})
    assert wrong.status == 400
    assert "unexpected keys: progam: did you mean program?" in wrong.json["error"]
