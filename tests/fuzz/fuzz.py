"""Send what nobody should send, of five kinds, and judge what came of it: a line per kind, status 1
for a fault.

    run.py [--number 1000000] [--seed N] [--only wire,rest,socket,files,spool] [--minutes M]
    run.py --only KIND --seed N --case NUMBER

`make fuzz` calls it. A case is made of its kind, seed and number alone: the second form shows one
and plays it alone.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

KINDS = ("files", "spool", "wire", "rest", "socket")


def play(kind: str, seed: int, numbers: range, minutes: float | None = None) -> Any:
    """Return the verdict over the cases of a kind with these numbers, or as many of them as there
    was time for."""
    until_s = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    return importlib.import_module(f"fuzz_{kind}").fuzz(seed, numbers, until_s)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=1_000_000, help="of cases of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help=f"only these, with commas between: {', '.join(KINDS)}")
    parser.add_argument("--minutes", type=float, help="stop each kind after so long")
    parser.add_argument("--case", type=int, help="show this case, and play it alone")
    args = parser.parse_args()
    kinds = args.only.split(",") if args.only else KINDS
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"--only: {', '.join(unknown)}: expected some of {', '.join(KINDS)}")
    numbers = range(args.number)
    if args.case is not None:
        numbers = range(args.case, args.case + 1)
    holds = True
    for kind in kinds:
        if args.case is not None:
            importlib.import_module(f"fuzz_{kind}").show(args.seed, args.case)
        verdict = play(kind, args.seed, numbers, args.minutes)
        print(verdict.text(), flush=True)
        holds = holds and verdict.holds
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
