"""Cases played by several processes at once: each has a share, and says in the end what it saw."""

from __future__ import annotations

import faulthandler
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from verdict import HANG_S, Verdict

# Where files are made: in memory, where there is such a place.
MEMORY = str(Path("/dev/shm")) if Path("/dev/shm").is_dir() else None
# Cases that are not worth a process.
FEW = 100

Work = Callable[[int, range, float, Verdict], None]


def in_workers(
    kind: str, work: Work, seed: int, numbers: range, until_s: float, workers: int
) -> Verdict:
    """Play cases in so many processes, or in this one when there is to be one or there are few.

    A worker that dies is a fault, told with its share.
    """
    verdict = Verdict(kind, seed)
    if workers == 1 or len(numbers) <= FEW:
        work(seed, numbers, until_s, verdict)
        verdict.end()
        return verdict
    context = multiprocessing.get_context("fork")
    running = []
    for first in range(workers):
        ours, theirs = context.Pipe(duplex=False)
        # Every n-th is one's: they end at about the same time, and a spell cut short has no hole.
        part = numbers[first::workers]
        process = context.Process(target=_worker, args=(kind, work, seed, part, until_s, theirs))
        process.start()
        theirs.close()
        running.append((process, ours, part))
    for process, pipe, part in running:
        try:
            verdict.add(pipe.recv())
        except EOFError:
            process.join()
            verdict.fault(f"a worker of {part} died: exit code {process.exitcode}")
        process.join()
    verdict.end()
    return verdict


def _worker(kind: str, work: Work, seed: int, numbers: range, until_s: float, pipe: Any) -> None:
    verdict = Verdict(kind, seed)
    work(seed, numbers, until_s, verdict)
    pipe.send(verdict)


def watch(seconds: float = 4 * HANG_S) -> None:
    """Whoever stands still from now on for so long is ended, and says where."""
    faulthandler.dump_traceback_later(seconds, exit=True)


def unwatch() -> None:
    """Nobody is watched any more."""
    faulthandler.cancel_dump_traceback_later()


def is_late(until_s: float) -> bool:
    """Whether the time for a spell is over."""
    return time.monotonic() > until_s
