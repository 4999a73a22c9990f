"""What the roles ask of the ledger, besides wishes: all of the direction *to the ledger*."""

from __future__ import annotations

from typing import Any

import msgspec

from ..jobs.calendar_days import CalendarDays
from ..jobs.findings import Finding
from ..jobs.keeping import Gap
from ..jobs.run import NewRun, RunId
from ..jobs.states import State
from ..jobs.times import Instant
from .hello import Hello, ScheduleRow, Session
from .transitions import Replay
from .wish_base import Number
from .wishes import LedgerWish


class ToLedger(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """Base of the instructions."""


# --- scheduler ----------------------------------------------------------------------------------


class StoredDefinition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job definition by content: `body` is the job as MessagePack.

    `commit` is the git commit that was checked out when it first came into force, if that is known.
    """

    hash: str
    job_id: str
    body: bytes
    commit: str | None = None


class KeptSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that goes on under another definition of its job, which differs in nothing that
    its runs are made of: they keep their rows, and get these `labels` and this `owner`."""

    job_id: str
    fingerprint: str
    definition: str
    labels: tuple[str, ...] = ()
    owner: str = ""


class ApplyJobs(ToLedger, frozen=True, kw_only=True, tag="ApplyJobs"):
    """Put a new set of jobs in force, in one transaction.

    `based_on` is the jobs version it was computed against; another one in force: refused by
    `JobsRefused`. `set_jobs` maps job id to definition hash for jobs added or changed; a schedule
    in `opened` begins its horizon at `at_us`; for each (job id, fingerprint) in `closed` the
    expected runs after `at_us` are withdrawn with `reason`; `kept` ones go on. `calendars` are all
    that are in force from now on, None: no change.
    """

    based_on: int
    at_us: Instant
    definitions: list[StoredDefinition] = []
    set_jobs: dict[str, str] = {}
    removed_jobs: list[str] = []
    opened: list[ScheduleRow] = []
    closed: list[tuple[str, str]] = []
    kept: list[KeptSchedule] = []
    added: list[str] = []
    changed: list[str] = []
    reason: str = "jobs reloaded"
    calendars: list[CalendarDays] | None = None


class SkipSpan(msgspec.Struct, frozen=True, kw_only=True):
    """Nominal runs left out by policy: first and last instant, how many, why."""

    from_us: Instant
    to_us: Instant
    count: Number
    reason: str


class Expectation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """For one schedule: all its nominal runs in [from_us, upto_us), as runs or as skips."""

    job_id: str
    fingerprint: str
    from_us: Instant
    upto_us: Instant
    runs: list[NewRun] = []
    skips: list[SkipSpan] = []


class ExpectRuns(ToLedger, frozen=True, kw_only=True, tag="ExpectRuns"):
    """Write expected runs and move the horizons of just these schedules, in one transaction.

    `batch` is echoed in `RunsExpected`. An expectation whose `from_us` is not the schedule's stored
    horizon is left out (a repeat, or an older set of jobs).
    """

    batch: int
    jobs_version: int
    expectations: list[Expectation]


class RunsDue(ToLedger, frozen=True, kw_only=True, tag="RunsDue"):
    """The time of these scheduled runs has come. Answered by `DueTaken` with the same ids."""

    run_ids: list[RunId]


class RunsSoon(ToLedger, frozen=True, kw_only=True, tag="RunsSoon"):
    """The time of these scheduled runs comes within `AHEAD_US`: those of which nothing is left to
    be decided may be got ready. Answered by `RunsDocketed` that drops them; `RunsDue` is said of
    the others all the same."""

    run_ids: list[RunId]


class RunsLate(ToLedger, frozen=True, kw_only=True, tag="RunsLate"):
    """The time of these expected runs has passed by more than their schedules bear: withdraw those
    that are still scheduled, and record them as skipped for `reason`. Answered by `DueTaken`."""

    run_ids: list[RunId]
    reason: str


class LeaseIds(ToLedger, frozen=True, kw_only=True, tag="LeaseIds"):
    """Give me `count` run numbers; answered by `IdsLeased`, which echoes `request`."""

    count: Number
    request: int = 0


# --- waiter -------------------------------------------------------------------------------------


class FewerThan(msgspec.Struct, frozen=True, kw_only=True, tag_field="guard", tag="FewerThan"):
    """Fewer than `n` other runs of the instance are in `states`."""

    job_id: str
    args: dict[str, str]
    states: tuple[State, ...]
    n: int


class NoneOf(msgspec.Struct, frozen=True, kw_only=True, tag_field="guard", tag="NoneOf"):
    """No other run of the instance is in `states`; else the run goes to `else_state`."""

    job_id: str
    args: dict[str, str]
    states: tuple[State, ...]
    else_state: State


class PoolFree(msgspec.Struct, frozen=True, kw_only=True, tag_field="guard", tag="PoolFree"):
    """The runs that are starting or running leave room for `weight` more in a pool of `size`.

    One that weighs more than the pool holds may have it alone, unless there is none (`size` 0).
    """

    pool: str
    weight: int
    size: int


Guard = FewerThan | NoneOf | PoolFree


class ClearRun(ToLedger, frozen=True, kw_only=True, tag="ClearRun"):
    """Everything waited for has come; start the run if these guards hold at that instant."""

    run_id: RunId
    guards: list[Guard] = []


class ConcludeRun(ToLedger, frozen=True, kw_only=True, tag="ConcludeRun"):
    """A condition ends the waiting: the run goes to a finished state with `reason`."""

    run_id: RunId
    state: State
    reason: str


class NoteRun(ToLedger, frozen=True, kw_only=True, tag="NoteRun"):
    """Add a line to the log of a waiting run, such as `waiting until: …`."""

    run_id: RunId
    message: str


# --- runner -------------------------------------------------------------------------------------


class OutputRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An output as the store indexes it. `length` counts the bytes that were written.

    `truncated`: `gap_bytes` of them, from `gap_at` on, are not kept. `path` is relative to the
    output folder, None when `data` holds it inline (small texts the server itself made).
    `compression` None or `zstd`.
    """

    run_id: RunId
    output_id: str = "output"
    attempt: Number = 1
    name: str = "combined stdout & stderr"
    length: Number = 0
    content_type: str = "application/octet-stream"
    compression: str | None = None
    path: str | None = None
    data: bytes | None = None
    sha256: str | None = None
    truncated: bool = False
    gap_at: Number = 0
    gap_bytes: Number = 0

    @property
    def gap(self) -> Gap:
        """What of it is not kept."""
        return Gap(self.gap_at, self.gap_at + self.gap_bytes)


class AttemptStarted(ToLedger, frozen=True, kw_only=True, tag="AttemptStarted"):
    """The program of (run, attempt) runs. Acknowledged by `Recorded`."""

    run_id: RunId
    attempt: Number
    at_us: Instant
    agent_id: str | None = None
    meta: dict[str, Any] = {}


class AttemptEnded(ToLedger, frozen=True, kw_only=True, tag="AttemptEnded"):
    """The program of (run, attempt) is over: `state` success, failure, error or lost.

    `started_us` is given when the start may not have been reported; `exit_code` when the process
    had one. `results`: what its process gave back, None where that is not asked for.
    Acknowledged by `Recorded`.

    `session` is given when this is no more than the runner's own conclusion (no agent came, the
    agent was given up): it counts in the runner's present session only, and is answered by
    `SessionOver` else. A runner that was welcomed since has been given the run to start.
    """

    run_id: RunId
    attempt: Number
    at_us: Instant
    state: State
    message: str = ""
    started_us: Instant | None = None
    agent_id: str | None = None
    meta: dict[str, Any] = {}
    outputs: list[OutputRecord] = []
    exit_code: int | None = None
    results: dict[str, str] | None = None
    session: Session | None = None


class AttemptUpdated(ToLedger, frozen=True, kw_only=True, tag="AttemptUpdated"):
    """The run's `unreachable` flag or program meta changed, a log line is to be noted, or its stop
    time has come while it runs (`stopping`). `session` is given with what is so for that runner
    alone: that it does not hear of the agent."""

    run_id: RunId
    attempt: Number
    unreachable: bool | None = None
    meta: dict[str, Any] | None = None
    note: str = ""
    stopping: bool = False
    session: Session | None = None


class AskClaim(ToLedger, frozen=True, kw_only=True, tag="AskClaim"):
    """An agent of another host speaks of an attempt that the runner does not know: is it the
    agent's? Answered by `ClaimKnown`."""

    run_id: RunId
    attempt: Number
    agent_id: str


