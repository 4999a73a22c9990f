"""How the benchmarks print and sum up: one line per figure, `name value unit`."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable


class BenchError(Exception):
    """A benchmark cannot go on; what it measured so far means nothing."""


def benchmark(main: Callable[[], None]) -> None:
    """Run a benchmark; when it cannot go on, say why in one sentence and exit with status 1."""
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench: {error}")


def emit(name: str, value: float, unit: str) -> None:
    """Print one figure; the name is the id of a promise with an optional suffix."""
    print(f"{name} {short(value)} {unit}", flush=True)


def short(value: float) -> str:
    """Return `value` with three digits that count, never in the form 1e+03."""
    if value == 0:
        return "0"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed."""
    ordered = sorted(values)
    if not ordered:
        message = "percentile: no values: expected at least one"
        raise ValueError(message)
    rank = -(-len(ordered) * percent // 100)  # rounded up
    return ordered[max(0, int(rank) - 1)]


def parse(text: str) -> list[tuple[str, float, str]]:
    """Return (name, value, unit) of every line of that form, in order; other lines are left out."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) != 3:
            continue
        try:
            found.append((words[0], float(words[1]), words[2]))
        except ValueError:
            continue
    return found


def medians(runs: list[list[tuple[str, float, str]]]) -> list[tuple[str, float, str]]:
    """Return one line per name of the first run: the median over all runs that have the name."""
    return [
        (name, statistics.median(v for run in runs for n, v, _ in run if n == name), unit)
        for name, _, unit in (runs[0] if runs else [])
    ]
