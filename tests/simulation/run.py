"""Runs simulated worlds: `run.py --seeds 1000 [--start 0] [--jobs 2]`, or one: `run.py --seed 7`.

Every world is made by its seed alone, so that one that failed can be looked at again: `--story`
prints what happened up to the failure. A failure is told as soon as it is known, and how far it
has come every few seconds; ended by Ctrl-C or SIGTERM it tells its totals and where to go on.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from simulation import Failed, Outcome, simulate

AT_ONCE = 5
PROGRESS_S = 10.0
INTERRUPTED = 130
Failure = tuple[int, str]


def run_some(
    seeds: list[int], history: Collection[int] = ()
) -> tuple[list[Outcome], list[Failure]]:
    """Run worlds one after another; return their outcomes, and those that failed with why. The
    outcomes of the seeds in `history` have it."""
    outcomes, failures = [], []
    for seed in seeds:
        try:
            outcomes.append(simulate(seed, history=seed in history))
        except Failed as failed:
            failures.append((seed, failed.what))
    return outcomes, failures


def run_many(
    seeds: range, jobs: int, history: Collection[int] = ()
) -> Iterator[tuple[list[Outcome], list[Failure]]]:
    """Run worlds in several processes; yield as `run_some` returns, in the order of the seeds and
    as soon as some are done."""
    parts = [list(seeds[i : i + AT_ONCE]) for i in range(0, len(seeds), AT_ONCE)]
    if jobs == 1:
        for part in parts:
            yield run_some(part, history)
        return
    with ProcessPoolExecutor(jobs, initializer=_begin_worker) as pool:
        yield from pool.map(run_some, parts, [history] * len(parts))


def _begin_worker() -> None:
    """Leave what was typed at the terminal to the process that tells of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Totals:
    """What so many worlds, from a seed on, were like."""

    def __init__(self, start: int) -> None:
        self.start = self.next_seed = start
        self.failed = self.runs = self.processes = self.kills = self.steps = 0
        self.faults: Counter[str] = Counter()
        self._began_s = time.monotonic()

    def add(self, outcomes: list[Outcome], failures: list[Failure]) -> None:
        """Count some more worlds in, those that follow."""
        self.next_seed += len(outcomes) + len(failures)
        self.failed += len(failures)
        for outcome in outcomes:
            self.runs += outcome.runs
            self.processes += outcome.processes
            self.kills += outcome.kills
            self.steps += outcome.steps
            self.faults.update(outcome.faults)

    def line(self) -> str:
        """Return how far it is."""
        return (
            f"seeds {self.start} to {self.next_seed - 1}: {self.failed} failed; "
            f"{self.runs} runs, {self.processes} processes, {self.kills} kills, "
            f"{self.steps} steps in {time.monotonic() - self._began_s:.0f} s"
        )


def run_all(seeds: range, jobs: int) -> int:
    """Run worlds and tell of them as they are done; return the exit status."""
    totals, status = Totals(seeds.start), 0
    told_s = time.monotonic()
    try:
        for outcomes, failures in run_many(seeds, jobs):
            totals.add(outcomes, failures)
            for seed, what in failures:
                again = f"python tests/simulation/run.py --seed {seed} --story"
                print(f"\nseed {seed}: {what}\nagain: {again}\n", flush=True)
            if time.monotonic() >= told_s + PROGRESS_S:
                told_s = time.monotonic()
                print(f"{totals.line()}, {len(seeds)} were asked for", flush=True)
    except KeyboardInterrupt:
        status = INTERRUPTED
    print(totals.line())
    print(", ".join(f"{kind} {count}" for kind, count in sorted(totals.faults.items())))
    if status:
        print(f"go on: make sim START={totals.next_seed} SEEDS={seeds.stop - totals.next_seed}")
    return 1 if totals.failed else status


def run_one(seed: int, *, story: bool) -> int:
    """Run one world and tell what happened; return the exit status."""
    try:
        outcome = simulate(seed, story=story, history=True)
    except Failed as failed:
        print(*failed.story, sep="\n")
        print(failed)
        return 1
    print(f"seed {seed}: {outcome.runs} runs, {outcome.steps} steps, history {outcome.history}")
    return 0


def main() -> int:
    """Run what is asked for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=1_000, help="how many worlds")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, help="only the world of this seed")
    parser.add_argument("--story", action="store_true", help="with --seed: all that happened")
    options = parser.parse_args()
    if options.seed is not None:
        return run_one(options.seed, story=options.story)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return run_all(range(options.start, options.start + options.seeds), options.jobs)


if __name__ == "__main__":
    sys.exit(main())
