"""Operations on many runs, runs put to other times, chains of reruns: how they are read, written
and held.

Called by the SQLite store and its in-memory twin, which are the only ones to know the tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from ..jobs.run import Run, run_number
from ..messages.operations import Moved, Operation, Part
from .records import Records, body_by
from .rows import args_text, decode_operation, decode_part

if TYPE_CHECKING:
    from .interface import Changes

_encode = msgspec.msgpack.Encoder().encode
_operation, _part = body_by(decode_operation), body_by(decode_part)

# More operations are never kept.
OPERATIONS_AT_MOST = 10_000
# Runs of a chain that are shown: the newest.
CHAIN_RUNS = 1_000
# Of the jobs that are asked for, so many in one statement.
_JOBS_AT_ONCE = 500


class OperationsReader(Protocol):
    """What is read of them."""

    def operation(self, operation_id: str) -> Operation | None:
        """Return an operation, None when there is none."""

    def operations(self, limit: int) -> list[Operation]:
        """Return the operations that were begun last, newest first."""

    def operation_parts(self, operation_id: str, first: int, limit: int) -> list[Part]:
        """Return parts of an operation from number `first` on, at most `limit`."""

    def moved(self, job_ids: Sequence[str], since_us: int, until_us: int) -> list[Moved]:
        """Return the runs of these jobs that schedules made for since_us ≤ a time < until_us and
        that were put to another one."""

    def chain(self, root: str) -> list[str]:
        """Return the ids of the runs that repeat a run, or one that repeats it, in order: the last
        thousand."""


class SqliteOperationsReads(Records):
    """Implements `OperationsReader` for a reader that runs statements by `_one` and `_all`."""

    def operation(self, operation_id: str) -> Operation | None:
        """See `OperationsReader`."""
        text = "SELECT operation_id, body FROM operations WHERE operation_id = ?"
        return self._read_one("operations", _operation, text, operation_id)

    def operations(self, limit: int) -> list[Operation]:
        """See `OperationsReader`."""
        text = (
            "SELECT operation_id, body FROM operations ORDER BY begun_us DESC, operation_id LIMIT ?"
        )
        return self._read_all("operations", _operation, text, limit)

    def operation_parts(self, operation_id: str, first: int, limit: int) -> list[Part]:
        """See `OperationsReader`."""
        text = (
            "SELECT operation_id || ' ' || number, body FROM operation_parts"
            " WHERE operation_id = ? AND number >= ? ORDER BY number LIMIT ?"
        )
        return self._read_all("operation_parts", _part, text, operation_id, first, limit)

    def moved(self, job_ids: Sequence[str], since_us: int, until_us: int) -> list[Moved]:
        """See `OperationsReader`."""
        found = []
        for begin in range(0, len(job_ids), _JOBS_AT_ONCE):
            some = job_ids[begin : begin + _JOBS_AT_ONCE]
            text = (
                "SELECT n, job_id, args, schedule_us FROM moved"
                f" WHERE job_id IN ({', '.join('?' * len(some))})"
                " AND schedule_us >= ? AND schedule_us < ? ORDER BY n"
            )
            found += self._all(text, *some, since_us, until_us)
        return [
            Moved(run_id=f"r{n}", job_id=job_id, args_key=args, schedule_us=at_us)
            for n, job_id, args, at_us in found
        ]

    def chain(self, root: str) -> list[str]:
        """See `OperationsReader`."""
        text = "SELECT n FROM reruns WHERE root = ? ORDER BY n DESC LIMIT ?"
        rows = self._all(text, run_number(root) or -1, CHAIN_RUNS)
        return [f"r{row[0]}" for row in reversed(rows)]


def write_operations(connection: sqlite3.Connection, changes: Changes) -> None:
    """Write a batch's part of them inside the transaction that is open."""
    put = connection.executemany
    gone = [(key,) for key, operation in changes.operations.items() if operation is None]
    if gone:
        put("DELETE FROM operations WHERE operation_id = ?", gone)
        put("DELETE FROM operation_parts WHERE operation_id = ?", gone)
    kept = [one for one in changes.operations.values() if one is not None]
    if kept:
        put(
            "INSERT INTO operations (operation_id, begun_us, body) VALUES (?, ?, ?)"
            " ON CONFLICT (operation_id) DO UPDATE SET body = excluded.body",
            [(one.operation_id, one.begun_us, _encode(one)) for one in kept],
        )
    if changes.operation_parts:
        put(
            "INSERT INTO operation_parts (operation_id, number, body) VALUES (?, ?, ?)"
            " ON CONFLICT (operation_id, number) DO UPDATE SET body = excluded.body",
            [(part.operation_id, part.number, _encode(part)) for part in changes.operation_parts],
        )


