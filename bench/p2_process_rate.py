"""P2: `/bin/true` runs per second on the local agent, as a share of what C can start.

Each run has its output file and its exit code, kept. 2,000 runs are due at one instant; the rate is
their number over the time from that instant until the last was a success. The limit is C's fork,
exec and wait of the same `/bin/true`, eight in flight: what the machine can do with all its cores.
It is taken directly before and after and averaged, since a machine's pace changes.

The agent keeps the files of runs that are over and uses them again, so a server is measured
as it is at work: P2 is the second burst of a server. P2_first is the first one, for
which all files are new: on ext4 each takes up to 0.3 ms of processor when many were removed from
the same disk within some minutes, by whomever. P2_launcher is as P2 with a working folder and a
umask, which need a launcher before the program.
"""

from __future__ import annotations

import time

from figures import BenchError, benchmark, emit
from limits.process_start import compiled
from server import Server, running_server, times_s

RUNS = 2_000
IN_FLIGHT = 8
LIMIT_S = 2.0
AHEAD_S = 6.0
TIMEOUT_S = 180.0
PLAIN = "program: {type: process, argv: [/bin/true]}\n"
JOBS = {
    "first": PLAIN,
    "plain": PLAIN,
    "launcher": "program: {type: process, argv: [/bin/true], cwd: /, umask: '027'}\n",
}
BURSTS = (("first", "P2_first"), ("plain", "P2"), ("launcher", "P2_launcher"))


def rate(server: Server, job_id: str) -> float:
    """Return runs per second of a job whose runs are all due at one instant."""
    api = server.api
    warm = api.schedule(job_id, count=100)
    api.succeeded(job_id, warm, TIMEOUT_S)
    due_s = float(int(time.time() + AHEAD_S))
    ids = api.schedule(job_id, count=RUNS, at_s=due_s)
    if time.time() > due_s:
        message = f"{job_id}: scheduling {RUNS} runs took longer than {AHEAD_S:.0f} s"
        raise BenchError(message)
    time.sleep(max(0.0, due_s - time.time()) + 1)
    runs = api.succeeded(job_id, ids, TIMEOUT_S)
    return len(runs) / (max(times_s(runs, "success")) - due_s)


def main() -> None:
    """Measure the limit, the runs, and the limit again."""
    with compiled() as (measure, _), running_server(JOBS) as server:
        for job_id, name in BURSTS:
            before = measure("fork", IN_FLIGHT, LIMIT_S, "/bin/true")
            reached = rate(server, job_id)
            after = measure("fork", IN_FLIGHT, LIMIT_S, "/bin/true")
            limit = (before + after) / 2
            emit(name, reached / limit, "ratio")
            emit(f"{name}_rate", reached, "runs/s")
            emit(f"{name}_limit", limit, "starts/s")


if __name__ == "__main__":
    benchmark(main)
