"""Archives: files of the same schema that finished runs are moved into, searched as they were.

A chunk is copied here, made durable, and only then taken out of the database, by the ledger; what
is copied twice since a server died in between is replaced. Outputs that are files lie beside the
archive, in `<archive>.outputs`, by the same relative paths. Called off the ledger's thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from .faults import sentence_of
from .finding import Range
from .interface import StoreError
from .lock import WriterLock
from .migrate import ARCHIVE_ID, connect, create_database, migrate_locked, open_checked
from .outputs import folder_of
from .records import UNREADABLE
from .rows import BLOCK_BITS, decode_output, decode_plain, decode_run, label_text

_FINISHED = "state IN (5, 6, 7, 8, 9)"
_NUMBERS = "n IN (SELECT value FROM json_each(?))"


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk as it is in the archive now: of each run its version as copied and how many events it
    has, the rows of each table, and, if that was asked, how many more runs could be moved."""

    runs: dict[str, tuple[int, int]] = {}
    rows: dict[str, int] = {}
    remaining: int = 0


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are to be copied: finished, last changed before `before_us`, with a number above
    `after` and not among `without`, the oldest first, at most `limit`. `counting`: say how many
    there are beyond. Of these `jobs`, or of jobs in these folders; with one of these `labels`; but
    for the newest `keep` of each job."""

    before_us: int
    limit: int
    after: int = 0
    without: tuple[int, ...] = ()
    counting: bool = False
    jobs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    keep: int = 0


def outputs_of(archive: str) -> str:
    """Return the folder of an archive's output files."""
    return f"{archive}.outputs"


def copy_chunk(database: str, archive: str | None, outputs: str, chunk: Chunk) -> Copied:
    """Copy a chunk of runs into the archive, which is made when it is missing.

    Args:
        archive: its path; None: the chunk is only chosen.
        outputs: the output folder of the database.
    Raises:
        StoreError, StoreUnusable: nothing was copied, or all of it is to be copied again.
    """
    if archive is None:
        return _chosen(database, chunk)
    if os.path.realpath(archive) == os.path.realpath(database):
        raise StoreError(f"archive {archive}: is the database itself: expected another file")
    source = open_checked(database, writable=False)
    server_id = source.execute("SELECT server_id FROM meta").fetchone()[0]
    source.close()
    if not os.path.lexists(archive):
        create_database(archive, 0, application_id=ARCHIVE_ID, server_id=server_id)
    lock = WriterLock(archive)
    try:
        migrate_locked(archive, ARCHIVE_ID)
        connection = connect(archive, writable=True)
        try:
            return _copy(connection, database, archive, outputs, chunk, server_id)
        except sqlite3.Error as error:
            raise StoreError(f"archive {archive}: {sentence_of(error)}") from None
        finally:
            connection.close()
    finally:
        lock.release()


def drop_outputs(outputs: str, run_ids: Iterable[str]) -> None:
    """Remove the output files of runs that are not in the database any more."""
    for run_id in run_ids:
        shutil.rmtree(os.path.join(outputs, folder_of(run_id)), ignore_errors=True)


# --- inside ---------------------------------------------------------------------------------------


def _copy(
    connection: sqlite3.Connection,
    database: str,
    archive: str,
    outputs: str,
    chunk: Chunk,
    server_id: str,
) -> Copied:
    if connection.execute("SELECT server_id FROM meta").fetchone()[0] != server_id:
        sentence = "holds runs of another installation: expected another file"
        raise StoreError(f"archive {archive}: {sentence}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("ATTACH ? AS live", (f"file:{quote(os.path.abspath(database))}?mode=ro",))
    connection.execute("BEGIN IMMEDIATE")
    found, remaining = _choose(connection, chunk)
    runs = found.runs
    if not runs:
        connection.execute("ROLLBACK")
        return Copied(remaining=remaining)
    listed = found.listed
    _refuse_others(connection, archive, listed)
    counts = _copy_rows(connection, listed)
    definitions = json.dumps(sorted({run.definition for run in runs if run.definition}))
    jobs = json.dumps(sorted({run.job_id for run in runs}))
    for table, key, values in (
        ("definitions", "hash", definitions),
        ("ad_hoc_jobs", "job_id", jobs),
        ("run_jobs", "job_id", jobs),
    ):
        connection.execute(
            f"INSERT OR IGNORE INTO main.{table} SELECT * FROM live.{table}"
            f" WHERE {key} IN (SELECT value FROM json_each(?))",
            (values,),
        )
    _link_outputs(found.output_files, outputs, outputs_of(archive))
    connection.execute("COMMIT")
    return Copied(runs=found.versions, rows=counts, remaining=remaining)


def _chosen(database: str, chunk: Chunk) -> Copied:
    """Return a chunk that is copied nowhere."""
    connection = sqlite3.connect("file::memory:", uri=True, isolation_level=None)
    try:
        _attach(connection, database)
        connection.execute("BEGIN")
        found, remaining = _choose(connection, chunk)
        rows = {
            name: connection.execute(
                f"SELECT count(*) FROM live.{table} WHERE {_NUMBERS}", (found.listed,)
            ).fetchone()[0]
            for table, name in (("runs", "runs"), ("events", "run_history"), ("outputs", "output"))
        }
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"database {database}: {sentence_of(error)}") from None
    finally:
        connection.close()
    return Copied(runs=found.versions, rows=rows, remaining=remaining)


