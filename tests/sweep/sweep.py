"""Every schedule around every change of the clocks: callsheet's fires against the oracle's.

`make sweep` runs all of it; `test_sweep.py` a sample.
"""

from __future__ import annotations

import argparse
import functools
import os
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import cases
import oracle

from callsheet.jobs.parse import job_from_data
from callsheet.jobs.schedules import Schedule, fires

SECOND = 1_000_000
SHOWN = 10


class Window(NamedTuple):
    """A zone and the UTC minute of a change of its clocks, by so many minutes (0: none)."""

    zone: str
    minute: int
    by: int


class Outcome(NamedTuple):
    """How many comparisons were made, of how many fires, and what differed."""

    compared: int
    fires: int
    differences: list[str]


@functools.cache
def parsed(text: str) -> Schedule:
    return job_from_data({"schedule": eval(text), "program": {"type": "no-op"}}, "j").schedules[0]


def check(window: Window) -> Outcome:
    """Compare all schedules, with all policies, around one change."""
    compared = count = 0
    differences = []
    clocks: dict[int, oracle.Clock] = {}
    # The bounds of a range must not matter: they lie at odd minutes, each window's own, and the
    # fires are asked for in two pieces, cut somewhere near the change.
    dice = random.Random(f"{window}")
    odd, cut = dice.randrange(90), window.minute + dice.randrange(-180, 180)
    for schedule in cases.SCHEDULES:
        reach = cases.reach(schedule)
        if reach not in clocks:
            first, last = window.minute - reach - odd, window.minute + reach + odd
            clocks[reach] = oracle.Clock(window.zone, first, last)
        clock = clocks[reach]
        day = clock.day(window.minute * 60)
        for data in cases.variants(schedule, window.zone, day, forward=window.by > 0):
            expected = oracle.fires(data, clock)
            found = _fires(data, clock.first, cut) + _fires(data, cut, clock.last)
            compared += 1
            count += len(expected)
            if found != expected:
                differences.append(f"{window.zone} {_difference(data, found, expected)}")
    return Outcome(compared, count, differences)


def windows() -> list[Window]:
    """Return all changes of all zones, and one quiet time of each zone that has none."""
    found = []
    for zone, changes in cases.zones().items():
        found += [Window(zone, minute, by) for minute, by in changes]
        if not changes:
            found.append(Window(zone, 26_297_280, 0))
    return found


def _fires(data: dict[str, Any], first: int, last: int) -> oracle.Fires:
    found = fires(parsed(repr(data)), first * 60 * SECOND, last * 60 * SECOND)
    return [(fire.at_us // SECOND, fire.args.get("date")) for fire in found]


def _difference(data: dict[str, Any], found: oracle.Fires, expected: oracle.Fires) -> str:
    extra = [_shown(one) for one in found if one not in expected]
    missing = [_shown(one) for one in expected if one not in found]
    return f"{data}: extra {extra}, missing {missing}"


def _shown(fire: tuple[int, str | None]) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(fire[0]))} ({fire[1]})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--part", type=float, default=1.0, help="this part of all changes")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    todo = windows()
    random.Random(asked.seed).shuffle(todo)
    todo = todo[: max(1, round(len(todo) * asked.part))]
    began_s = time.monotonic()
    compared = count = 0
    differences: list[str] = []
    with ProcessPoolExecutor(asked.jobs) as pool:
        for done, outcome in enumerate(pool.map(check, todo, chunksize=8), 1):
            compared += outcome.compared
            count += outcome.fires
            differences += outcome.differences
            if done % 500 == 0:
                print(f"{done} of {len(todo)} changes, {len(differences)} differences", flush=True)
    for line in differences[:SHOWN]:
        print(line)
    print(
        f"{len(todo)} changes of {len({w.zone for w in todo})} zones, {cases.FIRST_YEAR} to "
        f"{cases.LAST_YEAR}: {compared} comparisons, {count} fires, {len(differences)} "
        f"differences, {time.monotonic() - began_s:.0f} s"
    )
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
