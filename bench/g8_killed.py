"""G8: a server with 100,000 runs in its database is killed, all of it at once, and started again.

G8 is the time from exec of the new server until the first process of a run is there, by the word of
that process itself: the median of ten kills; G8_most the slowest. G8_answers is when the API says
that it runs, the median. A job is due every second, so that some run is due when the server comes;
agent and keepers are killed too. Argument: how many runs are stored.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import sys
import time
from pathlib import Path

from figures import BenchError, benchmark, emit
from fill import fill, job_ids
from machine import durable_folder
from p12_memory import processes
from server import Server

RUNS = 100_000
KILLS = 10
# A server that is killed has run for so long, and is away for so long.
UP_S, AWAY_S = 3.0, 1.5
TIMEOUT_S = 60.0
LOOK_S = 0.02
OLD = "program: {type: no-op}\n"
TICK = """\
schedule: {type: interval, interval: 1s, catch_up: all}
program: {type: shell, command: "date +%%s.%%N >> %s"}
"""


def kill(server: Server) -> None:
    """SIGKILL the supervisor, all roles, the agent and its keepers."""
    pids = processes(server)
    server.kill()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def first_after(evidence: Path, at_s: float) -> float:
    """Return the first instant after `at_s` (seconds since the epoch) at which a process began.

    Raises:
        BenchError: none has within a minute.
    """
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        if evidence.exists():
            begun = [float(line) for line in evidence.read_text().split("\n")[:-1]]
            if begun and max(begun) > at_s:
                return min(one for one in begun if one > at_s)
        time.sleep(LOOK_S)
    message = f"no run began within {TIMEOUT_S:.0f} s"
    raise BenchError(message)


def main() -> None:
    """Measure once."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    firsts_s, answers_s = [], []
    with durable_folder() as folder:
        evidence = Path(folder, "evidence")
        server = Server(folder, {**dict.fromkeys(job_ids(), OLD), "tick": TICK % evidence})
        os.unlink(f"{folder}/callsheet.db")
        fill(f"{folder}/callsheet.db", count)
        try:
            server.start()
            first_after(evidence, 0.0)
            for _ in range(KILLS):
                time.sleep(UP_S)
                kill(server)
                time.sleep(AWAY_S)
                begun_s = time.time()
                answers_s.append(server.start())
                firsts_s.append(first_after(evidence, begun_s) - begun_s)
        finally:
            server.stop()
    emit("G8", statistics.median(firsts_s), "s")
    emit("G8_most", max(firsts_s), "s")
    emit("G8_answers", statistics.median(answers_s), "s")


if __name__ == "__main__":
    benchmark(main)
