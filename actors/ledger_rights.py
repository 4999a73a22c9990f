"""What each wish takes: the one table of rights, by kind of wish.

Part of the ledger's core. Whoever is not here may not wish it at all. A wish that another role
makes for reasons of its own (an action, an agent's enrolment) has no `access` and is not judged.
"""

from __future__ import annotations

from ..messages.access import (
    LEAVES,
    AddUser,
    AskLeave,
    ChangeUser,
    LogIn,
    LogOut,
    MakeApiToken,
    NoteRefusal,
    RemoveUser,
    RevokeApiToken,
    Role,
)
from ..messages.backfills import AddBackfill, StopBackfill
from ..messages.wish_base import Instruction
from ..messages.wishes import (
    AddRuns,
    DeclineWish,
    DrainAgent,
    ForgetAgent,
    HoldRun,
    KillProcess,
    MakeAgentToken,
    MarkRun,
    Operate,
    PauseRuns,
    ReleaseRun,
    RescheduleRun,
    ResumeRuns,
    RevokeAgent,
    RunChecks,
    ShutDownAgent,
    SignalRun,
    SkipRun,
    StartNow,
    StopOperation,
    StopRun,
)

NEEDED: dict[type[Instruction], Role] = {
    StartNow: Role.OPERATOR,
    SkipRun: Role.OPERATOR,
    HoldRun: Role.OPERATOR,
    ReleaseRun: Role.OPERATOR,
    StopRun: Role.OPERATOR,
    SignalRun: Role.OPERATOR,
    MarkRun: Role.OPERATOR,
    RescheduleRun: Role.OPERATOR,
    Operate: Role.OPERATOR,
    StopOperation: Role.OPERATOR,
    AddRuns: Role.OPERATOR,
    AddBackfill: Role.OPERATOR,
    StopBackfill: Role.OPERATOR,
    # Refuses a wish in better words than these: it does nothing.
    DeclineWish: Role.VIEWER,
    PauseRuns: Role.OPERATOR,
    ResumeRuns: Role.OPERATOR,
    RunChecks: Role.OPERATOR,
    KillProcess: Role.OPERATOR,
    DrainAgent: Role.OPERATOR,
    MakeAgentToken: Role.ADMIN,
    RevokeAgent: Role.ADMIN,
    ShutDownAgent: Role.ADMIN,
    ForgetAgent: Role.ADMIN,
    MakeApiToken: Role.ADMIN,
    RevokeApiToken: Role.ADMIN,
    AddUser: Role.ADMIN,
    ChangeUser: Role.ADMIN,
    RemoveUser: Role.ADMIN,
    LogIn: Role.VIEWER,
    LogOut: Role.VIEWER,
    NoteRefusal: Role.VIEWER,
}
# What somebody may do who reaches only runs with certain labels: on these runs.
SCOPED = (
    StartNow,
    SkipRun,
    HoldRun,
    ReleaseRun,
    StopRun,
    SignalRun,
    MarkRun,
    RescheduleRun,
    KillProcess,
)
# About many runs, each of which is judged by itself; or about an operation of the asker's own.
PIECEMEAL = (Operate, StopOperation)
# About the asker alone.
PERSONAL = (LogIn, LogOut, NoteRefusal, DeclineWish)


def needed(instruction: Instruction) -> Role | None:
    """Return the least role that may wish this, None: nobody may."""
    if isinstance(instruction, AskLeave):
        return LEAVES.get(instruction.act)
    if isinstance(instruction, AddRuns) and instruction.ad_hoc_id:
        # A job of the asker's own may do whatever the agents' users may.
        return Role.ADMIN
    return NEEDED.get(type(instruction))
