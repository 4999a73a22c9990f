"""The places at which a process of the server is made to die, by name: each where what is known to
one and not yet to another changes. `crashing/sitecustomize.py`, which every Python of the server
loads, does it. Nothing of this is in callsheet itself.
"""

from __future__ import annotations

from typing import NamedTuple

ARMED = "CALLSHEET_CRASH"


class Place(NamedTuple):
    """Before or after a call; of a stage only that of one `role`, of a port that to one."""

    module: str
    method: str
    when: str
    role: str = ""


def _of_stage(role: str) -> dict[str, Place]:
    """A role that acts on what the ledger says: what it was told, what it has decided, what it has
    said dies with it."""
    stage = "callsheet.actors.stage"
    return {
        f"{role} before it takes a batch": Place(stage, "Stage.turn", "before", role),
        f"{role} before it says what it decided": Place(stage, "Stage.send", "before", role),
        f"{role} after it has said it": Place(stage, "Stage.send", "after", role),
    }


LEDGER = "callsheet.actors.ledger_stage"
STORE = "callsheet.store.sqlite"
PLACES: dict[str, Place] = {
    "ledger before it takes a batch": Place(LEDGER, "LedgerStage.turn", "before"),
    "ledger before the transaction": Place(STORE, "SqliteWriter.commit", "before"),
    "ledger in the transaction": Place("callsheet.store.changes", "ChangeRows.write", "after"),
    "ledger after the commit, before it publishes": Place(STORE, "SqliteWriter.commit", "after"),
    "ledger after it has published, before it answers": Place(
        "callsheet.wire.ports", "PublisherPort.send", "after"
    ),
    "ledger after it has answered": Place(LEDGER, "LedgerStage._speak", "after"),
    **_of_stage("scheduler"),
    **_of_stage("binder"),
    **_of_stage("waiter"),
    **_of_stage("runner"),
    **_of_stage("responder"),
    **_of_stage("checker"),
    "web before it passes a wish on": Place(
        "callsheet.webui.bridge", "BridgedCore.settle", "before"
    ),
    "web after it has taken an answer": Place(
        "callsheet.webui.bridge", "BridgedCore.receive", "after"
    ),
    "agent before it claims": Place("callsheet.agentd.spool", "Spool.claim", "before"),
    "agent after it has claimed": Place("callsheet.agentd.spool", "Spool.claim", "after"),
    "agent before its keeper is asked": Place(
        "callsheet.agentd.keepers", "Keepers._send", "before"
    ),
    "agent after its keeper was asked": Place("callsheet.agentd.keepers", "Keepers._send", "after"),
    "agent after it has heard of an end": Place(
        "callsheet.agentd.local", "LocalHost.facts", "after"
    ),
    "agent before it reports": Place("callsheet.agentd.local", "LocalHost.flush", "after"),
    "agent after it has reported": Place(
        "callsheet.wire.ports", "DealerPort.send", "after", "runner"
    ),
    "agent before it forgets": Place("callsheet.agentd.spool", "Spool.forget", "before"),
    "agent after it has forgotten": Place("callsheet.agentd.spool", "Spool.forget", "after"),
}
