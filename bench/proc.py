"""What processes take, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path


def memory_bytes(pids: list[int]) -> int:
    """Return the proportional set size of some processes together."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def used_s(pids: list[int]) -> float:
    """Return the processor time used so far, from the scheduler's own account."""
    return (
        sum(
            int(task.read_text().split()[0])
            for pid in pids
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat")
        )
        / 1e9
    )


def wakeups(pids: list[int]) -> int:
    """Return how often the threads have given up a processor of their own accord."""
    total = 0
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            for line in status.read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split()[1])
    return total
