"""P12 and P13: what a server costs when nothing happens, and what one live run costs.

P12 is the proportional memory of all its processes with the local agent and its keepers, the
supervisor included; P12_run what 10,000 runs that wait for ever add to all of them, for each run.
P13 is the processor time that all of them use with 10,000 jobs loaded of which none is due, as a
share of one core, and P13_wakeups how often a second one of them wakes.
"""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path

from figures import benchmark, emit
from server import Server, running_server

RUNS = 10_000
JOBS = 10_000
SETTLE_S = 15.0
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
    return sorted({*pids, *children})


def memory_bytes(pids: list[int]) -> int:
    """Return the proportional set size of some processes together."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def used_s(pids: list[int]) -> float:
    """Return the processor time used so far, from the scheduler's own account."""
    return (
        sum(
            int(task.read_text().split()[0])
            for pid in pids
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat")
        )
        / 1e9
    )


def wakeups(pids: list[int]) -> int:
    """Return how often the threads have given up a processor of their own accord."""
    total = 0
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            for line in status.read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split()[1])
    return total


def live_runs() -> None:
    """Measure a small server, and what live runs add to it."""
    with running_server({"waits": WAITS}) as server:
        time.sleep(SETTLE_S)
        idle = memory_bytes(processes(server))
        server.api.schedule("waits", count=RUNS)
        time.sleep(SETTLE_S)
        loaded = memory_bytes(processes(server))
    emit("P12", idle / 1e6, "MB")
    emit("P12_run", (loaded - idle) / RUNS / 1e3, "kB")


def idle_jobs() -> None:
    """Measure a server with many jobs, none of which is due while it is watched."""
    when = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=6)).strftime("%H:%M:00")
    job = f"schedule: {{type: daily, tz: UTC, daytime: '{when}'}}\nprogram: {{type: no-op}}\n"
    with running_server({f"f{n % 100}/job{n}": job for n in range(JOBS)}) as server:
        time.sleep(2 * SETTLE_S)
        pids = processes(server)
        used, woken = used_s(pids), wakeups(pids)
        time.sleep(WATCH_S)
        used, woken = used_s(pids) - used, wakeups(pids) - woken
        emit("P12_10k_jobs", memory_bytes(pids) / 1e6, "MB")
    emit("P13", used / WATCH_S * 100, "%")
    emit("P13_wakeups", woken / WATCH_S, "1/s")


def main() -> None:
    """Measure once."""
    live_runs()
    idle_jobs()


if __name__ == "__main__":
    benchmark(main)
