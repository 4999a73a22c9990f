"""Makes databases, brings old ones up to date, and refuses what is not ours or not sound.

Owns `migrations/NNNN_name.sql`, applied in order, each in one transaction; `user_version` is the
number of the last one. An existing file is never replaced, a missing one never made silently.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import msgspec

from ..jobs.errors import CallsheetError
from .faults import sentence_of
from .interface import StoreError, StoreUnusable
from .lock import WriterLock
from .tallies import tally_anew

# "call" in ASCII, in the file's header: what tells our databases from others.
APPLICATION_ID = 0x63616C6C
# "calA": of an archive, which no server runs on.
ARCHIVE_ID = 0x63616C41
# A file up to this size is checked whole when it is opened for writing; it takes some 0.1 s.
CHECKED_BYTES = 32 * 2**20
BUSY_TIMEOUT_S = 5.0


def create_database(
    path: str | os.PathLike[str],
    since_us: int | None = None,
    *,
    application_id: int = APPLICATION_ID,
    server_id: str | None = None,
) -> None:
    """Make an empty database, readable by its owner alone.

    Args:
        since_us: nothing is ever scheduled from before it; None: from now.
        application_id: `ARCHIVE_ID` for an archive.
        server_id: of which installation it is; None: of a new one.
    Raises:
        StoreUnusable: there is such a file, or it cannot be made.
    """
    target = os.fspath(path)
    since_us = time.time_ns() // 1000 if since_us is None else since_us
    if os.path.lexists(target):
        raise StoreUnusable(f"database {target}: there is such a file: expected a new path")
    # Made beside its place and linked there when whole, so that a crash leaves no half database.
    made = f"{target}.{os.getpid()}.new"
    try:
        os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _fill(made, since_us, application_id, server_id or secrets.token_hex(8))
        os.link(made, target)
    except FileExistsError as error:
        what = f"there is such a file: {error.filename2 or error.filename}"
        raise StoreUnusable(f"database {target}: {what}: expected a new path") from None
    except OSError as error:
        raise StoreUnusable(f"database {target}: cannot be made: {error.strerror}") from None
    except sqlite3.Error as error:
        raise StoreUnusable(f"database {target}: cannot be made: {sentence_of(error)}") from None
    finally:
        for name in (made, f"{made}-wal", f"{made}-shm", f"{made}-journal"):
            Path(name).unlink(missing_ok=True)
    _sync_folder(target)


def migrate_database(path: str | os.PathLike[str]) -> int:
    """Bring an older database up to date while no server runs; return how many steps it took.

    Raises:
        StoreUnusable: it is in use, missing, not ours, corrupt or newer than this program.
    """
    name = os.fspath(path)
    lock = WriterLock(_existing(name))
    try:
        return migrate_locked(name)
    finally:
        lock.release()


def steps_to_take(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of the migrations that a database still needs, empty when it needs none;
    a server may run on it.

    Raises:
        StoreUnusable: it is missing, not ours, corrupt or newer than this program.
    """
    name = os.fspath(path)
    connection = connect(_existing(name), writable=False)
    try:
        version = check_ours(connection, name)
    finally:
        connection.close()
    return [found for found in _names() if int(found[:4]) > version]


def migrate_locked(name: str, application_id: int | None = None) -> int:
    """Do the same under a lock that the caller holds; with an id only for a file of that kind."""
    connection = connect(name, writable=True)
    try:
        before = check_ours(connection, name, application_id)
        _apply(connection, before)
        return newest_version() - before
    except sqlite3.Error as error:
        raise StoreUnusable(f"database {name}: {sentence_of(error)}") from None
    finally:
        connection.close()


def open_checked(
    path: str, *, writable: bool, application_id: int = APPLICATION_ID
) -> sqlite3.Connection:
    """Open a database of exactly this program's version.

    Raises:
        StoreUnusable: it is missing, not ours, corrupt, older or newer.
    """
    connection = connect(_existing(path, application_id), writable=writable)
    try:
        version = check_ours(connection, path, application_id)
        if version < newest_version():
            sentence = f"its version is {version}: expected {newest_version()}"
            sentence += ": run `callsheetctl migrate`"
            raise StoreUnusable(f"database {path}: {sentence}")
        if writable and os.path.getsize(path) <= CHECKED_BYTES:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                what = " ".join(found.split())
                raise StoreUnusable(f"database {path}: it is corrupt: {what}: {_RESTORE}")
        if connection.execute("SELECT count(*) FROM meta").fetchone()[0] != 1:
            raise StoreUnusable(f"database {path}: it is corrupt: it has no head: {_RESTORE}")
    except sqlite3.Error as error:
        connection.close()
        raise StoreUnusable(f"database {path}: {sentence_of(error)}") from None
    except CallsheetError:
        connection.close()
        raise
    return connection


