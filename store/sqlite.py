"""The SQLite store's writer: one lock, one connection, one transaction per batch of the ledger.

Only the ledger's stage calls it, from one thread. It alone writes and checkpoints; nobody else may
(SQLite before 3.51.3 can lose data when two connections checkpoint at once).
"""

from __future__ import annotations

import os
import sqlite3

from ..jobs.run import Run
from ..messages.commands import ACTION_COMMAND
from .changes import ChangeRows, JobLabels
from .faults import blocked, store_error
from .interface import Changes, Opening, StoreBroken, StoreError, StoreUnusable
from .lock import WriterLock
from .migrate import create_database, migrate_database, open_checked
from .operations import OPERATIONS_AT_MOST
from .reader import SqliteReader
from .rows import ANSWER_AGE_US, LAST_ANSWERS, read_run
from .tallies import TallyKeeper
from .wal import wal_pages

__all__ = ["SqliteReader", "SqliteWriter", "create_database", "migrate_database"]

# A log of fewer pages is not worth a checkpoint in an idle moment.
CHECKPOINT_PAGES = 1_000
# A log this large is checkpointed at once, however busy: it slows readers and fills the disk.
CHECKPOINT_BYTES = 64 * 2**20
# While a reader keeps an old state the log cannot shrink; try again each time it grew by this.
RETRY_BYTES = 16 * 2**20
# How long a statement waits for a lock that another process holds.
BUSY_MS = 5_000
# Pages that fall out of it are in the system's own cache still.
CACHE_KIB = 2 * 1024
# The ledger's own look-ups must be answered; this only ends what would never end.
LOOK_UP_S = 60.0
# Old answers forgotten in one idle moment.
FORGOTTEN_ANSWERS = 2_000
# Jobs whose labels are known to be written; forgotten beyond, and then written again.
KNOWN_JOBS = 200_000


