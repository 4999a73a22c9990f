"""The ledger's own programs: archive, vacuum, stats and backup, run as runs.

Part of the ledger's core. A program goes in steps, one at a time: a worker beside the core copies,
counts or backs up (`upkeep_seam`), and what then changes in the database is part of a batch like
any other, so that there is one writer, and nobody waits for long. Between steps is a pause, so that
most of the ledger's time is for others. How far an archive has come is in its run's meta, written
with the rows it took: whatever dies, the next ledger goes on from there.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..jobs.internal_programs import BoundArchive, BoundInternal, BoundStats, BoundVacuum
from ..jobs.run import Run
from ..jobs.states import State
from ..jobs.times import SECOND_US
from ..messages.instructions import AttemptEnded, AttemptStarted, OutputRecord
from ..messages.post import Post
from ..messages.transitions import RunsArchived
from ..store.interface import Opening
from .ledger_attempts import Attempts
from .ledger_book import Book
from .requests import earliest
from .upkeep_seam import (
    UPKEEP,
    CopyRuns,
    CountPages,
    DropRuns,
    Step,
    StepDone,
    TakeBackup,
    TakeStats,
)

# Runs taken out of the database in one batch: some 20 ms of the ledger's time.
RUNS_A_STEP = 200
# Pages given back to the disk in one batch.
PAGES_A_STEP = 1_000
# A step's pause is so many times what it took, but not less than PAUSE_US.
PAUSES = 3
PAUSE_US = 20_000
# Ids of archived runs that a run's meta lists; beyond, it only counts them.
LISTED_RUNS = 2_000
AD_HOC = "an ad hoc job may not do the server's own work: expected a job of the job folder"


class _Work:
    """A program under way: whether its step is being done, and when the next one is due."""

    def __init__(self, next_us: int) -> None:
        self.asked = False
        self.next_us = next_us
        self.after = 0


class Upkeep:
    """Carries out internal programs, one step of one program at a time."""

    def __init__(self, opening: Opening, book: Book, attempts: Attempts) -> None:
        self._book = book
        self._attempts = attempts
        self._works: dict[str, _Work] = {
            run.run_id: _Work(0)
            for run in opening.active
            if isinstance(run.program, BoundInternal) and run.state is not State.WAITING
        }
        self._dropped: list[str] = []

    def done(self, sender: str, message: StepDone, now_us: int) -> None:
        """Take what a step has given; the run goes on, or ends."""
        work = self._works.get(message.run_id)
        run = self._book.get(message.run_id)
        if sender != "local" or work is None or not work.asked or run is None:
            return
        work.asked = False
        if message.error:
            self._end(run, State.ERROR, message.error, now_us)
        elif isinstance(run.program, BoundArchive):
            self._archived(run, run.program, work, message, now_us)
        elif isinstance(run.program, BoundVacuum):
            self._vacuumed(run, work, message, now_us)
        else:
            meta = {"program": {**message.meta, "time": message.took_s}}
            self._end(run, State.SUCCESS, "", now_us, meta, message.output)

    def settle(self, now_us: int) -> list[Post]:
        """Begin, stop, and have the next step done."""
        for run_id in self._attempts.take_internal():
            run = self._book.get(run_id)
            if run is not None and run.state is State.STARTING:
                self._begin(run, now_us)
        posts = self._steps(now_us)
        if self._dropped:
            # Sent after the commit that took them out, as all posts are.
            posts.append(Post(UPKEEP, DropRuns(run_ids=self._dropped)))
            self._dropped = []
        return posts

    def wakes_at(self) -> int | None:
        """Return when the next step is due, None when nothing is, or one is being done."""
        if any(work.asked for work in self._works.values()):
            return None
        return earliest(*(work.next_us for work in self._works.values()))

    # --- a program's life -----------------------------------------------------------------------

    def _begin(self, run: Run, now_us: int) -> None:
        self._works[run.run_id] = _Work(now_us)
        started = AttemptStarted(
            run_id=run.run_id, attempt=run.attempt, at_us=now_us, meta={"program": {}}
        )
        self._attempts.started(UPKEEP, started, now_us)
        if run.ad_hoc:
            self._end(run, State.ERROR, AD_HOC, now_us)

    def _end(
        self,
        run: Run,
        state: State,
        message: str,
        now_us: int,
        meta: dict[str, Any] | None = None,
        output: str = "",
    ) -> None:
        del self._works[run.run_id]
        outputs = []
        if output:
            data = output.encode()
            outputs.append(
                OutputRecord(
                    run_id=run.run_id,
                    attempt=run.attempt,
                    length=len(data),
                    data=data,
                    content_type="application/json",
                )
            )
        began_us = run.times.get("running", now_us)
        ended = AttemptEnded(
            run_id=run.run_id,
            attempt=run.attempt,
            at_us=now_us,
            state=state,
            message=message,
            meta={**(meta or {}), "elapsed": max(0, now_us - began_us) / SECOND_US},
            outputs=outputs,
        )
        self._attempts.ended(UPKEEP, ended, now_us)

    def _steps(self, now_us: int) -> list[Post]:
        for run_id, work in list(self._works.items()):
            run = self._book.get(run_id)
            if run is None or run.finished:
                del self._works[run_id]
            elif run.state is State.STOPPING and not work.asked:
                self._end(run, State.ERROR, "program stopped", now_us)
        if any(work.asked for work in self._works.values()):
            return []
        due = [(work.next_us, run_id) for run_id, work in self._works.items()]
        if not due or min(due)[0] > now_us:
            return []
        run_id = min(due)[1]
        run, work = self._book.get(run_id), self._works[run_id]
        assert run is not None, f"{run_id}: has work and is not there"
        work.asked = True
        return [Post(UPKEEP, self._step(run, work, now_us))]

    def _step(self, run: Run, work: _Work, now_us: int) -> Step:
        match run.program:
            case BoundArchive() as program:
                done = run.meta.get("program", {}).get("run count", 0)
                limit = min(RUNS_A_STEP, program.count - done, _room(program, done))
                return CopyRuns(
                    run_id=run.run_id,
                    path=program.path,
                    before_us=now_us - program.age_us,
                    limit=limit,
                    after=work.after,
                    without=tuple(sorted(self._book.acts.owing())),
                    counting=done + limit >= program.count,
                    jobs=program.jobs,
                    labels=program.labels,
                    keep=program.keep,
                )
            case BoundVacuum():
                return CountPages(run_id=run.run_id)
            case BoundStats() as program:
                return TakeStats(run_id=run.run_id, path=program.path, at_us=now_us)
            case program:
                path = getattr(program, "path", "")
                return TakeBackup(run_id=run.run_id, path=path)

    def _pause(self, work: _Work, took_s: float, now_us: int) -> None:
        work.next_us = now_us + max(PAUSE_US, round(took_s * PAUSES * SECOND_US))

    # --- archive --------------------------------------------------------------------------------

    def _archived(
        self, run: Run, program: BoundArchive, work: _Work, message: StepDone, now_us: int
    ) -> None:
        """Take out of the database what is in the archive, but what has changed since."""
        book = self._book
        moved, events = [], 0
        for run_id, (version, count) in message.copied.items():
            one = book.get(run_id)
            if one is not None and one.finished and one.version == version:
                moved.append(one)
                events += count
            work.after = max(work.after, int(run_id[1:]))
        if moved:
            planned = sum(one.planned for one in moved)
            numbers = [one.number for one in moved]
            book.changes.archived.extend(numbers)
            book.changes.archived_jobs.extend(dict.fromkeys(o.job_id for o in moved if o.ad_hoc))
            self._dropped.extend(one.run_id for one in moved)
            book.log(
                RunsArchived(
                    seq=0,
                    at_us=now_us,
                    cause=run.run_id,
                    path=program.path or "",
                    numbers=numbers,
                    events=events,
                    planned=planned,
                    made=_made(moved),
                )
            )
        known = run.meta.get("program", {})
        meta = {"program": _archive_meta(known, [one.run_id for one in moved], message, program)}
        done = meta["program"]["run count"]
        if done >= program.count and message.remaining:
            said = f"archive count {program.count} exhausted with {message.remaining} eligible"
            self._end(run, State.FAILURE, f"{said} runs remaining", now_us, meta)
        elif done >= program.count or not message.copied:
            self._end(run, State.SUCCESS, "", now_us, meta)
        else:
            book.note(run, now_us, "", "", meta={**run.meta, **meta})
            self._pause(work, message.took_s, now_us)
            if program.chunk_size is not None and done % program.chunk_size == 0:
                work.next_us = max(work.next_us, now_us + program.chunk_sleep_us)

    # --- vacuum ---------------------------------------------------------------------------------

    def _vacuumed(self, run: Run, work: _Work, message: StepDone, now_us: int) -> None:
        known = run.meta.get("program", {})
        began_us = run.times.get("running", now_us)
        took_s = max(1e-6, (now_us - began_us) / SECOND_US)
        pages = known.get("pages", 0) + min(message.pages, PAGES_A_STEP)
        meta = {"program": {"time": took_s, "pages": pages}}
        if not message.pages:
            self._end(run, State.SUCCESS, "", now_us, meta)
            return
        self._book.changes.free_pages = PAGES_A_STEP
        self._book.note(run, now_us, "", "", meta={**run.meta, **meta})
        self._pause(work, message.took_s, now_us)


def _made(runs: list[Run]) -> dict[str, tuple[int, int, int]]:
    """Return of each job how many of the runs a schedule made, and their first and last times."""
    times: dict[str, list[int]] = {}
    for run in runs:
        if run.planned:
            times.setdefault(run.job_id, []).append(run.made_for_us)
    return {job_id: (len(some), min(some), max(some)) for job_id, some in times.items()}


def _room(program: BoundArchive, done: int) -> int:
    """Return how many runs the present chunk may still take."""
    if program.chunk_size is None:
        return RUNS_A_STEP
    return program.chunk_size - done % program.chunk_size


def _archive_meta(
    known: dict[str, Any], run_ids: list[str], message: StepDone, program: BoundArchive
) -> dict[str, Any]:
    """Return what an archive's run says of itself, in the words of Apsis."""
    done = known.get("run count", 0)
    meta = {**known, "run count": done + len(run_ids)}
    chunks = [list(chunk) for chunk in known.get("run_ids", [])]
    if run_ids and done + len(run_ids) <= LISTED_RUNS:
        new = not chunks or (program.chunk_size is not None and done % program.chunk_size == 0)
        if new:
            chunks.append([])
        chunks[-1] += run_ids
    meta["run_ids"] = chunks
    rows = known.get("row counts", {})
    meta["row counts"] = {
        table: rows.get(table, 0) + message.rows.get(table, 0)
        for table in ("runs", "run_history", "output")
    }
    took = known.get("time", {})
    meta["time"] = {
        "get runs": took.get("get runs", 0.0),
        "archive runs": took.get("archive runs", 0.0) + message.took_s,
    }
    return msgspec.to_builtins(meta)  # type: ignore[no-any-return]
