"""The store as its users see it: one writer (the ledger's stage), any number of readers.

Two stores implement it: SQLite and an in-memory twin; one conformance suite proves both. All
instants are microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from ..jobs.calendar_days import CalendarDays
from ..jobs.errors import CallsheetError, UserError
from ..jobs.findings import CheckRound, Finding, SetAside
from ..jobs.job import Job
from ..jobs.run import Run
from ..jobs.run_filter import RunFilter
from ..jobs.states import ACTIVE, State
from ..jobs.streaks import Streak
from ..messages.access import ApiToken, Session, User
from ..messages.audit import BEGINNING, AuditRow
from ..messages.backfills import Backfill, OpenBackfill
from ..messages.commands import OutboxItem
from ..messages.hello import DueRow, ScheduleRow
from ..messages.instructions import OutputRecord, StoredDefinition
from ..messages.operations import Operation, Part
from ..messages.pauses import Pause, PauseKind
from ..messages.registry import AgentRecord, AgentToken
from ..messages.transitions import AnyEvent, SkipsRecorded
from ..messages.wishes import Done, Refused
from .access import AccessReader
from .findings import FindingReader
from .operations import OperationsReader

# Of one job: args as a text, and schedule_us.
Instance = tuple[str, int]


class StoreError(CallsheetError):
    """The store could not do what was asked (disk full, locked): nothing of it was written."""


class StoreBroken(StoreError):
    """What the store holds is no longer known, or is not what the writer believes: the process
    must end; its successor reads what is true (failed fsync, corruption, another epoch)."""


class StoreUnusable(UserError):
    """The database cannot be opened: missing, corrupt, of a newer version, or in use."""


class Changes(msgspec.Struct, kw_only=True):
    """What one batch of the ledger changes: written in one transaction, or not at all.

    `runs` maps id to the run as it now is, None when its row goes (withdrawn). `jobs` maps job id
    to definition hash, None when the job is no longer in force. `calendars` are all that are in
    force from now on, None: no change. `outbox` maps action id to the item owed, None when it is
    settled. `deadlines` maps (run id, kind) to its instant, None when it is met or missed;
    `streaks` maps (job id, args key or empty) to the latest ends, None to forget them. `pauses`
    maps (kind, name) to the pause, None when it has ended; `backfills` are by number.
    `findings` maps a key to the finding as it is now, closed or not; `operations` an id to the
    operation, None when it is forgotten with its parts.
    `archived` are the numbers of runs that leave with all their rows; of their `archived_jobs` the
    ad hoc ones that have no runs left go too, unless a schedule of theirs is open. `free_pages`: at
    most so many unused pages are given back to the disk afterwards. `next_run_number` None:
    unchanged.
    """

    events: list[AnyEvent] = []
    runs: dict[str, Run | None] = {}
    definitions: list[StoredDefinition] = []
    jobs: dict[str, str | None] = {}
    ad_hoc_jobs: dict[str, str] = {}
    calendars: list[CalendarDays] | None = None
    jobs_version: int | None = None
    schedules: list[ScheduleRow] = []
    outputs: list[OutputRecord] = []
    outbox: dict[str, OutboxItem | None] = {}
    deadlines: dict[tuple[str, str], int | None] = {}
    streaks: dict[tuple[str, str], Streak | None] = {}
    answers: dict[str, Done | Refused] = {}
    answers_at_us: int = 0
    findings: dict[str, Finding] = {}
    check_round: CheckRound | None = None
    next_run_number: int | None = None
    agents: dict[str, AgentRecord] = {}
    agent_tokens: dict[str, AgentToken | None] = {}
    api_tokens: dict[str, ApiToken] = {}
    users: dict[str, User | None] = {}
    sessions: dict[str, Session | None] = {}
    audit: list[AuditRow] = []
    pauses: dict[tuple[PauseKind, str], Pause | None] = {}
    backfills: dict[int, Backfill] = {}
    operations: dict[str, Operation | None] = {}
    operation_parts: list[Part] = []
    archived: list[int] = []
    archived_jobs: list[str] = []
    free_pages: int = 0

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(
            self.events
            or self.runs
            or self.definitions
            or self.jobs
            or self.ad_hoc_jobs
            or self.calendars is not None
            or self.jobs_version is not None
            or self.schedules
            or self.outputs
            or self.outbox
            or self.deadlines
            or self.streaks
            or self.answers
            or self.findings
            or self.check_round is not None
            or self.next_run_number is not None
            or self.agents
            or self.agent_tokens
            or self.api_tokens
            or self.users
            or self.sessions
            or self.audit
            or self.pauses
            or self.backfills
            or self.operations
            or self.operation_parts
            or self.archived
            or self.free_pages
        )


class Opening(msgspec.Struct, kw_only=True):
    """What the ledger finds when it opens the store: its epoch (already raised and durable), the
    head, and everything that is not over; of `operations` all, newest first. Scheduled runs are not
    here: they are found by time. `set_aside` grows as rows are met that cannot be read."""

    epoch: int
    seq: int
    next_run_number: int
    jobs_version: int
    since_us: int
    server_id: str
    active: list[Run]
    schedules: list[ScheduleRow]
    jobs: dict[str, str]
    ad_hoc_jobs: dict[str, str]
    outbox: list[OutboxItem]
    deadlines: dict[tuple[str, str], int] = {}
    streaks: dict[tuple[str, str], Streak] = {}
    calendars: list[CalendarDays] = []
    agents: list[AgentRecord] = []
    agent_tokens: list[AgentToken] = []
    api_tokens: list[ApiToken] = []
    users: list[User] = []
    sessions: list[Session] = []
    audit_head: tuple[int, str] = (0, BEGINNING)
    pauses: list[Pause] = []
    backfills: list[OpenBackfill] = []
    last_backfill: int = 0
    findings: list[Finding] = []
    operations: list[Operation] = []
    set_aside: Mapping[tuple[str, str], SetAside] = {}


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A list of runs: all given terms must hold. Newest id first; `before_number` is the cursor
    (runs with a smaller number). `args` must be among the run's args. `limit` ≤ 10,001."""

    job_id: str | None = None
    job_ids: tuple[str, ...] | None = None
    states: tuple[State, ...] | None = None
    args: dict[str, str] = {}
    label: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    changed_since_us: int | None = None
    run_ids: tuple[str, ...] | None = None
    before_number: int | None = None
    limit: int = 100


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of a search, newest first. `before`: the run number below which it goes on, None when
    there are no more. A page that is not full goes on where the time for it was up."""

    runs: list[Run]
    before: int | None = None


class JobMark(NamedTuple):
    """`mark` differs when a schedule of the job has come, gone or got another definition;
    `has_runs`: whether the time asked for has a run that a schedule made, or had one."""

    mark: int
    has_runs: bool


class Reader(AccessReader, FindingReader, OperationsReader, Protocol):
    """Reads for web, waiter and checker, and for the ledger's own look-ups. Short transactions;
    each method is one consistent read unless inside `snapshot()`. Those that look at many runs
    (`find_by_time`, `extent`, `count_per_bin`, `count_found`) raise StoreError when it takes too
    long."""

    def head(self) -> tuple[int, int]:
        """Return (epoch, seq) as last committed."""

    def snapshot(self) -> Any:
        """Return a context manager: reads inside it see one state of the database."""

    def run(self, run_id: str) -> Run | None:
        """Return a run, None when there is none."""

    def runs(self, run_ids: list[str]) -> list[Run]:
        """Return the runs found, in no order."""

    def query(self, query: RunQuery) -> list[Run]:
        """Return the page of runs the query asks for."""

    def find(self, wanted: RunFilter, *, before: int | None, limit: int) -> RunPage:
        """Return a page of runs that match, newest first, at most `limit` (≤ 10,000)."""

    def find_by_time(
        self, wanted: RunFilter, *, offset: int, limit: int, rising: bool = False
    ) -> list[Run]:
        """Return at most `limit` (≤ 10,001) of the runs that match, latest schedule time first (of
        the same time the newest run first), from the place `offset` on; `rising`: of the list the
        other way round."""

    def extent(self, wanted: RunFilter) -> tuple[int, int] | None:
        """Return the earliest and latest schedule time of runs that match, None of none."""

    def count_per_bin(
        self, wanted: RunFilter, from_us: int, step_us: int
    ) -> dict[tuple[int, State], int]:
        """Return how many runs that match are in each bin of schedule time, by state; bin 0 begins
        at `from_us`, each is `step_us` wide, empty ones are left out."""

    def count_found(self, wanted: RunFilter) -> dict[State, int]:
        """Return how many runs that match are in each state (absent: none)."""

    def count(self, query: RunQuery) -> int:
        """Return how many runs the query matches, its cursor and limit left aside."""

    def count_by_state(self, query: RunQuery) -> dict[State, int]:
        """Return how many runs of the query are in each state (absent: none)."""

    def active(
        self, states: Collection[State] = ACTIVE, limit: int | None = None, after: int = 0
    ) -> list[Run]:
        """Return all waiting, starting, running and stopping runs, or those in some of these
        states, by number; with a limit the first of them that come after a number."""

    def standing(self) -> Iterator[tuple[str, State]]:
        """Yield the ids and states of all active runs, and no more of them: there may be many."""

    def due(self, upto_us: int, limit: int, after: tuple[int, int] = (0, 0)) -> list[DueRow]:
        """Return scheduled, not held runs with schedule time < upto_us, by (time, number), that
        come after `after` (schedule_us, run number)."""

    def instance_states(self, job_id: str, args_key: str, after: int = 0) -> dict[State, int]:
        """Return how many runs of exactly this instance are in each state: of those with a number
        greater than `after`."""

    def log(self, run_id: str) -> list[AnyEvent]:
        """Return the events of a run in order, empty when there are none."""

    def events_after(self, seq: int, limit: int) -> list[AnyEvent]:
        """Return events above `seq` in order, at most `limit`."""

    def events_of_no_run(self, seq: int) -> Iterator[AnyEvent]:
        """Yield those events above a head `seq` in order that are of no single run."""

    def definition(self, hash_: str) -> Job | None:
        """Return a stored job definition."""

    def definition_commit(self, hash_: str) -> str | None:
        """Return the git commit at which a definition first came into force, as far as known."""

    def jobs(self) -> dict[str, str]:
        """Return the jobs in force from the folder: id to definition hash."""

    def ad_hoc_job(self, job_id: str) -> str | None:
        """Return the definition hash of an ad hoc job."""

    def jobs_of_runs(self) -> list[str]:
        """Return the ids of all jobs that have a run, sorted: in force, gone or ad hoc."""

    def calendars(self) -> list[CalendarDays]:
        """Return the calendars in force, by name."""

    def schedules(self) -> list[ScheduleRow]:
        """Return the open schedules."""

    def schedule_history(self, job_id: str) -> list[ScheduleRow]:
        """Return all schedules of a job, open and closed, by when they came into force."""

    def jobs_after(self, job_id: str, limit: int) -> list[str]:
        """Return the first jobs in force whose ids come after an id, in order."""

    def job_marks(self, job_ids: list[str], since_us: int, until_us: int) -> dict[str, JobMark]:
        """Return the marks of jobs, for runs with since_us ≤ schedule time < until_us."""

    def skips(self, job_id: str, fingerprint: str) -> list[SkipsRecorded]:
        """Return the recorded skips of a schedule."""

    def outputs(self, run_id: str) -> list[OutputRecord]:
        """Return the index of a run's outputs."""

    def outbox(self, run_id: str) -> list[OutboxItem]:
        """Return the actions that a run's moves still owe, in order."""

    def last_runs(self, job_ids: list[str], per_job: int) -> dict[str, list[Run]]:
        """Return the newest finished or active runs of each job, newest first."""

    def owed_actions(self) -> int:
        """Return how many actions of the outbox are not carried out yet."""

    def agents(self) -> list[AgentRecord]:
        """Return the registry of agents, by id."""

    def agent_tokens(self) -> list[AgentToken]:
        """Return the tokens for enrolment, used or not, by id."""

    def pauses(self) -> list[Pause]:
        """Return the pauses, those whose time is over among them, by kind and name."""

    def backfills(self, limit: int) -> list[Backfill]:
        """Return the newest of them, newest first, at most `limit`."""

    def backfill(self, number: int) -> Backfill | None:
        """Return one of them, None when there is none."""

    def backfill_counts(self, number: int) -> dict[str, int]:
        """Return how many of its runs are in each state, those it has not let go yet as
        `pending`; withdrawn and archived ones are not there."""

    def open_backfills(self) -> list[OpenBackfill]:
        """Return those that are not over, with their runs that are not."""

    def last_backfill(self) -> int:
        """Return the number of the newest, 0 when there was none."""

    def instances_of(self, query: RunQuery) -> set[Instance]:
        """Return (args as a text, schedule_us) of all runs that the query matches, its cursor and
        limit left aside."""

    def answer(self, command_id: str) -> Done | Refused | None:
        """Return the kept answer of a wish (kept for 24 hours)."""

    def rest(self) -> None:
        """Give back the memory that is held to be quick: there is nothing to read for now."""

    def close(self) -> None:
        """Close it."""


class Writer(Protocol):
    """The ledger's store: takes the lock and the epoch when opened, writes whole batches."""

    reader: Reader

    def open(self, now_us: int) -> Opening:
        """Take the lock, raise the epoch durably, return what is there.

        Raises:
            StoreUnusable: another server holds it, or the database is missing, corrupt or newer.
        """

    def existing_expected(self, keys: list[tuple[str, str, int]]) -> set[tuple[str, str, int]]:
        """Return which of (job_id, args_key, schedule_us) a schedule has already made a run for."""

    def expected_after(self, job_id: str, fingerprint: str, at_us: int) -> list[Run]:
        """Return the expected, still scheduled runs of a schedule from `at_us` on."""

    def commit(self, changes: Changes) -> None:
        """Write all of it durably in one transaction.

        Raises:
            StoreError: nothing was written; the same changes may be committed again later.
        """

    def maintain(self, now_us: int) -> None:
        """Idle work: checkpoint the log, forget answers older than 24 hours, but the last ones.

        The answer to what an action asked for is kept until the action is settled.
        """

    def close(self) -> None:
        """Release the lock."""
