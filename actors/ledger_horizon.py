"""The ledger's part in planning: the set of jobs in force, and the horizon of each schedule.

The horizon of a schedule moves in the transaction that writes its expected runs and skips, so that
`fires(valid_from, written_upto) = runs + skips + withdrawn` holds at any time (rule I5).
"""

from __future__ import annotations

from msgspec.structs import replace

from ..jobs.run import NewRun, Run, args_key
from ..jobs.states import State
from ..messages.commands import DueTaken, JobsApplied, JobsRefused, RunsExpected
from ..messages.hello import ScheduleRow, SchedulerWelcome
from ..messages.instructions import (
    ApplyJobs,
    Expectation,
    ExpectRuns,
    KeptSchedule,
    RunsLate,
    SkipSpan,
)
from ..messages.post import SCHEDULER, Post
from ..messages.transitions import JobsChanged, RunWithdrawn, SkipsRecorded
from ..store.interface import Opening
from .ledger_book import Book
from .ledger_sending import Outgoing, parts

# Rows of one part of the scheduler's welcome.
WELCOME_ROWS = 1_000


class Horizon:
    """Jobs by definition hash, and the open schedules with how far each is written."""

    def __init__(self, opening: Opening, book: Book, outgoing: Outgoing) -> None:
        self._book = book
        self._outgoing = outgoing
        self._since_us = opening.since_us
        self._jobs = dict(opening.jobs)
        self._calendars = opening.calendars
        self._schedules = {(row.job_id, row.fingerprint): row for row in opening.schedules}
        self._applied: ApplyJobs | None = None
        self._withdrawn: list[str] = []

    def welcome(self, incarnation: str) -> list[Post]:
        """Return the scheduler's welcome, in parts, for the life that has greeted."""
        rows = parts([_welcomed(row) for row in self._schedules.values()], WELCOME_ROWS)
        due = parts(self._book.found.due, WELCOME_ROWS)
        jobs = parts(list(self._jobs.items()), WELCOME_ROWS)
        count = max(len(rows), len(due), len(jobs), 1)
        return [
            Post(
                SCHEDULER,
                SchedulerWelcome(
                    epoch=self._book.epoch,
                    seq=self._book.seq,
                    part=part,
                    last=part == count - 1,
                    jobs_version=self._book.jobs_version,
                    since_us=self._since_us,
                    jobs=dict(jobs[part]) if part < len(jobs) else {},
                    schedules=list(rows[part]) if part < len(rows) else [],
                    due=list(due[part]) if part < len(due) else [],
                    incarnation=incarnation,
                ),
            )
            for part in range(count)
        ]

    # --- the set of jobs ------------------------------------------------------------------------

    def apply_jobs(self, sender: str, message: ApplyJobs, now_us: int) -> None:
        """Put a set of jobs in force, unless another one came first.

        Only the very message that was applied last is answered as applied once more: another one
        to the same jobs may open other horizons.
        """
        version = self._book.jobs_version
        if message.based_on == version:
            self._put_in_force(sender, message, now_us)
        elif message == self._applied:
            applied = JobsApplied(
                based_on=version - 1, jobs_version=version, withdrawn=self._withdrawn
            )
            self._outgoing.reply(sender, applied)
        else:
            refused = JobsRefused(based_on=message.based_on, jobs_version=version)
            self._outgoing.reply(sender, refused)

    def _put_in_force(self, sender: str, message: ApplyJobs, now_us: int) -> None:
        book = self._book
        withdrawn: list[str] = []
        written_us = {
            key: row.written_upto_us
            for key in message.closed
            if (row := self._schedules.get(key)) is not None
        }
        for job_id, fingerprint in message.closed:
            withdrawn += self._close(job_id, fingerprint, message, now_us)
        for kept in message.kept:
            self._keep(kept, message, now_us)
        book.jobs_version += 1
        changes = book.changes
        for opened in message.opened:
            row = opened
            key = (row.job_id, row.fingerprint)
            if key in written_us:
                # It goes on: where it is written up to is known here and nowhere else.
                begin_us = min(written_us[key], message.at_us)
                row = replace(row, valid_from_us=begin_us, written_upto_us=begin_us)
            self._schedules[key] = row
            changes.schedules.append(row)
        changes.definitions.extend(message.definitions)
        changes.jobs_version = book.jobs_version
        if message.calendars is not None:
            self._calendars = changes.calendars = message.calendars
        for job_id, hash_ in message.set_jobs.items():
            self._jobs[job_id] = hash_
            changes.jobs[job_id] = hash_
        for job_id in message.removed_jobs:
            self._jobs.pop(job_id, None)
            changes.jobs[job_id] = None
        book.log(
            JobsChanged(
                seq=0,
                at_us=now_us,
                cause=sender,
                jobs_version=book.jobs_version,
                added=message.added,
                changed=message.changed,
                removed=message.removed_jobs,
            )
        )
        self._applied, self._withdrawn = message, withdrawn
        applied = JobsApplied(
            based_on=message.based_on, jobs_version=book.jobs_version, withdrawn=withdrawn
        )
        self._outgoing.reply(sender, applied)

    def _close(self, job_id: str, fingerprint: str, message: ApplyJobs, now_us: int) -> list[str]:
        """End a schedule's time in force and withdraw its expected runs; return their ids."""
        book = self._book
        row = self._schedules.pop((job_id, fingerprint), None)
        if row is not None:
            book.changes.schedules.append(replace(row, valid_to_us=message.at_us))
        withdrawn = []
        for run in self._expected(job_id, fingerprint, message.at_us):
            book.withdraw(run)
            book.log(_withdrawal(run, message.reason, now_us))
            withdrawn.append(run.run_id)
        return withdrawn

    def _keep(self, kept: KeptSchedule, message: ApplyJobs, now_us: int) -> None:
        """Let a schedule go on under another definition, and its expected runs with it."""
        book = self._book
        row = self._schedules.get((kept.job_id, kept.fingerprint))
        if row is None:
            return
        row = replace(row, definition=kept.definition)
        self._schedules[kept.job_id, kept.fingerprint] = row
        book.changes.schedules.append(row)
        for run in self._expected(kept.job_id, kept.fingerprint, message.at_us):
            meta = run.meta | {"job": {"labels": list(kept.labels)}}
            book.note(
                run,
                now_us,
                "job described anew",
                SCHEDULER,
                definition=kept.definition,
                labels=kept.labels,
                owner=kept.owner,
                meta=meta,
            )

    def _expected(self, job_id: str, fingerprint: str, from_us: int) -> list[Run]:
        """Return the expected, still scheduled runs of a schedule from an instant on, by number."""
        book = self._book
        candidates = {run.run_id for run in book.found.closed.get((job_id, fingerprint), [])}
        candidates |= {
            run.run_id
            for run in book.touched.values()
            if run.job_id == job_id and run.fingerprint == fingerprint
        }
        found = []
        for run_id in sorted(candidates, key=lambda run_id: int(run_id[1:])):
            run = book.get(run_id)
            if run is None or run.state is not State.SCHEDULED or not run.expected:
                continue
            if run.schedule_us >= from_us:
                found.append(run)
        return found

    def open(self, rows: list[ScheduleRow]) -> None:
        """Put schedules in force besides those of the set of jobs: an ad hoc job's."""
        for row in rows:
            self._schedules[row.job_id, row.fingerprint] = row
        self._book.changes.schedules.extend(rows)

    # --- expected runs --------------------------------------------------------------------------

    def expect_runs(self, sender: str, message: ExpectRuns, now_us: int) -> None:
        """Write the expected runs of each schedule whose horizon is where the message begins."""
        duplicates: list[str] = []
        behind: list[tuple[str, str, int]] = []
        current = message.jobs_version == self._book.jobs_version
        for expectation in message.expectations:
            key = (expectation.job_id, expectation.fingerprint)
            row = self._schedules.get(key)
            if row is None or not current or row.written_upto_us != expectation.from_us:
                behind.append((*key, -1 if row is None else row.written_upto_us))
                continue
            duplicates += self._write(expectation, row, now_us)
        answer = RunsExpected(batch=message.batch, duplicates=duplicates, behind=behind)
        self._outgoing.reply(sender, answer)

    def runs_late(self, sender: str, message: RunsLate, now_us: int) -> None:
        """Withdraw expected runs that came too late, and record them as skipped.

        Those that have deadlines stay, skipped: only a run can miss one.
        """
        book = self._book
        spans: dict[tuple[str, str], list[int]] = {}
        for run_id in message.run_ids:
            run = book.get(run_id)
            # What a person has touched is a person's to decide.
            if run is None or run.state is not State.SCHEDULED or not run.expected or run.held:
                continue
            if run.due is not None:
                line = f"skipped: {message.reason}"
                reason, skipped = message.reason, State.SKIPPED
                book.move(run, skipped, now_us, line, SCHEDULER, message=reason, by_policy=True)
                continue
            book.withdraw(run)
            book.log(_withdrawal(run, message.reason, now_us))
            spans.setdefault((run.job_id, run.fingerprint or ""), []).append(run.schedule_us)
        for key, times in spans.items():
            span = SkipSpan(
                from_us=min(times), to_us=max(times), count=len(times), reason=message.reason
            )
            self._skip(key, span, now_us)
        self._outgoing.reply(sender, DueTaken(run_ids=message.run_ids))

    def _skip(self, key: tuple[str, str], span: SkipSpan, now_us: int) -> None:
        self._book.log(
            SkipsRecorded(
                seq=0,
                at_us=now_us,
                cause=SCHEDULER,
                job_id=key[0],
                fingerprint=key[1],
                from_us=span.from_us,
                to_us=span.to_us,
                count=span.count,
                reason=span.reason,
            )
        )

    def _write(self, expectation: Expectation, row: ScheduleRow, now_us: int) -> list[str]:
        """Write one schedule's runs and skips and move its horizon; return ids left unused."""
        book = self._book
        duplicates = []
        for new in expectation.runs:
            key = expected_key(new)
            if key in book.found.existing_expected or key in book.expected_in_batch:
                duplicates.append(new.run_id)
                continue
            book.expected_in_batch.add(key)
            book.create(new, now_us, "", expected=True)
        for span in expectation.skips:
            self._skip((row.job_id, row.fingerprint), span, now_us)
        moved = replace(row, written_upto_us=expectation.upto_us)
        self._schedules[row.job_id, row.fingerprint] = moved
        book.changes.schedules.append(moved)
        return duplicates


def expected_key(new: NewRun) -> tuple[str, str, int]:
    """Return by what an expected run is unique: (job id, args key, schedule_us)."""
    return new.job_id, args_key(new.args), new.schedule_us


def _welcomed(row: ScheduleRow) -> ScheduleRow:
    """Return a row without its schedule, which the scheduler knows of its definitions; only that it
    has options is told."""
    options = row.spec.get("options") if isinstance(row.spec, dict) else None
    return replace(row, spec=None if options is None else {"options": options})


def _withdrawal(run: Run, reason: str, now_us: int) -> RunWithdrawn:
    return RunWithdrawn(
        seq=0,
        at_us=now_us,
        cause=SCHEDULER,
        run_id=run.run_id,
        job_id=run.job_id,
        args=run.args,
        schedule_us=run.schedule_us,
        fingerprint=run.fingerprint or "",
        reason=reason,
    )
