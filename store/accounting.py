"""Gathers from a database, and its archives, what `jobs.accounts` holds nominal runs against.

Reads one state of each file and changes nothing, also while a server runs; it looks at definitions,
at when they were in force, at runs and at the log. Called by `callsheetctl audit`.
"""

from __future__ import annotations

import os
import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from heapq import merge

import msgspec

from ..jobs.accounts import (
    Entry,
    Fate,
    Fault,
    InForce,
    JobRecord,
    LeftOut,
    RunLine,
    Taken,
    account,
    nominal_words,
)
from ..jobs.calendar_days import calendars_by_name
from ..jobs.calendars import Calendar
from ..jobs.run import MovedFrom
from ..jobs.schedule_words import describe
from ..jobs.schedules import fingerprint
from ..jobs.states import FINISHED, State
from ..jobs.times import format_time
from ..messages.transitions import JobsChanged, PauseNoted, RunsArchived, RunWithdrawn
from .calendars import schedule_in_force
from .faults import sentence_of
from .interface import StoreUnusable
from .reader import SqliteReader
from .rows import STATES, args_text, decode_events, in_force

_UNREADABLE = "a record cannot be read, as `callsheetctl verify` will say"
LIMIT_S = 24 * 3600.0
# What the reason of a run begins with that was skipped since it was paused, after what is paused.
PAUSED = " is paused by "

_RUNS = (
    "SELECT n, args, state, held, schedule_us, record FROM runs INDEXED BY runs_planned"
    " WHERE job_id = ? AND planned = 1 AND schedule_us >= ? AND schedule_us < ?"
    " ORDER BY schedule_us"
)

_MOVED = (
    "SELECT n, runs.args, state, held, moved.schedule_us, record FROM moved JOIN runs USING (n)"
    " WHERE moved.job_id = ? AND moved.schedule_us >= ? AND moved.schedule_us < ?"
    " ORDER BY moved.schedule_us"
)


class _Record(msgspec.Struct):
    """What an account needs of a run's record; the rest is not decoded."""

    schedule_us: int
    fingerprint: str = ""
    moved_from: MovedFrom | None = None
    message: str | None = None
    times: dict[str, int] = {}


class _Gone(msgspec.Struct):
    """Nominal runs that left for where nobody looks: `left` of them, of a job (empty: of any)."""

    job_id: str
    left: int
    from_us: int
    to_us: int
    where: str