class SqliteWriter:
    """Implements `Writer`. Closed until `open`; after `StoreBroken` the process must end."""

    reader: SqliteReader

    def __init__(self, path: str | os.PathLike[str], *, busy_ms: int = BUSY_MS) -> None:
        self._path = os.fspath(path)
        self._busy_ms = busy_ms
        self._lock: WriterLock | None = None
        self._connection: sqlite3.Connection | None = None
        self._tallies: TallyKeeper | None = None
        self._epoch = 0
        self._seq = 0
        self._page_bytes = 4096
        self._retry_at_bytes = 0
        self._job_labels: set[JobLabels] = set()

    def open(self, now_us: int) -> Opening:
        """Take the lock, raise the epoch durably, return what is there.

        Raises:
            StoreUnusable: another server holds it, or the database is missing, corrupt, older or
                newer, or cannot be written.
        """
        if not os.path.exists(self._path):
            sentence = "there is no such file: create it first"
            raise StoreUnusable(f"database {self._path}: {sentence}")
        # Before SQLite makes files beside it, which would have the mode of the database.
        if wrong := blocked(self._path):
            raise StoreUnusable(f"database {self._path}: it may not be written: {wrong}")
        self._lock = WriterLock(self._path)
        try:
            self._connection = open_checked(self._path, writable=True)
            self._prepare(self._connection)
            self._tallies = TallyKeeper(self._connection)
            self.reader = SqliteReader(self._path, limit_s=LOOK_UP_S, connection=self._connection)
            return self._take_over(self._connection)
        except sqlite3.Error as error:
            self.close()
            raise StoreUnusable(str(store_error(self._path, error))) from None
        except (StoreError, StoreUnusable) as error:
            self.close()
            raise StoreUnusable(str(error)) from None

    def rest(self) -> None:
        """Give back the memory of pages that nobody reads just now."""
        self.reader.rest()

    def close(self) -> None:
        """Close the database and release the lock; a second call does nothing."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # --- looking --------------------------------------------------------------------------------

    def existing_expected(self, keys: list[tuple[str, str, int]]) -> set[tuple[str, str, int]]:
        """Return which of (job_id, args_key, schedule_us) a schedule has already made a run for."""
        text = (
            "SELECT 1 FROM runs INDEXED BY runs_planned"
            " WHERE job_id = ? AND args = ? AND schedule_us = ? AND planned = 1"
        )
        moved = "SELECT 1 FROM moved WHERE job_id = ? AND args = ? AND schedule_us = ?"
        execute = self._ours().execute
        try:
            return {
                key
                for key in keys
                if execute(text, key).fetchone() is not None
                or execute(moved, key).fetchone() is not None
            }
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error

    def expected_after(self, job_id: str, fingerprint: str, at_us: int) -> list[Run]:
        """Return the expected, still scheduled runs of a schedule from `at_us` on, by time."""
        text = (
            "SELECT n, state, record FROM runs INDEXED BY runs_planned"
            " WHERE job_id = ? AND schedule_us >= ?"
            " AND planned = 1 AND state = 0 ORDER BY schedule_us, args"
        )
        try:
            rows = self._ours().execute(text, (job_id, at_us)).fetchall()
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error
        runs = self.reader.readable("runs", read_run, rows)
        return [run for run in runs if run.expected and run.fingerprint == fingerprint]

    # --- writing --------------------------------------------------------------------------------

    def commit(self, changes: Changes) -> None:
        """Write all of it durably in one transaction.

        Raises:
            StoreError: nothing was written; the same changes may be committed again later.
            StoreBroken: the process must end.
        """
        connection = self._ours()
        rows = ChangeRows(changes, self._seq, self._path, self._job_labels)
        try:
            connection.execute("BEGIN IMMEDIATE")
            rows.write(connection, self._epoch)
            self._keep_tallies()
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back(connection)
            raise store_error(self._path, error) from error
        except BaseException:
            self._roll_back(connection)
            raise
        self._seq = rows.seq
        if changes.free_pages:
            self._free(connection, changes.free_pages)
        self._job_labels |= rows.job_labels
        if len(self._job_labels) > KNOWN_JOBS:
            self._job_labels.clear()
        self._relieve(connection)

    def maintain(self, now_us: int) -> None:
        """Idle work: checkpoint the log, forget answers older than 24 hours, but the last ones and
        those to actions that are not settled: these are asked for again however long it takes.

        Raises:
            StoreError: it can wait.
            StoreBroken: the process must end.
        """
        connection = self._ours()
        try:
            self._forget_answers(connection, now_us - ANSWER_AGE_US)
            if wal_pages(self._path, self._page_bytes) > CHECKPOINT_PAGES:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error

    # --- inside ---------------------------------------------------------------------------------

    def _ours(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreBroken(f"database {self._path}: it is closed: expected an open writer")
        return self._connection

    def _keep_tallies(self) -> None:
        assert self._tallies is not None, f"{self._path}: is not open"
        self._tallies.put()

    def _forget_answers(self, connection: sqlite3.Connection, before_us: int) -> None:
        old = (
            "SELECT rowid FROM answers WHERE at_us < ?"
            " AND rowid <= (SELECT max(rowid) FROM answers) - ? AND command_id NOT IN"
            " (SELECT ? || action_id FROM outbox) ORDER BY at_us LIMIT ?"
        )
        terms = (before_us, LAST_ANSWERS, ACTION_COMMAND, FORGOTTEN_ANSWERS)
        if connection.execute(f"SELECT 1 FROM ({old}) LIMIT 1", terms).fetchone() is None:
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"DELETE FROM answers WHERE rowid IN ({old})", terms)
            self._keep_tallies()
            connection.execute("COMMIT")
        except sqlite3.Error:
            self._roll_back(connection)
            raise

    def _prepare(self, connection: sqlite3.Connection) -> None:
        for pragma in (
            f"busy_timeout = {self._busy_ms}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "wal_autocheckpoint = 0",
            f"cache_size = -{CACHE_KIB}",
            "temp_store = MEMORY",
            # Overwriting what is deleted costs writes and protects nothing here.
            "secure_delete = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        self._page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]

    def _take_over(self, connection: sqlite3.Connection) -> Opening:
        """Raise the epoch, then read the opening."""
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE meta SET epoch = epoch + 1")
        self._keep_tallies()
        connection.execute("COMMIT")
        head = connection.execute(
            "SELECT epoch, seq, next_run_number, jobs_version, since_us, server_id FROM meta"
        ).fetchone()
        if not all(isinstance(value, int) for value in head[:5]):
            raise StoreUnusable(
                f"database {self._path}: its head cannot be read: restore it from a backup"
            )
        self._epoch, self._seq = head[0], head[1]
        reader = self.reader
        opening = Opening(
            epoch=head[0],
            seq=head[1],
            next_run_number=head[2],
            jobs_version=head[3],
            since_us=head[4],
            server_id=head[5],
            active=reader.active(),
            schedules=reader.schedules(),
            jobs=reader.jobs(),
            ad_hoc_jobs=reader.ad_hoc_jobs(),
            outbox=reader.owed(),
            agents=reader.agents(),
            agent_tokens=reader.agent_tokens(),
            api_tokens=reader.api_tokens(),
            users=reader.users(),
            sessions=reader.sessions(),
            audit_head=reader.audit_head(),
            pauses=reader.pauses(),
            backfills=reader.open_backfills(),
            last_backfill=reader.last_backfill(),
            findings=reader.findings()[1],
            operations=reader.operations(OPERATIONS_AT_MOST),
            deadlines=reader.deadlines(),
            streaks=reader.streaks(),
            calendars=reader.calendars(),
        )
        opening.set_aside = reader.set_aside
        return opening

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        """Undo what is left of a failed transaction; many errors have done so already."""
        if self._tallies is not None:
            self._tallies.forget()
        if connection.in_transaction:
            try:
                connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise StoreBroken(f"database {self._path}: cannot undo: {error}") from error

    def _free(self, connection: sqlite3.Connection, pages: int) -> None:
        """Give unused pages back to the disk. What was committed stays so if it fails."""
        try:
            # A row for each page: the statement goes on only as its rows are read.
            connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
        except sqlite3.Error as error:
            fault = store_error(self._path, error)
            if isinstance(fault, StoreBroken):
                raise fault from error

    def _relieve(self, connection: sqlite3.Connection) -> None:
        """Checkpoint a log that has grown too large. What was committed stays so if it fails."""
        try:
            file_bytes = os.stat(f"{self._path}-wal").st_size
        except OSError:
            return
        if file_bytes <= CHECKPOINT_BYTES:
            return
        log_bytes = wal_pages(self._path, self._page_bytes) * self._page_bytes
        if log_bytes <= CHECKPOINT_BYTES:
            self._retry_at_bytes = 0
        elif log_bytes >= self._retry_at_bytes:
            self._retry_at_bytes = log_bytes + RETRY_BYTES
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            except sqlite3.Error as error:
                fault = store_error(self._path, error)
                if isinstance(fault, StoreBroken):
                    raise fault from error