def write_chains(connection: sqlite3.Connection, runs: Iterable[Run | None]) -> None:
    """Write what the runs of a batch say of their chains, and of the times they were made for."""
    reruns, moved = [], []
    for run in runs:
        if run is None:
            continue
        if run.rerun_root is not None:
            reruns.append((run.number, run_number(run.rerun_root)))
        if run.moved_from is not None and run.moved_from.fingerprint is not None:
            at_us = run.moved_from.schedule_us
            moved.append((run.number, run.job_id, at_us, args_text(run.args)))
    if reruns:
        connection.executemany(
            "INSERT INTO reruns (n, root) VALUES (?, ?) ON CONFLICT (n) DO NOTHING", reruns
        )
    if moved:
        connection.executemany(
            "INSERT INTO moved (n, job_id, schedule_us, args) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (n) DO NOTHING",
            moved,
        )


class OperationTables:
    """What the in-memory store holds of them."""

    def __init__(self) -> None:
        self.operations: dict[str, Operation] = {}
        self.parts: dict[str, dict[int, Part]] = {}
        self.moved: dict[int, Moved] = {}
        self.taken: set[tuple[str, str, int]] = set()
        self.reruns: dict[int, str] = {}

    def copy(self) -> OperationTables:
        """Return a copy that shares the frozen records."""
        twin = OperationTables()
        twin.operations = dict(self.operations)
        twin.parts = {key: dict(parts) for key, parts in self.parts.items()}
        twin.moved = dict(self.moved)
        twin.taken = set(self.taken)
        twin.reruns = dict(self.reruns)
        return twin

    def apply(self, changes: Changes) -> None:
        """Take a batch's part of them."""
        for key, operation in changes.operations.items():
            if operation is None:
                self.operations.pop(key, None)
                self.parts.pop(key, None)
            else:
                self.operations[key] = operation
        for part in changes.operation_parts:
            self.parts.setdefault(part.operation_id, {})[part.number] = part

    def put(self, run: Run) -> None:
        """Note what a run says of its chain, and of the time it was made for."""
        if run.rerun_root is not None:
            self.reruns.setdefault(run.number, run.rerun_root)
        if run.moved_from is not None and run.moved_from.fingerprint is not None:
            moved = Moved(
                run_id=run.run_id,
                job_id=run.job_id,
                args_key=args_text(run.args),
                schedule_us=run.moved_from.schedule_us,
            )
            self.moved.setdefault(run.number, moved)
            self.taken.add(_key(moved))

    def drop(self, number: int) -> None:
        """A run is gone."""
        self.reruns.pop(number, None)
        moved = self.moved.pop(number, None)
        if moved is not None:
            self.taken.discard(_key(moved))


class MemoryOperationsReads:
    """Implements `OperationsReader` on tables in memory."""

    @property
    def _operations(self) -> OperationTables:
        raise NotImplementedError

    def operation(self, operation_id: str) -> Operation | None:
        """See `OperationsReader`."""
        return self._operations.operations.get(operation_id)

    def operations(self, limit: int) -> list[Operation]:
        """See `OperationsReader`."""
        found = sorted(self._operations.operations.values(), key=_newest_first)
        return found[:limit]

    def operation_parts(self, operation_id: str, first: int, limit: int) -> list[Part]:
        """See `OperationsReader`."""
        parts = self._operations.parts.get(operation_id, {})
        return [parts[number] for number in sorted(parts) if number >= first][:limit]

    def moved(self, job_ids: Sequence[str], since_us: int, until_us: int) -> list[Moved]:
        """See `OperationsReader`."""
        wanted = set(job_ids)
        return [
            moved
            for _, moved in sorted(self._operations.moved.items())
            if moved.job_id in wanted and since_us <= moved.schedule_us < until_us
        ]

    def chain(self, root: str) -> list[str]:
        """See `OperationsReader`."""
        numbers = sorted(n for n, of in self._operations.reruns.items() if of == root)
        return [f"r{n}" for n in numbers[-CHAIN_RUNS:]]


def _newest_first(one: Operation) -> tuple[int, str]:
    return -one.begun_us, one.operation_id


def _key(moved: Moved) -> tuple[str, str, int]:
    return moved.job_id, moved.args_key, moved.schedule_us
