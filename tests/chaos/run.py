"""Make trouble for a real server and judge what came of it: a line per check, status 1 for a fault.

    run.py --seconds 120 --runs 1000 [--reloads N] [--blows N] [--seed N] [--late S] [--keep FOLDER]
    run.py --kinds crash --times 100 --seconds 1800 --runs 3600 [--seed N] [--keep FOLDER]
    run.py --judge FILE

`make chaos` calls it. With `--times` a process dies so often at each named place, and the same runs
are then asked for once more where nothing is done to anybody. What was seen is kept beside the
server's files and can be judged again. SIGTERM ends the deaths early; what there was is judged.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

from checker import judge  # noqa: E402
from crash_points import PLACES  # noqa: E402
from history import History, Outcome, read, write  # noqa: E402
from known import (  # noqa: E402
    Known,
    compared,
    met_blows,
    met_equal,
    met_full,
    met_starting,
)
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
    crashed = Counter(blow.victim for blow in history.blows if blow.kind == "crash")
    took_s = Counter[str]()
    for blow in history.blows:
        took_s[blow.victim] += blow.until_s - blow.at_s
    for place in (one for one in PLACES if crashed[one]):
        each_s = took_s[place] / max(1, crashed[place])
        print(f"    {crashed[place]:5} times, {each_s:4.1f} s each: {place}")
    if history.calm:
        asked = sum(1 for _ in compared(Known(history)))
        print(f"ended as without trouble: {met_equal(Known(history))} of {asked} asked for")
    sound = True
    for check, faults in judge(history).items():
        print(f"{check:14} {'holds' if not faults else f'{len(faults)} FAULTS'}")
        for fault in faults[:SHOWN]:
            print(f"    {fault}")
        sound = sound and not faults
    return sound


def without_trouble(history: History, folder: Path) -> dict[str, Outcome]:
    """Return what becomes of the runs that were asked for when nothing is done to anybody."""
    folder.mkdir()
    keys = [target.key for target in history.targets if target.run_id is not None]
    runs = 1 + max(int(key.removeprefix("k")) for key in keys)
    calm = Trouble(folder, seed=0, seconds=0, runs=runs, blows=0, reloads=0, kinds=())
    try:
        found = calm.run()
    finally:
        calm.close()
    faults = [fault for found in judge(found).values() for fault in found]
    assert not faults, faults
    return {f"{run.job} {run.key}": run.outcome for run in found.runs}


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--blows", type=int, help="else one every two seconds")
    parser.add_argument("--reloads", type=int, help="else one every two seconds")
    parser.add_argument("--kinds", help=f"only these, with commas between: {', '.join(KINDS)}")
    parser.add_argument("--times", type=int, default=0, help="at each named place, so often")
    parser.add_argument("--only", default="", help="only places whose names begin so, with commas")
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
        kinds=tuple(args.kinds.split(",")) if args.kinds else KINDS, times=args.times,
        places=tuple(args.only.split(",")),
    )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda *_: trouble.crashes.enough.set())
    trouble.history.plan.late_s = args.late
    trouble.history.plan.full = args.runs // 100
    try:
        history = trouble.run()
    finally:
        trouble.close()
    if args.times:
        write(history, folder / "history.json")
        history.calm = without_trouble(history, folder / "calm")
        history.plan.equal = args.runs // 2
    write(history, folder / "history.json")
    sound = report(history)
    if sound and not args.keep:
        shutil.rmtree(folder)
    else:
        print(f"kept: {folder}/history.json")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
