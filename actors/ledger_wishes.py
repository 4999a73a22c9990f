"""How the ledger answers the wishes of people and programs: once each, after the commit.

A wish is known by its command id: its answer is stored with what it changed, so that a repeat gets
the same answer and has no further effect. A refused wish changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from ..jobs.run import NewRun, Run
from ..jobs.states import State
from ..messages.access import OfAccess
from ..messages.backfills import OfBackfills
from ..messages.commands import CheckNow
from ..messages.hello import ScheduleRow
from ..messages.instructions import StoredDefinition
from ..messages.post import CHECKER, Post
from ..messages.wishes import (
    AddRuns,
    DeclineWish,
    Done,
    LedgerWish,
    OfAgents,
    OfOperations,
    OfPauses,
    Refused,
    RunChecks,
    record_of,
)
from .ledger_access import AccessBook
from .ledger_agents import AgentBook
from .ledger_attempts import Attempts
from .ledger_audit import Audit
from .ledger_backfills import Backfills
from .ledger_book import Book, Unwilling
from .ledger_operations import Operations
from .ledger_pauses import Pauses
from .ledger_sending import Outgoing


class Wishes:
    """Carries out wishes on the book, and answers them."""

    def __init__(
        self,
        book: Book,
        outgoing: Outgoing,
        attempts: Attempts,
        open_schedules: Callable[[list[ScheduleRow]], None],
        agents: AgentBook,
        access: AccessBook,
        audit: Audit,
        pauses: Pauses,
        backfills: Backfills,
        operations: Operations,
    ) -> None:
        self._book = book
        self._access = access
        self._audit = audit
        self._open_schedules = open_schedules
        self._agents = agents
        self._pauses = pauses
        self._backfills = backfills
        self._outgoing = outgoing
        self._attempts = attempts
        self._deeds = operations.deeds
        self._operations = operations

    def wish(self, sender: str, message: LedgerWish, now_us: int) -> None:
        """Carry out a wish, or find that it was carried out before; have its answer sent."""
        book, command_id = self._book, message.command_id
        known = book.changes.answers.get(command_id) or book.found.answers.get(command_id)
        if known is None:
            before = self._before(message)
            try:
                self._access.judge(sender, message, now_us)
                result = self._carry_out(message, now_us)
                known = Done(command_id=command_id, seq=book.seq, result=result)
            except Unwilling as error:
                known = Refused(command_id=command_id, reason=error.reason, sentence=str(error))
            if self._operations.is_part(command_id):
                self._operations.answered(message, known, now_us)
            else:
                self._audit.record(message, known, before, now_us)
            if not (isinstance(known, Refused) and known.reason == "busy"):
                # Who is told that others are busy asks again, under the same id.
                book.changes.answers[command_id] = known
                book.changes.answers_at_us = now_us
        if isinstance(known, Refused):
            self._outgoing.reply(sender, known)
        else:
            done = known
            self._outgoing.reply_with(lambda: Post(sender, self._with_runs(done)))

    def _with_runs(self, done: Done) -> Done:
        """Return the answer with the runs as they are at the end of the batch."""
        if "run_ids" not in done.result:
            return done
        runs = map(self._book.get, done.result["run_ids"])
        records = [record_of(run) for run in runs if run is not None]
        return replace(done, records=records, result=None)

    def _carry_out(self, wish: LedgerWish, now_us: int) -> dict[str, Any]:
        """Do what is wished, or raise `Unwilling`; return the ids of the runs concerned as
        `run_ids`, or what is to be said of an agent."""
        instruction, who = wish.instruction, wish.principal
        if self._operations.is_part(wish.command_id):
            self._operations.check_part(wish.command_id)
        if isinstance(instruction, OfAgents):
            return self._agents.carry_out(instruction, now_us, who)
        if isinstance(instruction, OfAccess):
            return self._access.carry_out(instruction, wish, now_us)
        if isinstance(instruction, OfPauses):
            return self._pauses.carry_out(instruction, now_us, who)
        if isinstance(instruction, OfBackfills):
            return self._backfills.carry_out(instruction, now_us, who)
        if isinstance(instruction, RunChecks):
            self._outgoing.reply(CHECKER, CheckNow())
            return {"asked_us": now_us}
        if isinstance(instruction, OfOperations):
            return self._operations.carry_out(wish, now_us)
        if isinstance(instruction, DeclineWish):
            raise Unwilling(instruction.reason, instruction.sentence)
        if isinstance(instruction, AddRuns):
            return {"run_ids": self._add_runs(instruction, now_us, who)}
        run = self._deeds.carry_out(instruction, wish, now_us)
        return {"run_ids": [run.run_id]}

    def _before(self, wish: LedgerWish) -> Run | None:
        """Return the run that a wish is about, as it is now."""
        run_id = getattr(wish.instruction, "run_id", None)
        return None if run_id is None else self._book.get(run_id)

    # --- before a run starts --------------------------------------------------------------------

    def _add_runs(self, instruction: AddRuns, now_us: int, who: str) -> list[str]:
        book = self._book
        for run_id in instruction.run_ids:
            if int(run_id[1:]) >= book.next_number or book.get(run_id) is not None:
                sentence = f"run {run_id}: expected a leased number that no run has"
                raise Unwilling("bad_request", sentence)
        if instruction.ad_hoc_id and instruction.ad_hoc_hash and instruction.ad_hoc_job:
            book.changes.ad_hoc_jobs[instruction.ad_hoc_id] = instruction.ad_hoc_hash
            definition = StoredDefinition(
                hash=instruction.ad_hoc_hash,
                job_id=instruction.ad_hoc_id,
                body=instruction.ad_hoc_job,
            )
            book.changes.definitions.append(definition)
            self._open_schedules(instruction.ad_hoc_schedules)
        later = []
        for new in instruction.each():
            number = self._chained(new, now_us, who)
            run = book.create(new, now_us, who, expected=False, rerun_number=number)
            if run.state is State.SCHEDULED and run.schedule_us <= now_us:
                self._attempts.launch(run, now_us, "")
            elif run.state is State.SCHEDULED:
                later.append(run)
        self._deeds.docket(later)
        return instruction.run_ids

    def _chained(self, new: NewRun, now_us: int, who: str) -> int:
        """Note at the run that a new one repeats that it does; return its place in its chain, 0 for
        a run that repeats none."""
        if new.rerun_of is None:
            return 0
        book, root_id = self._book, new.rerun_root or new.rerun_of
        source, root = book.get(new.rerun_of), book.get(root_id)
        number = 1
        if root is not None:
            number = root.reruns + 1
        elif source is not None:
            number = source.rerun_number + 1
        if source is not None:
            reruns = number if new.rerun_of == root_id else source.reruns
            book.note(source, now_us, f"rerun as {new.run_id}", who, reruns=reruns)
        if root is not None and new.rerun_of != root_id:
            book.note(root, now_us, "", who, reruns=number)
        return number
