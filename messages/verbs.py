"""Who may say what to whom: for each role that is spoken to, each peer's own closed set.

A router reads a frame by the reader of its sender, so that a message that is not in that set is no
message at all: nothing else decides by a name that came over a wire. The wishes in it are checked
too (`door`): a run that is bound comes from the scheduler alone, whatever web asks for. A test
holds every kind of message of every direction against this table.
"""

from __future__ import annotations

from typing import get_args

from .agents import AnyFromAgent, AskAgents
from .backfills import AddBackfill
from .binding import FromBinder
from .codec import Reader
from .door import DoorReader
from .hello import Hello
from .instructions import (
    ActionSettled,
    ActionTried,
    AgentsTaken,
    ApplyJobs,
    AskClaim,
    AskDigest,
    AttemptEnded,
    AttemptStarted,
    AttemptUpdated,
    CheckReport,
    ClearRun,
    ConcludeRun,
    ExpectRuns,
    LeaseIds,
    NoteRun,
    RunsDue,
    RunsLate,
    RunsSoon,
)
from .post import BINDER, CHECKER, LEDGER, RESPONDER, RUNNER, SCHEDULER, WAITER, WEB
from .standing import AskStanding
from .transitions import Replay
from .wishes import (
    AddRuns,
    DeclineWish,
    EnrolAgent,
    LedgerWish,
    SchedulerWish,
    ToLedgerWish,
)

AGENT = "agent"


def kind_of(address: str) -> str:
    """Return what kind of peer an address is of: `web` of `web/0`, `agent` of `agent/db1`."""
    return address.partition("/")[0]


# What is bound comes from the scheduler, what an agent has shown from the runner; web brings what
# people wish, which is all the rest.
_BOUND = frozenset((AddRuns, DeclineWish, AddBackfill))
_SHOWN = frozenset((EnrolAgent,))
_OF_PEOPLE = frozenset(get_args(ToLedgerWish)) - _BOUND - _SHOWN

READERS: dict[str, dict[str, Reader]] = {
    LEDGER: {
        kind_of(SCHEDULER): DoorReader(
            Hello | ApplyJobs | ExpectRuns | RunsDue | RunsSoon | RunsLate | LeaseIds | LedgerWish,
            _BOUND,
        ),
        kind_of(WAITER): DoorReader(Hello | ClearRun | ConcludeRun | NoteRun),
        kind_of(RUNNER): DoorReader(
            Hello
            | AttemptStarted
            | AttemptEnded
            | AttemptUpdated
            | AgentsTaken
            | AskClaim
            | LedgerWish,
            _SHOWN,
        ),
        kind_of(RESPONDER): DoorReader(Hello | ActionSettled | ActionTried),
        kind_of(CHECKER): DoorReader(Hello | CheckReport | AskDigest),
        kind_of(WEB): DoorReader(Hello | Replay | LedgerWish, _OF_PEOPLE),
    },
    SCHEDULER: {
        kind_of(BINDER): Reader(FromBinder),
        kind_of(RESPONDER): Reader(SchedulerWish),
        kind_of(WEB): Reader(SchedulerWish | AskStanding),
    },
    RUNNER: {
        AGENT: Reader(AnyFromAgent),
        kind_of(CHECKER): Reader(AskAgents),
        kind_of(WEB): Reader(AskAgents),
    },
}
