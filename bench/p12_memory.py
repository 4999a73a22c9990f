"""P12 and P13: what a server costs when nothing happens, and what one live run costs.

P12 is the proportional memory of all its processes with the local agent and its keepers, the
supervisor included; P12_run what 10,000 runs that wait for ever add to all of them, for each run,
and P12_run_more what 30,000 after them add: the first ones bring the room that handling a thousand
runs in one message takes, which is used again.
P13 is the processor time that all of them use with 10,000 jobs loaded of which none is due, as a
share of one core, and P13_wakeups how often a second one of them wakes.

The limits are taken in the same run: as many processes with the same libraries, sockets and beats,
and nothing of ours (`limits/bare_server.py`); and for a run its encoded record in a dict of one
process. `BENCH_REST` is how many seconds after its start a server with 10,000 jobs is watched: each
of them is looked at by the checker for the first time within twenty minutes, and costs less after
it.
"""

from __future__ import annotations

import datetime
import json
import os
import time
from pathlib import Path

from figures import benchmark, emit
from limits.bare_records import bytes_a_run
from limits.bare_server import measured
from proc import memory_bytes, used_s, wakeups
from server import Server, running_server

RUNS = 10_000
MORE_RUNS = 30_000
JOBS = 10_000
SETTLE_S = 15.0
REST_S = float(os.environ.get("BENCH_REST", "60"))
WATCH_S = 30.0
WAITS = "program: {type: no-op}\ncondition: {type: const, value: false}\n"


def processes(server: Server) -> list[int]:
    """Return the pids of a server's processes, its agent's keepers among them."""
    state = Path(server.folder, "callsheet.db.state")
    pids = [int(pid) for pid in json.loads((state / "processes.json").read_text()).values()]
    children = [
        int(word)
        for pid in pids
        for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ]
    # Nobody's children; each says in its lock which process it is.
    locks = (state / "spool" / "keepers").glob("*.lock")
    keepers = [int(lock.read_text().split(".")[1]) for lock in locks]
    return sorted({*pids, *children, *keepers})


def live_runs(limit_bytes: float) -> None:
    """Measure a small server, and what live runs add to it."""
    with running_server({"waits": WAITS}) as server:
        time.sleep(SETTLE_S)
        idle = memory_bytes(processes(server))
        server.api.schedule("waits", count=RUNS)
        time.sleep(SETTLE_S)
        loaded = memory_bytes(processes(server))
        server.api.schedule("waits", count=MORE_RUNS)
        time.sleep(SETTLE_S)
        full = memory_bytes(processes(server))
    run_bytes, least_bytes = (loaded - idle) / RUNS, bytes_a_run(RUNS)
    emit("P12", idle / 1e6, "MB")
    emit("P12_limit", limit_bytes / 1e6, "MB")
    emit("P12_ratio", idle / limit_bytes, "ratio")
    emit("P12_run", run_bytes / 1e3, "kB")
    emit("P12_run_more", (full - loaded) / MORE_RUNS / 1e3, "kB")
    emit("P12_run_limit", least_bytes / 1e3, "kB")
    emit("P12_run_ratio", run_bytes / least_bytes, "ratio")


def idle_jobs() -> None:
    """Measure a server with many jobs, none of which is due while it is watched."""
    when = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=6)).strftime("%H:%M:00")
    job = f"schedule: {{type: daily, tz: UTC, daytime: '{when}'}}\nprogram: {{type: no-op}}\n"
    with running_server({f"f{n % 100}/job{n}": job for n in range(JOBS)}) as server:
        time.sleep(REST_S)
        pids = processes(server)
        used, woken = used_s(pids), wakeups(pids)
        time.sleep(WATCH_S)
        used, woken = used_s(pids) - used, wakeups(pids) - woken
        emit("P12_10k_jobs", memory_bytes(pids) / 1e6, "MB")
    emit("P13", used / WATCH_S * 100, "%")
    emit("P13_wakeups", woken / WATCH_S, "1/s")


def main() -> None:
    """Measure once."""
    limit_bytes, share, woken = measured()
    live_runs(limit_bytes)
    idle_jobs()
    emit("P13_limit", share * 100, "%")
    emit("P13_wakeups_limit", woken, "1/s")


if __name__ == "__main__":
    benchmark(main)
