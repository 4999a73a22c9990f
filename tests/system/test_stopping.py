"""How runs come to an end before their time: stops, kills, signals, timeouts, stop times, with real
processes, by every way there is, and over the deaths of who is in between."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime, timedelta

import pytest
from agent_stand import lives
from live_server import until

pytestmark = pytest.mark.slow

JOBS = {
    "obeys": r"""
program:
  type: shell
  command: |
    trap 'echo bye; exit 4' TERM
    trap 'echo got' USR1
    echo set
    while :; do sleep 0.05; done
""",
    # Its shell ignores the signal; a child left the session, and a grandchild its parents too.
    "tree": r"""
program:
  type: shell
  command: |
    trap '' TERM
    echo $$
    setsid sleep 600 & echo $!
    (setsid sh -c 'sleep 600 & echo $!' &)
    wait
    sleep 600
  stop: {grace_period: 0.5}
""",
    "timed": """
program: {type: process, argv: [sleep, "600"], timeout: {duration: 8, signal: SIGINT}}
""",
    "by schedule": """
schedule:
  start: {type: interval, interval: 5}
  stop: {type: duration, duration: 2}
program: {type: process, argv: [sleep, "600"]}
""",
    "leaves": """
program:
  type: shell
  command: |
    setsid sleep 600 &
    echo $!
    while [ "$(cat /proc/$!/comm)" != sleep ]; do :; done
    exit 3
""",
}


@pytest.fixture(scope="module")
def server(a_lasting_server):
    return a_lasting_server(JOBS).start()


def output(server, run_id):
    return server.get(f"/api/v1/runs/{run_id}/output/output").body.decode()


def reason(server, run_id):
    return server.get(f"/api/v2/runs/{run_id}").json["run"]["reason"]


def running(server, job_id, lines=1):
    """Start a run and wait until it has printed so many lines."""
    run_id = server.schedule(job_id)
    until(lambda: output(server, run_id).count("\n") >= lines, f"{lines} lines of {run_id}")
    return run_id


def by_api_1(server, verb, run_id, *rest):
    return server.request("PUT", "/".join((f"/api/v1/runs/{run_id}/{verb}", *rest))).status == 200


def by_api_2(server, verb, run_id, *rest):
    body = {"signal": rest[0]} if rest else {}
    headers = {"Content-Type": "application/json"}
    path = f"/api/v2/runs/{run_id}/{verb}"
    return server.request("POST", path, body, headers).status == 200


def by_command(server, verb, run_id, *rest):
    return server.callsheet(verb, *rest, run_id).returncode == 0


def test_a_process_is_signalled_and_stopped_by_every_way(server):
    for way in (by_api_1, by_api_2, by_command):
        run_id = running(server, "obeys")
        assert way(server, "signal", run_id, "SIGUSR1")
        until(lambda run_id=run_id: "got\n" in output(server, run_id), "the signal")
        assert server.run(run_id)["state"] == "running"
        assert way(server, "stop", run_id)
        run = server.finished(run_id)
        assert (run["state"], run["meta"]["program"]["status"]["exit_code"]) == ("failure", 4)
        assert run["meta"]["program"]["stop"]["signals"] == ["SIGTERM"]
        assert output(server, run_id).endswith("bye\n")


def test_a_stop_ends_the_whole_tree_after_the_grace_and_a_kill_at_once(server):
    for verb, signals in (("stop", ["SIGTERM", "SIGKILL"]), ("kill", ["SIGKILL"])):
        run_id = running(server, "tree", lines=3)
        pids = [int(line) for line in output(server, run_id).split()]
        assert all(lives(pid) for pid in pids)
        assert by_command(server, verb, run_id)
        run = server.finished(run_id)
        assert (run["state"], run["meta"]["program"]["stop"]["signals"]) == ("failure", signals)
        assert run["meta"]["program"]["status"]["signal"] == "SIGKILL"
        until(lambda pids=pids: not any(lives(pid) for pid in pids), "the end of the tree")


def test_a_stop_reaches_its_process_though_agent_and_runner_die_on_the_way(server):
    run_id = running(server, "obeys")
    agentd = server.processes()["agent"]
    os.kill(agentd, signal.SIGSTOP)
    assert by_api_1(server, "stop", run_id)
    os.kill(agentd, signal.SIGKILL)
    server.kill("runner/0")
    run = server.finished(run_id)
    assert run["meta"]["program"]["status"]["exit_code"] == 4
    assert output(server, run_id).endswith("bye\n")


def test_a_timeout_that_passes_while_nobody_is_there_ends_the_run_when_somebody_is(server):
    run_id = server.schedule("timed")
    until(lambda: server.run(run_id)["state"] == "running", "the run to run")
    pid = server.run(run_id)["meta"]["program"]["proc_stat"]["pid"]
    began = time.monotonic()
    assert server.stop() == 0
    assert lives(pid)
    until(lambda: time.monotonic() > began + 8, "the timeout to pass")
    server.start()
    run = server.finished(run_id)
    assert run["state"] == "failure"
    assert reason(server, run_id).startswith("killed by SIGINT (timeout after ")
    assert not lives(pid)


def test_runs_of_a_schedule_with_a_stop_are_stopped_at_it(server):
    def over():
        runs = server.get("/api/v1/runs?job_id=by schedule&state=failure".replace(" ", "%20"))
        return list(runs.json["runs"].values())

    run = until(over, "a run to be stopped")[0]
    assert run["meta"]["program"]["stop"]["signals"] == ["SIGTERM"]
    assert run["meta"]["program"]["status"]["signal"] == "SIGTERM"
    # Two seconds after its time, not after its start.
    times = {name: datetime.fromisoformat(text) for name, text in run["times"].items()}
    assert times["failure"] - times["schedule"] >= timedelta(seconds=2)


def test_whom_a_run_leaves_behind_is_told_with_it(server):
    run_id = server.schedule("leaves")
    run = server.finished(run_id)
    stray = int(output(server, run_id))
    try:
        assert lives(stray)
        remark = f"left behind, and still there: {stray} (sleep)"
        assert run["meta"]["program"]["remarks"] == [remark]
        assert reason(server, run_id) == f"exit code 3; {remark}"
    finally:
        os.kill(stray, signal.SIGKILL)


def test_a_run_is_answered_for_before_it_is_started_and_started_once_there_is_an_agent(server):
    agentd = server.processes()["agent"]
    os.kill(agentd, signal.SIGSTOP)
    runs = [server.schedule("leaves") for _ in range(3)]
    assert {server.run(run_id)["state"] for run_id in runs} <= {"scheduled", "starting"}
    assert all("pid" not in str(server.run(run_id)["meta"]) for run_id in runs)
    os.kill(agentd, signal.SIGCONT)
    for run_id in runs:
        assert server.finished(run_id)["meta"]["program"]["status"]["exit_code"] == 3
        os.kill(int(output(server, run_id)), signal.SIGKILL)
