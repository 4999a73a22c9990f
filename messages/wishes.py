"""What people and programs ask for, and the one answer each wish gets after the commit.

A wish is idempotent by `command_id`: asked again it has no further effect and gets the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from ..jobs.programs import SignalNumber
from ..jobs.run import NewRun, Run, RunId
from ..jobs.states import State
from ..jobs.times import Instant
from .access import Access, OfAccess
from .backfills import OfBackfills, StartBackfill
from .hello import ScheduleRow
from .operations import After, Deed, Target
from .pauses import PauseKind
from .wish_base import Instruction, Number

_encode = msgspec.msgpack.Encoder().encode
_decode_run = msgspec.msgpack.Decoder(Run).decode

# --- to the ledger ------------------------------------------------------------------------------


class StartNow(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="StartNow"):
    """Start a scheduled run now (its conditions still apply), or a waiting one without them."""

    run_id: RunId
    reason: str = ""


class SkipRun(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="SkipRun"):
    """Skip a scheduled or waiting run."""

    run_id: RunId
    reason: str = ""


class HoldRun(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="HoldRun"):
    """Hold a scheduled or waiting run: it is not started until released."""

    run_id: RunId
    reason: str = ""


class ReleaseRun(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="ReleaseRun"):
    """Release a held run."""

    run_id: RunId
    reason: str = ""


class StopRun(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="StopRun"):
    """Stop a running run by its stop signal and grace period; a starting one once it runs.

    `kill`: SIGKILL at once.
    """

    run_id: RunId
    kill: bool = False
    reason: str = ""


class SignalRun(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="SignalRun"):
    """Send a signal (a number) to a running run's process."""

    run_id: RunId
    signal: SignalNumber
    reason: str = ""


class MarkRun(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="MarkRun"):
    """Force a finished run into another finished state."""

    run_id: RunId
    state: State
    reason: str = ""


class RescheduleRun(
    Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="RescheduleRun"
):
    """Put a scheduled or waiting run to another time (`schedule_us` None: now), and its scheduled
    stop if it has one to `stop_us` (None: it stays)."""

    run_id: RunId
    schedule_us: Instant | None = None
    stop_us: Instant | None = None
    reason: str = ""


class Operate(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="Operate"):
    """Do a deed to many runs, part by part: answered at once, with the operation's id. `query`: by
    which they were found, for the record."""

    deed: Deed
    targets: list[Target]
    query: str = ""


class StopOperation(Instruction, frozen=True, kw_only=True, tag="StopOperation"):
    """Leave alone what an operation has not come to."""

    operation_id: str


class AddRuns(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="AddRuns"):
    """Scheduler → ledger: runs asked for by a person or an action, bound. `ad_hoc_job` None or the
    encoded ad hoc job to be stored with its hash, and its schedules to be opened. `declined`: of
    several reruns those that cannot be, and why, by the id of the run that was to be repeated.
    `alike` are the ids of more runs, which are as the last of `runs` is."""

    runs: list[NewRun]
    alike: list[RunId] = []
    declined: dict[str, str] = {}
    ad_hoc_id: str | None = None
    ad_hoc_hash: str | None = None
    ad_hoc_job: bytes | None = None
    ad_hoc_schedules: list[ScheduleRow] = []

    @property
    def run_ids(self) -> list[str]:
        """The ids of all of them, in order."""
        return [*(run.run_id for run in self.runs), *self.alike]

    def each(self) -> Iterator[NewRun]:
        """Yield the runs in order; those that are alike are made as they are asked for."""
        yield from self.runs
        for run_id in self.alike:
            yield replace(self.runs[-1], run_id=run_id)


class DeclineWish(Instruction, frozen=True, kw_only=True, tag="DeclineWish"):
    """Scheduler → ledger: a wish for runs cannot be carried out, unless it has been: by an earlier
    scheduler, to which things looked different. `reason` and `sentence` are those of `Refused`."""

    reason: str
    sentence: str


class MakeAgentToken(
    Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="MakeAgentToken"
):
    """Let one agent in that knows the secret of this hash, until `expires_us`, into `group_id`
    (empty: into the group it names)."""

    token_id: str
    secret_hash: str
    expires_us: Instant
    group_id: str = ""


class EnrolAgent(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="EnrolAgent"):
    """Runner → ledger: an agent has shown the secret of a token; let its key in for good."""

    secret_hash: str
    agent_id: str
    public_key: str
    group_id: str = ""


class RevokeAgent(Instruction, frozen=True, kw_only=True, tag="RevokeAgent"):
    """Never let the agent's key in again; its id is not given to another."""

    agent_id: str


class ForgetAgent(Instruction, frozen=True, kw_only=True, tag="ForgetAgent"):
    """An agent is gone for good: never let its key in again, and end what it has as lost."""

    agent_id: str


class DrainAgent(Instruction, frozen=True, kw_only=True, tag="DrainAgent"):
    """Give the agent no new runs, or again some (`draining` false)."""

    agent_id: str
    draining: bool


class ShutDownAgent(
    Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="ShutDownAgent"
):
    """End an agent now; `kill`: and all its processes; `stop`: once it has stopped them all."""

    agent_id: str
    kill: bool = False
    stop: bool = False


class KillProcess(Instruction, frozen=True, kw_only=True, tag="KillProcess"):
    """Kill a process that an agent keeps; if it is that of a run under way, the run is stopped."""

    agent_id: str
    run_id: RunId
    attempt: Number


