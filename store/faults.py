"""What SQLite says when it fails, as our errors: may be tried again, must end, cannot be opened.

Compares error names, never texts. Called by the writer, the readers and the migrations.
"""

from __future__ import annotations

import os
import sqlite3

from .interface import StoreBroken, StoreError

# After these, what is on the disk is not known or not sound: nothing may be tried again.
_BROKEN = (
    "SQLITE_IOERR_FSYNC",
    "SQLITE_IOERR_DIR_FSYNC",
    "SQLITE_IOERR_READ",
    "SQLITE_IOERR_SHORT_READ",
    "SQLITE_IOERR_CORRUPTFS",
    "SQLITE_IOERR_SHMMAP",
    "SQLITE_CORRUPT",
    "SQLITE_NOTADB",
    "SQLITE_CONSTRAINT",
    "SQLITE_READONLY_DBMOVED",
    "SQLITE_MISUSE",
)
_SENTENCES = {
    "SQLITE_FULL": "the disk is full: expected room for more",
    "SQLITE_IOERR_WRITE": "a write was refused (quota, file size limit or a failing disk)",
    "SQLITE_BUSY": "another process has locked it: expected to be the only writer",
    "SQLITE_LOCKED": "another connection has locked it: expected to be the only writer",
    "SQLITE_READONLY": "it may not be written: expected a writable file and folder",
    "SQLITE_CANTOPEN": "one of its files cannot be opened",
    "SQLITE_IOERR_FSYNC": "the disk could not make a write durable",
    "SQLITE_CORRUPT": "it is corrupt: expected a sound database; restore it from a backup",
    "SQLITE_NOTADB": "it is not a database: expected one; restore it from a backup",
    "SQLITE_CONSTRAINT": "it has a row already that was to be written anew",
}


def blocked(path: str) -> str:
    """Return what keeps this user from writing a database at a path: one of its files, or their
    folder, with why; empty when nothing does."""
    user = os.geteuid()
    for name in (path, f"{path}-wal", f"{path}-shm", f"{path}-journal"):
        try:
            found = os.stat(name)
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"{name}: {error.strerror}"
        if not os.access(name, os.R_OK | os.W_OK):
            whose = f"it is of user {found.st_uid} and has the mode {found.st_mode & 0o7777:04o}"
            return f"{name}: {whose}: expected user {user} to be allowed to read and write it"
    folder = os.path.dirname(path) or "."
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder}: expected a folder into which user {user} may write"
    return ""


def name_of(error: sqlite3.Error) -> str:
    """Return SQLite's name of an error, empty when the fault is the Python module's."""
    return getattr(error, "sqlite_errorname", "")


def sentence_of(error: sqlite3.Error) -> str:
    """Return what is wrong in plain words, with SQLite's own behind."""
    name = name_of(error)
    for prefix, sentence in _SENTENCES.items():
        if name.startswith(prefix):
            return f"{sentence} ({error})"
    return str(error)


def store_error(path: str, error: sqlite3.Error) -> StoreError:
    """Return the error for a failed statement: `StoreBroken` when trying again is wrong."""
    kind = StoreBroken if name_of(error).startswith(_BROKEN) else StoreError
    return kind(f"database {path}: {sentence_of(error)}")
