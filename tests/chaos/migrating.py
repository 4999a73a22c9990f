"""Kills the migration of an old database before each of its statements, and goes on.

    migrating.py FILE

brings a database up to date in children, of which each is killed one statement later than the one
before; once a step of the migration is in force the next is begun with. Prints a line for each
kill: the version that the database had then, and the statement.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from callsheet.store import migrate

FIRST = Path(__file__).parents[1] / "system" / "first_version.sql"


def put_first_version(path: Path) -> None:
    """Make the database that a server of the first version had written."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(FIRST.read_text())
        database.execute(f"PRAGMA application_id = {migrate.APPLICATION_ID}")
        database.execute("PRAGMA user_version = 1")
        database.execute("PRAGMA journal_mode = WAL")


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def contents_of(path: Path) -> list[str]:
    """Return all that is in a database, as SQL."""
    with closing(sqlite3.connect(path)) as database:
        found = database.execute("PRAGMA integrity_check").fetchall()
        return [*map(str, found), f"version {version_of(path)}", *database.iterdump()]


def killed_at(path: Path, number: int) -> str:
    """Migrate in a child that dies before the statement of that number, of those from the first
    `BEGIN` on; return the statement, empty when there was none such and all is done.

    Raises:
        AssertionError: the child ended otherwise.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _migrate(path, number, writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        statement = pipe.read()
    _, status = os.waitpid(pid, 0)
    ended = os.waitstatus_to_exitcode(status)
    assert ended == (-signal.SIGKILL if statement else 0), f"{path}: it ended with {ended}"
    return statement


def _migrate(path: Path, number: int, writing: int) -> None:
    """In the child: migrate, or die. Never returns."""
    connect = migrate.connect
    met = 0

    def look(statement: str) -> None:
        nonlocal met
        met += met > 0 or statement.startswith("BEGIN")
        if met == number:
            os.write(writing, " ".join(statement.split())[:80].encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def connect_and_look(name: str, **how: Any) -> sqlite3.Connection:
        connection = connect(name, **how)
        connection.set_trace_callback(look)
        return connection

    status = 1
    try:
        migrate.connect = connect_and_look
        migrate.migrate_database(path)
        status = 0
    finally:
        os._exit(status)


def kill_everywhere(path: Path) -> list[tuple[int, str]]:
    """Migrate, killed before each statement of each step and after its commit; return the version
    of the database and the statement of each kill."""
    kills = []
    number, version = 1, version_of(path)
    while statement := killed_at(path, number):
        kills.append((version, statement))
        number += 1
        after = version_of(path)
        if after != version:
            number, version = 1, after
    return kills


if __name__ == "__main__":
    for at_version, before in kill_everywhere(Path(sys.argv[1])):
        print(at_version, before)
