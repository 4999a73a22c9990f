"""Make trouble for a real server and judge what came of it: a line per check, status 1 for a fault.

    run.py --seconds 120 --runs 1000 [--reloads N] [--blows N] [--seed N] [--late S] [--keep FOLDER]
    run.py --judge FILE

`make chaos` calls it. What was seen is kept beside the server's files and can be judged again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

from checker import Known, judge, met_blows, met_full, met_starting  # noqa: E402
from history import History, read, write  # noqa: E402
from trouble import KINDS, Trouble  # noqa: E402

SHOWN = 10


def report(history: History) -> bool:
    """Print what happened and a line per check; return whether all hold."""
    states = Counter(run.state for run in history.runs)
    blows = Counter(blow.kind for blow in history.blows)
    broken = sum(reload.broken for reload in history.reloads)
    print(f"runs: {len(history.runs)} ({', '.join(f'{n} {s}' for s, n in states.most_common())})")
    print(f"blows: {', '.join(f'{n} {kind}' for kind, n in blows.most_common())}")
    print(f"runs due while there were blows: {met_blows(history)}")
    print(f"blows while a run was starting: {met_starting(history)}")
    print(f"runs begun as the last that may at once: {met_full(Known(history))}")
    print(f"reloads: {len(history.reloads)}, {broken} of a broken folder")
    sound = True
    for check, faults in judge(history).items():
        print(f"{check:14} {'holds' if not faults else f'{len(faults)} FAULTS'}")
        for fault in faults[:SHOWN]:
            print(f"    {fault}")
        sound = sound and not faults
    return sound


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--blows", type=int, help="else one every two seconds")
    parser.add_argument("--reloads", type=int, help="else one every two seconds")
    parser.add_argument("--kinds", help=f"only these, with commas between: {', '.join(KINDS)}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--late", type=float, help="judge how late runs begin where no trouble is")
    parser.add_argument("--keep", type=Path, help="a new folder for all files, which stays")
    parser.add_argument("--judge", type=Path, help="judge a history again")
    args = parser.parse_args()
    if args.judge:
        return 0 if report(read(args.judge)) else 1
    folder = args.keep or Path(tempfile.mkdtemp(prefix="chaos"))
    folder.mkdir(parents=True, exist_ok=True)
    every_s = 2.0
    trouble = Trouble(
        folder, seed=args.seed, seconds=args.seconds, runs=args.runs,
        blows=args.blows if args.blows is not None else int(args.seconds / every_s),
        reloads=args.reloads if args.reloads is not None else int(args.seconds / every_s),
        kinds=tuple(args.kinds.split(",")) if args.kinds else KINDS,
    )  # fmt: skip
    trouble.history.plan.late_s = args.late
    trouble.history.plan.full = args.runs // 100
    try:
        history = trouble.run()
    finally:
        trouble.close()
    write(history, folder / "history.json")
    sound = report(history)
    if sound and not args.keep:
        shutil.rmtree(folder)
    else:
        print(f"kept: {folder}/history.json")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
