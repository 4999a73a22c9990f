"""P7 and P8: from a run's move to the consoles that show it.

P7: one console, a no-op run now and then; the lag of each of its records, from the time the ledger
gave the move until the message is there (what a page then makes of it is measured with P15).

P8: 200 consoles and 1,000 moves a second for 20 s; the lag of each message at each of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from figures import BenchError, benchmark, emit, percentile
from server import Server, instant_s, running_server

SINGLES = 200
SPACING_S = 0.1
CONSOLES = 200
MOVES_A_SECOND = 1_000
SECONDS = 20.0
# scheduled, running, success: what a no-op run that is due at once moves through.
MOVES_A_RUN = 3
A_BATCH = 25
# How long after the last run the listeners go on.
AFTER_S = 5.0
TIMEOUT_S = 120.0
JOB = "program: {type: no-op}\n"


def main() -> None:
    """Measure once."""
    with running_server({"noop": JOB}) as server:
        server.api.succeeded("noop", server.api.schedule("noop", count=10), TIMEOUT_S)
        lags_ms, _ = _lags(server, 1, SINGLES * SPACING_S, _now_and_then)
        emit("P7_p50", percentile(lags_ms, 50), "ms")
        emit("P7_p99", percentile(lags_ms, 99), "ms")
        lags_ms, rate = _lags(server, CONSOLES, SECONDS, _steadily)
        emit("P8_p50", percentile(lags_ms, 50), "ms")
        emit("P8_p99", percentile(lags_ms, 99), "ms")
        emit("P8_moves", rate, "/s")


def _now_and_then(server: Server) -> None:
    api = server.api
    for _ in range(SINGLES):
        api.schedule("noop")
        time.sleep(SPACING_S)


def _steadily(server: Server) -> None:
    api = server.api
    begun = time.monotonic()
    batches = round(SECONDS * MOVES_A_SECOND / MOVES_A_RUN / A_BATCH)
    for n in range(batches):
        due = begun + n * SECONDS / batches
        time.sleep(max(0.0, due - time.monotonic()))
        api.schedule("noop", count=A_BATCH)


def _lags(server: Server, consoles: int, seconds: float, load: Any) -> tuple[list[float], float]:
    """Return the lags of all messages at all consoles in ms, and the moves a second."""
    command = [sys.executable, str(Path(__file__).with_name("listeners.py")), server.address]
    with subprocess.Popen(
        [*command, str(consoles), str(seconds + AFTER_S)], stdout=subprocess.PIPE, text=True
    ) as listeners:
        assert listeners.stdout is not None
        if listeners.stdout.readline() != "ready\n":
            raise BenchError("the listeners did not begin: expected them to subscribe")
        load(server)
        first, *others = json.loads(listeners.stdout.read())
    if first["resyncs"] or any(one["resyncs"] for one in others):
        raise BenchError("a console was told to read again: expected all to keep up")
    lags_ms, moved_s = [], {}
    runs = set()
    for at_s, text in first["arrivals"]:
        message = json.loads(text)
        times = [list(run["times"].values()) for run in message.get("runs", [])]
        if not times:
            continue
        newest_s = [max(map(instant_s, some)) for some in times]
        lags_ms += [(at_s - one_s) * 1e3 for one_s in newest_s]
        moved_s[message["seq"]] = max(newest_s)
        runs |= {run["run_id"] for run in message["runs"]}
    for one in others:
        lags_ms += [(at_s - moved_s[seq]) * 1e3 for at_s, seq in one["arrivals"] if seq in moved_s]
    return lags_ms, len(runs) * MOVES_A_RUN / seconds


if __name__ == "__main__":
    benchmark(main)
