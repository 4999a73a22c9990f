"""Every process of the server is killed in turn while real processes run.

The jobs write their own evidence: one line when they start and one when they end. What the server
says afterwards is held against that, and nothing else.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from live_server import ROLES, Server, until

RUNS = int(os.environ.get("CALLSHEET_KILL_RUNS", "500"))
OVER = ("success", "failure", "error", "skipped")

JOB = """\
params: [n, code, nap]
program:
  type: shell
  command: |
    printf 'start %s %s\\n' "$APSIS_RUN_ID" "$$" >> {evidence}
    sleep {{{{ nap }}}}
    printf 'end %s %s\\n' "$APSIS_RUN_ID" "{{{{ code }}}}" >> {evidence}
    exit {{{{ code }}}}
"""


def states(server: Server) -> Counter[str]:
    """How many runs are in each state, read as often as the server is up."""
    try:
        answer = server.get("/api/v1/runs?job_id=work&summary=True")
    except OSError:
        return Counter()
    if answer.status != 200:
        return Counter()
    return Counter(run["state"] for run in answer.json["runs"].values())


def check(server: Server, evidence: Path, wanted: dict[str, int]) -> None:
    """Hold the server's word against the evidence."""
    words = [line.split() for line in evidence.read_text().splitlines()]
    starts = Counter(word[1] for word in words if word[0] == "start")
    ends = {word[1]: int(word[2]) for word in words if word[0] == "end"}
    assert set(starts) == set(wanted), "lost runs, or runs nobody asked for"
    assert {run_id: n for run_id, n in starts.items() if n != 1} == {}, "started more than once"
    assert ends == wanted
    runs = server.get("/api/v1/runs?job_id=work").json["runs"]
    said = {run_id: run["meta"]["program"]["status"]["exit_code"] for run_id, run in runs.items()}
    assert said == wanted
    told = {run_id: run["state"] for run_id, run in runs.items()}
    assert told == {r: "failure" if code else "success" for r, code in wanted.items()}


@pytest.mark.slow
def test_kill_9_of_each_process_loses_and_doubles_nothing(a_server, tmp_path):
    evidence = tmp_path / "evidence"
    evidence.touch()
    server = a_server({"work": JOB.format(evidence=evidence)}).start()
    wanted: dict[str, int] = {}

    def ask(count: int) -> None:
        for _ in range(count):
            n = len(wanted)
            code = n % 4
            args = {"n": str(n), "code": str(code), "nap": f"{0.5 + n % 7 * 0.5:g}"}
            wanted[server.schedule("work", **args)] = code

    share = RUNS // (len(ROLES) + 2)
    ask(share)
    for role in ROLES:
        server.kill(role)
        ask(share)
    # The supervisor takes all roles with it; the jobs go on, and a new server finds them.
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    server.start()
    ask(RUNS - len(wanted))

    def all_over() -> bool:
        seen = states(server)
        return sum(seen[state] for state in OVER) == RUNS

    until(all_over, f"{RUNS} runs to be over: {states(server)}", patience_s=240)
    check(server, evidence, wanted)
