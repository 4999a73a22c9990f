"""Send what nobody should send, of each kind, and judge what came of it: a line per kind, status 1
for a fault.

    fuzz.py [--number 1000000] [--start 0] [--seed N] [--only wire,rest,…] [--minutes M]
            [--tally FILE]
    fuzz.py --only KIND --seed N --case NUMBER
    fuzz.py --sum FILE

`make fuzz` calls it. A case is made of its kind, seed and number alone: the second form shows one
and plays it alone. A million may be played in portions, each from another `--start`: what each has
seen is added to a tally, and the third form sums a tally up. How far a spell is stands on stderr.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

from verdict import summed  # noqa: E402 - found by the line above

KINDS = ("files", "spool", "wire", "rest", "socket", "ledger", "command", "rogue", "config", "gate")


def play(kind: str, seed: int, numbers: range, minutes: float | None = None) -> Any:
    """Return the verdict over the cases of a kind with these numbers, or as many of them as there
    was time for."""
    until_s = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    return importlib.import_module(f"fuzz_{kind}").fuzz(seed, numbers, until_s)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=1_000_000, help="of cases of each kind")
    parser.add_argument("--start", type=int, default=0, help="the number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help=f"only these, with commas between: {', '.join(KINDS)}")
    parser.add_argument("--minutes", type=float, help="stop each kind after so long")
    parser.add_argument("--case", type=int, help="show this case, and play it alone")
    parser.add_argument("--tally", type=Path, help="a file to which each spell adds a line")
    parser.add_argument("--sum", type=Path, help="say what the spells of a tally come to")
    args = parser.parse_args()
    args.kinds = args.only.split(",") if args.only else KINDS
    if unknown := set(args.kinds) - set(KINDS):
        parser.error(f"--only: {', '.join(sorted(unknown))}: expected some of {', '.join(KINDS)}")
    return args


def main() -> int:
    """See the module."""
    args = _options()
    if args.sum is not None:
        print("\n".join(summed(args.sum.read_text())))
        return 0
    numbers = range(args.start, args.start + args.number)
    if args.case is not None:
        numbers = range(args.case, args.case + 1)
    holds = True
    for kind in args.kinds:
        if args.case is not None:
            importlib.import_module(f"fuzz_{kind}").show(args.seed, args.case)
        verdict = play(kind, args.seed, numbers, args.minutes)
        print(verdict.text(), flush=True)
        if args.tally is not None:
            with args.tally.open("a") as file:
                file.write(json.dumps(verdict.spell(numbers.start)) + "\n")
        holds = holds and verdict.holds
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
