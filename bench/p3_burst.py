"""P3: 1,000 no-op runs due at one instant: how late are they?

P3 is the 99th percentile of the time from the instant they were due until they were a success,
P3_all that of the last one, both as the server wrote them down.
"""

from __future__ import annotations

import time

from figures import BenchError, benchmark, emit, percentile
from server import running_server, times_s

RUNS = 1_000
AHEAD_S = 4.0
TIMEOUT_S = 60.0


def main() -> None:
    """Measure once."""
    with running_server({"noop": "program: {type: no-op}\n"}) as server:
        api = server.api
        warm = api.schedule("noop", count=100)
        api.succeeded("noop", warm, TIMEOUT_S)
        due_s = float(int(time.time() + AHEAD_S))
        ids = api.schedule("noop", count=RUNS, at_s=due_s)
        if time.time() > due_s:
            message = f"noop: scheduling {RUNS} runs took longer than {AHEAD_S:.0f} s"
            raise BenchError(message)
        time.sleep(max(0.0, due_s - time.time()) + 1)
        runs = api.succeeded("noop", ids, TIMEOUT_S)
    late_ms = [(at - due_s) * 1e3 for at in times_s(runs, "success")]
    emit("P3", percentile(late_ms, 99), "ms")
    emit("P3_p50", percentile(late_ms, 50), "ms")
    emit("P3_all", max(late_ms), "ms")


if __name__ == "__main__":
    benchmark(main)
