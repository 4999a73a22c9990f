"""What `/api/v2` answers, as types: mypy holds the endpoints to them, and the API's description is
made of them (`openapi.py`). Shapes that one module alone gives stand in that module.

`Instant` is a text such as 2026-11-24T14:25:00.000+00:00; durations are seconds.

The modules of shapes do without `from __future__ import annotations`: each annotation of a
`TypedDict` would be compiled and kept as code, half a KB of every server.
"""

from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

Instant = Annotated[str, Meta(description="An instant, as 2026-11-24T14:25:00.000+00:00.")]
# Conditions, programs, actions and schedules have the keys of their type, as in job files.
Part = Annotated[
    dict[str, Any],
    Meta(
        description="Has the keys of its type as in a job file, and `str`, its text for people.",
        extra_json_schema={"required": ["str"], "properties": {"str": {"type": "string"}}},
    ),
]


class Head(TypedDict):
    """Up to which event of the server's log an answer holds."""

    epoch: int
    seq: int


# --- runs -----------------------------------------------------------------------------------------


class RunRecord(TypedDict):
    """A run. Of two records of one run that with the greater `version` is the newer; `times` has
    an instant per state entered."""

    run_id: str
    job_id: str
    args: dict[str, str]
    state: str
    version: int
    schedule_time: Instant
    times: dict[str, str]
    labels: tuple[str, ...]
    owner: str
    reason: str | None
    attempt: int
    held: bool
    unreachable: bool
    lost: bool
    expected: bool
    agent: str | None
    elapsed: float | None
    stop_time: NotRequired[str | None]
    not_before: NotRequired[Instant]
    rerun_of: NotRequired[str]
    rerun_root: NotRequired[str]
    rerun_number: NotRequired[int]
    reruns: NotRequired[int]
    rescheduled_from: NotRequired[Instant]
    backfill: NotRequired[str]
    awaits_turn: NotRequired[bool]
    ad_hoc: NotRequired[bool]
    stop_asked: NotRequired[bool]
    priority: NotRequired[int]
    missed: NotRequired[list[str]]


class Attempt(TypedDict):
    """One attempt of a run."""

    attempt: int
    state: str
    reason: str | None
    started: Instant | None
    ended: Instant | None
    agent: str | None


class Deadlines(TypedDict):
    """By when a run is to start and to end, and for how many seconds it may run."""

    start_by: Instant | None
    finish_by: Instant | None
    max_duration: float | None


class LogLine(TypedDict):
    """A line of a run's log: an event of it. `cause` is who or what it came from."""

    seq: int
    time: Instant
    kind: str
    state: str | None
    message: str
    cause: str
    action_id: NotRequired[str]
    outcome: NotRequired[str]


class OutputListed(TypedDict):
    """An output of an attempt; `left_out`: from and up to which byte nothing is kept."""

    output_id: str
    attempt: int
    name: str
    length: int
    content_type: str
    compression: str | None
    sha256: str | None
    truncated: bool
    left_out: NotRequired[list[int]]


class Owed(TypedDict):
    """An action of a run that is not over."""

    action_id: str
    action: str
    since: Instant
    deadline: str | None
    attempts: int
    next_attempt: Instant | None
    error: str | None


class WaitsFor(TypedDict):
    """What one condition of a waiting run comes to."""

    condition: str
    met: bool | None
    reason: str


class RunBasics(RunRecord):
    """A run with what it was bound to. `results`: what it gave back, `result_specs`: what it has
    to; `source_results`: what the run gave back that it follows."""

    conds: list[Part]
    program: Part | None
    meta: dict[str, Any]
    results: dict[str, str]
    result_specs: dict[str, Any]
    source_results: dict[str, str]
    definition: str | None
    cause: str | None
    deadlines: Deadlines | None
    attempts: list[Attempt]


class Usual(TypedDict):
    """What `n` runs of the job that ended well took, in seconds: one in ten at most `p10`, half
    `p50`, nine in ten `p90`."""

    p10: float
    p50: float
    p90: float
    n: int


class RunPage(RunBasics):
    """A run with its log, its outputs, what it waits for, why it is in its state, and what may be
    done with it now."""

    commit: str | None
    log: list[LogLine]
    outputs: list[OutputListed]
    owed: list[Owed]
    why: list[str]
    waits_for: list[WaitsFor]
    usual: Usual | None
    operations: list[str]


class RunAnswer(TypedDict):
    """One run."""

    run: RunPage
    epoch: int
    seq: int
    now: Instant


class RunsAnswer(TypedDict):
    """A page of runs, newest first. `counts` by state are of the whole query without its states:
    null on later pages, and when counting takes too long."""

    runs: list[RunRecord]
    next_cursor: str | None
    counts: dict[str, int] | None
    epoch: int
    seq: int
    now: Instant


class NewRuns(TypedDict):
    """The runs that were made."""

    runs: list[RunRecord]
    seq: int


class Operated(TypedDict):
    """What an operation made of a run; `run` null: it was done before, by the same key."""

    run: NotRequired[RunRecord | None]
    runs: NotRequired[list[RunRecord]]
    seq: int


class Span(TypedDict):
    """A span of an output, as text or, where it is no UTF-8, in base64. `left_out`: that many bytes
    before `start` are not kept."""

    start: int
    length: int
    ended: bool
    attempt: int
    left_out: NotRequired[int]
    data: NotRequired[str]
    b64: NotRequired[str]


# --- agents, findings -----------------------------------------------------------------------------


class ProcessRecord(TypedDict):
    """A process that an agent keeps; `rss_bytes` and `cpu_s` are of all of its session."""

    run_id: str
    attempt: int
    state: str
    pid: int
    started: Instant | None
    job_id: str | None
    stopping: bool
    rss_bytes: int | None
    cpu_s: float | None


class AgentRecord(TypedDict):
    """An agent; `processes` is its own inventory."""

    agent_id: str
    group_id: str
    connected: bool
    first_seen: Instant
    last_seen: Instant
    connections: int
    received: int
    sent: int
    live: int
    hostname: str
    username: str
    pid: int
    uid: int
    software: str
    state: str
    labels: list[str]
    slots: int | None
    keyed: bool
    draining: bool
    version: int
    processes: NotRequired[list[ProcessRecord]]


class FindingRecord(TypedDict):
    """Something the checker found; `key` names it over time. `closed` null: it is so."""

    key: str
    check: str
    severity: str
    sentence: str
    run_id: str | None
    since: Instant | None
    closed: Instant | None
    remedy: str
    evidence: Any


class Checks(TypedDict):
    """The checker's open findings."""

    checked_at: Instant | None
    findings: list[FindingRecord]