def connect(path: str, *, writable: bool) -> sqlite3.Connection:
    """Open a file that exists; a reader's connection cannot write whatever it is asked.

    The file's header is read through SQLite only: closing any other descriptor of it would drop the
    locks of this process's other connections.
    """
    mode = "rw" if writable else "ro"
    try:
        connection = sqlite3.connect(
            f"file:{quote(os.path.abspath(path))}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
    except sqlite3.Error as error:
        raise StoreUnusable(f"database {path}: {sentence_of(error)}") from None
    if not writable:
        connection.execute("PRAGMA query_only = ON")
    return connection


def check_ours(connection: sqlite3.Connection, path: str, wanted: int | None = None) -> int:
    """Return the version of the database.

    Args:
        wanted: the id of the kind it has to be of; None: a database or an archive.
    Raises:
        StoreUnusable: it is not a callsheet database, or newer than this program.
    """
    try:
        application_id = connection.execute("PRAGMA application_id").fetchone()[0]
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreUnusable(f"database {path}: {sentence_of(error)}") from None
    if application_id not in (APPLICATION_ID, ARCHIVE_ID):
        raise StoreUnusable(f"database {path}: another program's: expected a callsheet database")
    if wanted is not None and application_id != wanted:
        kinds = {APPLICATION_ID: "the database of a server", ARCHIVE_ID: "an archive"}
        sentence = f"is {kinds[application_id]}: expected {kinds[wanted]}"
        raise StoreUnusable(f"database {path}: {sentence}")
    if version > newest_version():
        sentence = f"its version is {version}: expected at most {newest_version()}"
        raise StoreUnusable(
            f"database {path}: {sentence}; a newer callsheet has written it: install that one, or "
            "put back a backup of before by `callsheetctl restore`"
        )
    return version


@cache
def newest_version() -> int:
    """Return the version of this program's schema."""
    return max(number for number, _ in _migrations())


_RESTORE = "restore it from a backup"


def _existing(path: str, application_id: int = APPLICATION_ID) -> str:
    if os.path.exists(path):
        return path
    if application_id != APPLICATION_ID:
        raise StoreUnusable(f"archive {path}: there is no such file: expected an archive of runs")
    raise StoreUnusable(f"database {path}: there is no such file: create it first")


def _fill(path: str, since_us: int, application_id: int, server_id: str) -> None:
    """Write schema and head into an empty file."""
    connection = connect(path, writable=True)
    try:
        # Both take effect only before the first table is made.
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA application_id = {application_id}")
        _apply(connection, 0)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT INTO meta (id, server_id, since_us) VALUES (1, ?, ?)",
            (server_id, since_us),
        )
        tally_anew(connection)
        connection.execute("COMMIT")
        if application_id == APPLICATION_ID:
            connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _apply(connection: sqlite3.Connection, version: int) -> None:
    """Apply every migration above `version`."""
    connection.create_function("agent_of_record", 1, _agent_of_record, deterministic=True)
    for number, text in _migrations():
        if number <= version:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in _statements(text):
                connection.execute(statement)
            if number == newest_version():
                # A row of another shape has another checksum.
                tally_anew(connection)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _agent_of_record(record: bytes) -> str | None:
    """Return the agent of a run's record: a function of migration 6, fixed as that is."""
    found: str | None = msgspec.msgpack.decode(record).get("agent_id")
    return found


def _names() -> list[str]:
    folder = resources.files(__package__) / "migrations"
    return sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))


def _migrations() -> list[tuple[int, str]]:
    folder = resources.files(__package__) / "migrations"
    files = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    found = sorted((int(file.name[:4]), file.read_text("utf-8")) for file in files)
    numbers = [number for number, _ in found]
    if numbers != list(range(1, len(numbers) + 1)):
        raise StoreError(f"migrations: the numbers are {numbers}: expected 1, 2, … without a gap")
    return found


def _statements(text: str) -> Iterator[str]:
    """Split a script at the ends of its statements."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def _sync_folder(path: str) -> None:
    """Make a new name durable."""
    fd = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
