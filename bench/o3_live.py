"""O3: from a line that a process prints to the line in the hands of one who follows.

50 lines, each stamped by the program that prints it; `callsheet output -f` follows over its socket,
and this process reads its pipe. The lines come at uneven distances, lest they fall in step with a
timer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from figures import BenchError, benchmark, emit, percentile
from server import running_server

LINES = 50
JOB = """
program:
  type: shell
  command: |
    sleep 2
    n=0
    while [ $n -lt %d ]; do
        n=$((n + 1))
        date +%%s.%%N
        sleep 0.$((25 + n %% 7))
    done
"""


def main() -> None:
    """Measure once."""
    late_ms = []
    with running_server({"lines": JOB % LINES}) as server:
        (run_id,) = server.api.schedule("lines")
        command = [sys.executable, "-m", "callsheet.cli.people", "output", "-f", run_id]
        environ = os.environ | {"CALLSHEET_HOST": server.address}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as follower:
            assert follower.stdout is not None, "a pipe was asked for"
            for line in follower.stdout:
                late_ms.append((time.time() - float(line)) * 1e3)
    if len(late_ms) != LINES:
        message = f"{len(late_ms)} lines came: expected {LINES}"
        raise BenchError(message)
    emit("O3_p50", percentile(late_ms, 50), "ms")
    emit("O3_p99", percentile(late_ms, 99), "ms")


if __name__ == "__main__":
    benchmark(main)
