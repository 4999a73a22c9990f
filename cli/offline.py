"""What commands work with when no server is asked: a job folder and the settings that hold for it.

Nothing here renders a template or writes a file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from ..conf.calendars import BUILT_IN, calendars_folder, load_calendars
from ..conf.folder import load_folder
from ..conf.settings import Settings, load_settings
from ..jobs.calendars import Calendar
from ..jobs.errors import UserError
from ..jobs.forecast import Keep, nominal_run
from ..jobs.job import Job
from ..jobs.named_calendars import named_calendars
from ..jobs.run_filter import RunFilter
from ..webui.query import parse_filter, parse_instant
from .sources import join_terms

MOST_PROBLEMS = 20


class BadFolder(UserError):
    """A job folder has errors; a line for each of the first."""

    def __init__(self, lines: list[str]) -> None:
        more = len(lines) - MOST_PROBLEMS
        said = lines[:MOST_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        super().__init__("\n".join(["the job folder has errors", *said]))


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder as read: jobs and definition hashes by job id, and the calendars they may use."""

    jobs: dict[str, Job]
    hashes: dict[str, str]
    calendars: Mapping[str, Calendar]


def now_us() -> int:
    """Return the time."""
    return time.time_ns() // 1000


def read_settings(config: Path | None) -> Settings | None:
    """Return the settings of a file, None when none is named; from now on this process knows the
    types of their extensions."""
    if config is None:
        return None
    from ..actors.extensions import load_extensions

    settings = load_settings(config)
    load_extensions(settings.extensions)
    return settings


def read_folder(folder: Path, config: Path | None = None) -> Folder:
    """Return the jobs of a folder.

    Raises:
        BadFolder: a file, or a calendar, cannot be read.
        UserError: the settings are wrong.
    """
    settings = read_settings(config)
    named = None if settings is None else settings.calendars
    loaded = load_folder(folder, None, None if settings is None else settings.blackouts)
    wanted = named_calendars(loaded.jobs.values(), BUILT_IN)
    calendars = load_calendars(calendars_folder(folder, named), wanted)
    problems = [*loaded.problems, *calendars.problems]
    if problems:
        raise BadFolder([problem.text for problem in problems])
    return Folder(jobs=loaded.jobs, hashes=loaded.hashes, calendars=calendars.by_name)


def instant_of(text: str) -> int:
    """Return the instant that a person names: `now`, `+7d`, a date, a time."""
    return parse_instant(text, now_us())


def keeper(words: tuple[str, ...]) -> tuple[RunFilter, Keep]:
    """Return a query's filter and whether a nominal run matches it."""
    wanted = parse_filter({"q": [join_terms(words)]}, now_us())
    return wanted, lambda job, nominal: wanted.matches(nominal_run(job, nominal))


def matching_jobs(jobs: Mapping[str, Job], matches: Callable[[str], bool]) -> dict[str, Job]:
    """Return the jobs whose id matches."""
    return {job_id: job for job_id, job in jobs.items() if matches(job_id)}
