"""How the ledger answers the wishes of people and programs: once each, after the commit.

A wish is known by its command id: its answer is stored with what it changed, so that a repeat gets
the same answer and has no further effect. A refused wish changes nothing.
"""

from __future__ import annotations

import signal as signals
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from ..jobs.run import Run
from ..jobs.states import MARKABLE, State
from ..messages.access import OfAccess
from ..messages.backfills import OfBackfills
from ..messages.commands import CheckNow, RunsDocketed, SignalAttempt
from ..messages.hello import DueRow, ScheduleRow
from ..messages.instructions import StoredDefinition
from ..messages.post import CHECKER, RUNNER, SCHEDULER, Post
from ..messages.wishes import (
    AddRuns,
    DeclineWish,
    Done,
    HoldRun,
    LedgerWish,
    MarkRun,
    OfAgents,
    OfPauses,
    Refused,
    ReleaseRun,
    RunChecks,
    SignalRun,
    SkipRun,
    StartNow,
    StopRun,
)
from .ledger_access import AccessBook
from .ledger_agents import AgentBook
from .ledger_attempts import Attempts
from .ledger_audit import Audit
from .ledger_backfills import Backfills
from .ledger_book import Book, Unwilling
from .ledger_pauses import Pauses
from .ledger_sending import Outgoing

