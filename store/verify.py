"""Is the database what a ledger can have written? Every row is held against others that tell of it.

Reads one state and changes nothing, also while a server runs. A row that was taken away, doubled or
altered by another hand contradicts its log, its columns, its neighbours or its index. Each
contradiction is a sentence. The rules are those of docs/administration.md.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from itertools import groupby, islice
from typing import Any, TypeVar

import msgspec

from ..jobs.calendar_days import calendars_by_name
from ..jobs.calendars import Calendar
from ..jobs.keeping import ORDER, OUTPUT
from ..jobs.parse import definition_hash
from ..messages.transitions import (
    RunMoved,
    RunNoted,
)
from .faults import sentence_of
from .interface import StoreUnusable
from .outputs import OutputFiles, OutputGone, shown_length
from .reader import SqliteReader
from .records import UNREADABLE
from .rows import (
    ANSWER_AGE_US,
    decode_answer,
    decode_events,
    decode_job,
    decode_outbox_item,
    decode_output,
    decode_run,
    decode_skips,
    row_sum,
    run_row,
)
from .streams import is_view
from .tallies import count_rows, stored, tables_of
from .verify_bodies import bodies
from .verify_log import Bits, Log, events_of, keep
from .verify_runs import RunCheck, fold
from .verify_schedules import check_schedules

# Contradictions that are told; beyond, only their number.
MOST_TOLD = 1_000
LIMIT_S = 24 * 3600.0

# The columns of the tables whose rows have a sum, in its order.
SUMMED = {
    "runs": "n, job_id, args, state, held, planned, schedule_us, changed_us, labels, record",
    "events": "seq, batch, n, body",
    "outputs": "n, attempt, output_id, body",
    "definitions": "hash, job_id, git_commit, body",
    "schedules": "job_id, fingerprint, valid_from_us, valid_to_us, written_upto_us, definition,"
    " spec",
    "outbox": "action_id, body",
    "answers": "command_id, at_us, body",
}
# How many of these name a row, where it is not the first alone.
_KEYS = {"outputs": 3, "schedules": 3}

T = TypeVar("T")
Tell = Callable[[str], None]


class Verified(msgspec.Struct, kw_only=True):
    """What was looked at, and what is wrong (`problems` are the first of `count`)."""

    runs: int = 0
    events: int = 0
    schedules: int = 0
    outputs: int = 0
    archived: int = 0
    count: int = 0
    problems: list[str] = []

    def tell(self, sentence: str) -> None:
        """Take one more contradiction."""
        self.count += 1
        if len(self.problems) < MOST_TOLD:
            self.problems.append(sentence)


def verify_database(
    path: str | os.PathLike[str], outputs: OutputFiles | None = None, *, archive: bool = False
) -> Verified:
    """Return what is wrong with a database, or an archive.

    Args:
        outputs: its output files, None: they are not looked at.
    Raises:
        StoreUnusable: it is missing, another program's, older or newer.
    """
    reader = SqliteReader(path, limit_s=LIMIT_S, archive=archive, strict=True)
    try:
        connection = reader.connection
        connection.execute("BEGIN")
        return _Verifying(reader, connection, outputs, archive=archive).all()
    except sqlite3.Error as error:
        raise StoreUnusable(f"database {os.fspath(path)}: {sentence_of(error)}") from None
    finally:
        if reader.connection.in_transaction:
            reader.connection.execute("COMMIT")
        reader.close()


class _Verifying:
    def __init__(
        self,
        reader: SqliteReader,
        connection: sqlite3.Connection,
        outputs: OutputFiles | None,
        *,
        archive: bool,
    ) -> None:
        self._reader = reader
        self._rows = connection.execute
        self._files = outputs
        self._archive = archive
        self._found = Verified()
        self._tell: Tell = self._found.tell

    def all(self) -> Verified:
        """Look at everything."""
        for (line,) in self._rows("PRAGMA integrity_check(100)").fetchall():
            if line != "ok":
                self._tell(f"file: {' '.join(line.split())}")
        self._sums()
        seq, number, now_us = self._head()
        log = self._events(seq)
        self._runs(log, number)
        if not self._archive:
            self._seqs(log, seq)
            self._skips(log)
            self._schedules(log)
            self._answers(seq, now_us)
            for table, name, decode, body in bodies(self._rows):
                self._read(decode, body, f"{table} {name}")
            self._tallies()
        self._definitions()
        self._outputs()
        self._owed()
        self._found.archived = len(log.archived)
        return self._found

    def _sums(self) -> None:
        """Each row is as it was written; one of an older version has no sum to say so."""
        for table, columns in SUMMED.items():
            text = f"SELECT {columns}, sum FROM {table} WHERE sum IS NOT NULL"
            for *row, kept in self._rows(text):
                if row_sum(*row) != kept:
                    name = " ".join(map(str, row[: _KEYS.get(table, 1)]))
                    self._tell(f"{table} {name}: the row is not as it was written")

    def _tallies(self) -> None:
        """Each table has the rows that were written into it, and no others."""
        connection = self._reader.connection
        kept = stored(connection)
        for table, columns in tables_of(connection):
            tally = kept.pop(table, None)
            if tally is None:
                self._tell(f"tally of {table}: is not there")
            elif tally != (there := count_rows(connection, table, columns)):
                said = f"its tally is of {tally[0]} rows"
                also = "" if tally[0] != there[0] else ", which were not the same"
                self._tell(f"{table}: has {there[0]} rows: {said}{also}")
        for table in kept:
            self._tell(f"tally of {table}: there is no such table")

    def _read(self, decode: Callable[[bytes], T], body: bytes, name: str) -> T | None:
        """Return a record, None when it is none any more."""
        try:
            return decode(body)
        except UNREADABLE as error:
            self._tell(f"{name}: cannot be read: {error}")
            return None

    # --- the log --------------------------------------------------------------------------------

    def _head(self) -> tuple[int, int, int]:
        heads = self._rows("SELECT seq, next_run_number FROM meta").fetchall()
        if len(heads) != 1:
            self._tell(f"meta: {len(heads)} heads: expected one")
        top = self._rows("SELECT coalesce(max(at_us), 0) FROM answers").fetchone()[0]
        seq, number = heads[0] if heads else (0, 1)
        return seq, number, top

    def _events(self, seq: int) -> Log:
        """Look at every event for itself, and keep what is needed of it."""
        log = Log(seen=Bits(), archived=Bits())
        seen = log.seen
        for first, batch, n, body in self._rows("SELECT seq, batch, n, body FROM events"):
            events = self._read(decode_events, body, f"event {first}")
            if events is None:
                continue
            if not events or events[0].seq != first or batch > first:
                self._tell(f"event {first}: is not the first of its row")
            for event in events:
                self._found.events += 1
                if not 0 < event.seq <= seq and not self._archive:
                    self._tell(f"event {event.seq}: expected 1 to {seq}, the head")
                elif not self._archive and event.seq in seen:
                    self._tell(f"event {event.seq}: is there twice")
                elif not self._archive:
                    seen.add(event.seq)
                if getattr(event, "run_id", None) != (None if n is None else f"r{n}"):
                    self._tell(f"event {event.seq}: is kept with another run")
                keep(log, event)
        return log

    def _seqs(self, log: Log, seq: int) -> None:
        """Without those archived, every seq up to the head has its event."""
        missing = seq - len(log.seen)
        if missing == log.archived_events:
            return
        gone = islice((n for n in range(1, seq + 1) if n not in log.seen), 5)
        said = f"{missing} events up to {seq} are not there: expected {log.archived_events}, those"
        self._tell(f"log: {said} archived; such as {', '.join(map(str, gone))}")

    # --- runs -----------------------------------------------------------------------------------

    def _runs(self, log: Log, next_number: int) -> None:
        """Each run is what its events make of it, and has a log; each log has its run."""
        text = "SELECT n, body, sum FROM events WHERE n IS NOT NULL ORDER BY n, seq"
        logs = groupby(self._reader.connection.execute(text), key=lambda row: row[0])
        there = next(logs, None)
        columns = f"{SUMMED['runs']}, sum"
        check = RunCheck(self._rows, self._tell)
        for row in self._reader.connection.execute(f"SELECT {columns} FROM runs ORDER BY n"):
            self._found.runs += 1
            number = row[0]
            while there is not None and there[0] < number:
                self._orphan(there[0], log)
                there = next(logs, None)
            batches: list[tuple[Any, ...]] = []
            if there is not None and there[0] == number:
                batches = list(there[1])
                there = next(logs, None)
            if number in log.withdrawn or number in log.archived:
                self._tell(f"run r{number}: is there, and its log says that it went")
            if number >= next_number and not self._archive:
                self._tell(f"run r{number}: expected a number below {next_number}, the next one")
            self._run(row, batches, check)
        while there is not None:
            self._orphan(there[0], log)
            there = next(logs, None)
        check.finish()

    def _run(self, row: tuple[Any, ...], batches: list[tuple[Any, ...]], check: RunCheck) -> None:
        events = list(events_of(batches))
        # Rows without a sum are of an earlier version, of a run that this one may have written to.
        is_old = any(one[-1] is None for one in (row, *batches))
        run_id = f"r{row[0]}"
        run = self._read(decode_run, row[9], f"run {run_id}")
        if run is None:
            return
        changed_us = row[7]
        moves = [event for event in events if isinstance(event, RunMoved | RunNoted)]
        if run_row(run, changed_us)[:9] != tuple(row[:9]) or run.run_id != run_id:
            self._tell(f"run {run_id}: its columns are not those of its record")
        if not moves:
            self._tell(f"run {run_id}: its log is not there")
            return
        for sentence in fold(run, events, changed_us, is_old=is_old):
            self._tell(f"run {run_id}: {sentence}")
        check.run(run)

    def _orphan(self, number: int, log: Log) -> None:
        if number not in log.withdrawn and number not in log.archived:
            self._tell(f"run r{number}: has a log and is not there")

    # --- the rest -------------------------------------------------------------------------------

    def _skips(self, log: Log) -> None:
        rows = self._rows("SELECT seq, job_id, fingerprint, body FROM skips")
        kept = {}
        for seq, job_id, mark, body in rows:
            skip = self._read(decode_skips, body, f"skip {seq}")
            if skip is None:
                continue
            kept[seq] = skip
            if (skip.job_id, skip.fingerprint) != (job_id, mark):
                self._tell(f"skip {seq}: its columns are not those of its record")
        for seq in kept.keys() | log.skips.keys():
            if kept.get(seq) != log.skips.get(seq):
                self._tell(f"skip {seq}: is not what the log says")

    def _schedules(self, log: Log) -> None:
        calendars: Mapping[str, Calendar] = {}
        try:
            calendars = calendars_by_name(self._reader.calendars())
        except ValueError as error:
            self._tell(f"calendars: cannot be read: {error}")
        missing = 0
        jobs = self._rows("SELECT DISTINCT job_id FROM schedules ORDER BY job_id").fetchall()
        withdrawn: dict[str, set[int]] = {}
        for event in log.withdrawn.values():
            if event.fingerprint:
                withdrawn.setdefault(event.job_id, set()).add(event.schedule_us)
        for (job_id,) in jobs:
            gone = withdrawn.get(job_id, set())
            try:
                rows, lost = check_schedules(self._reader, job_id, gone, calendars, self._tell)
            except ValueError as error:
                self._tell(f"schedules of {job_id}: cannot be read: {error}")
                continue
            self._found.schedules += rows
            missing += lost
        if missing > log.archived_planned:
            said = f"{missing} nominal runs are neither there, skipped nor withdrawn: expected"
            self._tell(f"schedules: {said} at most {log.archived_planned}, those archived")
        orphans = self._rows(
            "SELECT job_id, count(*) FROM runs WHERE planned = 1 AND NOT EXISTS"
            " (SELECT 1 FROM schedules WHERE schedules.job_id = runs.job_id) GROUP BY job_id"
        )
        for job_id, count in orphans:
            self._tell(f"schedules of {job_id}: are not there, and have made {count} runs")

    def _answers(self, seq: int, top_us: int) -> None:
        for command_id, at_us, body in self._rows("SELECT command_id, at_us, body FROM answers"):
            answer = self._read(decode_answer, body, f"answer {command_id}")
            if answer is None:
                continue
            if answer.command_id != command_id or getattr(answer, "seq", 0) > seq:
                self._tell(f"answer {command_id}: is another wish's, or of a time to come")
            if at_us < top_us - 366 * ANSWER_AGE_US or at_us < 0:
                self._tell(f"answer {command_id}: is older than answers are kept")

    def _definitions(self) -> None:
        rows = self._rows("SELECT hash, job_id, body, sum IS NULL FROM definitions")
        for hash_, job_id, body, is_old in rows:
            job = self._read(decode_job, body, f"definition {hash_}")
            if job is None:
                continue
            # The hash of what an older version wrote may have been made of fewer keys.
            if job.job_id != job_id or (definition_hash(job) != hash_ and not is_old):
                self._tell(f"definition {hash_} of {job_id}: is not what its hash says")
        for table in ("jobs", "ad_hoc_jobs", "schedules"):
            rows = self._rows(
                f"SELECT DISTINCT job_id FROM {table}"
                " WHERE definition NOT IN (SELECT hash FROM definitions)"
            )
            for (job_id,) in rows.fetchall():
                self._tell(f"job {job_id}: its definition in {table} is not there")

    def _outputs(self) -> None:
        text = (
            "SELECT n, attempt, output_id, body, EXISTS (SELECT 1 FROM runs WHERE n = outputs.n)"
            " FROM outputs"
        )
        for n, attempt, output_id, body, has_run in self._rows(text):
            self._found.outputs += 1
            name = f"output {output_id} of r{n}, attempt {attempt}"
            record = self._read(decode_output, body, name)
            if record is None:
                continue
            if (record.run_id, record.attempt, record.output_id) != (f"r{n}", attempt, output_id):
                self._tell(f"{name}: its columns are not those of its record")
            if not has_run:
                self._tell(f"{name}: the run is not there")
            if is_view(record):
                parts = self._rows(
                    "SELECT count(*) FROM outputs WHERE n = ? AND attempt = ?"
                    " AND output_id IN (?, ?)",
                    (n, attempt, OUTPUT, ORDER),
                ).fetchone()
                if record.length and parts != (2,):
                    self._tell(f"{name}: the output that it is a part of is not there")
            elif record.data is not None and record.compression is None:
                if len(record.data) != record.length:
                    self._tell(f"{name}: has {len(record.data)} bytes: expected {record.length}")
            elif self._files is not None:
                try:
                    # The last byte can be read of a whole output only.
                    last = shown_length(record) - 1
                    if record.length and not self._files.read(record, last, 1):
                        self._tell(f"{name}: its file is shorter than {record.length} bytes")
                except OutputGone as error:
                    self._tell(f"{name}: {error}")

    def _owed(self) -> None:
        for action_id, body in self._rows("SELECT action_id, body FROM outbox"):
            item = self._read(decode_outbox_item, body, f"action {action_id}")
            if item is None:
                continue
            is_known = item.run is None
            if item.run is not None:
                found = self._rows("SELECT 1 FROM runs WHERE n = ?", (item.run.number,))
                is_known = found.fetchone() is not None
            if item.action_id != action_id or not is_known:
                self._tell(f"action {action_id}: is not of a run that is there")
