"""Run the benchmarks, or some (`make bench ONLY=P1,P2`), and print the median of each figure.

A benchmark is a script beside this one, named after a promise (`p6_latency.py`, `c3_waiting.py`),
that prints lines `name value unit` and starts its own server, if it needs one. Its lines are shown
on the error stream as they come; only the medians go to the output.

`ONLY=limits` prints what this machine can do at all.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import machine
from figures import emit, medians, parse

HERE = Path(__file__).parent
RUNS = 3
# These take their own median, or many samples, within one run.
ONCE = {"A11", "C3", "G8", "G11", "J11", "P6", "P7", "P9", "P12", "P15", "P16", "P11"}
# A script may measure more than the promise it is named after.
ALSO = {"J12": "J11", "P8": "P7", "P10": "P9", "P13": "P12", "T6": "J11", "P14": "P11"}


def scripts() -> dict[str, Path]:
    """Return the benchmarks by id, in order of their numbers."""
    found = {}
    for path in HERE.glob("[a-z]*_*.py"):
        match = re.fullmatch(r"([a-z])(\d+)_\w+", path.stem)
        if match:
            found[match[1].upper(), int(match[2])] = path
    return {f"{letter}{number}": found[letter, number] for letter, number in sorted(found)}


def run(path: Path) -> str | None:
    """Run one script; return what it printed, None when it failed (it has said why)."""
    process = subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        sys.stderr.write(f"  {line}")
        lines.append(line)
    return "".join(lines) if process.wait() == 0 else None


def limits() -> int:
    """Print the physical limits; return the exit status."""
    status = 0
    for path in sorted((HERE / "limits").glob("*.py")):
        printed = run(path)
        if printed is None:
            status = 1
            continue
        for name, value, unit in parse(printed):
            emit(name, value, unit)
    return status


def main() -> int:
    """Run what was asked for; exit status 1 when a benchmark could not be taken."""
    known = scripts()
    parser = argparse.ArgumentParser(description="Run the benchmarks and print medians.")
    parser.add_argument("--only", help=f"some of {','.join(known)}, or limits")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs each (default {RUNS})")
    asked = parser.parse_args()
    wanted = [word.strip() for word in asked.only.split(",")] if asked.only else list(known)
    wanted = list(dict.fromkeys(ALSO.get(word, word) for word in wanted))
    unknown = [word for word in wanted if word not in known and word != "limits"]
    if unknown:
        known_words = ", ".join([*known, "limits"])
        print(f"bench: {', '.join(unknown)}: not known: expected {known_words}", file=sys.stderr)
        return 2
    if asked.runs < 1:
        print(f"bench: --runs {asked.runs}: expected 1 or more", file=sys.stderr)
        return 2
    for line in machine.describe():
        print(f"# {line}", file=sys.stderr)
    status = 0
    for name in wanted:
        if name == "limits":
            status |= limits()
            continue
        results = []
        for n in range(1 if name in ONCE else asked.runs):
            print(f"# {name}, run {n + 1}", file=sys.stderr)
            printed = run(known[name])
            if printed is None:
                print(f"# {name}: failed", file=sys.stderr)
                status = 1
                break
            results.append(parse(printed))
        else:
            for median in medians(results):
                emit(*median)
    return status


if __name__ == "__main__":
    sys.exit(main())