class AgentsTaken(ToLedger, frozen=True, kw_only=True, tag="AgentsTaken"):
    """The runner of that session goes by the registry of agents as of that seq (see
    `AgentsInForce`). Answered only by `SessionOver`, where the session is not the present one."""

    seq: int
    session: Session


# --- responder and checker ----------------------------------------------------------------------


class ActionSettled(ToLedger, frozen=True, kw_only=True, tag="ActionSettled"):
    """An outbox action is done (`error` empty) or failed for good. `message` goes to the log."""

    action_id: str
    message: str
    error: str = ""


class ActionTried(ToLedger, frozen=True, kw_only=True, tag="ActionTried"):
    """An outbox action has failed `attempts` times, the last time by `error`; it will be tried
    again at `next_us`."""

    action_id: str
    attempts: Number
    next_us: Instant
    error: str


class CheckReport(ToLedger, frozen=True, kw_only=True, tag="CheckReport"):
    """What one round of `checks` found, all of it: what is open, of one of these kinds and not
    named, is closed. `left_out` are kinds that could not be looked for."""

    at_us: Instant
    checks: list[str]
    findings: list[Finding] = []
    began_us: Instant = 0
    left_out: list[str] = []


class AskDigest(ToLedger, frozen=True, kw_only=True, tag="AskDigest"):
    """What do you hold in memory? Answered by `Digest`."""

    request: str


AnyToLedger = (
    Hello
    | ApplyJobs
    | ExpectRuns
    | RunsDue
    | RunsSoon
    | RunsLate
    | LeaseIds
    | ClearRun
    | ConcludeRun
    | NoteRun
    | AttemptStarted
    | AttemptEnded
    | AttemptUpdated
    | AgentsTaken
    | AskClaim
    | ActionSettled
    | ActionTried
    | CheckReport
    | AskDigest
    | LedgerWish
    | Replay
)
