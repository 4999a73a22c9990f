"""The ledger's book: every run that is not over, the log's head, and what a batch has changed.

Owned by the ledger's core alone. It moves runs by the one table of legal moves, gives every change
its seq, and keeps the indexes that guards are decided by. It decides nothing itself.
"""

from __future__ import annotations

import functools
from typing import Any, TypeVar

from msgspec.structs import replace

from ..jobs.bound_conditions import pools_of
from ..jobs.deadlines import missed_words
from ..jobs.errors import CallsheetError
from ..jobs.run import NewRun, Run
from ..jobs.states import ACTIVE, EDGES, OCCUPYING, SETTLES, State
from ..jobs.times import format_time
from ..messages.instructions import OutputRecord
from ..messages.transitions import AnyEvent, RunMoved, RunNoted
from ..store.interface import Changes, Opening
from .ledger_active import ActiveRuns, Instance, instance_of
from .ledger_acts import Acts
from .ledger_deadlines import Deadlines, open_of
from .ledger_needs import Found

T = TypeVar("T")


class Misfit(CallsheetError):
    """A move that the table of moves does not have."""

    def __init__(self, run: Run, after: State) -> None:
        super().__init__(f"run {run.run_id}: {run.state} to {after}: there is no such move")


class Unwilling(CallsheetError):
    """A wish is refused; `reason` is one of the kinds of `Refused`."""

    def __init__(self, reason: str, sentence: str) -> None:
        self.reason = reason
        super().__init__(sentence)


