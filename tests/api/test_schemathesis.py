"""A thousand requests that the API's own description allows, or just does not, at a real server:
none finds a fault, and every answer is one that the description tells of.

What is asked is in tests/support/described_requests.py, the same in every run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from live_server import Server, end_all_of, until

from callsheet.client import Client

pytestmark = pytest.mark.slow

ASKING = Path(__file__).parents[1] / "support" / "described_requests.py"
EXAMPLES = 1_000
# For each operation, of requests that fit and of those that do not.
FITTING, MISFITTING = 12, 6
# Against hanging only.
PATIENCE_S = 1_800
# What is not asked for here, and why.
LEFT_OUT = {
    "POST /api/control/shut_down": "it ends the server",
    "POST /api/v2/agents/{agent_id}/shutdown": "it ends the agent that all the others ask for",
}
# Checks that do not hold for an operation, and why.
SPARED = {
    ("GET /api/v1/runs/{run_id}/outputs", "negative_data_rejection"): (
        "as in Apsis, a run that is not there has no outputs"
    ),
    ("GET /api/v2/runs/{run_id}/output/{output_id}", "negative_data_rejection"): (
        "of a run that has none yet any output is empty: what it will have nobody knows"
    ),
}

JOBS = {
    "noop": "metadata: {labels: [x]}\nprogram: {type: no-op}\n",
    "grp/echo": "params: [word]\nprogram: {type: procstar-shell, command: 'echo {{ word }}'}\n",
    "sleeps": "program: {type: procstar, argv: [sleep, '600']}\n",
    "later": "schedule: {type: interval, interval: 6h}\nprogram: {type: no-op}\n",
    "waits": "condition: {type: dependency, job_id: sleeps}\nprogram: {type: no-op}\n",
}
SETTINGS = "procstar: {agent: {enable: true}}\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"), JOBS, SETTINGS).start()
    yield server
    server.stop()
    end_all_of(server.folder)


@pytest.fixture(scope="module")
def known(server):
    """Values for parts of paths and for parameters: what is there, and what is not."""
    with Client("127.0.0.1", server.port) as client:
        runs = [client.schedule(job, {})["run_id"] for job in ("noop", "sleeps", "waits")]
        runs.append(client.schedule("grp/echo", {"word": "hi"})["run_id"])
        for run_id in (runs[0], runs[-1]):
            until(lambda one=run_id: _is_over(client, one), f"the end of {run_id}")
        agent = next(iter(until(lambda: client.get("/api/procstar/connections"), "an agent")))
    return {
        "run_id": [*runs, "r999999"],
        "run": [*runs, "r999999"],
        "job_id": [*JOBS, "nothing"],
        "job": [*JOBS, "nothing"],
        "focus": [*JOBS, "nothing"],
        "from": ["now", "-1d", "2026-01-01", "odd"],
        "to": ["now", "+1d", "2026-01-02", "odd"],
        "since": ["2026-01-01T00:00:00Z", "odd"],
        "at": ["now", "odd"],
        "output_id": ["output", "stdout", "nothing"],
        "agent_id": [agent, "nothing"],
        "claim": [f"{runs[1]}.1", "r999999.1", "odd"],
        "verb": [
            *("start", "skip", "hold", "release", "stop", "kill", "signal", "mark", "rerun"),
            "odd",
        ],
        "backfill_id": ["b1", "odd"],
        "token_id": ["nothing", "odd"],
        "name": ["nobody", "odd"],
        "signal": ["USR1", "SIGCONT", "18", "odd"],
        "state": ["success", "failure", "error", "skipped", "odd"],
    }


def _is_over(client, run_id):
    return client.get_run(run_id)["state"] in ("success", "failure", "error")


def test_no_request_finds_a_fault_and_every_answer_is_described(server, known):
    plan = {
        "known": known,
        "left_out": list(LEFT_OUT),
        "spared": list(SPARED),
        "fitting": FITTING,
        "misfitting": MISFITTING,
    }
    done = subprocess.run(
        [sys.executable, str(ASKING), f"http://127.0.0.1:{server.port}", json.dumps(plan)],
        cwd=server.folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["wrong"], "\n\n".join(found["wrong"])
    assert set(found["operations"]) == found["sent"].keys() | LEFT_OUT.keys()
    assert sum(found["sent"].values()) >= EXAMPLES
    # What only looks has mostly found something: requests that are all refused show little.
    looks = [set(found["answered"][name]) for name in found["sent"] if name.startswith("GET ")]
    assert sum(bool({200, 206} & statuses) for statuses in looks) >= 0.8 * len(looks)
    assert "Traceback" not in server.log()
