"""Between the scheduler and its binder: load a folder, bind runs.

Templates are rendered only in the binder.
"""

from __future__ import annotations

import msgspec

from ..jobs.calendar_days import CalendarDays
from ..jobs.job import Job
from ..jobs.run import NewRun


class BindOne(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run to be bound. `job` is its definition.

    `params_of` has the params of the jobs that its dependencies name, by job id; `defaults_of` what
    those of them have as defaults, by job id and name. `source_results` are those of the run that
    it follows.
    """

    run_id: str
    job: Job
    definition: str
    args: dict[str, str]
    schedule_us: int
    fingerprint: str | None = None
    stop_us: int | None = None
    rerun_of: str | None = None
    rerun_root: str | None = None
    note: str | None = None
    source_results: dict[str, str] = {}
    not_before_us: int | None = None
    params_of: dict[str, tuple[str, ...]] = {}
    defaults_of: dict[str, dict[str, str]] = {}


class Bind(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="Bind"):
    """Scheduler → binder. `params_of` (in each item) maps job ids to params, for dependencies;
    `calendars` are those in force, where an item uses any."""

    request: int
    items: list[BindOne]
    calendars: list[CalendarDays] = []


class BoundRuns(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="BoundRuns"):
    """Binder → scheduler: in the order asked; a run that could not be bound carries its error."""

    request: int
    runs: list[NewRun]


class LoadFolder(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="LoadFolder"):
    """Scheduler → binder: read and check the job folder. `known` maps job id to the definition hash
    the scheduler has, so that only others are sent. Very many come in several of these: `part`
    counts from 0, `last` is true on the final one, and loading begins when all are there."""

    request: int
    path: str
    now_us: int
    known: dict[str, str] = {}
    part: int = 0
    last: bool = True


class LoadedJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job of the folder; `job` None when the asker already has this hash."""

    job_id: str
    hash: str
    job: Job | None = None


class FolderProblem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One mistake, as `path:line:column: sentence`."""

    path: str
    line: int
    column: int
    sentence: str
    job_id: str | None = None


class FolderLoaded(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="FolderLoaded"):
    """Binder → scheduler, in parts of up to 500 jobs; problems and calendars come with the last
    part. `commit` is the git commit the folder is checked out at, None when it is in no
    checkout."""

    request: int
    part: int
    last: bool
    jobs: list[LoadedJob] = []
    problems: list[FolderProblem] = []
    commit: str | None = None
    calendars: list[CalendarDays] = []


class BinderReady(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="BinderReady"):
    """Binder → scheduler: a new binder process; whatever an earlier one had in hand is lost."""

    incarnation: str


ToBinder = Bind | LoadFolder
FromBinder = BoundRuns | FolderLoaded | BinderReady
