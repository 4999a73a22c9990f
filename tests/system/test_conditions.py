"""Conditions on a real server: races for one place, pools, checks of the world outside."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from live_server import Server, until

pytestmark = pytest.mark.slow

NOOP = "program: {type: no-op}\n"
OVER = {"success", "failure", "error", "skipped"}


def runs_of(server: Server, job_id: str) -> list[dict[str, Any]]:
    answer = server.get(f"/api/v1/runs?job_id={job_id}&summary=True")
    assert answer.status == 200, answer.body
    return list(answer.json["runs"].values())


def states_of(server: Server, job_id: str) -> Counter[str]:
    return Counter(run["state"] for run in runs_of(server, job_id))


def schedule(server: Server, job_id: str, count: int) -> None:
    answer = server.insist(f"/api/v1/runs?count={count}", {"job_id": job_id})
    assert answer.status == 200, answer.body


def is_over(server: Server, job_id: str, count: int) -> bool:
    states = states_of(server, job_id)
    return sum(states.values()) == count and set(states) <= OVER


def most_at_once(runs: list[dict[str, Any]]) -> int:
    """Return how many of the runs ran at one instant, by the times they tell."""
    moves = [(run["times"]["running"], 1) for run in runs]
    moves += [(run["times"]["success"], -1) for run in runs]
    most = now = 0
    for _, step in sorted(moves):
        now += step
        most = max(most, now)
    return most


def test_of_128_duplicates_released_at_once_one_succeeds(a_server: Any) -> None:
    gate = "condition:\n- {type: dependency, job_id: gate}\n- type: skip_duplicate\n"
    server = a_server({"gate": NOOP, "one": NOOP + gate}).start()
    schedule(server, "one", 128)
    until(lambda: states_of(server, "one") == {"waiting": 128}, "128 runs to wait")
    server.schedule("gate")
    until(lambda: is_over(server, "one", 128), "the 128 runs to be over")
    assert states_of(server, "one") == {"success": 1, "skipped": 127}


def test_of_128_runs_never_more_than_allowed_run_at_once(a_server: Any) -> None:
    waits = "condition: {type: max_running, count: 4}\nprogram: {type: no-op, duration: 0.02}\n"
    pooled = (
        "condition: {type: pool, name: db, weight: 2}\nprogram: {type: no-op, duration: 0.02}\n"
    )
    server = a_server({"some": waits, "few": pooled}, "pools: {db: 6}\n").start()
    for job_id, allowed in (("some", 4), ("few", 3)):
        schedule(server, job_id, 128)
        until(lambda job=job_id: is_over(server, job, 128), "the 128 runs to be over")
        runs = runs_of(server, job_id)
        assert {run["state"] for run in runs} == {"success"}
        assert 1 <= most_at_once(runs) <= allowed


def test_a_run_waits_for_a_file_and_for_a_command(a_server: Any, tmp_path: Any) -> None:
    mark = tmp_path / "mark"
    poll = "poll_interval: 1"
    jobs = {
        "filed": f"condition: {{type: file, path: {mark}, min_size: 2, {poll}}}\n" + NOOP,
        "ordered": f"condition: {{type: command, command: test -s {mark}, {poll}}}\n" + NOOP,
    }
    server = a_server(jobs, "conditions: {allow: [file, command]}\n").start()
    filed, ordered, skipped = map(server.schedule, ("filed", "ordered", "filed"))

    def page(run_id: str) -> dict[str, Any]:
        return server.get(f"/api/v2/runs/{run_id}").json["run"]

    lacking = f"not yet: {mark}: does not exist"
    until(lambda: lacking in [line["message"] for line in page(filed)["log"]], "the reason")
    [told] = page(filed)["waits_for"]
    assert (told["met"], told["reason"]) == (None, f"{mark}: does not exist")
    assert page(filed)["why"][0].endswith(f": {mark}: does not exist.")
    assert server.post(f"/api/v1/runs/{skipped}/skip").status == 200
    assert server.run(skipped)["state"] == "skipped"
    mark.write_text("ok")
    assert server.finished(filed)["state"] == "success"
    assert server.finished(ordered)["state"] == "success"


def test_what_the_settings_do_not_allow_is_told_at_load_and_of_a_run(a_server: Any) -> None:
    server = a_server({"free": NOOP}).start()
    bad = {"condition": {"type": "command", "command": "true"}, "program": {"type": "no-op"}}
    answer = server.insist("/api/v1/runs", {"job": bad})
    [run] = answer.json["runs"].values()
    assert run["state"] == "error"
    path = server.folder / "jobs" / "bad.yaml"
    path.write_text("condition: {type: sql, database: /x, query: x}\n" + NOOP)
    answer = server.post("/api/control/reload_jobs?dry_run=False")
    assert answer.status == 400
    assert "sql conditions are switched off on this server" in answer.body.decode()
    assert "conditions.allow" in answer.body.decode()
