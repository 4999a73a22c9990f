"""What the ledger answers and commands. One module for the direction *from the ledger*."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..jobs.actions import Action
from ..jobs.findings import Finding, SetAside
from ..jobs.run import Run
from ..jobs.states import State
from .hello import DueRow, Refuse, RunnerWelcome, SchedulerWelcome, Session, Welcome
from .registry import AgentRecord, AgentToken
from .transitions import Replayed
from .wishes import Done, Refused, SchedulerWish


class FromLedger(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """Base of the answers and commands."""


# --- to the scheduler ---------------------------------------------------------------------------


class JobsApplied(FromLedger, frozen=True, kw_only=True, tag="JobsApplied"):
    """The set of jobs is durable and in force as `jobs_version`; these runs were withdrawn."""

    based_on: int
    jobs_version: int
    withdrawn: list[str] = []


class JobsRefused(FromLedger, frozen=True, kw_only=True, tag="JobsRefused"):
    """The set of jobs was computed against another version than the one in force."""

    based_on: int
    jobs_version: int


class RunsExpected(FromLedger, frozen=True, kw_only=True, tag="RunsExpected"):
    """The batch is durable. `duplicates`: ids not used since (job, args, second) is there already;
    `behind`: (job id, fingerprint, stored horizon) of expectations left out."""

    batch: int
    duplicates: list[str] = []
    behind: list[tuple[str, str, int]] = []


class DueTaken(FromLedger, frozen=True, kw_only=True, tag="DueTaken"):
    """These ids are off the docket: started, moved on, held, or unknown."""

    run_ids: list[str]


class IdsLeased(FromLedger, frozen=True, kw_only=True, tag="IdsLeased"):
    """The numbers first_id … first_id + count − 1 are yours. `request` is that of `LeaseIds`, so
    that an answer meant for an earlier scheduler, or given twice, is never used."""

    first_id: int
    count: int
    request: int = 0


class RunsDocketed(FromLedger, frozen=True, kw_only=True, tag="RunsDocketed"):
    """Runs that people scheduled for later, or that became due again (release): docket them.

    `dropped`: ids no longer scheduled.
    """

    due: list[DueRow] = []
    dropped: list[str] = []


# --- to the waiter ------------------------------------------------------------------------------


class ClearRefused(FromLedger, frozen=True, kw_only=True, tag="ClearRefused"):
    """The guard at `guard` (index) does not hold as of `seq`; ask again when it may."""

    run_id: str
    guard: int
    seq: int


# --- to the runner ------------------------------------------------------------------------------


class SessionOver(FromLedger, frozen=True, kw_only=True, tag="SessionOver"):
    """Something said in that session was not taken: a runner was welcomed after it, or none was by
    this ledger. Who lives in it still says hello again."""

    session: Session


class StartRun(FromLedger, frozen=True, kw_only=True, tag="StartRun"):
    """Start (run, attempt). Sent again until `AttemptStarted` or `AttemptEnded` comes."""

    epoch: int
    run: Run


class StopAttempt(FromLedger, frozen=True, kw_only=True, tag="StopAttempt"):
    """Stop (run, attempt): its stop signal, after its grace SIGKILL; `kill`: SIGKILL now."""

    epoch: int
    run_id: str
    attempt: int
    kill: bool = False


class SignalAttempt(FromLedger, frozen=True, kw_only=True, tag="SignalAttempt"):
    """Send a signal to the process of (run, attempt), once per `command_id`."""

    epoch: int
    run_id: str
    attempt: int
    signal: int
    command_id: str


class Recorded(FromLedger, frozen=True, kw_only=True, tag="Recorded"):
    """What the runner said of (run, attempt) is durable. `state` is the run's state now; `ended`:
    the attempt's end is recorded, so the agent may forget it. A run the ledger does not know or
    that is over has `ended` true."""

    run_id: str
    attempt: int
    state: State
    ended: bool


class ShutAgentDown(FromLedger, frozen=True, kw_only=True, tag="ShutAgentDown"):
    """Have an agent end now, killing its processes, stopping or leaving them; said once."""

    epoch: int
    agent_id: str
    kill: bool = False
    stop: bool = False


class KillOnAgent(FromLedger, frozen=True, kw_only=True, tag="KillOnAgent"):
    """Have an agent kill a process that belongs to no run under way; said once."""

    epoch: int
    agent_id: str
    run_id: str
    attempt: int


class ClaimKnown(FromLedger, frozen=True, kw_only=True, tag="ClaimKnown"):
    """Answer to `AskClaim`: `theirs`, and its end is wanted; `over`, it was the agent's, and its
    end is on record; `foreign`, nothing of it is to be believed. `stop`: its run was to be stopped,
    `kill`: by SIGKILL at once."""

    run_id: str
    attempt: int
    agent_id: str
    verdict: Literal["theirs", "over", "foreign"]
    stop: bool = False
    kill: bool = False


class AgentsInForce(FromLedger, frozen=True, kw_only=True, tag="AgentsInForce"):
    """The whole registry of agents as of `seq`, and the tokens nobody has used yet. Sent again
    until `AgentsTaken` names that seq."""

    epoch: int
    seq: int
    agents: list[AgentRecord] = []
    tokens: list[AgentToken] = []


# --- to the responder ---------------------------------------------------------------------------


# What an action asks of others it asks under a command id of this and its own id.
ACTION_COMMAND = "act-"


class OutboxItem(msgspec.Struct, frozen=True, kw_only=True):
    """An action owed: `action_id` is `<run>.<seq>.<index>`, its key everywhere; of an alert
    `c<seq>.<index>`, which is about `finding` and no run.

    `run` is the run as it then was. `deadline`: the kind that was missed, empty when the run moved.
    `attempts` have failed, the last one by `error`; the next is due at `next_us`.
    """

    action_id: str
    run: Run | None = None
    action: Action
    at_us: int
    deadline: str = ""
    attempts: int = 0
    next_us: int = 0
    error: str = ""
    finding: Finding | None = None

    @property
    def of_run(self) -> Run:
        """The run of an action that is no alert."""
        assert self.run is not None, f"action {self.action_id}: is an alert, of no run"
        return self.run

    @property
    def whose(self) -> str:
        """The job that owes it; `checks` for an alert."""
        return "checks" if self.run is None else self.run.job_id


class ActOn(FromLedger, frozen=True, kw_only=True, tag="ActOn"):
    """Carry these out; answered one by one with `ActionSettled`, sent again until then."""

    items: list[OutboxItem]


# --- to the checker -----------------------------------------------------------------------------


class Digest(FromLedger, frozen=True, kw_only=True, tag="Digest"):
    """What the ledger holds as of `seq`: how many active runs, and the sum of what each is (see
    `jobs.run.standing_sum`). `set_aside`: the rows of the store that it could not read."""

    request: str
    seq: int
    count: int
    sum: int
    set_aside: list[SetAside] = []


class CheckNow(FromLedger, frozen=True, kw_only=True, tag="CheckNow"):
    """Somebody wants a round of checks now."""


AnyFromLedger = (
    Refuse
    | Welcome
    | SchedulerWelcome
    | RunnerWelcome
    | SessionOver
    | JobsApplied
    | JobsRefused
    | RunsExpected
    | DueTaken
    | IdsLeased
    | RunsDocketed
    | ClearRefused
    | StartRun
    | StopAttempt
    | SignalAttempt
    | Recorded
    | AgentsInForce
    | ClaimKnown
    | ShutAgentDown
    | KillOnAgent
    | ActOn
    | Digest
    | CheckNow
    | Done
    | Refused
    | Replayed
    | SchedulerWish
)
