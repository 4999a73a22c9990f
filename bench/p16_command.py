"""P16: the whole command `callsheet runs`, from exec to exit, against a server with 1,000 runs.

Beside it, in turn, an interpreter that does nothing: what any command in Python costs at least.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from figures import benchmark, emit, percentile
from server import running_server

RUNS = 1_000
TIMES = 40
TIMEOUT_S = 60.0
JOB = "program: {type: no-op}\nmetadata: {labels: [bench]}\n"
COMMAND = "import sys; from callsheet.cli.people import main; sys.argv[0] = 'callsheet'; main()"


def main() -> None:
    """Measure once."""
    whole_ms, bare_ms = [], []
    with running_server({"noop": JOB}) as server:
        server.api.succeeded("noop", server.api.schedule("noop", count=RUNS), TIMEOUT_S)
        env = os.environ | {"CALLSHEET_HOST": server.address}
        for _ in range(TIMES):
            whole_ms.append(_timed([sys.executable, "-c", COMMAND, "runs"], env))
            bare_ms.append(_timed([sys.executable, "-c", "pass"], env))
    emit("P16_p50", percentile(whole_ms, 50), "ms")
    emit("P16_p90", percentile(whole_ms, 90), "ms")
    emit("P16_bare_interpreter_p50", percentile(bare_ms, 50), "ms")


def _timed(command: list[str], env: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - begun) * 1e3


if __name__ == "__main__":
    benchmark(main)
