"""The record of who did what, written with what was done, in the same transaction.

Part of the ledger's core. One entry for each wish of a person or program, carried out or refused;
what other roles wish for reasons of their own stands in the log of events.
"""

from __future__ import annotations

import re
from typing import Any

from ..jobs.run import Run
from ..jobs.times import format_time
from ..messages.access import AskLeave, NoteRefusal
from ..messages.audit import AuditEntry, chained
from ..messages.backfills import AddBackfill, StopBackfill
from ..messages.operations import operation_id
from ..messages.wishes import (
    AddRuns,
    DeclineWish,
    Done,
    LedgerWish,
    Operate,
    Refused,
    RescheduleRun,
)
from ..store.interface import Opening
from .ledger_book import Book

# Of the runs that one wish makes, so many are named.
RUNS_NAMED = 20
TEXT_AT_MOST = 500


class Audit:
    """See the module."""

    def __init__(self, opening: Opening, book: Book) -> None:
        self._book = book
        self._number, self._hash = opening.audit_head

    def record(
        self, wish: LedgerWish, answer: Done | Refused, before: Run | None, now_us: int
    ) -> None:
        """Add an entry for a wish and its answer.

        Args:
            before: the run concerned as it was, None when it is not about one.
        """
        access, instruction = wish.access, wish.instruction
        if access is None:
            return
        refused = isinstance(answer, Refused)
        sentence = answer.sentence if isinstance(answer, Refused) else ""
        act, target, details = _act(instruction), _target(instruction), {}
        if isinstance(instruction, NoteRefusal):
            act, refused, sentence = instruction.act, True, instruction.sentence
            target = instruction.target
        elif isinstance(answer, Done):
            details = self._details(instruction, answer, before)
        entry = AuditEntry(
            number=self._number + 1,
            at_us=now_us,
            who=wish.principal,
            act=act,
            outcome="refused" if refused else "done",
            target=target[:TEXT_AT_MOST],
            source=access.source,
            credential=_shown(access.credential),
            command_id=wish.command_id,
            sentence=sentence[:TEXT_AT_MOST],
            details=details,
        )
        row = chained(self._hash, entry)
        self._number, self._hash = row.number, row.hash
        self._book.changes.audit.append(row)

    def _details(self, instruction: Any, done: Done, before: Run | None) -> dict[str, Any]:
        if before is not None:
            after = self._book.get(before.run_id)
            moved = isinstance(instruction, RescheduleRun)
            said = {
                "job_id": before.job_id,
                "before": _said(before, timed=moved),
                "after": _said(after, timed=moved),
            }
            reason = getattr(instruction, "reason", "")
            return said | ({"reason": reason} if reason else {})
        if isinstance(instruction, Operate):
            return _operation(instruction, done)
        if isinstance(instruction, AddRuns):
            runs = instruction.run_ids
            return {"runs": runs[:RUNS_NAMED], "count": len(runs)}
        result = done.result if isinstance(done.result, dict) else {}
        return {name: value for name, value in result.items() if name != "run_ids"}


def _act(instruction: Any) -> str:
    """Return the name of a wish in small words: `start_now`."""
    if isinstance(instruction, DeclineWish):
        return "add_runs"
    if isinstance(instruction, Operate):
        return f"{instruction.deed.verb}_runs"
    if isinstance(instruction, AskLeave):
        return instruction.act
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(instruction).__name__).lower()


def _target(instruction: Any) -> str:
    """Return what a wish is about."""
    if isinstance(instruction, AddRuns):
        return instruction.runs[0].job_id if instruction.runs else ""
    if isinstance(instruction, AddBackfill):
        return instruction.backfill.job_id
    if isinstance(instruction, StopBackfill):
        return f"b{instruction.number}"
    if isinstance(instruction, Operate):
        return instruction.query or " ".join(one.run_id for one in instruction.targets[:RUNS_NAMED])
    for name in ("run_id", "agent_id", "token_id", "operation_id", "name"):
        found = getattr(instruction, name, None)
        if found:
            return str(found)
    return ""


def _operation(instruction: Operate, done: Done) -> dict[str, Any]:
    """Return what an operation on many runs is: one entry stands for all of them."""
    deed = instruction.deed
    said = {
        "operation_id": operation_id(done.command_id),
        "count": len(instruction.targets),
        "query": instruction.query,
        "reason": deed.reason,
        "runs": [one.run_id for one in instruction.targets[:RUNS_NAMED]],
    }
    if deed.verb == "reschedule":
        said["schedule_time"] = "now" if deed.schedule_us is None else format_time(deed.schedule_us)
    if deed.verb == "rerun":
        said |= {"args": deed.args, "definition": "stored" if deed.stored else "current"}
    if deed.state is not None:
        said["state"] = deed.state
    if deed.verb == "signal":
        said["signal"] = deed.signal
    return said


def _said(run: Run | None, *, timed: bool) -> dict[str, Any]:
    if run is None:
        return {}
    said: dict[str, Any] = {"state": run.state, "held": run.held}
    return said | ({"schedule_time": format_time(run.schedule_us)} if timed else {})


def _shown(credential: str) -> str:
    """Return a credential as it may be shown: of a log-in, which is a hash, its beginning."""
    kind, _, id_ = credential.partition("/")
    return f"{kind}/{id_[:12]}" if id_ else ""
