"""Results on a real server: written by a process, judged, shown, found, given to what follows."""

from __future__ import annotations

import pytest
from live_server import until

pytestmark = pytest.mark.slow

JOBS = {
    "load": """
params: [rows]
results: {rows: {type: int, min: 1}, day: date}
successors: report
program:
  type: shell
  command: |
    echo "rows={{ rows }}" >> "$CALLSHEET_RESULT"
    echo "day=2026-01-02" >> "$CALLSHEET_RESULT"
    echo "and that is it" >> "$CALLSHEET_RESULT"
""",
    "report": "program: 'echo {{ results.rows }} rows of {{ results.day }}'\n",
    "slow": """
results: [x]
program: 'while ! test -e DIR/go; do sleep 0.1; done; echo x=1 > "$CALLSHEET_RESULT"'
""",
}


@pytest.fixture(scope="module")
def server(a_lasting_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    jobs = {name: text.replace("DIR", str(folder)) for name, text in JOBS.items()}
    server = a_lasting_server(jobs).start()
    server.scene = folder
    return server


def page(server, run_id):
    return server.get(f"/api/v2/runs/{run_id}").json["run"]


def test_results_are_shown_found_and_given_to_the_run_that_follows(server):
    run_id = server.schedule("load", rows="30")
    assert server.finished(run_id)["state"] == "success"
    shown = page(server, run_id)
    assert shown["results"] == {"rows": "30", "day": "2026-01-02"}
    assert "results: line 3: 'and that is it': expected key=value" in shown["reason"]
    found = server.get("/api/v2/runs?q=result:rows>29+result:day=2026-01-02").json["runs"]
    assert [run["run_id"] for run in found] == [run_id]
    assert server.get("/api/v2/runs?q=result:rows>30").json["runs"] == []
    printed = server.callsheet("run", run_id).stdout
    assert "  result: rows=30\n" in printed

    def follower():
        runs = server.get("/api/v2/runs?q=report+state:success").json["runs"]
        return runs and runs[0]["run_id"]

    after = until(follower, "the run that follows")
    data = server.get(f"/api/v1/runs/{after}/output/output").body
    assert data == b"30 rows of 2026-01-02\n"
    again = server.post(f"/api/v1/runs/{after}/rerun").json["show_run_id"]
    assert server.finished(again)["state"] == "success"


def test_a_run_without_the_results_of_its_job_is_a_failure_with_the_reason(server):
    run_id = server.schedule("load", rows="0")
    assert server.finished(run_id)["state"] == "failure"
    assert page(server, run_id)["reason"].startswith("results: rows: '0': is less than 1")


def test_results_outlive_the_agent_that_was_there_when_the_process_began(server):
    run_id = server.schedule("slow")
    until(lambda: page(server, run_id)["state"] == "running", "a process")
    server.kill("agent")
    (server.scene / "go").touch()
    assert server.finished(run_id)["state"] == "success"
    assert page(server, run_id)["results"] == {"x": "1"}
