"""Takes an Apsis database over into one of ours, while no server runs on that.

What was taken is durable after each batch, and a run that is there already is left as it is. So an
import can be cut off at any instant and begun again. Called by the command line.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from ..jobs.run import Run, args_key
from ..jobs.times import SECOND_US
from ..messages.instructions import OutputRecord
from .apsis_jobs import definition_of
from .apsis_rows import OVER, ApsisRun, BadRow, plain_output, run_of
from .faults import sentence_of
from .interface import Changes, Opening, StoreUnusable
from .outputs import path_of
from .sqlite import SqliteWriter

RUNS_A_BATCH = 500
# Larger outputs are files.
INLINE_BYTES = 16_384
TABLES = {"runs", "run_history", "output"}
PROBLEMS_TOLD = 20


class Taken(msgspec.Struct, kw_only=True):
    """What an import has done. `there`: were there already; `unfinished`: are not over in Apsis;
    `jobs`: ad hoc ones."""

    runs: int = 0
    jobs: int = 0
    there: int = 0
    unfinished: int = 0
    outputs: int = 0
    problems: list[str] = []
    problem_count: int = 0

    def tell(self, sentence: str) -> None:
        """Count a problem; the first ones are told."""
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_TOLD:
            self.problems.append(sentence)


class ApsisDatabase:
    """An Apsis database, read only; it may be in use."""

    def __init__(self, path: str) -> None:
        """Open it.

        Raises:
            StoreUnusable: it is none.
        """
        self.path = path
        if not os.path.isfile(path):
            raise StoreUnusable(f"{path}: there is no such file: expected an Apsis database")
        try:
            url = f"file:{quote(os.path.abspath(path))}?mode=ro"
            self._connection = sqlite3.connect(url, uri=True)
            rows = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            self._tables = {row[0] for row in rows}
            if not self._tables >= TABLES:
                lacking = ", ".join(sorted(TABLES - self._tables))
                raise StoreUnusable(f"{path}: has no table {lacking}: expected an Apsis database")
            about = self._connection.execute("PRAGMA table_info(runs)")
            self._columns = {row[1] for row in about}
        except sqlite3.Error as error:
            raise StoreUnusable(f"{path}: {sentence_of(error)}") from None

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    @property
    def clock_us(self) -> int | None:
        """Up to when Apsis has started scheduled runs, None when it does not say."""
        if "clock" not in self._tables:
            return None
        row = self._connection.execute("SELECT time FROM clock").fetchone()
        return None if row is None else round(row[0] * SECOND_US)

    def count_unfinished(self) -> int:
        """Return how many runs are not over."""
        marks = ", ".join("?" * len(OVER))
        text = f"SELECT count(*) FROM runs WHERE state NOT IN ({marks})"
        return int(self._connection.execute(text, OVER).fetchone()[0])

    def batches(self) -> Iterator[list[ApsisRun]]:
        """Yield the runs that are over, by row, some at a time."""
        more = [name if name in self._columns else "NULL" for name in ("conds", "actions")]
        marks = ", ".join("?" * len(OVER))
        text = (
            "SELECT rowid, run_id, timestamp, job_id, args, state, times, meta, program,"
            f" {more[0]}, {more[1]} FROM runs WHERE rowid > ? AND state IN ({marks})"
            " ORDER BY rowid LIMIT ?"
        )
        after = -(2**62)
        while rows := self._connection.execute(text, (after, *OVER, RUNS_A_BATCH)).fetchall():
            after = rows[-1][0]
            yield [ApsisRun(*(*row[1:], self._lines(row[1]))) for row in rows]

    def ad_hoc_jobs(self) -> Iterator[list[tuple[str, str]]]:
        """Yield ids and definitions of ad hoc jobs, some at a time."""
        if "jobs" not in self._tables:
            return
        found = self._connection.execute("SELECT job_id, job FROM jobs ORDER BY job_id")
        while rows := found.fetchmany(RUNS_A_BATCH):
            yield rows

    def outputs(self, run_id: str) -> list[tuple[Any, ...]]:
        """Return (output id, name, content type, length, compression, data) of a run."""
        text = (
            "SELECT output_id, name, content_type, length, compression, data FROM output"
            " WHERE run_id = ? ORDER BY output_id"
        )
        return self._connection.execute(text, (run_id,)).fetchall()

    def _lines(self, run_id: str) -> tuple[tuple[float, str], ...]:
        text = (
            "SELECT timestamp, message FROM run_history WHERE run_id = ? ORDER BY timestamp, rowid"
        )
        return tuple(self._connection.execute(text, (run_id,)).fetchall())


def take_over(
    source: ApsisDatabase,
    database: str,
    outputs: str,
    now_us: int,
    brotli: Callable[[bytes], bytes] | None = None,
) -> Taken:
    """Copy the runs of an Apsis database that are over, with logs and outputs, under their ids, and
    the ad hoc jobs, so that their runs can be run again.

    Args:
        database: one of ours, with no server on it.
        outputs: its output folder.
        brotli: decompresses, None where that cannot be done.
    Raises:
        StoreUnusable, StoreError: nothing more can be written; what was written stays.
    """
    taken = Taken(unfinished=source.count_unfinished())
    writer = SqliteWriter(database)
    taking = _Taking(source, writer, writer.open(now_us), taken, outputs, brotli)
    try:
        for jobs in source.ad_hoc_jobs():
            writer.commit(taking.ad_hoc(jobs))
        for batch in source.batches():
            writer.commit(taking.changes(batch))
    finally:
        writer.close()
    return taken


class _Taking:
    """Makes of each batch what is to be written."""

    def __init__(
        self,
        source: ApsisDatabase,
        writer: SqliteWriter,
        opening: Opening,
        taken: Taken,
        outputs: str,
        brotli: Callable[[bytes], bytes] | None,
    ) -> None:
        self._source = source
        self._reader = writer.reader
        self._seq, self._next_number = opening.seq, opening.next_run_number
        self._taken = taken
        self._outputs_root = outputs
        self._brotli = brotli

    def ad_hoc(self, batch: list[tuple[str, str]]) -> Changes:
        """Return what of some ad hoc jobs is not there yet."""
        changes = Changes()
        for job_id, text in batch:
            if self._reader.ad_hoc_job(job_id) is not None:
                continue
            try:
                definition = definition_of(job_id, text)
            except BadRow as error:
                self._taken.tell(str(error))
                continue
            changes.definitions.append(definition)
            changes.ad_hoc_jobs[job_id] = definition.hash
            self._taken.jobs += 1
        return changes

    def changes(self, batch: list[ApsisRun]) -> Changes:
        """Return what of a batch is not there yet."""
        changes = Changes()
        known = {run.run_id: run for run in self._reader.runs([row.run_id for row in batch])}
        for row in batch:
            try:
                run, events = run_of(row, self._seq)
                there = known.get(run.run_id)
                if there is not None and _what(there) != _what(run):
                    said = "another run has its id here: expected a new database"
                    raise BadRow(f"run {run.run_id}", said)
            except BadRow as error:
                self._taken.tell(str(error))
                continue
            if there is None:
                changes.runs[run.run_id] = run
                changes.events += events
                self._seq += len(events)
                self._next_number = max(self._next_number, run.number + 1)
                self._taken.runs += 1
            else:
                self._taken.there += 1
            changes.outputs += self._outputs(run, is_new=there is None)
        changes.next_run_number = self._next_number
        return changes

    def _outputs(self, run: Run, *, is_new: bool) -> Iterator[OutputRecord]:
        """Yield the outputs of a run that are not there yet."""
        records = [] if is_new else self._reader.outputs(run.run_id)
        kept = {one.output_id for one in records}
        for row in self._source.outputs(run.run_id):
            if row[0] in kept:
                continue
            try:
                yield _output(run.run_id, row, self._outputs_root, self._brotli)
                self._taken.outputs += 1
            except (BadRow, ValueError) as error:
                self._taken.tell(f"run {run.run_id}: output {row[0]}: {error}")


def _what(run: Run) -> tuple[str, str, int]:
    return run.job_id, args_key(run.args), run.schedule_us


def _output(
    run_id: str,
    row: tuple[Any, ...],
    root: str,
    brotli: Callable[[bytes], bytes] | None,
) -> OutputRecord:
    """Return the record of an output, its file written where it is large."""
    output_id, name, content_type, _, compression, data = row
    plain = plain_output(bytes(data or b""), compression, brotli)
    path = None
    if len(plain) > INLINE_BYTES:
        path = path_of(run_id, 1, str(output_id))
        _put(os.path.join(root, path), plain)
    return OutputRecord(
        run_id=run_id,
        output_id=str(output_id),
        name=str(name or output_id),
        length=len(plain),
        content_type=str(content_type or "application/octet-stream"),
        path=path,
        data=plain if path is None else None,
        sha256=hashlib.sha256(plain).hexdigest(),
    )


def _put(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    part = f"{path}.new"
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, path)
    with contextlib.suppress(OSError):
        fd = os.open(os.path.dirname(path), os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
