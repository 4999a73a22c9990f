"""Operations on many runs: carried out part by part, one part a turn. Part of the ledger's core.

A part is on record in the transaction that carries it out, so that whatever dies when, no run is
done to twice and the rest goes on. Between two parts everybody else has a turn. Runs are judged one
by one as they then are: what has changed since it was looked at is left alone, and told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from ..jobs.run import Run
from ..messages.deeds import instruction_of
from ..messages.operations import (
    CHAINED_AT_MOST,
    RUNS_AT_MOST,
    Operation,
    Outcome,
    Part,
    Target,
    is_chained,
    operation_id,
    parts_of,
    root_of,
)
from ..messages.post import SCHEDULER
from ..messages.wishes import (
    AddRuns,
    Done,
    LedgerWish,
    OfOperations,
    Operate,
    Refused,
    RerunRun,
    RerunRuns,
    SchedulerWish,
    StartNow,
    StopOperation,
)
from ..store.interface import Opening
from .ledger_attempts import Attempts
from .ledger_book import Book, Misfit, Unwilling
from .ledger_deeds import Deeds
from .ledger_sending import REPEAT_US
from .requests import earliest
from .reruns import unmade

# Operations under way at once; and parts of one turn, each of another operation.
OPEN_AT_MOST = 100
PARTS_A_TURN = 4
# Operations that are over are kept: so many, and so many runs in all of them.
KEPT = 500
KEPT_RUNS = 1_000_000
# What the scheduler is asked for a part has a command id that begins so.
COMMAND = "operation/"

PartKey = tuple[str, int]
Judge = Callable[[str, LedgerWish, int], None]


class Operations:
    """See the module. `judge` raises when a wish goes beyond its asker's rights."""

    def __init__(self, opening: Opening, book: Book, attempts: Attempts, judge: Judge) -> None:
        self._book = book
        self._outgoing = attempts.outgoing
        self.deeds = Deeds(book, attempts)
        self._judge = judge
        heads = opening.operations[::-1]
        self._open = {one.operation_id: one for one in heads if one.ended_us is None}
        over = sorted((o for o in heads if o.ended_us is not None), key=lambda o: o.ended_us or 0)
        self._over = deque((one.operation_id, one.total) for one in over)
        self._over_runs = sum(one.total for one in over)
        # Parts chosen for this turn; and what the scheduler was asked, when, by command id.
        self._chosen: list[PartKey] = []
        self._asked: dict[str, tuple[int, SchedulerWish]] = {}

    # --- wishes ---------------------------------------------------------------------------------

    def carry_out(self, wish: LedgerWish, now_us: int) -> dict[str, Any]:
        """Begin an operation, or stop one; return its id.

        Raises:
            Unwilling: it is not to be done.
        """
        instruction: OfOperations = wish.instruction  # type: ignore[assignment]
        match instruction:
            case Operate():
                return self._begin(instruction, wish, now_us)
            case StopOperation():
                return self._stop(instruction.operation_id, wish, now_us)

    def _begin(self, instruction: Operate, wish: LedgerWish, now_us: int) -> dict[str, Any]:
        targets = instruction.targets
        if not 1 <= len(targets) <= RUNS_AT_MOST:
            raise Unwilling("bad_request", f"{len(targets)} runs: expected 1 to {RUNS_AT_MOST}")
        if is_chained(targets) and len(targets) > CHAINED_AT_MOST:
            sentence = f"{len(targets)} runs in an order: expected at most {CHAINED_AT_MOST}"
            raise Unwilling("bad_request", sentence)
        if len(self._open) >= OPEN_AT_MOST:
            raise Unwilling("busy", f"{OPEN_AT_MOST} operations are under way: try again later")
        own_id = operation_id(wish.command_id)
        parts = parts_of(own_id, targets)
        operation = Operation(
            operation_id=own_id,
            command_id=wish.command_id,
            by=wish.principal,
            deed=instruction.deed,
            total=len(targets),
            parts=len(parts),
            begun_us=now_us,
            access=wish.access,
            query=instruction.query,
        )
        self._book.changes.operation_parts.extend(parts)
        self._put(operation)
        return {"operation_id": own_id}

    def _stop(self, own_id: str, wish: LedgerWish, now_us: int) -> dict[str, Any]:
        operation, who = self._open.get(own_id), wish.principal
        limited = wish.access is not None and bool(wish.access.labels)
        # Who reaches only some labels stops what is theirs.
        if limited and (operation is None or operation.by != who):
            raise Unwilling("not_found", f"unknown operation {own_id}")
        if operation is None:
            raise Unwilling("wrong_state", f"operation {own_id}: it is not under way")
        left = operation.total - sum(operation.counts.values())
        counts = operation.counts | {"stopped": left}
        self._end(replace(operation, stopped_by=who, counts=counts), now_us)
        return {"operation_id": own_id}

    # --- what the scheduler says ----------------------------------------------------------------

    def is_part(self, command_id: str) -> bool:
        """Return whether a wish is a part of an operation, which is on record already."""
        return command_id.startswith(COMMAND)

    def check_part(self, command_id: str) -> None:
        """Refuse what is for a part that nobody waits for any more.

        Raises:
            Unwilling: it is.
        """
        if self._part_of(command_id) is None:
            raise Unwilling("wrong_state", "the operation is over, or has gone on")

    def answered(self, wish: LedgerWish, known: Done | Refused, now_us: int) -> None:
        """The scheduler has bound the reruns of a part, and they are on record, or refused."""
        key = self._part_of(wish.command_id)
        part = None if key is None else self._book.found.operation_parts.get(key)
        self._asked.pop(wish.command_id, None)
        if key is None or part is None:
            return
        made: dict[str, str] = {}
        declined: dict[str, str] = {}
        if isinstance(known, Refused):
            declined = dict.fromkeys((one.run_id for one in part.targets), known.sentence)
        elif isinstance(wish.instruction, AddRuns):
            made = {new.rerun_of or "": new.run_id for new in wish.instruction.runs}
            declined = wish.instruction.declined
        targets = []
        for target in part.targets:
            if target.run_id in made:
                targets.append(replace(target, outcome="done", new_run=made[target.run_id]))
            elif target.run_id in declined:
                targets.append(_over(target, "refused", declined[target.run_id]))
            else:
                targets.append(self._changed(target))
        self._advance(key, targets, now_us)

    # --- turns ----------------------------------------------------------------------------------

    def choose(self, batch: list[tuple[str, Any]]) -> list[PartKey]:
        """Choose the parts of this turn; return those that are to be looked up, with those that
        wishes of the batch are about."""
        self._chosen = []
        for operation in list(self._open.values())[:PARTS_A_TURN]:
            key = (operation.operation_id, operation.parts_done)
            if _command(key) not in self._asked:
                self._chosen.append(key)
                # The next turn is for the others.
                self._open[key[0]] = self._open.pop(key[0])
        wishes = (one.command_id for _, one in batch if isinstance(one, LedgerWish))
        answered = (self._part_of(command_id) for command_id in wishes if self.is_part(command_id))
        return [*self._chosen, *filter(None, answered)]

    def settle(self, now_us: int) -> None:
        """Carry out the parts that were chosen, and ask again what has had no answer."""
        chosen, self._chosen = self._chosen, []
        for key in chosen:
            operation = self._open.get(key[0])
            part = self._book.found.operation_parts.get(key)
            if operation is None or part is None or operation.parts_done != key[1]:
                continue
            if operation.deed.verb == "rerun":
                self._ask(operation, part, now_us)
            else:
                targets = [self._act(operation, one, now_us) for one in part.targets]
                self._advance(key, targets, now_us)
        for command_id, (sent_us, wish) in list(self._asked.items()):
            if not now_us - REPEAT_US < sent_us <= now_us:
                self._send(command_id, wish, now_us)

    def wakes_at(self) -> int | None:
        """Return when the next part is to be carried out, or asked for again."""
        runnable = any(
            _command((one.operation_id, one.parts_done)) not in self._asked
            for one in self._open.values()
        )
        asked_us = (sent_us + REPEAT_US for sent_us, _ in self._asked.values())
        return earliest(0 if runnable else None, min(asked_us, default=None))

    # --- inside ---------------------------------------------------------------------------------

    def _act(self, operation: Operation, target: Target, now_us: int) -> Target:
        """Do the deed to one run; return what became of it."""
        run = self._book.get(target.run_id)
        if run is None or run.state is not target.seen:
            return self._changed(target)
        wish = LedgerWish(
            command_id=f"{operation.operation_id}/{target.run_id}",
            principal=operation.by,
            instruction=instruction_of(operation.deed, target.run_id),
            access=operation.access,
        )
        try:
            self._judge(SCHEDULER, wish, now_us)
            self.deeds.carry_out(wish.instruction, wish, now_us)  # type: ignore[arg-type]
        except (Unwilling, Misfit) as error:
            return _over(target, "refused", str(error))
        return replace(target, outcome="done")

    def _ask(self, operation: Operation, part: Part, now_us: int) -> None:
        """Have the scheduler bind a part's reruns; of those that are not to be it is only told.

        What is downstream of a run that is not run again is not run again either: it would wait.
        """
        over: dict[str, Target] = {}
        reruns: list[RerunRun] = []
        for target in part.targets:
            run = self._book.get(target.run_id)
            if run is not None:
                reruns.append(self._rerun(operation, target, run, now_us))
            wrong = self._why_not_again(operation, target, run, now_us)
            if wrong is not None:
                over[target.run_id] = wrong
        sentences = unmade(reruns, {run_id: one.sentence for run_id, one in over.items()})
        for target in part.targets:
            if target.run_id in sentences and target.run_id not in over:
                over[target.run_id] = _over(target, "refused", sentences[target.run_id])
        key = (operation.operation_id, part.number)
        if len(over) == len(part.targets):
            self._advance(key, [over[target.run_id] for target in part.targets], now_us)
            return
        wish = SchedulerWish(
            command_id=_command(key),
            principal=operation.by,
            instruction=RerunRuns(
                reruns=[rerun for rerun in reruns if rerun.run_id not in over],
                declined={
                    run_id: one.sentence for run_id, one in over.items() if one.outcome == "refused"
                },
            ),
            access=operation.access,
        )
        self._send(wish.command_id, wish, now_us)

    def _rerun(self, operation: Operation, target: Target, run: Run, now_us: int) -> RerunRun:
        deed = operation.deed
        return RerunRun(
            run_id=run.run_id,
            job_id=run.job_id,
            args=run.args,
            stop_us=run.stop_us if (run.stop_us or 0) > now_us else None,
            definition=run.definition if deed.stored else None,
            source_results=run.source_results,
            root=root_of(run),
            changes=deed.args,
            after=target.after,
            reason=deed.reason,
        )

    def _why_not_again(
        self, operation: Operation, target: Target, run: Run | None, now_us: int
    ) -> Target | None:
        """Return a target that is not to be run again, with why; None for one that is."""
        if run is None or run.state is not target.seen:
            return self._changed(target)
        if operation.deed.stored and run.definition is None:
            return _over(target, "refused", f"{run.run_id} was bound to no definition")
        # Who may start a run may repeat it; the new one is judged once more when it is added.
        wish = LedgerWish(
            command_id="",
            principal=operation.by,
            instruction=StartNow(run_id=run.run_id),
            access=operation.access,
        )
        try:
            self._judge(SCHEDULER, wish, now_us)
        except Unwilling as error:
            return _over(target, "refused", str(error))
        return None

    def _send(self, command_id: str, wish: SchedulerWish, now_us: int) -> None:
        self._asked[command_id] = now_us, wish
        self._outgoing.reply(SCHEDULER, wish)

    def _changed(self, target: Target) -> Target:
        """Return a target that is not what it was when it was looked at."""
        run = self._book.get(target.run_id)
        is_now = "is gone" if run is None else f"is {run.state}"
        return _over(target, "changed", f"{target.run_id} was {target.seen}, and {is_now}")

    def _part_of(self, command_id: str) -> PartKey | None:
        """Return the part a command id is for, None when that is not the next of an operation."""
        own_id, _, number = command_id.removeprefix(COMMAND).partition("/")
        operation = self._open.get(own_id)
        if operation is None or number != str(operation.parts_done):
            return None
        return own_id, operation.parts_done

    def _advance(self, key: PartKey, targets: list[Target], now_us: int) -> None:
        """A part is over."""
        operation = self._open[key[0]]
        counts = dict(operation.counts)
        for target in targets:
            assert target.outcome is not None, f"{target.run_id}: nothing became of it"
            counts[target.outcome] = counts.get(target.outcome, 0) + 1
        part = Part(operation_id=key[0], number=key[1], targets=targets)
        self._book.changes.operation_parts.append(part)
        operation = replace(operation, parts_done=operation.parts_done + 1, counts=counts)
        if operation.parts_done == operation.parts:
            self._end(operation, now_us)
        else:
            self._put(operation)

    def _put(self, operation: Operation) -> None:
        self._open[operation.operation_id] = operation
        self._book.changes.operations[operation.operation_id] = operation

    def _end(self, operation: Operation, now_us: int) -> None:
        """An operation is over; the oldest of those make room."""
        changes = self._book.changes
        own_id = operation.operation_id
        self._asked = {key: asked for key, asked in self._asked.items() if f"/{own_id}/" not in key}
        del self._open[own_id]
        changes.operations[own_id] = replace(operation, ended_us=now_us)
        self._over.append((own_id, operation.total))
        self._over_runs += operation.total
        while len(self._over) > KEPT or self._over_runs > KEPT_RUNS:
            oldest, total = self._over.popleft()
            self._over_runs -= total
            changes.operations[oldest] = None


def _command(key: PartKey) -> str:
    return f"{COMMAND}{key[0]}/{key[1]}"


def _over(target: Target, outcome: Outcome, sentence: str) -> Target:
    return replace(target, outcome=outcome, sentence=sentence)