def _attach(connection: sqlite3.Connection, database: str) -> None:
    connection.execute("ATTACH ? AS live", (f"file:{quote(os.path.abspath(database))}?mode=ro",))


class _Found:
    """Runs as they lie in the database, with how many events each has and its output files.

    `unread`: the numbers of those of which a row cannot be read. They are not among the others.
    """

    def __init__(self, connection: sqlite3.Connection, numbers: list[int]) -> None:
        listed = json.dumps(numbers)
        self.unread: set[int] = set()
        self._events: Counter[int] = Counter()
        self._files: list[tuple[int, str]] = []
        records = dict(self._read(connection, "runs", "record", decode_run, listed))
        for n, notes in self._read(connection, "events", "body", decode_plain, listed):
            self._events[n] += len(notes)
        for n, output in self._read(connection, "outputs", "body", decode_output, listed):
            if output.path is not None:
                self._files.append((n, output.path))
        self.runs = [run for n, run in records.items() if n not in self.unread]

    def _read(
        self,
        connection: sqlite3.Connection,
        table: str,
        column: str,
        decode: Callable[[bytes], Any],
        listed: str,
    ) -> Iterator[tuple[int, Any]]:
        text = f"SELECT n, {column} FROM live.{table} WHERE {_NUMBERS}"
        for number, body in connection.execute(text, (listed,)):
            try:
                yield number, decode(body)
            except UNREADABLE:
                self.unread.add(number)

    @property
    def listed(self) -> str:
        """The numbers of the runs, for `_NUMBERS`."""
        return json.dumps([run.number for run in self.runs])

    @property
    def versions(self) -> dict[str, tuple[int, int]]:
        """The version of each run, and how many events it has."""
        return {run.run_id: (run.version, self._events[run.number]) for run in self.runs}

    @property
    def output_files(self) -> list[str]:
        """The paths of the outputs that are files, below the output folder."""
        return [path for number, path in self._files if number not in self.unread]


def _choose(connection: sqlite3.Connection, chunk: Chunk) -> tuple[_Found, int]:
    """Return the runs of the chunk, and how many more there are if that is asked. Those that cannot
    be read stay where they are: the ledger, which has set them aside, would not let them go."""
    while True:
        numbers, remaining = _numbers(connection, chunk)
        found = _Found(connection, numbers)
        if not found.unread:
            return found, remaining
        chunk = msgspec.structs.replace(chunk, without=(*chunk.without, *found.unread))


def _numbers(connection: sqlite3.Connection, chunk: Chunk) -> tuple[list[int], int]:
    """Return the numbers of the chunk, and how many more there are if that is asked."""
    numbers: list[int] = []
    remaining = 0
    where, values = _where(chunk)
    text = f"SELECT n, job_id FROM live.runs NOT INDEXED WHERE {where} ORDER BY n"
    kept: dict[str, int] = {}
    for low, high in _blocks(connection, chunk):
        for number, job_id in connection.execute(text, (low, high, *values)):
            if chunk.keep:
                if job_id not in kept:
                    kept[job_id] = _oldest_kept(connection, job_id, chunk.keep)
                if number >= kept[job_id]:
                    continue
            if len(numbers) < chunk.limit:
                numbers.append(number)
            elif chunk.counting:
                remaining += 1
            else:
                return numbers, 0
    return numbers, remaining


