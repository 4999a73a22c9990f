"""The limit of durable moves: group commits of SQLite in WAL mode with `synchronous=FULL`.

One row and four events per run, as the ledger writes them, and nothing else: no queue, no core, no
codec. Prints commits per second with one run each, and runs per second in batches.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine import durable_folder

SECONDS = 2.0
TABLES = """
CREATE TABLE runs (id INTEGER PRIMARY KEY, job TEXT, args TEXT, state TEXT, at INTEGER, data BLOB);
CREATE INDEX runs_by_job ON runs (job, at);
CREATE INDEX runs_by_state ON runs (state, at);
CREATE TABLE events (seq INTEGER PRIMARY KEY, run INTEGER, at INTEGER, record BLOB);
CREATE INDEX events_by_run ON events (run);
"""
EVENTS_PER_RUN = 4


def runs_per_second(path: str, batch: int) -> float:
    """Return how many runs per second become durable when `batch` of them share a commit."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.executescript(TABLES)
    record, event = b"r" * 400, b"e" * 80
    run = seq = 0
    begun = time.perf_counter()
    while time.perf_counter() - begun < SECONDS:
        first = run
        database.execute("BEGIN IMMEDIATE")
        run += batch
        database.executemany(
            "INSERT INTO runs VALUES (?, 'folder/job', '{}', 'success', ?, ?)",
            [(number, number, record) for number in range(first, run)],
        )
        rows = []
        for number in range(first, run):
            for _ in range(EVENTS_PER_RUN):
                rows.append((seq, number, number, event))
                seq += 1
        database.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
        database.execute("COMMIT")
    rate = run / (time.perf_counter() - begun)
    database.close()
    return rate


def main() -> None:
    """Print the rate for some sizes of batch."""
    for batch in (1, 10, 100, 1000):
        with durable_folder() as folder:
            rate = runs_per_second(f"{folder}/limit.db", batch)
        print(f"limit_sqlite_batch_{batch} {rate:.0f} runs/s", flush=True)


if __name__ == "__main__":
    main()
