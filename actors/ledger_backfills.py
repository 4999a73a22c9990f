"""Backfills: at most so many of their runs under way at once. Part of the ledger's core.

All runs of a backfill are written at once, scheduled and held, in the transaction that makes it;
the ledger releases one when another is over. It knows from its own book which have begun, so that
whoever dies, no more than allowed ever run, and the next ledger goes on where this one was.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

from msgspec.structs import replace

from ..jobs.run import Run
from ..jobs.states import State
from ..jobs.times import format_time
from ..messages.backfills import (
    PARALLEL_AT_MOST,
    RUNS_AT_MOST,
    AddBackfill,
    Backfill,
    OfBackfills,
    OpenBackfill,
    StopBackfill,
)
from ..messages.codec import BadFrame, unpack_runs
from ..messages.commands import RunsDocketed
from ..messages.hello import DueRow
from ..messages.post import SCHEDULER
from ..messages.transitions import BackfillNoted, RunWithdrawn
from ..messages.wishes import LedgerWish
from ..store.interface import Opening
from .ledger_attempts import Attempts
from .ledger_book import Book, Unwilling

# Of those under way at one time; each costs a look at each batch.
OPEN_AT_MOST = 100
REMEMBERED = 1_000
# Runs that a stopped backfill gives back in one turn: the ledger has others to see to.
WITHDRAWN_A_TURN = 500


class _Group:
    """A backfill that is not over."""

    def __init__(self, found: OpenBackfill) -> None:
        self.backfill = found.backfill
        # In the order in which they are to begin.
        self.pending: dict[str, None] = dict.fromkeys(found.pending)
        self.begun: set[str] = set(found.begun)

    @property
    def next_ones(self) -> list[str]:
        """The runs to begin now, or, when it was stopped, to be withdrawn."""
        if self.backfill.stopped_us is not None:
            return list(islice(self.pending, WITHDRAWN_A_TURN))
        room = self.backfill.parallel - len(self.begun)
        return list(islice(self.pending, room)) if room > 0 else []


class Backfills:
    """See the module. Those that are not over, by number."""

    def __init__(self, opening: Opening, book: Book, attempts: Attempts) -> None:
        self._book = book
        self._attempts = attempts
        self._last = opening.last_backfill
        self._open = {one.backfill.number: _Group(one) for one in opening.backfills}
        # Those made by this ledger: one that was asked for at the same moment is found among them.
        self._made: deque[Backfill] = deque(maxlen=REMEMBERED)
        self._asked: set[str] = set()
        self._of_run = {
            run_id: group
            for group in self._open.values()
            for run_id in (*group.pending, *group.begun)
        }

    # --- wishes ---------------------------------------------------------------------------------

    def carry_out(self, wish: OfBackfills, now_us: int, who: str) -> dict[str, Any]:
        """Make or stop a backfill; return its number and how many runs it has.

        Raises:
            Unwilling: it is not to be done.
        """
        if isinstance(wish, StopBackfill):
            return self._stop(wish, now_us, who)
        return self._add(wish, now_us, who)

    def _add(self, wish: AddBackfill, now_us: int, who: str) -> dict[str, Any]:
        book, asked = self._book, wish.backfill
        try:
            runs = unpack_runs(wish.packed)
        except BadFrame as error:
            raise Unwilling("bad_request", str(error)) from None
        if not 1 <= asked.parallel <= PARALLEL_AT_MOST or len(runs) > RUNS_AT_MOST:
            raise Unwilling("bad_request", f"{len(runs)} runs, {asked.parallel} at once: too many")
        self._refuse_twins(wish)
        for new in runs:
            if int(new.run_id[1:]) >= book.next_number or book.active.get(new.run_id) is not None:
                sentence = f"run {new.run_id}: expected a leased number that no run has"
                raise Unwilling("bad_request", sentence)
        self._last += 1
        backfill = replace(asked, number=self._last, at_us=now_us, by=who, total=len(runs))
        group = _Group(OpenBackfill(backfill=backfill))
        for new in runs:
            run = book.create(new, now_us, who, expected=False, backfill=backfill.number)
            if run.state is State.SCHEDULED:
                group.pending[run.run_id] = None
                self._of_run[run.run_id] = group
        self._open[backfill.number] = group
        self._made.append(backfill)
        self._put(group, backfill)
        span = f"from {format_time(backfill.from_us)} to {format_time(backfill.to_us)}"
        self._note(backfill, f"{len(runs)} runs of {backfill.job_id} {span}", now_us, who)
        return {"backfill": backfill.number, "count": len(runs)}

    def _refuse_twins(self, wish: AddBackfill) -> None:
        if len(self._open) >= OPEN_AT_MOST:
            sentence = f"{OPEN_AT_MOST} backfills are under way: expected fewer"
            raise Unwilling("wrong_state", sentence)
        if wish.backfill.again:
            return
        for other in self._open.values():
            if other.backfill.overlaps(wish.backfill):
                words = f"backfill {other.backfill.backfill_id} of {other.backfill.job_id}"
                raise Unwilling(
                    "wrong_state",
                    f"{words} is about a part of this time and under way: stop it, or wait",
                )
        for made in self._made:
            if made.number > wish.known and made.overlaps(wish.backfill):
                sentence = f"backfill {made.backfill_id} was asked for at the same moment"
                raise Unwilling("busy", f"{sentence}: ask again")

    def _stop(self, wish: StopBackfill, now_us: int, who: str) -> dict[str, Any]:
        group = self._open.get(wish.number)
        if group is None:
            known = 0 < wish.number <= self._last
            sentence = "it is over" if known else "there is none"
            kind = "wrong_state" if known else "not_found"
            raise Unwilling(kind, f"backfill b{wish.number}: {sentence}: expected one under way")
        backfill = group.backfill
        if backfill.stopped_us is None:
            reason = wish.reason
            stopped = replace(backfill, stopped_us=now_us, stopped_by=who, reason=reason)
            self._put(group, stopped)
            said = f"stopped: {reason}" if reason else "stopped"
            self._note(stopped, said, now_us, who)
        return {"backfill": wish.number, "count": len(group.pending)}

    # --- turns ----------------------------------------------------------------------------------

    def needs(self, stopping: set[int]) -> set[str]:
        """Return the runs that the end of this turn is about, as things stand; `stopping` are the
        numbers of those that this batch stops."""
        self._asked = {run_id for group in self._open.values() for run_id in group.next_ones}
        for number in stopping & self._open.keys():
            self._asked.update(islice(self._open[number].pending, WITHDRAWN_A_TURN))
        return self._asked

    def settle(self, now_us: int) -> None:
        """See which runs have begun and which are over; have the next ones begin.

        One that the store was not asked for is left for the next turn, which comes at once, and so
        are those whose turn comes after it.
        """
        if not self._open:
            return
        self._look()
        for group in list(self._open.values()):
            stopped = group.backfill.stopped_us is not None
            gone = 0
            for run_id in group.next_ones:
                run = self._book.get(run_id)
                if run is None and run_id not in self._asked:
                    break
                if run is None:
                    # There is no such run: nothing is to wait for it.
                    del group.pending[run_id], self._of_run[run_id]
                    continue
                if stopped:
                    self._withdraw(group, run, now_us)
                    gone += 1
                else:
                    self._begin(group, run, now_us)
            if gone:
                backfill = group.backfill
                self._put(group, replace(backfill, withdrawn=backfill.withdrawn + gone))
        # What begins may be over at once: a run that starts another state by its conditions.
        self._look()
        for group in [one for one in self._open.values() if not one.pending and not one.begun]:
            over = replace(group.backfill, ended_us=now_us)
            self._put(group, over)
            del self._open[over.number]
            self._note(over, over.state, now_us, over.by)

    def wakes_at(self) -> int | None:
        """Return 0 when there is more to do at once, None when others are to act first."""
        return 0 if any(group.next_ones for group in self._open.values()) else None

    # --- inside ---------------------------------------------------------------------------------

    def _look(self) -> None:
        """Take in what has become of the runs that this batch has touched."""
        for run_id in self._of_run.keys() & self._book.touched.keys():
            run, group = self._book.touched[run_id], self._of_run[run_id]
            if run.state is State.SCHEDULED and run.held and run_id in group.pending:
                continue
            group.pending.pop(run_id, None)
            if run.finished:
                group.begun.discard(run_id)
                del self._of_run[run_id]
            else:
                group.begun.add(run_id)

    def _begin(self, group: _Group, run: Run, now_us: int) -> None:
        del group.pending[run.run_id]
        group.begun.add(run.run_id)
        backfill = group.backfill
        line = f"its turn in backfill {backfill.backfill_id}"
        run = self._book.note(run, now_us, line, backfill.by, held=False, turned=True)
        if run.schedule_us > now_us:
            # Somebody has put it to a time that is still to come: it has its place from now on.
            due = DueRow(run.run_id, run.schedule_us, run.job_id)
            self._attempts.outgoing.reply(SCHEDULER, RunsDocketed(due=[due]))
        else:
            self._attempts.launch(run, now_us, "")

    def _withdraw(self, group: _Group, run: Run, now_us: int) -> None:
        backfill = group.backfill
        del group.pending[run.run_id], self._of_run[run.run_id]
        self._book.withdraw(run)
        reason = f": {backfill.reason}" if backfill.reason else ""
        self._book.log(
            RunWithdrawn(
                seq=0,
                at_us=now_us,
                cause=backfill.stopped_by,
                run_id=run.run_id,
                job_id=run.job_id,
                args=run.args,
                schedule_us=run.schedule_us,
                fingerprint="",
                reason=f"backfill {backfill.backfill_id} was stopped{reason}",
            )
        )

    def _put(self, group: _Group, backfill: Backfill) -> None:
        group.backfill = backfill
        self._book.changes.backfills[backfill.number] = backfill

    def _note(self, backfill: Backfill, said: str, now_us: int, who: str) -> None:
        message = f"backfill {backfill.backfill_id}: {said}"
        event = BackfillNoted(
            seq=0, at_us=now_us, cause=who, number=backfill.number, message=message
        )
        self._book.log(event)


def stops_in(batch: list[tuple[str, Any]]) -> set[int]:
    """Return the numbers of the backfills that a batch of (sender, message) stops."""
    wishes = (message.instruction for _, message in batch if isinstance(message, LedgerWish))
    return {wish.number for wish in wishes if isinstance(wish, StopBackfill)}
