"""What the binder is made of in a process of its own: the folder on disk, its cache, the limits.

The core (`binder.py`) is hosted by the common stage. Called by `roles.py`; nothing here decides.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ..conf.check import check_loaded
from ..conf.folder import FileProblem, FolderCache, LoadedFolder, load_folder
from ..jobs.actions import Action
from ..jobs.calendars import Calendar
from ..jobs.programs import TimeoutSpec
from ..jobs.run import NewRun
from ..messages.binding import BindOne, FolderProblem, LoadedJob
from .bind_one import bind_one
from .binder import Binder, Folder, Limits
from .limits import WorkLimit

# Of processor time, for a whole folder: a template in it may be one that never ends.
FOLDER_S = 60.0


class FolderOnDisk:
    """Reads and checks job folders.

    Files that have not changed come from a cache file; a set of jobs that was found to be well as a
    whole is not checked again, which its digest beside that file tells.
    """

    def __init__(
        self,
        cache_file: str | os.PathLike[str] | None,
        calendars: Mapping[str, Calendar],
        limits: Callable[[], Limits],
    ) -> None:
        self._calendars = calendars
        self._limits = limits
        self._cache: FolderCache | None = None
        self._good_file: Path | None = None
        self._good = ""
        if cache_file is not None:
            self._cache = FolderCache(cache_file)
            self._cache.load()
            self._good_file = Path(f"{os.fspath(cache_file)}.good")
            with contextlib.suppress(OSError, ValueError):
                self._good = self._good_file.read_text("ascii")

    def __call__(self, path: str, now_us: int) -> Folder:
        """Return the folder at `path` with every mistake that is found in it."""
        with self._limits():
            folder = load_folder(path, self._cache)
            if self._cache is not None:
                self._cache.save()
            problems = self._check(path, folder, now_us)
        jobs = [
            LoadedJob(job_id=job_id, hash=folder.hashes[job_id], job=job)
            for job_id, job in folder.jobs.items()
        ]
        return Folder(jobs=[] if problems else jobs, problems=problems)

    def _check(self, path: str, folder: LoadedFolder, now_us: int) -> list[FolderProblem]:
        digest = self._digest(folder)
        if not folder.problems and digest == self._good:
            return []
        problems = check_loaded(path, folder, now_us, self._calendars)
        if not problems:
            self._good = digest
            # It spares work and no more: where it cannot be written the set is checked again.
            with contextlib.suppress(OSError):
                if self._good_file is not None:
                    self._good_file.write_text(digest, "ascii")
        return [_problem(problem) for problem in problems]

    def _digest(self, folder: LoadedFolder) -> str:
        """Return the name of a set of jobs with the calendars they may use."""
        digest = hashlib.sha256(repr(sorted(folder.hashes.items())).encode())
        for name in sorted(self._calendars):
            calendar = self._calendars[name]
            digest.update(repr((name, sorted(vars(calendar).items(), key=str))).encode())
        return digest.hexdigest()


def make_binder(
    cache_file: str | os.PathLike[str] | None,
    calendars: Mapping[str, Calendar],
    *,
    incarnation: str,
    default_timeout: TimeoutSpec | None = None,
    actions: tuple[Action, ...] = (),
    limited: bool = True,
) -> Binder:
    """Return the binder's core for this process.

    Args:
        cache_file: where what was read of folders is kept; None: nowhere.
        default_timeout: for programs that name none; the scheduler is given the same.
        actions: those of every run besides its job's own; the scheduler is given the same.
        limited: end the process when a run or the folder takes too much processor time; False
            where the process is shared with other roles. Its memory is bounded by who starts it.
    """

    def bind(item: BindOne) -> NewRun:
        return bind_one(item, calendars, default_timeout, actions)

    def folder_limit() -> Limits:
        return WorkLimit(FOLDER_S)

    load = FolderOnDisk(cache_file, calendars, folder_limit if limited else contextlib.nullcontext)
    limits = WorkLimit if limited else contextlib.nullcontext
    return Binder(load, bind, limits, incarnation=incarnation)


def _problem(problem: FileProblem) -> FolderProblem:
    return FolderProblem(
        path=problem.path,
        line=problem.line,
        column=problem.column,
        sentence=problem.sentence,
        job_id=problem.job_id,
    )