class PauseRuns(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="PauseRuns"):
    """Skip what schedules make of all jobs, or those of a folder, a label, or one job, from now on
    until `until_us` (None: until it is resumed); see `Pause`. A pause of the same is replaced."""

    pause_kind: PauseKind
    name: str = ""
    reason: str = ""
    until_us: Instant | None = None


class ResumeRuns(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="ResumeRuns"):
    """End a pause."""

    pause_kind: PauseKind
    name: str = ""


class RunChecks(Instruction, frozen=True, kw_only=True, tag="RunChecks"):
    """Have the sanity checker make a round now; done as soon as it is told."""


# --- to the scheduler ---------------------------------------------------------------------------


class ScheduleRun(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="ScheduleRun"):
    """Make `count` runs of a job, or of the ad hoc job given as plain data.

    `schedule_us` None: now. `stop_us` is absolute; `stop_after_us` counts from the schedule time.
    `source_run` and what is of it are given by an action: same-named args of the source fill what
    `args` leaves open, and templates may name its results.
    """

    job_id: str | None = None
    job: Any = None
    args: dict[str, str] = {}
    count: int = 1
    schedule_us: int | None = None
    stop_us: int | None = None
    stop_after_us: int | None = None
    source_run: str | None = None
    source_args: dict[str, str] = {}
    source_results: dict[str, str] = {}


class RerunRun(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="RerunRun"):
    """Make a new run of an earlier run's job and args, for now. web gives what the store says.

    `definition`: the hash of that by which to run, whatever is in force and whether the job is
    there still; None: the one in force. `root`: the first of the chain of reruns, None: `run_id`.
    `changes`: args that are other than they were. `after`: what the new run waits for besides its
    conditions.
    """

    run_id: str
    job_id: str
    args: dict[str, str]
    stop_us: int | None = None
    definition: str | None = None
    source_results: dict[str, str] = {}
    root: str | None = None
    changes: dict[str, str] = {}
    after: tuple[After, ...] = ()
    reason: str = ""


class RerunRuns(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="RerunRuns"):
    """Ledger → scheduler: make a new run of each of these, in this order. What cannot be made is
    declined by itself, beside what is `declined` already."""

    reruns: list[RerunRun]
    declined: dict[str, str] = {}


class ReloadJobs(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="ReloadJobs"):
    """Read the job folder again; all or nothing. `dry_run`: only say what would change.

    `plan` is the id of the plan to be carried out (see `jobs.plan`): refused when it was made for
    another set in force, or for another content of the folder. `bodies`: the answer to a dry run
    also carries the jobs added and changed, if they are not too many.
    """

    dry_run: bool = False
    plan: str = ""
    bodies: bool = False


OfAgents = (
    MakeAgentToken
    | EnrolAgent
    | RevokeAgent
    | ForgetAgent
    | DrainAgent
    | ShutDownAgent
    | KillProcess
)
OfPauses = PauseRuns | ResumeRuns
OfRuns = StartNow | SkipRun | HoldRun | ReleaseRun | StopRun | SignalRun | MarkRun | RescheduleRun
OfOperations = Operate | StopOperation
ToLedgerWish = (
    OfRuns
    | AddRuns
    | DeclineWish
    | OfAgents
    | OfAccess
    | OfPauses
    | OfBackfills
    | OfOperations
    | RunChecks
)
ToSchedulerWish = ScheduleRun | RerunRun | RerunRuns | ReloadJobs | StartBackfill


class LedgerWish(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="LedgerWish"):
    """A wish for the ledger. `principal` is who asks (`local`, `user:ann`, `token:ci`,
    `action:r4`); `access` None: another role, for reasons of its own."""

    command_id: str
    principal: str
    instruction: ToLedgerWish
    access: Access | None = None


class SchedulerWish(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="SchedulerWish"
):
    """A wish for the scheduler, which binds and asks the ledger in its turn."""

    command_id: str
    principal: str
    instruction: ToSchedulerWish
    access: Access | None = None


# --- answers ------------------------------------------------------------------------------------


class Done(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="Done"
):
    """It is durable: the runs concerned as they are as of `seq`. `result`: a reload's outcome,
    `{"added": [...], "changed": [...], "removed": [...], "dry_run": bool, "plan": id}`, and of a
    dry run with `bodies` the encoded jobs by id as `jobs`, None when they are too many; for an
    agent its record as plain data, for a token its id.

    The runs stay encoded: there may be a thousand, and who hands the answer on reads none of them.
    """

    command_id: str
    seq: int
    records: list[msgspec.Raw] = msgspec.field(name="runs", default_factory=list)
    result: Any = None

    @classmethod
    def of(cls, command_id: str, seq: int, runs: Iterable[Run]) -> Done:
        """Return an answer that has these runs."""
        return cls(command_id=command_id, seq=seq, records=[*map(record_of, runs)])

    def each(self) -> Iterator[Run]:
        """Yield the runs, read one after the other."""
        return map(_decode_run, self.records)

    @property
    def runs(self) -> list[Run]:
        """The runs, read all at once."""
        return [*self.each()]


def record_of(run: Run) -> msgspec.Raw:
    """Return a run as an answer has it."""
    return msgspec.Raw(_encode(run))


class Refused(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="Refused"
):
    """It was not done. `reason`: bad_request, wrong_state, not_found, forbidden or busy.

    `details`: for a reload, list of [job id, sentence].
    """

    command_id: str
    reason: str
    sentence: str
    details: Any = None
