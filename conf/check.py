"""A job folder read and checked in one go, for the binder and for `check` on the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..jobs.calendars import Calendar
from ..jobs.checks import check_jobs
from .folder import FileProblem, FolderCache, LoadedFolder, load_folder, problem_at

NO_CALENDARS: Mapping[str, Calendar] = {}


def check_folder(
    path: str | os.PathLike[str],
    now_us: int,
    calendars: Mapping[str, Calendar] = NO_CALENDARS,
    cache: FolderCache | None = None,
) -> list[FileProblem]:
    """Return all problems of a job folder, sorted by place; empty when it may be used.

    Args:
        path: the folder.
        now_us: the time after which schedules are tried.
        calendars: the calendars that files hold, by name.
        cache: as for `load_folder`.
    """
    return check_loaded(path, load_folder(path, cache), now_us, calendars)


def check_loaded(
    path: str | os.PathLike[str],
    loaded: LoadedFolder,
    now_us: int,
    calendars: Mapping[str, Calendar] = NO_CALENDARS,
) -> list[FileProblem]:
    """Return the problems of a folder that was loaded, those of the load included."""
    broken = {problem.job_id for problem in loaded.problems if problem.job_id is not None}
    found = list(loaded.problems)
    for problem in check_jobs(loaded.jobs, calendars, now_us, broken):
        found.append(problem_at(path, problem.job_id, problem.sentence, problem.key_path))
    found.sort(key=lambda problem: (problem.path, problem.line, problem.column))
    return found