class Book:
    """Runs in memory, seq, and the changes since the last commit."""

    def __init__(self, opening: Opening) -> None:
        self.epoch = opening.epoch
        self.seq = opening.seq
        self.next_number = opening.next_run_number
        self.jobs_version = opening.jobs_version
        self.active = ActiveRuns(opening.active)
        self.acts = Acts(opening)
        self.deadlines = Deadlines(opening)
        self.found = Found()
        self.changes = Changes()
        self.touched: dict[str, Run] = {}
        self.expected_in_batch: set[tuple[str, str, int]] = set()
        # Runs that are starting or running, by instance; and what they take of pools.
        self._occupying: dict[Instance, int] = {}
        self._pools: dict[str, int] = {}
        for run in self.active.started():
            if run.state in OCCUPYING:
                self._occupy(run, 1)

    # --- looking --------------------------------------------------------------------------------

    def get(self, run_id: str) -> Run | None:
        """Return a run as of now, this batch's changes included; None when there is none."""
        run = self.touched.get(run_id) or self.active.get(run_id)
        if run is None and self.changes.runs.get(run_id, run_id) is not None:
            run = self.found.runs.get(run_id)
        return run

    def count_in(self, job_id: str, key: str, states: tuple[State, ...]) -> int:
        """Return how many runs of an instance are in these active states."""
        if frozenset(states) == OCCUPYING:
            return self._occupying.get((job_id, key), 0)
        return sum(state in states for state in self.active.states(job_id, key).values())

    def pool_use(self, pool: str) -> int:
        """Return how much of a pool the runs that are starting or running take."""
        return self._pools.get(pool, 0)

    # --- changing -------------------------------------------------------------------------------

    def create(
        self,
        new: NewRun,
        now_us: int,
        cause: str,
        *,
        expected: bool,
        backfill: int | None = None,
        rerun_number: int = 0,
    ) -> Run:
        """Write a new run: scheduled, in error when its binding failed, or skipped by a policy.
        One of a `backfill` is held until its turn has come; `rerun_number` is its place in its
        chain, when it has one."""
        failed = new.error is not None
        state = State.ERROR if failed else State.SCHEDULED
        if new.skipped is not None:
            state = State.SKIPPED
        run = Run(
            run_id=new.run_id,
            job_id=new.job_id,
            args=new.args,
            state=state,
            version=self.seq + 1,
            schedule_us=new.schedule_us,
            expected=expected and state is State.SCHEDULED,
            fingerprint=new.fingerprint,
            definition=new.definition,
            stop_us=new.stop_us,
            times={state.value: now_us},
            labels=new.labels,
            owner=new.owner,
            conds=new.conds,
            actions=new.actions,
            program=new.program,
            meta=_meta_of(new.labels),
            message=new.error if new.skipped is None else new.skipped,
            rerun_of=new.rerun_of,
            rerun_root=new.rerun_root or new.rerun_of,
            rerun_number=rerun_number,
            ad_hoc=new.ad_hoc,
            priority=new.priority,
            waiting_max_us=new.waiting_max_us,
            cause=cause or None,
            due=new.due,
            retry=new.retry,
            held=backfill is not None and state is State.SCHEDULED,
            backfill=backfill,
            result_specs=new.result_specs,
            source_results=new.source_results,
            not_before_us=new.not_before_us,
        )
        if new.skipped is not None:
            line = f"skipped: {new.skipped}"
        elif failed:
            line = f"error: {new.error}"
            self.changes.outputs.append(_error_output(new.run_id, new.error or ""))
        elif backfill is not None:
            line = f"scheduled: {format_time(new.schedule_us)}: held for backfill b{backfill}"
        elif new.schedule_us <= now_us and not expected:
            line = "scheduled: now"
        else:
            line = f"scheduled: {format_time(new.schedule_us)}"
        run = self._moved(run, None, now_us, line, cause, by_policy=True)
        if new.note:
            run = self.note(run, now_us, new.note, cause)
        if new.stop_us is not None:
            run = self.note(run, now_us, f"stop time: {format_time(new.stop_us)}", cause)
        return run

    def move(
        self, run: Run, after: State, now_us: int, line: str, cause: str, **fields: Any
    ) -> Run:
        """Move a run by the table of moves and return it as it then is.

        Args:
            line: what its log says of the move.
            fields: other fields of the run to set. `at_us` dates the entry of the state;
                `by_policy`: nobody decided this, so deadlines hold on.
        Raises:
            Misfit: the table has no such move.
        """
        if after not in EDGES[run.state] and after not in SETTLES.get(run.state, ()):
            raise Misfit(run, after)
        return self.force(run, after, now_us, line, cause, **fields)

    def force(
        self, run: Run, after: State, now_us: int, line: str, cause: str, **fields: Any
    ) -> Run:
        """Move a run whatever the table says: for `mark` alone."""
        at_us = fields.pop("at_us", now_us)
        by_policy = fields.pop("by_policy", False)
        fields.setdefault("not_before_us", None)
        times = dict(run.times)
        times[after.value] = at_us
        moved = replace(
            run,
            state=after,
            version=self.seq + 1,
            times=times,
            expected=False,
            unreachable=run.unreachable and after in ACTIVE and after is not State.WAITING,
            **fields,
        )
        return self._moved(moved, run.state, now_us, line, cause, by_policy=by_policy)

    def note(self, run: Run, now_us: int, line: str, cause: str, **fields: Any) -> Run:
        """Change fields of a run without moving it, with a line for its log (may be empty)."""
        self.seq += 1
        run = replace(run, version=self.seq, **fields)
        self.changes.events.append(
            RunNoted(seq=self.seq, at_us=now_us, cause=cause, run_id=run.run_id, message=line)
        )
        self._put(run)
        return run

    def judge(self, run_id: str, kind: str, at_us: int, now_us: int) -> None:
        """End a deadline's row, and put on record that the deadline was missed if it was."""
        run = self.get(run_id)
        self.deadlines.close((run_id, kind), self.changes)
        if run is None or run.due is None or open_of(run).get(kind) != at_us:
            return
        known = run.meta.get("deadlines", {})
        said = {"due": format_time(at_us), "missed": format_time(now_us)}
        meta = {**run.meta, "deadlines": {**known, kind: said}}
        run = self.note(run, now_us, missed_words(kind, at_us, run.due), "deadline", meta=meta)
        self.acts.missed(run, kind, now_us, self.changes)

    def log(self, event: AnyEvent) -> None:
        """Append an event made with `seq` 0: it gets the next one."""
        self.seq += 1
        self.changes.events.append(replace(event, seq=self.seq))

    def withdraw(self, run: Run) -> None:
        """Take an expected run's row away; the caller logs why."""
        self.changes.runs[run.run_id] = None
        self.touched.pop(run.run_id, None)
        self.deadlines.withdrawn(run.run_id, self.changes)
        self.expected_in_batch.discard((run.job_id, run.args_key, run.schedule_us))

    def take_changes(self) -> Changes:
        """Hand over what has changed since the last call, and forget what is not active."""
        changes, self.changes = self.changes, Changes()
        changes.runs.update(self.touched)
        for run_id in self.touched:
            self.active.park(run_id)
        if changes.archived:
            # What moved after it was found to be archived stays.
            changes.archived = [n for n in changes.archived if f"r{n}" not in self.touched]
        self.touched = {}
        self.expected_in_batch = set()
        self.found = Found()
        return changes

    # --- inside ---------------------------------------------------------------------------------

    def _moved(
        self,
        run: Run,
        before: State | None,
        now_us: int,
        line: str,
        cause: str,
        *,
        by_policy: bool,
    ) -> Run:
        """Put on record that a run is in its state; the caller has given it the next seq."""
        self.seq += 1
        assert run.version == self.seq, f"run {run.run_id}: version {run.version}, not {self.seq}"
        entered_us = run.times.get(run.state.value, now_us)
        self.changes.events.append(
            RunMoved(
                seq=self.seq,
                at_us=now_us,
                cause=cause,
                run_id=run.run_id,
                before=before,
                after=run.state,
                message=line,
                entered_us=None if entered_us == now_us else entered_us,
            )
        )
        self._put(run)
        self.acts.moved(run, before, now_us, self.changes)
        self.deadlines.moved(run, before, self.changes, by_policy=by_policy)
        return run

    def _put(self, run: Run) -> None:
        self.touched[run.run_id] = run
        self.changes.runs.pop(run.run_id, None)
        self._index(run)

    def _index(self, run: Run) -> None:
        before = self.active.state_of(run.run_id)
        occupies = run.state in OCCUPYING
        if (before in OCCUPYING) != occupies:
            self._occupy(run, 1 if occupies else -1)
        if run.state in ACTIVE:
            self.active[run.run_id] = run
        elif before is not None:
            del self.active[run.run_id]

    def _occupy(self, run: Run, sign: int) -> None:
        """Count a run in where it takes a place now (`sign` 1), or out (-1)."""
        _add(self._occupying, instance_of(run), sign)
        for place in pools_of(run.conds):
            _add(self._pools, place.name, sign * place.weight)


@functools.lru_cache(maxsize=1_000)
def _meta_of(labels: tuple[str, ...]) -> dict[str, Any]:
    """Return the meta of a new run; those of a job share it, and nobody changes it in its place."""
    return {"job": {"labels": list(labels)}}


def _add(counts: dict[T, int], key: T, number: int) -> None:
    found = counts.get(key, 0) + number
    if found:
        counts[key] = found
    else:
        del counts[key]


def _error_output(run_id: str, sentence: str) -> OutputRecord:
    """The output of a run that could not be bound: its error, as text."""
    data = sentence.encode("utf-8", "replace")
    return OutputRecord(
        run_id=run_id, name="output", length=len(data), content_type="text/plain", data=data
    )
