"""C3: with 50,000 runs waiting, how long from the event a run waits for to its start?

A real server holds 50,000 waiting runs: 45,000 of nine jobs, and 5,000 each of which waits for a
dependency of its own (with args). Then one dependency after another succeeds. Measured is from the
instant of that success to the instant at which the run that waits for it is starting, both as the
server wrote them down. C3_release is the 99th percentile of these, C3_release_p50 the median;
C3_waiter and C3_ledger are what the waiting runs add to the memory of these processes, per run.
"""

from __future__ import annotations

import concurrent.futures
import json
import time
from pathlib import Path
from typing import Any

from figures import benchmark, emit, percentile
from proc import memory_bytes
from server import Api, Server, running_server, times_s

ALIKE_JOBS = 9
ALIKE_EACH = 5_000
OWN = 5_000
RELEASES = 200
CLIENTS = 4
TIMEOUT_S = 300.0
SETTLE_S = 3.0
NOOP = "program: {type: no-op}\n"
WAITS = NOOP + "condition: {type: dependency, job_id: gate}\n"


def main() -> None:
    """Measure once."""
    jobs = {f"alike{n}": WAITS.replace("gate", "never") for n in range(ALIKE_JOBS)}
    jobs |= {"never": NOOP, "gate": "params: [n]\n" + NOOP, "own": "params: [n]\n" + WAITS}
    with running_server(jobs) as server:
        api = server.api
        before = memory_kib(server)
        for n in range(ALIKE_JOBS):
            api.schedule(f"alike{n}", count=ALIKE_EACH)
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            shares = list(pool.map(lambda client: wait_own(server, client), range(CLIENTS)))
        own = {number: run_id for share in shares for number, run_id in share.items()}
        settle(api)
        after = memory_kib(server)
        late_ms = [release(api, number, own[number]) * 1e3 for number in range(RELEASES)]
    count = ALIKE_JOBS * ALIKE_EACH + OWN
    emit("C3_release", percentile(late_ms, 99), "ms")
    emit("C3_release_p50", percentile(late_ms, 50), "ms")
    for role in ("waiter", "ledger"):
        added = after[f"{role}/0"] - before[f"{role}/0"]
        emit(f"C3_{role}", added / count, "KiB/run")


def wait_own(server: Server, client: int) -> dict[int, str]:
    """Schedule a share of the runs that each wait for one of their own; return ids by number."""
    api = server.api
    made = {}
    for number in range(client, OWN, CLIENTS):
        answer = api.post("/runs", {"job_id": "own", "args": {"n": str(number)}})
        made[number] = next(iter(answer["runs"]))
    return made


def settle(api: Api) -> None:
    """Wait until a run made now passes the waiter: what came before has been looked at."""
    for job_id in ("gate", "own"):
        answer = api.post("/runs", {"job_id": job_id, "args": {"n": "last"}})
        api.wait_for(next(iter(answer["runs"])), TIMEOUT_S)
    time.sleep(SETTLE_S)


def release(api: Api, number: int, waiting: str) -> float:
    """Have a run's dependency succeed; return the seconds until the run was starting."""
    answer = api.post("/runs", {"job_id": "gate", "args": {"n": str(number)}})
    gate = next(iter(answer["runs"]))
    api.wait_for(waiting, TIMEOUT_S)
    runs: list[dict[str, Any]] = [api.get(f"/runs/{run}")["runs"][run] for run in (gate, waiting)]
    [freed_s] = times_s(runs[:1], "success")
    [start_s] = times_s(runs[1:], "starting")
    return start_s - freed_s


def memory_kib(server: Server) -> dict[str, float]:
    """Return the memory (PSS) of each role's process, in KiB."""
    state = Path(server.folder, "callsheet.db.state")
    pids = json.loads((state / "processes.json").read_text())
    return {role: memory_bytes([int(pid)]) / 1024 for role, pid in pids.items()}


if __name__ == "__main__":
    benchmark(main)
