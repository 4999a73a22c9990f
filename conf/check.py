"""A job folder read and checked in one go, for the binder and for `check` on the command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from msgspec.structs import replace

from ..jobs.blackout_rules import Blackouts
from ..jobs.checks import NO_LIMITS, Portions, Problem, check_jobs
from ..jobs.checks_scheduled import check_dependencies_scheduled
from ..jobs.condition_rules import ConditionRules
from ..jobs.lint import lint_jobs
from ..jobs.named_calendars import named_calendars
from .calendars import BUILT_IN, NO_CALENDARS, LoadedCalendars, calendars_folder, load_calendars
from .folder import FileProblem, FolderCache, LoadedFolder, load_folder, problem_at
from .two_processes import share_out

# How `jobs.calendars` words it.
NO_SUCH_CALENDAR = "no such calendar: "
# More often than not it is the wrong folder.
EMPTY = "no job files: expected some that end in .yaml"
NOT_READ = "is not read: the name of a job file ends in .yaml"


def check_folder(
    path: str | os.PathLike[str],
    now_us: int,
    calendars: str | os.PathLike[str] | None = None,
    cache: FolderCache | None = None,
    limits: AbstractContextManager[Any] = NO_LIMITS,
) -> list[FileProblem]:
    """Return all problems of a job folder, sorted by place; empty when it may be used.

    Args:
        path: the folder.
        now_us: the time after which schedules are tried.
        calendars: the folder of calendars; None: where it is looked for by default.
        cache: as for `load_folder`.
        limits: as for `check_jobs`.
    """
    loaded = load_folder(path, cache)
    known = _calendars(path, calendars, loaded)
    return check_loaded(path, loaded, now_us, known, limits=limits)


def check_loaded(
    path: str | os.PathLike[str],
    loaded: LoadedFolder,
    now_us: int,
    calendars: LoadedCalendars = NO_CALENDARS,
    rules: ConditionRules | None = None,
    limits: AbstractContextManager[Any] = NO_LIMITS,
) -> list[FileProblem]:
    """Return the problems of a folder that was loaded, those of the load and of the calendars
    included.

    `rules`: what the settings say of conditions; None: they are not known.
    """
    broken = {problem.job_id for problem in loaded.problems if problem.job_id is not None}
    broken |= loaded.unread
    found = [*loaded.problems, *calendars.problems]
    for problem in check_jobs(
        loaded.jobs, calendars.by_name, now_us, broken, rules, limits, _shared
    ):
        # Where a calendar has mistakes, that it is not there is no news.
        if not (calendars.problems and NO_SUCH_CALENDAR in problem.sentence):
            found.append(_placed(path, problem))
    return _sorted(found)


def lint_folder(
    path: str | os.PathLike[str],
    now_us: int,
    calendars: str | os.PathLike[str] | None = None,
    *,
    dependencies_scheduled: bool = False,
    rules: ConditionRules | None = None,
    blackouts: Blackouts | None = None,
    limits: AbstractContextManager[Any] = NO_LIMITS,
) -> list[FileProblem]:
    """Return errors and warnings of a job folder, sorted by place; that it has no jobs is one.

    Jobs are looked at for warnings only where there are no errors, since those hide what is meant.

    Args:
        path: the folder.
        now_us: the time after which schedules are tried; the coming year begins here.
        calendars: the folder of calendars; None: where it is looked for by default.
        dependencies_scheduled: it is also an error when what a run of the coming day depends on is
            not scheduled itself.
        rules: as for `check_loaded`.
        blackouts: as for `load_folder`.
        limits: as for `check_jobs`.
    """
    loaded = load_folder(path, None, blackouts)
    unread = [_warning(one, NOT_READ) for one in loaded.almost]
    if not loaded.jobs and not loaded.problems:
        return _sorted([_warning(str(path), EMPTY), *unread])
    known = _calendars(path, calendars, loaded)
    found = check_loaded(path, loaded, now_us, known, rules, limits)
    bad = {problem.job_id for problem in found}
    jobs = {job_id: job for job_id, job in loaded.jobs.items() if job_id not in bad}
    more = lint_jobs(jobs, known.by_name, now_us)
    if dependencies_scheduled and not found:
        more += check_dependencies_scheduled(jobs, known.by_name, now_us)
    return _sorted(found + unread + [_placed(path, problem) for problem in more])


def _shared(count: int, check: Callable[[int], list[Problem]]) -> Portions:
    """Have the check of many jobs shared with a second process."""
    return share_out(count, check, list[Problem])


def _calendars(
    path: str | os.PathLike[str], folder: str | os.PathLike[str] | None, loaded: LoadedFolder
) -> LoadedCalendars:
    wanted = named_calendars(loaded.jobs.values(), BUILT_IN)
    return load_calendars(calendars_folder(path, folder), wanted)


def _warning(path: str, sentence: str) -> FileProblem:
    return FileProblem(path=path, line=1, column=1, sentence=sentence, severity="warning")


def _placed(path: str | os.PathLike[str], problem: Problem) -> FileProblem:
    found = problem_at(path, problem.job_id, problem.sentence, problem.key_path)
    return replace(found, severity=problem.severity)


def _sorted(found: list[FileProblem]) -> list[FileProblem]:
    return sorted(found, key=lambda one: (one.path, one.line, one.column))
