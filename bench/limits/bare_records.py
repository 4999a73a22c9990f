"""The limit of a waiting run's memory: its encoded record in a dict, in one process.

Every run is known to the ledger, who answers for it, and to the waiter, who watches its conditions,
so that two of these are the least that a server of such roles can take.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from proc import memory_bytes

from callsheet.jobs.bound_conditions import BoundConst
from callsheet.jobs.programs import BoundNoOp
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.codec import encode

RUNS = 10_000
AT_US = 1_800_000_000 * 1_000_000


def record(number: int) -> bytes:
    """Return the record of a run that waits for ever, as the ledger keeps it."""
    run = Run(
        run_id=f"r{number}",
        job_id="waits",
        args={},
        state=State.WAITING,
        schedule_us=AT_US,
        version=number,
        definition="d" * 64,
        message="waiting for condition: never",
        times={"scheduled": AT_US + number, "waiting": AT_US + number},
        program=BoundNoOp(),
        conds=(BoundConst(value=False),),
    )
    return encode(run)


def bytes_a_run(count: int = RUNS) -> float:
    """Return what a process of its own grows by for each of so many records."""
    command = [sys.executable, os.path.abspath(__file__), str(count)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(said.split()[1])


def main() -> None:
    """Keep so many records; print the figure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    record(0)
    before_bytes = memory_bytes([os.getpid()])
    kept = {f"r{number}": record(number) for number in range(1, count + 1)}
    grown = (memory_bytes([os.getpid()]) - before_bytes) / len(kept)
    print(f"limit_bare_record {grown:.0f} bytes", flush=True)


if __name__ == "__main__":
    main()
