"""P11 and P14: a server over ten million finished runs: how fast it lists, what memory it takes.

P11 is the slowest of the 99th percentiles of a page of 100 runs over HTTP, by a job, by a state
and by a day, each with cursors into the depth; each is shown by itself. P14 is what all processes
of the server take more than one with the same jobs and an empty database, after the same requests.

`BENCH_RUNS` is how many runs there are (ten million: some 14 GB on the disk, half an hour to make).
`BENCH_HISTORY` is a database that `fill.py` has made; it is linked or copied, and brought up to
date.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from urllib.parse import urlencode

from figures import BenchError, benchmark, emit, percentile
from fill import FIRST_US, SPAN_US, fill, job_ids
from machine import durable_folder
from p12_memory import processes
from proc import memory_bytes
from server import Api, Server

from callsheet.store.sqlite import migrate_database

RUNS = int(os.environ.get("BENCH_RUNS", "10000000"))
PAGES = 400
WARM = 50
SETTLE_S = 10.0
JOB = "program: {type: no-op}\n"
DAY_S = 86_400


def place_history(path: str) -> None:
    """Put a database full of runs where the server's empty one is."""
    os.unlink(path)
    made = os.environ.get("BENCH_HISTORY")
    if made is None:
        fill(path, RUNS)
        return
    try:
        os.link(made, path)
    except OSError:
        shutil.copyfile(made, path)
    migrate_database(path)


def queries(draw: random.Random) -> dict[str, list[str]]:
    """Return the queries of each kind, the first pages and deep ones."""
    ids = job_ids()
    depth = [str(draw.randrange(RUNS // 10, RUNS)) for _ in range(PAGES)]
    days = [
        time.strftime("%Y-%m-%d", time.gmtime(draw.randrange(FIRST_US, FIRST_US + SPAN_US) / 1e6))
        for _ in range(PAGES)
    ]
    found = {
        "job": [{"q": f"job:{draw.choice(ids)}"} for _ in range(PAGES)],
        "state": [{"state": draw.choice(["failure", "error", "lost"])} for _ in range(PAGES)],
        "time": [{"q": f"time:{day}"} for day in days],
    }
    for kind in ("job", "state"):
        for query, cursor in zip(found[kind][::2], depth, strict=False):
            query["cursor"] = cursor
    return {
        kind: [urlencode({**query, "limit": "100", "counts": "0"}) for query in some]
        for kind, some in found.items()
    }


def page_ms(api: Api, query: str) -> tuple[float, int]:
    """Return how long a page takes, and how many runs it has."""
    begun = time.perf_counter()
    found = api.get_v2(f"/runs?{query}")
    return (time.perf_counter() - begun) * 1e3, len(found["runs"])


def look(server: Server, asked: dict[str, list[str]]) -> dict[str, list[float]]:
    """Return how long the pages of each kind take, warm."""
    api = server.api
    times: dict[str, list[float]] = {}
    for kind, some in asked.items():
        for query in some[:WARM]:
            page_ms(api, query)
        times[kind] = [page_ms(api, query)[0] for query in some]
    return times


def measured(history: bool, asked: dict[str, list[str]]) -> tuple[dict[str, list[float]], int]:
    """Return the times of pages, and the server's memory after them."""
    with durable_folder() as folder:
        server = Server(folder, dict.fromkeys(job_ids(), JOB))
        if history:
            place_history(f"{folder}/callsheet.db")
        server.start()
        try:
            api = server.api
            if history and not page_ms(api, asked["job"][1])[1]:
                message = "history: a page of a job is empty: expected runs"
                raise BenchError(message)
            times = look(server, asked)
            time.sleep(SETTLE_S)
            return times, memory_bytes(processes(server))
        finally:
            server.stop()


def main() -> None:
    """Measure once."""
    asked = queries(random.Random(5))
    _, empty = measured(False, asked)
    times, full = measured(True, asked)
    for kind, some in times.items():
        emit(f"P11_{kind}", percentile(some, 99), "ms")
        emit(f"P11_{kind}_p50", percentile(some, 50), "ms")
    emit("P11", max(percentile(some, 99) for some in times.values()), "ms")
    emit("P14", (full - empty) / 1e6, "MB")


if __name__ == "__main__":
    benchmark(main)
