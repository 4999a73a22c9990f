"""P1: no-op runs per second, end to end, each of their moves durable and published.

5,000 runs are asked for over the API; the rate is their number over the time from when the first
was put on the schedule until the last was a success, as the server wrote these times down.
"""

from __future__ import annotations

from figures import benchmark, emit
from server import running_server, times_s

RUNS = 5_000
TIMEOUT_S = 120.0


def main() -> None:
    """Measure once."""
    with running_server({"noop": "program: {type: no-op}\n"}) as server:
        api = server.api
        warm = api.schedule("noop", count=100)
        api.succeeded("noop", warm, TIMEOUT_S)
        ids = api.schedule("noop", count=RUNS)
        runs = api.succeeded("noop", ids, TIMEOUT_S)
    took_s = max(times_s(runs, "success")) - min(times_s(runs, "scheduled"))
    emit("P1", len(runs) / took_s, "runs/s")


if __name__ == "__main__":
    benchmark(main)