def _where(chunk: Chunk) -> tuple[str, list[Any]]:
    terms = ["n >= ?", "n < ?", _FINISHED, "changed_us < ?"]
    values: list[Any] = [chunk.before_us]
    if chunk.without:
        terms.append("n NOT IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(chunk.without))
    if chunk.jobs:
        # Of a folder the ids from `folder/` to the character after the stroke.
        one = "job_id = ? OR job_id > ? AND job_id < ?"
        terms.append(f"({' OR '.join([one] * len(chunk.jobs))})")
        for job in chunk.jobs:
            folder = job.rstrip("/")
            values += (folder, f"{folder}/", f"{folder}0")
    if chunk.labels:
        terms.append(f"({' OR '.join(['instr(labels, ?)'] * len(chunk.labels))})")
        values += map(label_text, chunk.labels)
    return " AND ".join(terms), values


def _oldest_kept(connection: sqlite3.Connection, job_id: str, keep: int) -> int:
    """Return the number of the oldest of a job's newest finished runs that stay."""
    row = connection.execute(
        f"SELECT n FROM live.runs INDEXED BY runs_job WHERE job_id = ? AND {_FINISHED}"
        " ORDER BY n DESC LIMIT 1 OFFSET ?",
        (job_id, keep - 1),
    ).fetchone()
    return 0 if row is None else int(row[0])


def _blocks(connection: sqlite3.Connection, chunk: Chunk) -> list[Range]:
    """Return the ranges of numbers that can hold such runs, the lowest first: a run is over after
    the time it was for, but for those skipped early, which wait until that time has come."""
    rows = connection.execute(
        "SELECT block FROM live.spans WHERE least_schedule_us < ? AND block >= ? ORDER BY block",
        (chunk.before_us, (chunk.after + 1) >> BLOCK_BITS),
    )
    return [
        (max(block << BLOCK_BITS, chunk.after + 1), (block + 1) << BLOCK_BITS)
        for (block,) in rows.fetchall()
    ]


def _refuse_others(connection: sqlite3.Connection, archive: str, listed: str) -> None:
    """Refuse to replace what is not an earlier copy of the same run."""
    found = connection.execute(
        "SELECT kept.n FROM main.runs AS kept JOIN live.runs AS ours USING (n)"
        f" WHERE {_NUMBERS} AND (kept.job_id, kept.args, kept.schedule_us)"
        " <> (ours.job_id, ours.args, ours.schedule_us) LIMIT 1",
        (listed,),
    ).fetchone()
    if found is not None:
        sentence = "another run has its place there: expected an archive of this database"
        raise StoreError(f"archive {archive}: run r{found[0]}: {sentence}")


def _copy_rows(connection: sqlite3.Connection, listed: str) -> dict[str, int]:
    counts = {}
    for table, name in (
        ("runs", "runs"),
        ("events", "run_history"),
        ("outputs", "output"),
        ("run_agents", ""),
        ("backfill_runs", ""),
        ("results", ""),
        ("moved", ""),
        ("reruns", ""),
    ):
        connection.execute(f"DELETE FROM main.{table} WHERE {_NUMBERS}", (listed,))
        done = connection.execute(
            f"INSERT INTO main.{table} SELECT * FROM live.{table} WHERE {_NUMBERS}", (listed,)
        )
        if name:
            counts[name] = done.rowcount
    connection.execute(
        "INSERT INTO main.spans SELECT n >> ?, min(schedule_us), max(schedule_us), max(changed_us)"
        f" FROM live.runs WHERE {_NUMBERS} GROUP BY 1 ON CONFLICT (block) DO UPDATE SET"
        " least_schedule_us = min(least_schedule_us, excluded.least_schedule_us),"
        " most_schedule_us = max(most_schedule_us, excluded.most_schedule_us),"
        " most_changed_us = max(most_changed_us, excluded.most_changed_us)",
        (BLOCK_BITS, listed),
    )
    return counts


def _link_outputs(paths: Iterable[str], source: str, target: str) -> None:
    """Give the output files of the runs a second name beside the archive, or copy them there."""
    folders = set()
    for path in paths:
        kept = os.path.join(target, path)
        os.makedirs(os.path.dirname(kept), mode=0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            _link(os.path.join(source, path), kept)
        folders.add(os.path.dirname(kept))
    for folder in sorted(folders):
        _sync(folder)
    if folders:
        for folder in {os.path.dirname(one) for one in folders} | {target}:
            _sync(folder)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:
        # Another file system, or one without links.
        part = f"{target}.part"
        shutil.copyfile(source, part)
        fd = os.open(part, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(part, target)


def _sync(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
