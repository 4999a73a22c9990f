"""The places at which a process of the server is made to die, by name: each where what is known to
one and not yet to another changes. `crashing/sitecustomize.py`, which every Python of the server
loads, does it, and `crashing/start_keeper.py` in keepers. Nothing of this is in callsheet itself.
"""

from __future__ import annotations

from typing import NamedTuple

# The folder in which a file with the name of a place lies when somebody is to die there.
ARMED = "CALLSHEET_CRASH"


class Place(NamedTuple):
    """Before or after a call of a method, or of a function; of a stage only that of one `role`, of
    a port that to one. `process`: who dies, as the supervisor names it; besides those it keeps
    there are `supervisor` and `keeper`. A keeper stands still there first, so that it can be seen
    what it has in hand."""

    process: str
    module: str
    method: str
    when: str
    role: str = ""

    @property
    def stands(self) -> bool:
        """Whether who passes is to stand still and be killed by who armed it."""
        return self.process == "keeper"


def _of_stage(role: str) -> dict[str, Place]:
    """A role that acts on what the ledger says: what it was told, what it has decided, what it has
    said dies with it."""
    stage = "callsheet.actors.stage"
    who = f"{role}/0"
    return {
        f"{role} before it takes a batch": Place(who, stage, "Stage.turn", "before", role),
        f"{role} before it says what it decided": Place(who, stage, "Stage.send", "before", role),
        f"{role} after it has said it": Place(who, stage, "Stage.send", "after", role),
    }


def _around(process: str, module: str, method: str, before: str, after: str) -> dict[str, Place]:
    """Before a call and after it; an empty name: not there."""
    found = {before: "before", after: "after"}
    return {name: Place(process, module, method, when) for name, when in found.items() if name}


LEDGER = "callsheet.actors.ledger_stage"
STORE = "callsheet.store.sqlite"
ARCHIVE = "callsheet.store.archive"
SUPERVISE = "callsheet.actors.supervise"
KEEPER = "callsheet.agentd.keeper"
LINE = "callsheet.agentd.keeper_line"
PLACES: dict[str, Place] = {
    "ledger before it takes a batch": Place("ledger/0", LEDGER, "LedgerStage.turn", "before"),
    **_around(
        "ledger/0", STORE, "SqliteWriter.commit",
        "ledger before the transaction", "ledger after the commit, before it publishes",
    ),
    "ledger in the transaction": Place(
        "ledger/0", "callsheet.store.changes", "ChangeRows.write", "after"
    ),
    "ledger after it has published, before it answers": Place(
        "ledger/0", "callsheet.wire.ports", "PublisherPort.send", "after"
    ),
    "ledger after it has answered": Place("ledger/0", LEDGER, "LedgerStage._speak", "after"),
    # Its worker: backups and archives.
    **_around(
        "ledger/0", "callsheet.actors.upkeep_work", "UpkeepWork._do",
        "upkeep before a step", "upkeep after a step, before it is told",
    ),
    **_around(
        "ledger/0", "callsheet.store.backup", "leave_out_secrets",
        "upkeep in a backup", "upkeep before a backup is in its place",
    ),
    **_around(
        "ledger/0", ARCHIVE, "_link_outputs",
        "upkeep in an archive", "upkeep before an archive is committed",
    ),
    **_around(
        "ledger/0", ARCHIVE, "drop_outputs",
        "upkeep before it drops what is archived", "upkeep after it has dropped what is archived",
    ),
    **_of_stage("scheduler"),
    **_around(
        "scheduler/0", "callsheet.actors.reload", "Reload.applied",
        "scheduler before it plans by jobs in force", "scheduler after it plans by jobs in force",
    ),
    **_of_stage("binder"),
    **_of_stage("waiter"),
    **_of_stage("runner"),
    **_of_stage("responder"),
    **_of_stage("checker"),
    "web before it passes a wish on": Place(
        "web/0", "callsheet.webui.bridge", "BridgedCore.settle", "before"
    ),
    "web after it has passed a wish on": Place(
        "web/0", "callsheet.actors.stage", "Stage.send", "after", "web"
    ),
    "web after it has taken an answer": Place(
        "web/0", "callsheet.webui.bridge", "BridgedCore.receive", "after"
    ),
    **_around(
        "agent", "callsheet.agentd.spool", "Spool.claim",
        "agent before it claims", "agent after it has claimed",
    ),
    **_around(
        "agent", "callsheet.agentd.keepers", "Keepers._send",
        "agent before its keeper is asked", "agent after its keeper was asked",
    ),
    "agent after it has heard of an end": Place(
        "agent", "callsheet.agentd.local", "LocalHost.facts", "after"
    ),
    "agent before it reports": Place("agent", "callsheet.agentd.local", "LocalHost.flush", "after"),
    "agent after it has reported": Place(
        "agent", "callsheet.wire.ports", "DealerPort.send", "after", "runner"
    ),
    **_around(
        "agent", "callsheet.agentd.spool", "Spool.forget",
        "agent before it forgets", "agent after it has forgotten",
    ),
    "keeper before a start is on record": Place("keeper", KEEPER, "Keeper.start", "before"),
    **_around(
        "keeper", KEEPER, "Keeper.spawn",
        "keeper after a start is on record", "keeper after the process is there",
    ),
    **_around(
        "keeper", KEEPER, "Keeper.note_pids",
        "keeper before pids are on record", "keeper after pids are on record",
    ),
    **_around(
        "keeper", KEEPER, "Keeper.ended",
        "keeper before an end is on record", "keeper after an end is on record",
    ),
    "keeper after it has told": Place("keeper", LINE, "Line.send", "after"),
    **_around(
        "supervisor", SUPERVISE, "_Loop._spawn",
        "supervisor before it starts a role", "supervisor after it has started a role",
    ),
    "supervisor before it knows of a death": Place(
        "supervisor", "callsheet.actors.supervisor", "Supervisor.exited", "before"
    ),
}  # fmt: skip
