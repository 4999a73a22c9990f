"""Runs simulated worlds: `run.py --seeds 1000 [--start 0] [--jobs 2]`, or one: `run.py --seed 7`.

Every world is made by its seed alone, so that one that failed can be looked at again: `--story`
prints what happened up to the failure.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from simulation import Failed, Outcome, simulate

# Failures shown before the rest is only counted.
SHOWN = 10
AT_ONCE = 20


def run_some(
    seeds: list[int], history: Collection[int] = ()
) -> tuple[list[Outcome], list[tuple[int, str]]]:
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
) -> tuple[list[Outcome], list[tuple[int, str]]]:
    """Run worlds in several processes; return as `run_some` does, in the order of the seeds."""
    parts = [list(seeds[i : i + AT_ONCE]) for i in range(0, len(seeds), AT_ONCE)]
    if jobs == 1:
        results = [run_some(part, history) for part in parts]
    else:
        with ProcessPoolExecutor(jobs) as pool:
            results = list(pool.map(run_some, parts, [history] * len(parts)))
    outcomes = [outcome for some, _ in results for outcome in some]
    return outcomes, [failure for _, some in results for failure in some]


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
    began_s = time.monotonic()
    seeds = range(options.start, options.start + options.seeds)
    outcomes, failures = run_many(seeds, options.jobs)
    faults = sum((Counter(outcome.faults) for outcome in outcomes), Counter())
    print(
        f"seeds {seeds.start} to {seeds.stop - 1}: {len(failures)} failed; "
        f"{sum(o.runs for o in outcomes)} runs, {sum(o.processes for o in outcomes)} processes, "
        f"{sum(o.kills for o in outcomes)} kills, {sum(o.steps for o in outcomes)} steps "
        f"in {time.monotonic() - began_s:.0f} s"
    )
    print(", ".join(f"{kind} {count}" for kind, count in sorted(faults.items())))
    for seed, what in failures[:SHOWN]:
        print(f"\nseed {seed}: {what}\nagain: python tests/simulation/run.py --seed {seed} --story")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
