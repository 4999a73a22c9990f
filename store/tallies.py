"""Tallies: of each table how many rows it has and the sum of their checksums.

By them a row is missed that another hand has taken away, put in or altered, in tables whose rows
nothing else in the database tells of. The writer keeps them by triggers of its own connection alone
(TEMP): who writes by another connection does not move them. Not a seal: whoever can write here can
write tallies too; it is what accidents and repairs by hand are found by.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from zlib import crc32

# Runs and their events are held against each other, and the agents of runs against the runs.
UNTALLIED = frozenset({"runs", "events", "run_agents", "tallies"})

Tally = tuple[int, int]


class TallyKeeper:
    """Counts what a connection writes, until it is told to put that into the tallies."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Watch all tables of the connection from now on."""
        self._connection = connection
        self._moved: dict[str, list[int]] = {}
        connection.create_function("tally_row", -1, self._row)
        triggers = []
        for table, columns in tables_of(connection):
            for event, calls in (
                ("INSERT", ((1, "NEW"),)),
                ("DELETE", ((-1, "OLD"),)),
                ("UPDATE", ((-1, "OLD"), (1, "NEW"))),
            ):
                selects = " ".join(
                    f"SELECT tally_row('{table}', {sign}, "
                    f"{', '.join(f'{side}.{column}' for column in columns)});"
                    for sign, side in calls
                )
                triggers.append(
                    f"CREATE TEMP TRIGGER tally_{table}_{event.lower()} AFTER {event}"
                    f" ON main.{table} BEGIN {selects} END;"
                )
        # As a script: of each statement that is executed by itself the connection keeps what it was
        # made into, though nobody asks for it again.
        connection.executescript("".join(triggers))

    def put(self) -> None:
        """Put what was written since into the tallies, inside the transaction that is open."""
        rows = [(count, total, table) for table, (count, total) in self._moved.items()]
        self._connection.executemany(
            "UPDATE tallies SET count = count + ?, total = total + ? WHERE name = ?",
            [row for row in rows if row[0] or row[1]],
        )
        self._moved.clear()

    def forget(self) -> None:
        """What was written since is undone."""
        self._moved.clear()

    def _row(self, table: str, sign: int, *values: object) -> None:
        moved = self._moved.setdefault(table, [0, 0])
        moved[0] += sign
        moved[1] += sign * row_tally(*values)


def row_tally(*values: object) -> int:
    """Return the checksum of a row's columns, each told from the next and by its type."""
    total = 0
    for value in values:
        if isinstance(value, bytes):
            total = crc32(b"\0b", crc32(value, total))
        elif value is None:
            total = crc32(b"\0n", total)
        else:
            kind = b"\0t" if isinstance(value, str) else b"\0i"
            total = crc32(kind, crc32(str(value).encode("utf-8", "surrogateescape"), total))
    return total


def tables_of(connection: sqlite3.Connection) -> Iterator[tuple[str, list[str]]]:
    """Yield the tables that have a tally, each with its columns."""
    rows = connection.execute(
        "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    for (name,) in rows:
        if name not in UNTALLIED:
            columns = connection.execute("SELECT name FROM pragma_table_info(?)", (name,))
            yield name, [column for (column,) in columns]


def count_rows(connection: sqlite3.Connection, table: str, columns: list[str]) -> Tally:
    """Return the tally that a table ought to have."""
    connection.create_function("tally_of", -1, row_tally, deterministic=True)
    text = f"SELECT count(*), coalesce(sum(tally_of({', '.join(columns)})), 0) FROM {table}"
    count, total = connection.execute(text).fetchone()
    return count, total


def tally_anew(connection: sqlite3.Connection) -> None:
    """Make all tallies anew, inside the transaction that is open: when the schema has changed, or
    when it was not the ledger that wrote."""
    connection.execute("DELETE FROM tallies")
    for table, columns in list(tables_of(connection)):
        tally = count_rows(connection, table, columns)
        connection.execute(
            "INSERT INTO tallies (name, count, total) VALUES (?, ?, ?)", (table, *tally)
        )


def stored(connection: sqlite3.Connection) -> dict[str, Tally]:
    """Return the tallies that are kept, by table."""
    rows = connection.execute("SELECT name, count, total FROM tallies")
    return {name: (count, total) for name, count, total in rows}