HOLDABLE = (State.SCHEDULED, State.WAITING)


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
            self._audit.record(message, known, before, now_us)
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
        return replace(done, runs=[run for run in runs if run is not None], result=None)

    def _carry_out(self, wish: LedgerWish, now_us: int) -> dict[str, Any]:
        """Do what is wished, or raise `Unwilling`; return the ids of the runs concerned as
        `run_ids`, or what is to be said of an agent."""
        instruction, who = wish.instruction, wish.principal
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
        if isinstance(instruction, DeclineWish):
            raise Unwilling(instruction.reason, instruction.sentence)
        if isinstance(instruction, AddRuns):
            return {"run_ids": self._add_runs(instruction, now_us, who)}
        run = self._book.get(instruction.run_id)
        if run is None:
            raise Unwilling("not_found", f"unknown run {instruction.run_id}")
        match instruction:
            case StartNow():
                self._start_now(run, now_us, who)
            case SkipRun():
                self._skip(run, instruction.reason, now_us, who)
            case HoldRun():
                self._hold(run, instruction.reason, now_us, who)
            case ReleaseRun():
                self._release(run, now_us, who)
            case StopRun():
                self._stop(run, now_us, who, kill=instruction.kill)
            case SignalRun():
                self._signal(run, instruction.signal, wish, now_us)
            case MarkRun():
                self._mark(run, instruction.state, now_us, who)
        return {"run_ids": [run.run_id]}

    def _before(self, wish: LedgerWish) -> Run | None:
        """Return the run that a wish is about, as it is now."""
        run_id = getattr(wish.instruction, "run_id", None)
        return None if run_id is None else self._book.get(run_id)

    # --- before a run starts --------------------------------------------------------------------

    def _add_runs(self, instruction: AddRuns, now_us: int, who: str) -> list[str]:
        book = self._book
        for new in instruction.runs:
            if int(new.run_id[1:]) >= book.next_number or book.get(new.run_id) is not None:
                sentence = f"run {new.run_id}: expected a leased number that no run has"
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
        for new in instruction.runs:
            run = book.create(new, now_us, who, expected=False)
            if run.state is State.SCHEDULED and run.schedule_us <= now_us:
                self._attempts.launch(run, now_us, "")
            elif run.state is State.SCHEDULED:
                later.append(run)
        self._docket(later)
        return [new.run_id for new in instruction.runs]

    def _start_now(self, run: Run, now_us: int, who: str) -> None:
        """Start now: a scheduled run's conditions still apply, a waiting one's do not."""
        if run.state is State.SCHEDULED:
            line = "scheduled run started by override"
            run = self._book.note(run, now_us, line, who, held=False)
            self._attempts.launch(run, now_us, who)
        elif run.state is State.WAITING:
            run = self._book.note(run, now_us, "waiting run started by override", who)
            self._attempts.start(run, now_us, who)
        else:
            raise _wrong_state(f"can't start {run.run_id} in state {run.state}")

    def _skip(self, run: Run, reason: str, now_us: int, who: str) -> None:
        if run.state not in HOLDABLE:
            raise _wrong_state(f"can't skip {run.run_id} in state {run.state}")
        line = f"skipped: {reason}" if reason else "skipped"
        skipped = State.SKIPPED
        self._book.move(run, skipped, now_us, line, who, message=reason or None, held=False)

    def _hold(self, run: Run, reason: str, now_us: int, who: str) -> None:
        if run.state not in HOLDABLE:
            raise _wrong_state(f"can't hold {run.run_id} in state {run.state}")
        if not run.held:
            line = f"held: {reason}" if reason else "held"
            self._book.note(run, now_us, line, who, held=True, message=reason or run.message)

    def _release(self, run: Run, now_us: int, who: str) -> None:
        """Release a held run: start it if it is due, else put it on the docket again."""
        if not run.held:
            raise _wrong_state(f"can't release {run.run_id}: it is not held")
        run = self._book.note(run, now_us, "released", who, held=False)
        if run.state is State.SCHEDULED and run.schedule_us <= now_us:
            self._attempts.launch(run, now_us, "")
        elif run.state is State.SCHEDULED:
            self._docket([run])

    def _docket(self, runs: list[Run]) -> None:
        if runs:
            due = [DueRow(run.run_id, run.schedule_us, run.job_id) for run in runs]
            self._outgoing.reply(SCHEDULER, RunsDocketed(due=due))

    # --- after it has started -------------------------------------------------------------------

    def _stop(self, run: Run, now_us: int, who: str, *, kill: bool) -> None:
        """Stop a run: a running one is stopping from now, a starting one if it runs after all."""
        if run.state is State.STARTING:
            if not run.stop_asked or (kill and not run.kill_asked):
                line = "kill asked while starting" if kill else "stop asked while starting"
                kill = kill or run.kill_asked
                self._book.note(run, now_us, line, who, stop_asked=True, kill_asked=kill)
                # The runner is told anew: it may not have to start it any more.
                self._outgoing.start(run.run_id)
            return
        if run.state is State.WAITING and run.attempts:
            self._attempts.give_up(run, now_us, who)
            return
        if run.state is State.RUNNING:
            line = "stopping: kill" if kill else "stopping"
            self._book.move(run, State.STOPPING, now_us, line, who, kill_asked=kill)
        elif run.state is not State.STOPPING:
            raise _wrong_state(f"can't stop run {run.run_id}: run is {run.state}")
        elif kill:
            self._book.note(run, now_us, "killing", who, kill_asked=True)
        self._outgoing.stop(run.run_id)

    def _signal(self, run: Run, number: int, wish: LedgerWish, now_us: int) -> None:
        if run.state not in (State.RUNNING, State.STOPPING):
            raise _wrong_state(f"invalid run state for signal: {run.state}")
        try:
            name = signals.Signals(number).name
        except ValueError:
            raise Unwilling("bad_request", f"invalid signal: {number}") from None
        self._book.note(run, now_us, f"sending {name}", wish.principal)
        command = SignalAttempt(
            epoch=self._book.epoch,
            run_id=run.run_id,
            attempt=run.attempt,
            signal=number,
            command_id=wish.command_id,
        )
        self._outgoing.reply(RUNNER, command)

    def _mark(self, run: Run, state: State, now_us: int, who: str) -> None:
        """Force a finished run into another finished state."""
        if not run.finished:
            raise _wrong_state(f"can't mark {run.run_id} in state {run.state}")
        if state not in MARKABLE:
            sentence = f"can't mark {run.run_id} as {state}: expected a finished state"
            raise Unwilling("bad_request", sentence)
        if run.state is state:
            raise _wrong_state(f"run {run.run_id} already in state {run.state}")
        self._book.force(run, state, now_us, f"marked as {state}", who, message=None)


def _wrong_state(sentence: str) -> Unwilling:
    return Unwilling("wrong_state", sentence)
