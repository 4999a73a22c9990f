"""The run: one execution of a job for given args and a given time, as the ledger keeps it."""

from __future__ import annotations

from typing import Annotated, Any
from zlib import crc32

import msgspec

from .actions import Action
from .bound_conditions import BoundCondition
from .deadlines import Due
from .params import ParamSpec
from .programs import BoundProgram
from .retry import AttemptRecord, Retry
from .states import FINISHED, State
from .times import Instant

# What `run_number` takes, for those who read texts by patterns: what fits a row of the store.
RUN_ID = r"^r(0|[1-9][0-9]{0,17})\Z"
# Python itself refuses to read numbers of thousands of digits.
RUN_ID_CHARS = 19
# In a record that is read: whatever else such a field holds, the record is not a run's.
RunId = Annotated[str, msgspec.Meta(pattern=RUN_ID)]

_sorted_json = msgspec.json.Encoder(order="deterministic")


class MovedFrom(msgspec.Struct, frozen=True):
    """Where a run was that somebody has put to another time: the time it was made for, and the
    schedule that made it, None when a person or an action did."""

    schedule_us: Instant
    fingerprint: str | None = None


class KnownRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of a `Run` matters to who lets runs wait: of a record it is read in a tenth of the time
    that the whole takes."""

    run_id: RunId
    job_id: str
    args: dict[str, str]
    state: State
    schedule_us: Instant
    version: int = 0
    held: bool = False
    message: str | None = None
    not_before_us: int | None = None
    times: dict[str, int] = {}
    conds: tuple[BoundCondition, ...] = ()
    priority: int = 0
    waiting_max_us: int | None = None


class Run(KnownRun, frozen=True, kw_only=True, omit_defaults=True):
    """A run as last persisted. Instants are microseconds UTC.

    `times` has an entry per state entered. `message` is the reason of the last move. `fingerprint`
    names the schedule that made the run, None when a person or an action did; `expected` is true
    while such a run is still scheduled. `attempt` is 0 until the first start. `agent_id` is the
    agent of the current attempt. `waiting_max_us`: it may wait so long, None: as the settings say.
    `owner` is its job's, empty when that names none.
    `stop_asked`: it is to be stopped once it runs; `kill_asked`: when it is stopped, by SIGKILL at
    once. `version` is the seq of the last event that changed the run.
    `due` are its deadlines; those missed are in `meta["deadlines"]`. `attempts` are those that have
    ended, of runs that have a `retry` policy; before the next one such a run waits again.
    `backfill` is the number of the backfill it is of; `turned`: that has let it go, and whoever
    holds it since is obeyed. `result_specs` say which `results` it is to give back;
    `source_results` are those of the run that it follows.

    `moved_from`: a person has put it to another time, and it is that person's run from then on: it
    has no `fingerprint` any more. `rerun_of` is the run it repeats, `rerun_root` the first of that
    chain, `rerun_number` its place in the chain (the root has 0); `reruns`, of a root: how many
    there are.
    """

    expected: bool = False
    fingerprint: str | None = None
    definition: str | None = None
    attempt: int = 0
    unreachable: bool = False
    stop_us: Instant | None = None
    labels: tuple[str, ...] = ()
    owner: str = ""
    actions: tuple[Action, ...] = ()
    program: BoundProgram | None = None
    meta: dict[str, Any] = {}
    agent_id: str | None = None
    stop_asked: bool = False
    kill_asked: bool = False
    rerun_of: RunId | None = None
    rerun_root: RunId | None = None
    rerun_number: int = 0
    reruns: int = 0
    moved_from: MovedFrom | None = None
    ad_hoc: bool = False
    cause: str | None = None
    due: Due | None = None
    retry: Retry | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    backfill: int | None = None
    turned: bool = False
    result_specs: dict[str, ParamSpec] = {}
    results: dict[str, str] = {}
    source_results: dict[str, str] = {}

    @property
    def number(self) -> int:
        """The number in the run id."""
        return int(self.run_id[1:])

    @property
    def finished(self) -> bool:
        """Whether the run is in a terminal state."""
        return self.state in FINISHED

    @property
    def planned(self) -> bool:
        """Whether a schedule has made the run, be it for another time than it now has."""
        moved = self.moved_from
        return (self.fingerprint if moved is None else moved.fingerprint) is not None

    @property
    def made_for_us(self) -> int:
        """The time the run was made for, be it put to another one since."""
        return self.schedule_us if self.moved_from is None else self.moved_from.schedule_us

    @property
    def args_key(self) -> str:
        """The canonical text of the args, by which instances are compared."""
        return args_key(self.args)


class NewRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run as the scheduler hands it to the ledger: bound, or with the error that binding met.

    `run_id` comes from the block of numbers the ledger leased. `error` not None: the run is created
    in state error with this sentence as its output. `skipped` not None: it is created skipped, by a
    policy, for this reason. `rerun_root` None: `rerun_of` is the root. `not_before_us`: when its
    time has come it waits until then.
    """

    run_id: RunId
    job_id: str
    args: dict[str, str]
    schedule_us: Instant
    fingerprint: str | None = None
    definition: str | None = None
    stop_us: Instant | None = None
    labels: tuple[str, ...] = ()
    owner: str = ""
    conds: tuple[BoundCondition, ...] = ()
    actions: tuple[Action, ...] = ()
    program: BoundProgram | None = None
    rerun_of: RunId | None = None
    rerun_root: RunId | None = None
    ad_hoc: bool = False
    priority: int = 0
    waiting_max_us: int | None = None
    error: str | None = None
    note: str | None = None
    due: Due | None = None
    skipped: str | None = None
    retry: Retry | None = None
    result_specs: dict[str, ParamSpec] = {}
    source_results: dict[str, str] = {}
    not_before_us: Instant | None = None


def args_key(args: dict[str, str]) -> str:
    """Return the canonical JSON of `args`: sorted keys, no blanks (as Apsis stores them)."""
    return _sorted_json.encode(args).decode()


def standing_sum(run_id: str, state: State) -> int:
    """Return a number for a run being in a state; sums of them tell one set of runs from another,
    as good as always."""
    return crc32(f"{run_id} {state.value}".encode())


def run_number(run_id: str) -> int | None:
    """Return the number of a run id like `r17`, None when the text is not a run id."""
    if not 2 <= len(run_id) <= RUN_ID_CHARS or run_id[0] != "r":
        return None
    if not run_id[1:].isascii() or not run_id[1:].isdigit():
        return None
    number = int(run_id[1:])
    return number if str(number) == run_id[1:] else None
