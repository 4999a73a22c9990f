"""Job files through the real checker and binder, with their limits; in two processes of their own.

Files lie in a folder, a batch at a time, as people's do. What is sound of it is bound, as the
scheduler has it done. When something raises, the batch is taken file by file to find out which.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from odd_files import a_file
from odd_values import Dice
from verdict import FOR_EVER, Verdict
from workers import in_workers, is_late, unwatch, watch

from callsheet.actors.binder_stage import make_binder
from callsheet.actors.limits import Interrupting, limit_memory
from callsheet.conf.check import check_loaded
from callsheet.conf.folder import load_folder
from callsheet.jobs.lint import lint_jobs
from callsheet.jobs.parse import definition_hash, job_from_data, job_to_data
from callsheet.messages.binding import Bind, BindOne
from callsheet.messages.codec import encode
from callsheet.messages.post import SCHEDULER

KIND = "files"
BATCH = 100
WORKERS = 2
NOW_US = 1_790_000_000_000_000
# What a worker may grow by from when it has warmed up to its end.
GROWTH_BYTES = 200 * 2**20
OTHER = "params: [x]\nprogram: {type: no-op}\n"


class Unsound(AssertionError):
    """What came out of a folder is not what is promised."""


class Checking:
    """A checker and binder of this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._limits = Interrupting()
        self._binder = make_binder(None, None, incarnation="fuzz")
        self._request = 0

    def batch(self, seed: int, numbers: range, verdict: Verdict) -> None:
        """Check the files of these cases."""
        began_s = time.monotonic()
        self._fill(seed, numbers)
        try:
            self._check({str(number) for number in numbers}, verdict)
        except Exception:
            if len(numbers) == 1:
                said = traceback.format_exc(limit=-6)
                verdict.fault(f"{said}", numbers[0])
            else:
                for number in numbers:
                    self.batch(seed, range(number, number + 1), verdict)
                return
        verdict.played(len(numbers))
        verdict.waited(time.monotonic() - began_s, numbers[0])

    def _fill(self, seed: int, numbers: range) -> None:
        for path in self._folder.iterdir():
            path.unlink()
        (self._folder / "other.yaml").write_text(OTHER)
        for number in numbers:
            (self._folder / f"{number}.yaml").write_bytes(a_file(Dice(KIND, seed, number)))

    def _check(self, wanted: set[str], verdict: Verdict) -> None:
        loaded = load_folder(self._folder)
        unread = {problem.job_id for problem in loaded.problems}
        if unread | set(loaded.jobs) != wanted | {"other"} or unread & set(loaded.jobs):
            raise Unsound("a file is neither a job nor has problems, or both")
        found = check_loaded(self._folder, loaded, NOW_US, limits=self._limits)
        for problem in found:
            sentence = problem.sentence
            if problem.line < 1 or problem.column < 1 or not sentence or "\n" in sentence:
                raise Unsound(f"{problem.job_id}: {problem}: expected a place and one sentence")
        bad = {problem.job_id for problem in found}
        sound = {job_id: job for job_id, job in loaded.jobs.items() if job_id not in bad}
        for job_id, job in loaded.jobs.items():
            encode(job)
            if job_from_data(job_to_data(job), job_id) != job:
                raise Unsound(f"{job_id}: is another job when it is written and read again")
            if definition_hash(job) != loaded.hashes[job_id]:
                raise Unsound(f"{job_id}: its hash is another one")
        lint_jobs(sound, {}, NOW_US)
        self._bind(sound, verdict)
        verdict.seen["not a job"] += len(unread)
        verdict.seen["a job with problems"] += len(bad - unread)

    def _bind(self, jobs: dict[str, Any], verdict: Verdict) -> None:
        self._request += 1
        items = [
            BindOne(
                run_id=f"r{number}",
                job=job,
                definition="x",
                args=dict.fromkeys(job.params, "2026-11-26"),
                schedule_us=NOW_US,
                params_of={"other": ("x",)},
            )
            for number, (job_id, job) in enumerate(jobs.items(), 1)
            if job_id != "other"
        ]
        (post,) = self._binder.receive(SCHEDULER, Bind(request=self._request, items=items), NOW_US)
        encode(post.message)
        for run in post.message.runs:
            verdict.seen["bound with an error" if run.error else "bound"] += 1


def work(seed: int, numbers: range, until_s: float, verdict: Verdict) -> None:
    """Check the files of these cases, a batch at a time."""
    if multiprocessing.parent_process() is not None:
        # As the binder is bounded by who starts it.
        limit_memory()
    with tempfile.TemporaryDirectory(prefix="fuzz-files") as folder:
        checking = Checking(Path(folder))
        grown = 0
        for first in range(0, len(numbers), BATCH):
            if is_late(until_s):
                break
            watch()
            checking.batch(seed, numbers[first : first + BATCH], verdict)
            if first <= max(len(numbers) // 5, 20 * BATCH):
                grown = resident()
        unwatch()
        if resident() - grown > GROWTH_BYTES:
            verdict.fault(f"grew by {(resident() - grown) >> 20} MiB")


def resident() -> int:
    """Return what this process has in memory, in bytes."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def fuzz(seed: int, numbers: range, until_s: float = FOR_EVER, workers: int = WORKERS) -> Verdict:
    """Check the files of these cases; all that was seen."""
    return in_workers(KIND, work, seed, numbers, until_s, workers)


def show(seed: int, number: int) -> None:
    """Print one case."""
    sys.stdout.buffer.write(a_file(Dice(KIND, seed, number)))
    sys.stdout.flush()
    print(f"\n--- pid {os.getpid()}")
