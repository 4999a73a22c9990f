"""The server's own programs, as runs of a real server: archive, vacuum, stats, backup."""

from __future__ import annotations

import json
import sqlite3

import pytest

JOBS = {
    "hello": "params: [name]\nprogram: {type: shell, command: 'echo hello {{ name }}; seq 5000'}\n",
    "noop": "program: {type: no-op}\n",
    "upkeep/archive": (
        "program:\n"
        "  type: apsis.program.internal.archive.ArchiveProgram\n"
        "  age: 0\n"
        "  path: '{{ \"kept\" }}.db'\n"
        "  count: 9\n"
        "  chunk_size: 4\n"
        "  chunk_sleep: 0.1\n"
    ),
    "upkeep/rest": "program: {type: archive, age: 0, path: kept.db, count: 1000}\n",
    "upkeep/drop": (
        "program: {type: archive, age: 0, path: null, count: 9000, jobs: noop, keep: 50}\n"
    ),
    "upkeep/none": "program: {type: archive, age: 1d, path: none.db, count: 10}\n",
    "upkeep/wrong": "program: {type: archive, age: 0, path: callsheet.yaml, count: 10}\n",
    "upkeep/vacuum": "program: {type: apsis.program.internal.vacuum.VacuumProgram}\n",
    "upkeep/stats": "program: {type: stats, path: stats.jsonl}\n",
    "upkeep/backup": "program: {type: backup, path: 'backup.db'}\n",
}


def done(server, job_id):
    """Run a job of the server's own; return (state, message, what the program says of itself)."""
    run_id = server.schedule(job_id)
    run = server.finished(run_id)
    message = server.get(f"/api/v2/runs/{run_id}").json["run"]["reason"]
    return run["state"], message, run["meta"]["program"]


@pytest.mark.slow
def test_finished_runs_are_archived_with_their_outputs_and_found_there(a_server):
    server = a_server(JOBS)
    server.start()
    texts = [server.schedule("hello", name=f"n{i}") for i in range(3)]
    texts += server.insist("/api/v1/runs?count=12", {"job_id": "noop"}).json["runs"]
    for run_id in texts:
        server.finished(run_id)
    logs = {run_id: server.get(f"/api/v1/runs/{run_id}/log").json["run_log"] for run_id in texts}
    output = server.get(f"/api/v1/runs/{texts[0]}/output/output").body

    state, _, meta = done(server, "upkeep/none")
    assert (state, meta["run count"], meta["run_ids"]) == ("success", 0, [])
    state, message, meta = done(server, "upkeep/archive")
    assert state == "failure"
    # The run that found nothing to archive may be archived by now.
    assert message == "archive count 9 exhausted with 7 eligible runs remaining"
    assert [len(chunk) for chunk in meta["run_ids"]] == [4, 4, 1]
    assert meta["run_ids"][0][:3] == texts[:3]
    assert (meta["row counts"]["runs"], meta["row counts"]["output"]) == (9, 3)
    assert meta["time"]["archive runs"] > 0
    archived = [run_id for chunk in meta["run_ids"] for run_id in chunk]
    for run_id in archived:
        assert server.get(f"/api/v1/runs/{run_id}").status == 404
    left = [run_id for run_id in texts if run_id not in archived]
    listed = server.get("/api/v2/runs?q=hello+noop").json
    assert listed["runs"] == []
    listed = server.get("/api/v2/runs?q=noop").json
    assert [run["run_id"] for run in listed["runs"]] == left[::-1]

    # A server that dies meanwhile goes on where it was.
    run_id = server.schedule("upkeep/rest")
    server.kill("ledger/0")
    assert server.finished(run_id)["state"] == "success"
    assert server.get("/api/v2/runs?q=noop&counts=1").json["runs"] == []
    state, message, _ = done(server, "upkeep/wrong")
    assert (state, "callsheet.yaml" in message) == ("error", True)

    # Nothing contradicts anything, neither here, while the server runs, nor there.
    for which in (("--config", str(server.config)), ("--archive", str(server.folder / "kept.db"))):
        found = server.callsheetctl("verify", *which)
        assert (found.returncode, "nothing wrong" in found.stdout) == (0, True), found

    # All of it is in the archive: records, logs, and outputs as files.
    shown = server.callsheet("runs", "--archive", str(server.folder / "kept.db"), "hello name=n1")
    assert "hello (name=n1)" in shown.stdout or texts[1] in shown.stdout, shown
    found = server.callsheet(
        "runs", "--archive", str(server.folder / "kept.db"), "--format", "json", "noop"
    )
    assert {run["run_id"] for run in json.loads(found.stdout)} == set(texts[3:])
    one = server.callsheet("run", "--archive", str(server.folder / "kept.db"), texts[0], "-v")
    for line in logs[texts[0]]:
        assert line["message"] in one.stdout
    wrote = server.callsheet("output", "--archive", str(server.folder / "kept.db"), texts[0])
    assert wrote.stdout.encode() == output
    assert not list((server.state / "outputs").glob(f"*/{texts[0]}"))


@pytest.mark.slow
def test_the_server_vacuums_counts_and_backs_itself_up(a_server):
    server = a_server(JOBS)
    server.start()
    for _ in range(3):
        runs = server.insist("/api/v1/runs?count=1000", {"job_id": "noop"}).json["runs"]
    server.finished(list(runs)[-1])
    assert done(server, "upkeep/rest")[0] == "failure"
    state, _, meta = done(server, "upkeep/drop")
    assert (state, meta["run count"] > 1900) == ("success", True)
    left = server.get("/api/v2/runs?q=noop").json["runs"]
    assert len(left) == 50
    database = server.folder / "callsheet.db"

    state, _, meta = done(server, "upkeep/backup")
    assert (state, meta["size_bytes"] > 100_000) == ("success", True)
    copy = sqlite3.connect(server.folder / "backup.db")
    assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert copy.execute("SELECT seq FROM meta").fetchone() == (meta["seq"],)
    copy.close()
    # Again, in the place of the first.
    assert done(server, "upkeep/backup")[2]["seq"] > meta["seq"]

    def unused():
        with sqlite3.connect(database) as reader:
            return reader.execute("PRAGMA freelist_count").fetchone()[0]

    assert unused() > 10
    state, _, meta = done(server, "upkeep/vacuum")
    assert (state, meta["time"] > 0, unused() < 10) == ("success", True, True), meta

    assert done(server, "upkeep/stats")[0] == "success"
    run_id = server.schedule("upkeep/stats")
    server.finished(run_id)
    printed = json.loads(server.get(f"/api/v1/runs/{run_id}/output/output").body)
    lines = (server.folder / "stats.jsonl").read_text().splitlines()
    assert (len(lines), json.loads(lines[1])) == (2, printed)
    assert printed["run_store"]["num_runs"] > 50
