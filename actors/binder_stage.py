"""What the binder is made of in a process of its own: the folder on disk, its cache, the limits.

The core (`binder.py`) is hosted by the common stage. Called by `roles.py`; nothing here decides.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path

from ..conf.calendars import BUILT_IN, LoadedCalendars, calendars_folder, load_calendars
from ..conf.check import check_loaded
from ..conf.folder import FileProblem, FolderCache, LoadedFolder, load_folder
from ..conf.folder_cache import CACHE_FORMAT
from ..conf.git_head import head_commit
from ..conf.template_settings import NO_TEMPLATES, TemplateSettings
from ..jobs import registry
from ..jobs.actions import Action
from ..jobs.blackout_rules import Blackouts
from ..jobs.calendars import Calendar
from ..jobs.condition_rules import ConditionRules
from ..jobs.named_calendars import named_calendars
from ..jobs.programs import TimeoutSpec
from ..jobs.run import NewRun
from ..messages.binding import BindOne, FolderProblem, LoadedJob
from .bind_one import bind_one
from .binder import Binder, Folder, Limits
from .limits import Interrupting, Together, WorkLimit
from .template_functions import load_templates

# Of processor time, for a whole folder; a job whose templates never end is found out long before.
FOLDER_S = 60.0


class FolderOnDisk:
    """Reads and checks job folders.

    Files that have not changed come from a cache file; a set of jobs that was found to be well as a
    whole is not checked again, which its digest beside that file tells.
    """

    def __init__(
        self,
        cache_file: str | os.PathLike[str] | None,
        calendars: str | os.PathLike[str] | None,
        limits: Callable[[], Limits],
        *,
        job_limits: Limits | None = None,
        rules: ConditionRules | None = None,
        templates: TemplateSettings = NO_TEMPLATES,
        blackouts: Blackouts | None = None,
    ) -> None:
        """Read what was found well before.

        Args:
            cache_file: where what was read is kept; None: nowhere.
            calendars: the folder of calendars, None: where it is by default, if it is there.
            limits: entered around the whole of a load.
            job_limits: entered around the check of each job that has templates.
            rules: what the settings say of conditions. They and the next, what templates have
                besides their own names, are a part of what was found well.
            templates: see `rules`.
        """
        self._calendars_folder = calendars
        self._limits = limits
        self._job_limits = job_limits if job_limits is not None else nullcontext()
        self._rules = rules
        self._templates = templates
        self._blackouts = blackouts
        self._cache: FolderCache | None = None
        self._good_file: Path | None = None
        # The digest of what was well, and which of the package's own calendars it uses.
        self._good = ""
        if cache_file is not None:
            self._cache = FolderCache(cache_file)
            self._cache.load()
            self._good_file = Path(f"{os.fspath(cache_file)}.good")
            with suppress(OSError, ValueError):
                self._good = self._good_file.read_text("ascii")

    def __call__(self, path: str, now_us: int) -> Folder:
        """Return the folder at `path` with every mistake that is found in it."""
        commit = head_commit(path)
        with self._limits():
            folder = load_folder(path, self._cache, self._blackouts)
            if self._cache is not None:
                self._cache.save()
            calendars, problems = self._check(path, folder, now_us)
        jobs = [
            LoadedJob(job_id=job_id, hash=folder.hashes[job_id], job=job)
            for job_id, job in folder.jobs.items()
        ]
        if problems:
            return Folder(jobs=[], problems=problems, commit=commit)
        return Folder(jobs=jobs, problems=[], commit=commit, calendars=calendars.days)

    def _check(
        self, path: str, folder: LoadedFolder, now_us: int
    ) -> tuple[LoadedCalendars, list[FolderProblem]]:
        """Return the calendars of the folder, and all that is wrong with them and the jobs."""
        # Looked for each time: it may have been made since.
        calendars_in = calendars_folder(path, self._calendars_folder)
        calendars = load_calendars(calendars_in)
        digest = self._digest(folder, calendars)
        well, *wanted = self._good.split() or [""]
        known = not folder.problems and not calendars.problems and digest == well
        if not known:
            wanted = sorted(named_calendars(folder.jobs.values(), BUILT_IN))
        if wanted:
            calendars = load_calendars(calendars_in, wanted)
        if known:
            return calendars, []
        problems = check_loaded(path, folder, now_us, calendars, self._rules, self._job_limits)
        if not problems:
            self._good = " ".join([digest, *wanted])
            # It spares work and no more: where it cannot be written the set is checked again.
            with suppress(OSError):
                if self._good_file is not None:
                    self._good_file.write_text(self._good, "ascii")
        return calendars, [_problem(problem) for problem in problems]

    def _digest(self, folder: LoadedFolder, calendars: LoadedCalendars) -> str:
        """Return the name of a set of jobs with the calendars they may use."""
        hashes = sorted(folder.hashes.items())
        settings = (self._rules, self._templates, registry.known())
        known = (CACHE_FORMAT, settings, hashes, calendars.days)
        return hashlib.sha256(repr(known).encode()).hexdigest()


def make_binder(
    cache_file: str | os.PathLike[str] | None,
    calendars: str | os.PathLike[str] | None,
    *,
    incarnation: str,
    default_timeout: TimeoutSpec | None = None,
    actions: tuple[Action, ...] = (),
    rules: ConditionRules | None = None,
    templates: TemplateSettings = NO_TEMPLATES,
    blackouts: Blackouts | None = None,
    limited: bool = True,
) -> Binder:
    """Return the binder's core for this process.

    Args:
        cache_file: where what was read of folders is kept; None: nowhere.
        calendars: the folder of calendars, None: where it is by default, if it is there.
        default_timeout: for programs that name none; the scheduler is given the same.
        actions: those of every run besides its job's own; the scheduler is given the same.
        rules: what the settings say of conditions; the scheduler is given the same.
        templates: the functions and filters that templates have besides their own.
        blackouts: those of the settings; None: there are none, whatever jobs name.
        limited: end the process when a run or the folder takes too much processor time; False
            where the process is shared with other roles. Its memory is bounded by who starts it.

    Raises:
        UserError: a function or filter cannot be had.
    """
    load_templates(templates)

    def bind(item: BindOne, calendars: Mapping[str, Calendar]) -> NewRun:
        return bind_one(item, calendars, default_timeout, actions, rules)

    def folder_limit() -> Limits:
        return WorkLimit(FOLDER_S)

    interrupting = Interrupting() if limited else None
    load = FolderOnDisk(
        cache_file,
        calendars,
        folder_limit if limited else nullcontext,
        job_limits=interrupting,
        rules=rules,
        templates=templates,
        blackouts=blackouts,
    )
    limits: Limits = Together(interrupting) if interrupting is not None else nullcontext()
    return Binder(load, bind, lambda: limits, incarnation=incarnation, actions=actions)


def _problem(problem: FileProblem) -> FolderProblem:
    return FolderProblem(
        path=problem.path,
        line=problem.line,
        column=problem.column,
        sentence=problem.sentence,
        job_id=problem.job_id,
    )
