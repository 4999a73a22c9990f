"""P6: one process run on an idle system: from the instant it is due until its program runs.

200 runs of `date`, each due at an instant of its own, asked for beforehand so that nothing but the
run itself happens then. The program writes the time it sees; that includes its own loading, about a
millisecond. The instants are not spaced evenly, lest they fall in step with some timer.
"""

from __future__ import annotations

import time

from figures import BenchError, benchmark, emit, percentile
from server import api_time, instant_s, running_server

RUNS = 200
AHEAD_S = 3.0
SPACING_S = 0.2
WOBBLE_S = 0.05
TIMEOUT_S = 60.0
JOB = "program: {type: process, argv: [/bin/date, '+%s.%N']}\n"


def main() -> None:
    """Measure once."""
    late_ms = []
    with running_server({"date": JOB}) as server:
        api = server.api
        api.succeeded("date", api.schedule("date", count=10), TIMEOUT_S)  # warm
        begin_s = time.time() + AHEAD_S
        due = {}
        for n in range(RUNS):
            at_s = round(begin_s + n * SPACING_S + (n * 37 % 100) / 100 * WOBBLE_S, 3)
            times = {"schedule": api_time(at_s)}
            answer = api.post("/runs", {"job_id": "date", "times": times})
            (run,) = answer["runs"].values()
            due[run["run_id"]] = instant_s(run["times"]["schedule"])
            if abs(due[run["run_id"]] - at_s) > 0.001:
                message = f"{run['run_id']}: due {at_s}, but the server took {run['times']}"
                raise BenchError(message)
        time.sleep(max(0.0, max(due.values()) - time.time()) + 1)
        api.succeeded("date", list(due), TIMEOUT_S)
        for run_id, due_s in due.items():
            stamp = api.raw("GET", f"/runs/{run_id}/output/output", {})
            late_ms.append((float(stamp) - due_s) * 1e3)
    emit("P6_p50", percentile(late_ms, 50), "ms")
    emit("P6_p99", percentile(late_ms, 99), "ms")


if __name__ == "__main__":
    benchmark(main)
