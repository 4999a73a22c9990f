"""Many runs due at one instant: what P3, P4 and P5 have in common."""

from __future__ import annotations

import time

from figures import BenchError
from server import running_server, times_s

WARM = 100


def late_ms(
    program: str, runs: int, *, until: str, ahead_s: float, timeout_s: float, bursts: int = 1
) -> list[float]:
    """Return for each run how many milliseconds after the instant it entered a state.

    Args:
        bursts: so many, one after the other, of which the last counts.
        program: the job's program, as YAML.
        runs: how many are due at the one instant.
        until: the state whose time counts, as the server wrote it down.
        ahead_s: how long before the instant the first is asked for: all must be by then.
        timeout_s: until all are a success.

    Raises:
        BenchError: they could not all be asked for before the instant, or did not all succeed.
    """
    job = f"program: {program}\n"
    with running_server({"warm": job, "burst": job}) as server:
        api = server.api
        api.succeeded("warm", api.schedule("warm", count=WARM), timeout_s)
        for _ in range(bursts):
            due_s = float(int(time.time() + ahead_s))
            ids = api.schedule("burst", count=runs, at_s=due_s)
            if time.time() > due_s:
                raise BenchError(f"burst: scheduling {runs} runs took longer than {ahead_s:.0f} s")
            time.sleep(max(0.0, due_s - time.time()) + 1)
            found = api.succeeded("burst", ids, timeout_s)
    return [(at - due_s) * 1e3 for at in times_s(found, until)]
