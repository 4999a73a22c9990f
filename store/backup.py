"""Backups: a whole copy of the database while a server writes it, and putting one back.

A copy is of one instant: the reader keeps its state to the end, which makes nobody wait. Restoring
refuses what is damaged, newer or another installation's, and never touches a database in use; what
was there is moved aside. Called by the command line, and beside the ledger.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import sqlite3
import time
from pathlib import Path

import msgspec

from .backup_access import keep_access, leave_out_secrets
from .faults import sentence_of
from .interface import StoreError, StoreUnusable
from .lock import WriterLock
from .migrate import APPLICATION_ID, check_ours, connect, migrate_locked, open_checked
from .tallies import TallyKeeper

# Pages copied before the target is written on: 4 MiB.
PAGES_A_STEP = 1024
# What the numbers of epochs and runs leap by where it is not known how far they had come: agents
# and output folders still know those given out after the backup was made.
LEAP = 1_000_000


class BackedUp(msgspec.Struct, frozen=True, kw_only=True):
    """A backup: the head it is of, and its size."""

    seq: int
    epoch: int
    size_bytes: int


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was put back: the head, the epoch and run number it goes on from, and where the files
    are that were in its place (None: none were). `access_kept`: who may come in is as it was there,
    not as the backup has it."""

    seq: int
    epoch: int
    next_run_number: int
    moved_to: str | None
    migrated: int
    access_kept: bool = False


def backup_database(database: str, target: str, *, passwords: bool = False) -> BackedUp:
    """Write a copy of the database to `target`, in place of an older backup there; readable by its
    owner alone, and without log-ins, one-time tokens, and hashes of passwords unless `passwords`.

    Raises:
        StoreError: it cannot be written; what was at `target` is as it was.
        StoreUnusable: the database is missing, corrupt, older or newer, or what is at `target` is
            not a backup.
    """
    if os.path.realpath(target) == os.path.realpath(database):
        raise StoreError(f"backup {target}: is the database itself: expected another file")
    _replaceable(target)
    part = f"{target}.{os.getpid()}.part"
    source = open_checked(database, writable=False)
    held = -1
    try:
        _remove_unfinished(target)
        held = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
        head = _copy(source, part)
        leave_out_secrets(part, passwords=passwords)
        _sync(part)
        os.rename(part, target)
        _sync(os.path.dirname(os.path.abspath(target)))
    except OSError as error:
        raise StoreError(f"backup {target}: cannot be written: {error.strerror}") from None
    except sqlite3.Error as error:
        raise StoreError(f"backup {target}: {sentence_of(error)}") from None
    finally:
        source.close()
        if held >= 0:
            _remove(part)
            os.close(held)
    epoch, seq = head
    return BackedUp(seq=seq, epoch=epoch, size_bytes=os.path.getsize(target))


def restore_database(
    backup: str, database: str, *, other_server: bool = False, backups_access: bool = False
) -> Restored:
    """Put a backup in the place of the database, whose files are moved aside.

    Tokens, users and agents stay as they are in the database that is there, if it is of the same
    installation and can be read: a token that was revoked since does not hold again.

    Epoch and run numbers go on above all that were given out, so that agents believe the server
    that opens it, and no run gets the number of one that is forgotten.

    Args:
        other_server: what is there may be another installation's.
        backups_access: who may come in is as the backup has it, in any case.
    Raises:
        StoreUnusable: a server has the database open, or the backup is not one, is damaged, newer,
            or another installation's. Nothing has changed then.
        StoreError: it cannot be written.
    """
    if os.path.realpath(backup) == os.path.realpath(database):
        sentence = "is the database itself: expected a backup of it"
        raise StoreUnusable(f"backup {backup}: {sentence}")
    lock = WriterLock(database)
    try:
        _has_all(backup)
        server_id, epoch, number, seq = _look(backup)
        there = _there(database)
        if there is not None and there[0] != server_id and not other_server:
            sentence = "is of another installation than the database that is there"
            raise StoreUnusable(f"backup {backup}: {sentence}: expected one of {there[0]}")
        known = there is not None and there[0] == server_id
        epoch = max(epoch, there[1]) + 1 if there and known else epoch + LEAP
        number = max(number, there[2]) if there and known else number + LEAP
        part = f"{database}.{os.getpid()}.part"
        try:
            shutil.copyfile(backup, part)
            os.chmod(part, 0o600)
            migrated = migrate_locked(part, APPLICATION_ID)
            kept = known and not backups_access and keep_access(part, database)
            _set_head(part, epoch, number)
            _sync(part)
            moved_to = _move_aside(database)
            os.rename(part, database)
            _sync(os.path.dirname(os.path.abspath(database)))
        except OSError as error:
            raise StoreError(f"database {database}: cannot be written: {error.strerror}") from None
        finally:
            for name in (part, f"{part}-journal", f"{part}-wal", f"{part}-shm"):
                Path(name).unlink(missing_ok=True)
    finally:
        lock.release()
    return Restored(
        seq=seq,
        epoch=epoch,
        next_run_number=number,
        moved_to=moved_to,
        migrated=migrated,
        access_kept=kept,
    )


