"""What people do to a run, carried out on the book: start, skip, hold, stop, mark, reschedule.

Part of the ledger's core. Whether a deed fits the run is said in `messages/deeds.py`; who may do it
is judged before.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ..jobs.run import MovedFrom, Run
from ..jobs.states import State
from ..jobs.times import format_time
from ..messages.commands import RunsDocketed, SignalAttempt
from ..messages.deeds import misplaced
from ..messages.hello import DueRow
from ..messages.post import RUNNER, SCHEDULER
from ..messages.wishes import (
    HoldRun,
    LedgerWish,
    MarkRun,
    OfRuns,
    ReleaseRun,
    RescheduleRun,
    SignalRun,
    SkipRun,
    StartNow,
    StopRun,
)
from .ledger_attempts import Attempts
from .ledger_book import Book, Unwilling
from .runner_words import signal_name


class Deeds:
    """See the module."""

    def __init__(self, book: Book, attempts: Attempts) -> None:
        self._book = book
        self._outgoing = attempts.outgoing
        self._attempts = attempts

    def carry_out(self, instruction: OfRuns, wish: LedgerWish, now_us: int) -> Run:
        """Do it, and return the run as it was before.

        Raises:
            Unwilling: there is no such run, or it does not fit its state.
        """
        run = self._book.get(instruction.run_id)
        if run is None:
            raise Unwilling("not_found", f"unknown run {instruction.run_id}")
        wrong = misplaced(instruction, run, now_us)
        if wrong is not None:
            raise Unwilling(wrong.reason, wrong.sentence)
        who = wish.principal
        match instruction:
            case StartNow():
                self._start_now(run, instruction.reason, now_us, who)
            case SkipRun():
                self._skip(run, instruction.reason, now_us, who)
            case HoldRun():
                self._hold(run, instruction.reason, now_us, who)
            case ReleaseRun():
                self._release(run, instruction.reason, now_us, who)
            case StopRun():
                self._stop(run, instruction, now_us, who)
            case SignalRun():
                self._signal(run, instruction, wish, now_us)
            case MarkRun():
                line = _line(f"marked as {instruction.state}", instruction.reason)
                said = instruction.reason or None
                self._book.force(run, instruction.state, now_us, line, who, message=said)
            case RescheduleRun():
                self._reschedule(run, instruction, now_us, who)
        return run

    def docket(self, runs: list[Run]) -> None:
        """Tell the scheduler when these scheduled runs are due."""
        if runs:
            due = [DueRow(run.run_id, run.schedule_us, run.job_id) for run in runs]
            self._outgoing.reply(SCHEDULER, RunsDocketed(due=due))

    # --- before a run starts --------------------------------------------------------------------

    def _start_now(self, run: Run, reason: str, now_us: int, who: str) -> None:
        """Start now: a scheduled run's conditions still apply, a waiting one's do not."""
        line = _line(f"{run.state} run started by override", reason)
        if run.state is State.SCHEDULED:
            run = self._book.note(run, now_us, line, who, held=False, turned=_turned(run))
            self._attempts.launch(run, now_us, who)
        else:
            run = self._book.note(run, now_us, line, who)
            self._attempts.start(run, now_us, who)

    def _skip(self, run: Run, reason: str, now_us: int, who: str) -> None:
        line, skipped = _line("skipped", reason), State.SKIPPED
        self._book.move(run, skipped, now_us, line, who, message=reason or None, held=False)

    def _hold(self, run: Run, reason: str, now_us: int, who: str) -> None:
        if not run.held:
            line = _line("held", reason)
            self._book.note(run, now_us, line, who, held=True, message=reason or run.message)

    def _release(self, run: Run, reason: str, now_us: int, who: str) -> None:
        """Release a held run: start it if it is due, else put it on the docket again."""
        line = _line("released", reason)
        run = self._book.note(run, now_us, line, who, held=False, turned=_turned(run))
        if run.state is State.SCHEDULED and run.schedule_us <= now_us:
            self._attempts.launch(run, now_us, "")
        elif run.state is State.SCHEDULED:
            self.docket([run])

    def _reschedule(self, run: Run, wanted: RescheduleRun, now_us: int, who: str) -> None:
        """Put a run to another time; it is the asker's from then on, not its schedule's any more.

        `start_by` says how late after its time it may start, and goes with it; `finish_by` stays.
        """
        at_us = now_us if wanted.schedule_us is None else wanted.schedule_us
        by_us, due = at_us - run.schedule_us, run.due
        if due is not None and due.start_by_us is not None:
            due = replace(due, start_by_us=due.start_by_us + by_us)
        fields: dict[str, Any] = {
            "schedule_us": at_us,
            "moved_from": run.moved_from or MovedFrom(run.schedule_us, run.fingerprint),
            "fingerprint": None,
            "due": due,
            "stop_us": run.stop_us if wanted.stop_us is None else wanted.stop_us,
            "message": wanted.reason or None,
        }
        times = f"from {format_time(run.schedule_us)} to {format_time(at_us)}"
        line = _line(f"rescheduled {times}", wanted.reason)
        if run.state is State.WAITING:
            run = self._book.move(run, State.SCHEDULED, now_us, line, who, **fields)
        else:
            run = self._book.note(run, now_us, line, who, expected=False, **fields)
        self._book.deadlines.put_off(run, self._book.changes)
        self._outgoing.reply(SCHEDULER, RunsDocketed(dropped=[run.run_id]))
        if run.held:
            return
        if at_us <= now_us:
            self._attempts.launch(run, now_us, "")
        else:
            self.docket([run])

    # --- after it has started -------------------------------------------------------------------

    def _stop(self, run: Run, wanted: StopRun, now_us: int, who: str) -> None:
        """Stop a run: a running one is stopping from now, a starting one if it runs after all."""
        kill, reason = wanted.kill, wanted.reason
        if run.state is State.STARTING:
            if not run.stop_asked or (kill and not run.kill_asked):
                line = "kill asked while starting" if kill else "stop asked while starting"
                kill = kill or run.kill_asked
                line = _line(line, reason)
                self._book.note(run, now_us, line, who, stop_asked=True, kill_asked=kill)
                # The runner is told anew: it may not have to start it any more.
                self._outgoing.start(run.run_id)
            return
        if run.state is State.WAITING:
            self._attempts.give_up(run, now_us, who)
            return
        if run.state is State.RUNNING:
            line = _line("stopping: kill" if kill else "stopping", reason)
            self._book.move(run, State.STOPPING, now_us, line, who, kill_asked=kill)
        elif kill:
            self._book.note(run, now_us, _line("killing", reason), who, kill_asked=True)
        self._outgoing.stop(run.run_id)

    def _signal(self, run: Run, wanted: SignalRun, wish: LedgerWish, now_us: int) -> None:
        line = _line(f"sending {signal_name(wanted.signal)}", wanted.reason)
        self._book.note(run, now_us, line, wish.principal)
        command = SignalAttempt(
            epoch=self._book.epoch,
            run_id=run.run_id,
            attempt=run.attempt,
            signal=wanted.signal,
            command_id=wish.command_id,
        )
        self._outgoing.reply(RUNNER, command)


def _line(what: str, reason: str) -> str:
    return f"{what}: {reason}" if reason else what


def _turned(run: Run) -> bool:
    """Whether a run that somebody lets go is no more its backfill's to let go."""
    return run.backfill is not None


def is_due(run: Run, now_us: int) -> bool:
    """Return whether a run of which the docket says so is to go on its way: it may have been put
    off since."""
    if run.state is not State.SCHEDULED or run.held:
        return False
    return run.moved_from is None or run.schedule_us <= now_us
