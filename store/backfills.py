"""Backfills and their runs: how they are read, written and held.

Called by the SQLite store and its in-memory twin, which are the only ones to know the tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ..jobs.run import Run
from ..jobs.states import ACTIVE, State
from ..messages.backfills import Backfill, OpenBackfill
from .finding import matching
from .interface import Instance, RunQuery
from .records import Records, body_by
from .rows import STATE_CODES, STATES, args_text, decode_backfill

_encode = msgspec.msgpack.Encoder().encode
_backfill = body_by(decode_backfill)


class _Turn(msgspec.Struct):
    """What of a run's record says whether its backfill has let it go."""

    turned: bool = False


_decode_turn = msgspec.msgpack.Decoder(_Turn).decode


def _turn(row: tuple[Any, ...]) -> tuple[str, State, bool]:
    n, code, held, record = row
    return f"r{n}", STATES[code], held and not _decode_turn(record).turned


# A run of a backfill that has not begun is counted under this word.
PENDING = "pending"


class SqliteBackfillReads(Records):
    """Implements those reads of `Reader` for one that runs statements by `_one` and `_all`."""

    _connection: sqlite3.Connection

    def _reading(self, *, several: bool = False) -> Any:
        raise NotImplementedError

    def backfills(self, limit: int) -> list[Backfill]:
        """See `Reader`."""
        text = "SELECT n, body FROM backfills ORDER BY n DESC LIMIT ?"
        return self._read_all("backfills", _backfill, text, limit)

    def backfill(self, number: int) -> Backfill | None:
        """See `Reader`."""
        text = "SELECT n, body FROM backfills WHERE n = ?"
        return self._read_one("backfills", _backfill, text, number)

    def backfill_counts(self, number: int) -> dict[str, int]:
        """See `Reader`."""
        members = "FROM backfill_runs CROSS JOIN runs USING (n) WHERE backfill = ?"
        held = f"(state = {STATE_CODES[State.SCHEDULED]} AND held)"
        rows = self._all(f"SELECT state, count(*) {members} AND NOT {held} GROUP BY state", number)
        text = f"SELECT n, state, held, record {members} AND {held}"
        waiting = self._read_all("runs", _turn, text, number)
        return _tally(
            [
                *((STATES[code], False, count) for code, count in rows),
                *((state, is_held_back, 1) for _, state, is_held_back in waiting),
            ]
        )

    def open_backfills(self) -> list[OpenBackfill]:
        """See `Reader`."""
        found = []
        text = "SELECT n, body FROM backfills WHERE is_open = 1 ORDER BY n"
        for backfill in self._read_all("backfills", _backfill, text):
            runs = self._read_all(
                "runs",
                _turn,
                "SELECT n, state, held, record FROM backfill_runs CROSS JOIN runs USING (n)"
                " WHERE backfill = ? AND state < 5 ORDER BY n",
                backfill.number,
            )
            found.append(_open(backfill, runs))
        return found

    def last_backfill(self) -> int:
        """See `Reader`."""
        row = self._one("SELECT coalesce(max(n), 0) FROM backfills")
        return 0 if row is None else int(row[0])

    def instances_of(self, query: RunQuery) -> set[Instance]:
        """See `Reader`."""
        with self._reading(several=True):
            found = matching(self._connection, query)
            if found is None:
                return set()
            rows = self._connection.execute(f"SELECT args, schedule_us FROM {found[0]}", found[1])
            return {(args, at_us) for args, at_us in rows}


def write_backfills(
    connection: sqlite3.Connection,
    backfills: Mapping[int, Backfill],
    members: Iterable[tuple[int, int]],
) -> None:
    """Write backfills, and of which backfill runs are, inside the transaction that is open."""
    connection.executemany(
        "INSERT INTO backfills (n, is_open, body) VALUES (?, ?, ?)"
        " ON CONFLICT (n) DO UPDATE SET is_open = excluded.is_open, body = excluded.body",
        [(n, one.ended_us is None, _encode(one)) for n, one in backfills.items()],
    )
    connection.executemany(
        "INSERT INTO backfill_runs (n, backfill) VALUES (?, ?) ON CONFLICT (n) DO NOTHING", members
    )


class MemoryBackfillReads:
    """Implements those reads of `Reader` on tables in memory."""

    @property
    def _tables(self) -> Any:
        raise NotImplementedError

    def _matching(self, query: RunQuery) -> Iterable[Run]:
        raise NotImplementedError

    def backfills(self, limit: int) -> list[Backfill]:
        """See `Reader`."""
        table: dict[int, Backfill] = self._tables.backfills
        return [table[number] for number in sorted(table, reverse=True)[:limit]]

    def backfill(self, number: int) -> Backfill | None:
        """See `Reader`."""
        found: Backfill | None = self._tables.backfills.get(number)
        return found

    def backfill_counts(self, number: int) -> dict[str, int]:
        """See `Reader`."""
        return _tally((run.state, run.held and not run.turned, 1) for run in self._members(number))

    def open_backfills(self) -> list[OpenBackfill]:
        """See `Reader`."""
        return [
            _open(
                one,
                (
                    (run.run_id, run.state, run.held and not run.turned)
                    for run in self._members(number)
                ),
            )
            for number, one in sorted(self._tables.backfills.items())
            if one.ended_us is None
        ]

    def last_backfill(self) -> int:
        """See `Reader`."""
        return max(self._tables.backfills, default=0)

    def instances_of(self, query: RunQuery) -> set[Instance]:
        """See `Reader`."""
        return {(args_text(run.args), run.schedule_us) for run in self._matching(query)}

    def _members(self, number: int) -> list[Run]:
        runs: dict[int, Run] = self._tables.runs
        return [run for _, run in sorted(runs.items()) if run.backfill == number]


def _tally(rows: Iterable[tuple[State, bool, int]]) -> dict[str, int]:
    """Return the counts of states, whether the backfill holds those runs, and how many they are."""
    counts: dict[str, int] = {}
    for state, is_held_back, count in rows:
        word = PENDING if state is State.SCHEDULED and is_held_back else state.value
        counts[word] = counts.get(word, 0) + count
    return counts


def _open(backfill: Backfill, runs: Iterable[tuple[str, State, bool]]) -> OpenBackfill:
    pending, begun = [], []
    for run_id, state, held in runs:
        if state is State.SCHEDULED and held:
            pending.append(run_id)
        elif state is State.SCHEDULED or state in ACTIVE:
            begun.append(run_id)
    return OpenBackfill(backfill=backfill, pending=pending, begun=begun)
