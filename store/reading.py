"""A connection that only reads: opened, watched by the clock, seeing one state where it must.

The SQLite reader's own groundwork. It never writes, checkpoints or waits for the writer.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .faults import name_of, store_error
from .interface import StoreError
from .migrate import APPLICATION_ID, ARCHIVE_ID, open_checked
from .records import Records

# A read that takes longer is given up: it would keep the log from being checkpointed.
LIMIT_S = 2.0
# Of each connection, and the web server alone has four. Pages that fall out of it are in the
# system's own cache still: with four times as much no page of a history is faster.
CACHE_KIB = 512
# SQLite asks whether to go on once in so many steps of its machine, about every 0.1 ms.
_STEPS = 10_000


class TooSlow(Exception):
    """A try under a shorter limit was given up; the reading as a whole goes on."""


class Reading(Records):
    """Statements under a time limit, on a connection of its own or on its writer's."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        limit_s: float = LIMIT_S,
        connection: sqlite3.Connection | None = None,
        archive: bool = False,
        strict: bool = False,
    ) -> None:
        """Open the database read-only, or share `connection`, which stays its owner's to close.

        Raises:
            StoreUnusable: it is missing, not ours, corrupt, older or newer.
        """
        super().__init__(strict=strict)
        self._path = os.fspath(path)
        self._owned = connection is None
        self._connection = connection or open_checked(
            self._path, writable=False, application_id=ARCHIVE_ID if archive else APPLICATION_ID
        )
        if self._owned:
            self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}").fetchall()
        self._limit_s = limit_s
        self._deadline_s = 0.0
        self._connection.set_progress_handler(self._is_late, _STEPS)

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for reads that this class does not know."""
        return self._connection

    def rest(self) -> None:
        """See `Reader`: of the pages that nobody reads just now."""
        with self._reading():
            self._connection.execute("PRAGMA shrink_memory").fetchall()

    def close(self) -> None:
        """Close it; a second call does nothing."""
        if self._owned:
            self._connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let the reads inside see one state of the database."""
        with self._reading():
            self._connection.execute("BEGIN")
            # The state seen is that of the first read.
            self._connection.execute("SELECT seq FROM meta").fetchone()
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")

    def _one(self, text: str, *values: Any) -> tuple[Any, ...] | None:
        with self._reading():
            row: tuple[Any, ...] | None = self._connection.execute(text, values).fetchone()
            return row

    def _all(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._reading():
            return self._connection.execute(text, values).fetchall()

    @contextmanager
    def _reading(self, *, several: bool = False) -> Iterator[None]:
        """Run statements under one time limit; `several` of them see one state.

        Raises:
            StoreError: the limit passed, or SQLite failed.
        """
        outermost = self._deadline_s == 0.0
        if outermost:
            self._deadline_s = time.monotonic() + self._limit_s
        begun = several and not self._connection.in_transaction
        try:
            if begun:
                self._connection.execute("BEGIN")
            yield
        except sqlite3.Error as error:
            if name_of(error) == "SQLITE_INTERRUPT":
                sentence = f"query took longer than {self._limit_s:g} s: ask for less"
                raise StoreError(sentence) from None
            raise store_error(self._path, error) from error
        finally:
            if begun and self._connection.in_transaction:
                self._connection.execute("COMMIT")
            if outermost:
                self._deadline_s = 0.0

    @contextmanager
    def _hurried(self, limit_s: float) -> Iterator[None]:
        """Within `_reading`: give statements less time.

        Raises:
            TooSlow: it was not enough; further statements may follow.
        """
        deadline_s = self._deadline_s
        self._deadline_s = min(deadline_s, time.monotonic() + limit_s)
        try:
            yield
        except sqlite3.OperationalError as error:
            if name_of(error) != "SQLITE_INTERRUPT":
                raise
            raise TooSlow from None
        finally:
            self._deadline_s = deadline_s

    def _is_late(self) -> bool:
        """Tell SQLite whether to give up."""
        return 0.0 < self._deadline_s < time.monotonic()