# --- inside ---------------------------------------------------------------------------------------


# What SQLite has beside a database.
_BESIDE = ("-journal", "-wal", "-shm")


def _remove_unfinished(target: str) -> None:
    """Remove what is left of backups to the same place that were killed: who writes one holds it.
    It would take as much room as a backup for ever, and one of our own number keep us from ours."""
    folder, name = os.path.split(os.path.abspath(target))
    pattern = re.compile(f"({re.escape(name)}\\.\\d+\\.part)({'|'.join(_BESIDE)})?")
    found = filter(None, map(pattern.fullmatch, os.listdir(folder)))
    for part in {os.path.join(folder, match[1]) for match in found}:
        try:
            held = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            _remove(part)  # it is a backup by now; what was beside it is not
            continue
        except OSError:
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(part)
        except BlockingIOError:
            continue
        finally:
            os.close(held)


def _remove(part: str) -> None:
    """Remove a backup that is not finished, and what SQLite has beside it."""
    for name in (part, *(part + more for more in _BESIDE)):
        with contextlib.suppress(OSError):
            os.unlink(name)


def _copy(source: sqlite3.Connection, part: str) -> tuple[int, int]:
    """Copy all pages of one state; return its head."""
    source.execute("BEGIN")
    head = source.execute("SELECT epoch, seq FROM meta").fetchone()
    target = sqlite3.connect(part, isolation_level=None)
    try:
        # The transaction that is open keeps the state; without it a write would begin it anew.
        source.backup(target, pages=PAGES_A_STEP)
        target.execute("PRAGMA journal_mode = DELETE").fetchall()
    finally:
        target.close()
        source.execute("COMMIT")
    return head[0], head[1]


def _replaceable(target: str) -> None:
    """Refuse to write over what is not a backup of ours."""
    if not os.path.lexists(target):
        return
    try:
        connection = connect(target, writable=False)
    except StoreUnusable:
        raise StoreUnusable(
            f"backup {target}: there is something else: expected a backup"
        ) from None
    try:
        check_ours(connection, target, APPLICATION_ID)
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreUnusable(f"backup {target}: {sentence_of(error)}") from None
    finally:
        connection.close()
    if mode == "wal":
        raise StoreUnusable(f"backup {target}: there is a server's database: expected a backup")


def _has_all(backup: str) -> None:
    """Return when a file is all there is of a database, as those are that were written as backups.

    Raises:
        StoreUnusable: some of it is in the write-ahead log beside it, which is not copied.
    """
    with contextlib.suppress(OSError):
        if os.path.getsize(f"{backup}-wal"):
            sentence = f"the newest of it is in {backup}-wal: expected what `backup` wrote"
            raise StoreUnusable(f"backup {backup}: {sentence}")


def _look(backup: str) -> tuple[str, int, int, int]:
    """Check a backup whole; return its server's id, epoch, next run number and seq."""
    if not os.path.exists(backup):
        raise StoreUnusable(f"backup {backup}: there is no such file")
    connection = connect(backup, writable=False)
    try:
        check_ours(connection, backup, APPLICATION_ID)
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise StoreUnusable(f"backup {backup}: it is damaged: {' '.join(found.split())}")
        row: tuple[str, int, int, int] | None = connection.execute(
            "SELECT server_id, epoch, next_run_number, seq FROM meta"
        ).fetchone()
        if row is None:
            raise StoreUnusable(f"backup {backup}: it is damaged: it has no head")
    except sqlite3.Error as error:
        raise StoreUnusable(f"backup {backup}: {sentence_of(error)}") from None
    else:
        return row
    finally:
        connection.close()


def _there(database: str) -> tuple[str, int, int, int] | None:
    """Return the same of the database that is there, None when none is, or it is beyond reading."""
    if not os.path.exists(database):
        return None
    connection = connect(database, writable=True)
    try:
        check_ours(connection, database, APPLICATION_ID)
        row: tuple[str, int, int, int] | None = connection.execute(
            "SELECT server_id, epoch, next_run_number, seq FROM meta"
        ).fetchone()
    except (sqlite3.Error, StoreUnusable):
        return None
    else:
        return row
    finally:
        connection.close()


def _set_head(part: str, epoch: int, number: int) -> None:
    connection = connect(part, writable=True)
    try:
        tallies = TallyKeeper(connection)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE meta SET epoch = ?, next_run_number = ?", (epoch, number))
        tallies.put()
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    finally:
        connection.close()


def _move_aside(database: str) -> str | None:
    if not os.path.exists(database):
        return None
    aside = f"{database}.replaced-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    while os.path.lexists(aside):
        aside += "x"
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            os.rename(database + suffix, aside + suffix)
    return aside


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
