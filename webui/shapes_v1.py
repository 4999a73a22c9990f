"""What the API of Apsis answers, as types; the shapes themselves are made in `jobs.jso`."""

from typing import Any, NotRequired, TypedDict

from .shapes import Instant, Part


class Empty(TypedDict):
    """It is done."""


class RunSummaryV1(TypedDict):
    """A run in short. `times` has an instant per state entered, and `schedule` and `stop`."""

    job_id: str
    args: dict[str, str]
    run_id: str
    state: str
    times: dict[str, str]
    labels: list[str]
    expected: NotRequired[bool]
    ad_hoc: NotRequired[bool]
    dependencies: NotRequired[list[list[str | dict[str, str]]]]


class RunV1(RunSummaryV1):
    """A run; with `summary` only what every list has of it."""

    conds: NotRequired[list[Part]]
    actions: NotRequired[list[Part]]
    meta: NotRequired[dict[str, Any]]
    program: NotRequired[Part | None]


class PagingV1(TypedDict):
    """`next`: the cursor of the page that follows, null on the last."""

    next: str | None


class RunsV1(TypedDict):
    """Runs by id; `when` is the server's time. Lists have `paging`."""

    when: Instant
    runs: dict[str, RunV1]
    paging: NotRequired[PagingV1]


class RerunV1(RunsV1):
    """The new run; `show_run_id` is its id."""

    show_run_id: str | None


class LogLineV1(TypedDict):
    """A line of a run's log."""

    run_id: str
    timestamp: Instant
    message: str


class RunLogV1(TypedDict):
    """The log of a run, in order."""

    run_log: list[LogLineV1]


class OutputV1(TypedDict):
    """An output of a run, and its length in bytes."""

    output_id: str
    output_len: int


class StateV1(TypedDict):
    """The state of a run."""

    state: str


class DependencyV1(TypedDict):
    """An instance that a run depends on, and its runs."""

    job_id: str
    args: dict[str, str]
    run_ids: list[str]


class ResolvedV1(TypedDict):
    """The conditions of a run of one schedule, in so far as they differ from those of others."""

    schedule_args: dict[str, Any]
    conditions: list[Part]


class JobV1(TypedDict):
    """A job."""

    job_id: str
    params: list[str]
    param_specs: dict[str, dict[str, Any]]
    schedule: list[Part]
    program: Part
    condition: list[Part]
    common_conditions: list[Part]
    resolved_conditions: list[ResolvedV1]
    action: list[Part]
    metadata: dict[str, Any]
    ad_hoc: bool
    priority: NotRequired[int]
    waiting: NotRequired[dict[str, float]]
    deadline: NotRequired[Part]
    retry: NotRequired[Part]


class Reloaded(TypedDict):
    """What a reload changed, or with `dry_run` would; ids in order."""

    removed: list[str]
    added: list[str]
    changed: list[str]
    dry_run: bool


class VersionV1(TypedDict):
    """The version of the server."""

    version: str


class ConnectionV1(TypedDict):
    """An agent, as Apsis shows its connection."""

    shutdown_state: str
    info: dict[str, dict[str, Any]]
