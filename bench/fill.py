"""Fills a database with believable finished runs, far faster than a server could make them.

    python bench/fill.py FILE COUNT

The rows are those that a server's own commits would leave: runs with their args, labels, times and
results, two commits of events each, an output for some. Indexes are made at the end.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from typing import Any

from callsheet.jobs.programs import BoundProcess
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.instructions import OutputRecord
from callsheet.messages.transitions import AnyEvent, RunMoved
from callsheet.store.rows import EventRow, encode, event_rows, row_sum, run_row, span_rows
from callsheet.store.sqlite import create_database

JOBS = 1_000
SECOND_US = 1_000_000
FIRST_US = 1_700_000_000 * SECOND_US
# All runs lie within two years, however many there are.
SPAN_US = 2 * 365 * 86_400 * SECOND_US
CHUNK = 5_000
REGIONS = ("eu", "us", "apac")
STATES = (State.SUCCESS, State.FAILURE, State.ERROR, State.SKIPPED, State.LOST)
SHARES = (93.0, 4.0, 1.0, 1.5, 0.5)
EVENTS = 4
# One run in so many has printed something.
PRINTS = 10


def job_ids() -> list[str]:
    """Return the ids of the jobs: ten teams, ten subjects each, ten jobs of a subject."""
    return [f"team{n % 10}/subject{n // 10 % 10}/job{n}" for n in range(JOBS)]


def labels_of(number: int) -> tuple[str, ...]:
    """Return the labels of the n-th job."""
    return (f"team{number % 10}", "nightly" if number % 3 else "hourly")


def a_run(number: int, job: int, job_id: str, state: State, at_us: int) -> Run:
    """Return the n-th run of the database, of the given job, as it is once it is over."""
    agent_id = f"host{number % 20}"
    region = REGIONS[number % 3]
    args = {"date": _day(at_us), "region": region} if job % 2 else {"date": _day(at_us)}
    took_us = (1 + number * 7919 % 600) * SECOND_US
    times = {
        "scheduled": at_us - 3600 * SECOND_US,
        "starting": at_us,
        "running": at_us + 4_000,
        state.value: at_us + took_us,
    }
    status = {"status": {"exit_code": 0 if state is State.SUCCESS else 1, "signal": None}}
    return Run(
        run_id=f"r{number}",
        job_id=job_id,
        args=args,
        state=state,
        schedule_us=at_us,
        version=number * EVENTS,
        fingerprint=f"f{job}",
        definition=f"d{job}",
        attempt=1,
        message=None if state is State.SUCCESS else "exit code 1",
        times=times,
        labels=labels_of(job),
        program=BoundProcess(argv=("/usr/bin/etl", "--region", region, "--date", args["date"])),
        meta={"job": {"labels": list(labels_of(job))}, "program": status, "elapsed": took_us / 1e6},
        agent_id=agent_id,
    )


def fill(path: str, count: int, seed: int = 1) -> None:
    """Make a database at `path` with runs r1 … r<count>."""
    create_database(path, since_us=FIRST_US)
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("synchronous = OFF", "journal_mode = OFF", "cache_size = -262144"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        " AND tbl_name IN ('runs', 'events', 'run_agents')"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    _insert_jobs(connection)
    for rows in _chunks(count, random.Random(seed)):
        connection.execute("BEGIN")
        _insert(connection, *rows)
        connection.execute("COMMIT")
    for _, text in indexes:
        connection.execute(text)
    connection.execute("UPDATE meta SET seq = ?, next_run_number = ?", (count * EVENTS, count + 1))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def _chunks(count: int, draw: random.Random) -> Iterator[tuple[list[Run], list[Any], list[Any]]]:
    ids = job_ids()
    # Few jobs have most of the runs.
    weights = [1 / (1 + n) ** 0.7 for n in range(JOBS)]
    step_us = max(SECOND_US, SPAN_US // count // SECOND_US * SECOND_US)
    for begin in range(1, count + 1, CHUNK):
        numbers = range(begin, min(begin + CHUNK, count + 1))
        jobs = draw.choices(range(JOBS), weights, k=len(numbers))
        states = draw.choices(STATES, SHARES, k=len(numbers))
        runs, events, outputs = [], [], []
        for number, job, state in zip(numbers, jobs, states, strict=True):
            run = a_run(number, job, ids[job], state, FIRST_US + number * step_us)
            runs.append(run)
            events += _events(run)
            if number % PRINTS == 0:
                output = OutputRecord(run_id=run.run_id, length=11, data=b"hello there")
                row = (number, 1, "output", encode(output))
                outputs.append((*row, row_sum(*row)))
        yield runs, events, outputs


def _events(run: Run) -> list[EventRow]:
    """Return the two commits of a run: when it was expected, and when it ran."""
    first = (run.number - 1) * EVENTS + 1
    states = [State(name) for name in run.times]
    moves: list[AnyEvent] = [
        RunMoved(
            seq=first + i,
            at_us=run.times[state.value],
            run_id=run.run_id,
            before=states[i - 1] if i else None,
            after=state,
            message=state.value,
        )
        for i, state in enumerate(states)
    ]
    return [
        *event_rows({run.run_id: moves[:1]}, first),
        *event_rows({run.run_id: moves[1:]}, first + 1),
    ]


def _insert(
    connection: sqlite3.Connection, runs: list[Run], events: list[Any], outputs: list[Any]
) -> None:
    rows = [run_row(run, max(run.times.values())) for run in runs]
    put = connection.executemany
    put("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    put("INSERT INTO events VALUES (?, ?, ?, ?, ?)", events)
    put("INSERT INTO outputs VALUES (?, ?, ?, ?, ?)", outputs)
    put("INSERT INTO run_agents VALUES (?, ?)", [(run.number, run.agent_id) for run in runs])
    put(
        "INSERT INTO spans VALUES (?, ?, ?, ?) ON CONFLICT (block) DO UPDATE SET"
        " most_schedule_us = excluded.most_schedule_us, most_changed_us = excluded.most_changed_us",
        span_rows((run.number, run.schedule_us, max(run.times.values())) for run in runs),
    )


def _insert_jobs(connection: sqlite3.Connection) -> None:
    rows = [(label, job_id) for n, job_id in enumerate(job_ids()) for label in ("", *labels_of(n))]
    connection.executemany("INSERT INTO run_jobs (label, job_id) VALUES (?, ?)", rows)


def _day(at_us: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at_us // SECOND_US))


if __name__ == "__main__":
    begun = time.perf_counter()
    fill(sys.argv[1], int(sys.argv[2]))
    print(f"{sys.argv[2]} runs in {time.perf_counter() - begun:.0f} s")