class Account:
    """An open database with its archives. `remarks` are what an account has to be read with; they
    are whole when `entries` has been read to its end."""

    def __init__(self, path: str, archives: Iterable[str] = ()) -> None:
        """Open them, with those archives beside it that the log names and that can be opened.

        Raises:
            StoreUnusable: one of them is missing, another program's, older or newer.
        """
        self.remarks: list[str] = []
        self._path = path
        self._stack = ExitStack()
        self._reader = self._open(path, archive=False)
        self._rows = self._reader.connection.execute
        self._archives = {os.path.realpath(one): self._open(one, archive=True) for one in archives}
        self._gone: list[_Gone] = []
        self._changes: list[JobsChanged] = []
        self._withdrawn: dict[str, list[RunWithdrawn]] = {}
        self._first_pause_us: int | None = None
        self._calendars: Mapping[str, Calendar] = {}
        self.as_of_us = 0
        try:
            self._calendars = calendars_by_name(self._reader.calendars())
            self.as_of_us = self._as_of_us()
            self._read_log()
        except ValueError as error:
            self.close()
            raise StoreUnusable(f"database {path}: {_UNREADABLE}: {error}") from None

    def close(self) -> None:
        """Close the files."""
        self._stack.close()

    def entries(
        self, from_us: int, to_us: int, jobs: Iterable[str] = ()
    ) -> Iterator[Entry | Fault]:
        """Yield what became of each nominal run in [from_us, to_us), by job and time.

        Args:
            jobs: only of these; none: of all.
        Raises:
            StoreUnusable: a file cannot be read.
        """
        try:
            for job_id in sorted(set(jobs) or self.job_ids()):
                for one in account(
                    self._record(job_id, from_us, to_us), from_us, to_us, self.as_of_us
                ):
                    yield from self._told(one)
                yield from self._in_force(job_id)
        except sqlite3.Error as error:
            raise StoreUnusable(f"database {self._path}: {sentence_of(error)}") from None
        except ValueError as error:
            raise StoreUnusable(f"database {self._path}: {_UNREADABLE}: {error}") from None
        for gone in self._gone:
            if gone.left and gone.from_us < to_us and gone.to_us >= from_us:
                whose = f" of {gone.job_id}" if gone.job_id else ""
                self.remarks.append(f"{gone.left} runs{whose} that are {gone.where} are not named")

    # --- opening --------------------------------------------------------------------------------

    def _open(self, path: str, *, archive: bool) -> SqliteReader:
        reader = SqliteReader(path, limit_s=LIMIT_S, archive=archive, strict=True)
        self._stack.callback(reader.close)
        self._stack.enter_context(reader.snapshot())
        return reader

    def _as_of_us(self) -> int:
        """Return the last moment that the database knows of."""
        row = self._rows("SELECT body FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        last_us = max((one.at_us for one in decode_events(row[0])), default=0) if row else 0
        checked_us = self._rows("SELECT max(checked_at_us) FROM meta").fetchone()[0]
        return max(last_us, checked_us or 0)

    def _read_log(self) -> None:
        """Take what is needed of the log: changes, withdrawals, pauses and archives."""
        for (body,) in self._rows("SELECT body FROM events WHERE n IS NULL ORDER BY seq"):
            for event in decode_events(body):
                match event:
                    case JobsChanged():
                        self._changes.append(event)
                    case PauseNoted() if self._first_pause_us is None:
                        self._first_pause_us = event.at_us
                    case RunsArchived():
                        self._archived(event)
        text = (
            "SELECT body FROM events WHERE n IS NOT NULL AND n NOT IN (SELECT n FROM runs)"
            " ORDER BY seq"
        )
        for (body,) in self._rows(text):
            for event in decode_events(body):
                if isinstance(event, RunWithdrawn):
                    self._withdrawn.setdefault(event.job_id, []).append(event)

    def _archived(self, event: RunsArchived) -> None:
        """Runs have left: look for them where they went."""
        if event.path and self._found(event.path):
            return
        where = f"in the archive {event.path}" if event.path else "dropped, as was asked for"
        made = event.made or {"": (event.planned, 0, event.at_us)}
        for job_id, (count, from_us, to_us) in made.items():
            if count:
                self._gone.append(_Gone(job_id, count, from_us, to_us, where))

    def _found(self, named: str) -> bool:
        """Whether an archive is open, or can be opened, by the name the log has for it."""
        beside = os.path.join(os.path.dirname(os.path.abspath(self._path)), named)
        for path in (named, beside):
            real = os.path.realpath(path)
            if real in self._archives:
                return True
            try:
                self._archives[real] = self._open(real, archive=True)
            except StoreUnusable:
                continue
            return True
        said = f"archive {named}: cannot be opened: its runs are counted only"
        if said not in self.remarks:
            self.remarks.append(said)
        return False

    # --- a job ----------------------------------------------------------------------------------

    def job_ids(self) -> set[str]:
        """Return all jobs of which there is anything to account for."""
        text = "SELECT DISTINCT job_id FROM runs WHERE planned = 1"
        found = {row[0] for row in self._rows(f"SELECT job_id FROM schedules UNION {text}")}
        for archive in self._archives.values():
            found.update(row[0] for row in archive.connection.execute(text))
        return found | {row[0] for row in self._rows("SELECT job_id FROM jobs")}

    def _record(self, job_id: str, from_us: int, to_us: int) -> JobRecord:
        periods, unknown = self._periods(job_id)
        marks = dict.fromkeys([period.fingerprint for period in periods])
        skips = [skip for mark in marks for skip in self._reader.skips(job_id, mark)]
        return JobRecord(
            job_id=job_id,
            periods=tuple(periods),
            runs=merge(*self._runs(job_id, from_us, to_us), key=lambda run: run.at_us),
            left_out=tuple(
                LeftOut(
                    fingerprint=skip.fingerprint,
                    from_us=skip.from_us,
                    to_us=skip.to_us,
                    count=skip.count,
                    reason=skip.reason,
                    seq=skip.seq,
                )
                for skip in skips
                if skip.to_us >= from_us and skip.from_us < to_us
            ),
            taken={
                (args_text(event.args), event.schedule_us): self._taken(event)
                for event in self._withdrawn.get(job_id, ())
                if from_us <= event.schedule_us < to_us
            },
            unknown=frozenset(unknown),
        )

    def _periods(self, job_id: str) -> tuple[list[InForce], set[str]]:
        """Return when which schedules of a job were in force, and those not to be computed."""
        found: list[InForce] = []
        unknown: set[str] = set()
        for row in self._reader.schedule_history(job_id):
            job = self._reader.definition(row.definition)
            connection = self._reader.connection
            then = None if job is None else schedule_in_force(connection, job, row, self._calendars)
            if job is None or then is None:
                unknown.add(row.fingerprint)
                continue
            schedule, calendars = then
            found.append(in_force(row, job, schedule, calendars))
        for mark in sorted(unknown):
            said = "cannot be computed: its definition, its calendar or its type is not there"
            self.remarks.append(f"{job_id}: schedule {mark} {said}; its runs are taken as they are")
        return found, unknown

    def _runs(self, job_id: str, from_us: int, to_us: int) -> Iterator[Iterator[RunLine]]:
        for text in (_RUNS, _MOVED):
            yield _lines(self._reader, text, "", (job_id, from_us, to_us))
            for path, archive in self._archives.items():
                if text is _RUNS or _has_moved(archive):
                    yield _lines(archive, text, path, (job_id, from_us, to_us))

    def _taken(self, event: RunWithdrawn) -> Taken:
        """Say which change withdrew a run: it is logged after its withdrawals, at their time."""
        place = bisect_left(self._changes, event.seq, key=lambda change: change.seq)
        for change in self._changes[place : place + 1]:
            if change.at_us == event.at_us:
                what = "unchanged, its calendar being another"
                for kind in ("changed", "removed"):
                    if event.job_id in getattr(change, kind):
                        what = kind
                said = f"jobs version {change.jobs_version} at {format_time(change.at_us)}"
                return Taken(run_id=event.run_id, change=f"{said}: the job was {what}")
        return Taken(run_id=event.run_id, change=event.reason)

    def _in_force(self, job_id: str) -> Iterator[Fault]:
        """Yield the schedules of a job that ought to be in force and are not, or the other way."""
        row = self._rows("SELECT definition FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
        is_ad_hoc = self._reader.ad_hoc_job(job_id) is not None
        if row is None and is_ad_hoc:
            return
        job = None if row is None else self._reader.definition(row[0])
        rows = [one for one in self._reader.schedule_history(job_id) if one.valid_to_us is None]
        known = {one.fingerprint for one in rows}
        for schedule in [] if job is None else job.schedules:
            mark = fingerprint(schedule, self._calendars)
            if schedule.enabled and mark not in known:
                said = f"{job_id}: {describe(schedule)}: is enabled and not in force"
                yield Fault(kind="not in force", job_id=job_id, sentence=said)
        for one in rows:
            if row is None or one.definition != row[0]:
                said = f"{job_id}: schedule {one.fingerprint} is in force"
                wanted = "there is no such job" if row is None else "its job has another definition"
                yield Fault(kind="not in force", job_id=job_id, sentence=f"{said}: {wanted}")

    # --- what is told ---------------------------------------------------------------------------

    def _told(self, one: Entry | Fault) -> Iterator[Entry | Fault]:
        """Yield an entry or a fault, a missing run as archived where it may be."""
        if isinstance(one, Fault) and one.kind == "missing":
            return
        if isinstance(one, Entry) and one.fate is Fate.MISSING:
            gone = next((gone for gone in self._gone if _may_be(gone, one)), None)
            if gone is None:
                yield one
                what = nominal_words(one.job_id, one.instance, one.at_us)
                said = f"{what}: {one.because}"
                yield Fault(kind="missing", job_id=one.job_id, at_us=one.at_us, sentence=said)
                return
            gone.left -= 1
            one = msgspec.structs.replace(one, fate=Fate.ARCHIVED, because=gone.where)
        elif isinstance(one, Entry) and one.fate is Fate.PAUSED and not self._was_paused(one):
            what = nominal_words(one.job_id, one.instance, one.at_us)
            said = f"{what}: run {one.run_id}"
            sentence = f"{said} is said to be paused: nothing was before"
            yield Fault(kind="unnamed", job_id=one.job_id, at_us=one.at_us, sentence=sentence)
        yield one

    def _was_paused(self, one: Entry) -> bool:
        first_us = self._first_pause_us
        return first_us is not None and first_us <= (one.ended_us or 0)


def _may_be(gone: _Gone, one: Entry) -> bool:
    return bool(
        gone.left and gone.job_id in ("", one.job_id) and gone.from_us <= one.at_us <= gone.to_us
    )


def _lines(
    reader: SqliteReader, text: str, archive: str, of: tuple[str, int, int]
) -> Iterator[RunLine]:
    """Yield the runs of a job and a span of the times that they were made for."""
    decode = msgspec.msgpack.Decoder(_Record).decode
    rows = reader.connection.execute(text, of)
    for n, args, code, held, at_us, body in rows:
        record = decode(body)
        moved = record.moved_from
        state = STATES[code]
        ended = state if state in FINISHED else None
        reason = record.message or ""
        yield RunLine(
            run_id=f"r{n}",
            instance=args,
            state=state,
            at_us=at_us,
            fingerprint=record.fingerprint if moved is None else moved.fingerprint or "",
            moved_to_us=None if moved is None else record.schedule_us,
            held=bool(held),
            began_us=record.times.get(State.RUNNING.value),
            ended_us=None if ended is None else record.times.get(ended.value),
            reason=reason,
            is_paused=state is State.SKIPPED and PAUSED in reason,
            archive=archive,
        )


def _has_moved(archive: SqliteReader) -> bool:
    """Whether an archive is new enough to say which of its runs were put to other times."""
    text = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'moved'"
    return archive.connection.execute(text).fetchone() is not None
