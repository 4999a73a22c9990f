"""Who may say what to whom: for each role that is spoken to, each peer's own closed set.

A router reads a frame by the reader of its sender, so that a message that is not in that set is no
message at all: nothing else decides by a name that came over a wire. The wishes in it are checked
too: a run that is bound comes from the scheduler alone, whatever web asks for. A test holds every
kind of message of every direction against this table.
"""

from __future__ import annotations

from typing import Any, get_args

from .agents import AnyFromAgent, AskAgents
from .backfills import AddBackfill
from .binding import FromBinder
from .codec import BadFrame, Reader
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


class WishReader(Reader):
    """Reads a set in which there are wishes, of which only some kinds are taken."""

    def __init__(self, accepted: Any, wishes: frozenset[type]) -> None:
        super().__init__(accepted)
        self._wishes = wishes

    def unpack(self, frame: bytes | memoryview) -> list[Any]:
        """See `Reader`.

        Raises:
            BadFrame: also a wish that is not this peer's to make.
        """
        messages = super().unpack(frame)
        for message in messages:
            if type(message) is LedgerWish and type(message.instruction) not in self._wishes:
                raise BadFrame(f"a wish for {type(message.instruction).__name__}: not this peer's")
        return messages


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
        kind_of(SCHEDULER): WishReader(
            Hello | ApplyJobs | ExpectRuns | RunsDue | RunsSoon | RunsLate | LeaseIds | LedgerWish,
            _BOUND,
        ),
        kind_of(WAITER): Reader(Hello | ClearRun | ConcludeRun | NoteRun),
        kind_of(RUNNER): WishReader(
            Hello
            | AttemptStarted
            | AttemptEnded
            | AttemptUpdated
            | AgentsTaken
            | AskClaim
            | LedgerWish,
            _SHOWN,
        ),
        kind_of(RESPONDER): Reader(Hello | ActionSettled | ActionTried),
        kind_of(CHECKER): Reader(Hello | CheckReport | AskDigest),
        kind_of(WEB): WishReader(Hello | Replay | LedgerWish, _OF_PEOPLE),
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
