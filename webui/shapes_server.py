"""What `/api/v2` answers about jobs and the server, as types; see `shapes.py`."""

from typing import Any, TypedDict

from .processes import ProcessRow
from .shapes import Instant, RunRecord
from .shapes_v1 import JobV1, Reloaded


class LastRun(TypedDict):
    """One of a job's last runs, in short."""

    run_id: str
    state: str
    start: Instant | None
    elapsed: float | None


class JobRow(TypedDict):
    """A job in a list; `schedules` and `paused` are words, `last` its last runs."""

    job_id: str
    params: tuple[str, ...]
    labels: tuple[str, ...]
    description: str
    owner: str | None
    schedules: list[str]
    next: Instant | None
    last: list[LastRun]
    ad_hoc: bool
    paused: str


class Jobs(TypedDict):
    """All jobs, by id."""

    jobs: list[JobRow]
    epoch: int
    seq: int
    now: Instant


class JobPage(TypedDict):
    """A job. `hash` names its definition, `commit` git's when that first came into force; `next`
    are its next runs, `recent` its last; `file` is what a job file would hold."""

    job: JobV1
    hash: str
    definition: str
    commit: str | None
    params: tuple[str, ...]
    labels: tuple[str, ...]
    ad_hoc: bool
    paused: str
    schedules: list[str]
    next: list[RunRecord]
    recent: list[RunRecord]
    description_html: str
    file: dict[str, Any]
    epoch: int
    seq: int


class RoleStatus(TypedDict):
    """Whether a role is up, and how many seconds ago it was heard of."""

    status: str
    heard_s: float | None


class Standing(TypedDict):
    """How the job folder stands against the jobs in force."""

    watch: str
    looked_at: Instant | None
    problems: list[str]
    problem_count: int
    different: int
    added: list[str]
    changed: list[str]
    removed: list[str]


class Versions(TypedDict):
    """Which software this is, and which version its parts speak."""

    callsheet: str
    protocol: int
    python: str
    sqlite: str


class Health(TypedDict):
    """How the server does; `status` is ok or degraded."""

    status: str
    roles: dict[str, RoleStatus]
    problem: str | None
    epoch: int
    seq: int
    feed_seq: int
    findings: int
    checked_at: Instant | None
    job_folder: str
    jobs_in_force: int
    jobs: Standing | None
    processes: list[ProcessRow]
    versions: Versions
    started: Instant
    now: Instant


class ReloadedV2(Reloaded):
    """What a reload changed, and the id of the plan it carried out."""

    plan: str
