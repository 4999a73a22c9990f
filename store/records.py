"""Records of rows: one that cannot be read is left where it is, left out, and remembered.

Whatever a bug or another hand has done to a row, what else is in the store goes on. Groundwork of
the SQLite reader; nothing is written here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ..jobs.findings import SetAside

log = logging.getLogger("callsheet.store")

# Rows that are remembered; beyond, nobody reads on, and `verify` has them all.
SET_ASIDE_AT_MOST = 1_000
SENTENCE_CHARS = 200
# What decoders raise at bytes, and at what is none.
UNREADABLE = (ValueError, TypeError, LookupError, RecursionError, OverflowError)

T = TypeVar("T")
Row = tuple[Any, ...]


def body_by(decode: Callable[[bytes], T]) -> Callable[[Row], T]:
    """Return what reads rows of a name and a body."""
    return lambda row: decode(row[1])


class Records:
    """Reads whole rows into records for a reader that runs statements by `_one` and `_all`.

    `set_aside`: the rows that could not be read since it was opened, by table and name. `strict`:
    there are none, for whoever has to have read all of it; what is raised is as decoders do.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self.set_aside: dict[tuple[str, str], SetAside] = {}

    def _one(self, text: str, *values: Any) -> Row | None:
        raise NotImplementedError

    def _all(self, text: str, *values: Any) -> list[Row]:
        raise NotImplementedError

    def _read_all(self, table: str, read: Callable[[Row], T], text: str, *values: Any) -> list[T]:
        """Return the records of a statement's rows, whose first column is their name."""
        return self.readable(table, read, self._all(text, *values))

    def _read_one(self, table: str, read: Callable[[Row], T], text: str, *values: Any) -> T | None:
        """Return the record of a statement's row, None when there is none or it cannot be read."""
        row = self._one(text, *values)
        return None if row is None else next(iter(self.readable(table, read, [row])), None)

    def readable(self, table: str, read: Callable[[Row], T], rows: Iterable[Row]) -> list[T]:
        """Return the records of those rows that can be read."""
        found = []
        for row in rows:
            try:
                found.append(read(row))
            except UNREADABLE as error:
                if self._strict:
                    raise
                self._put_aside(table, row[0], error)
        return found

    def _put_aside(self, table: str, name: object, error: Exception) -> None:
        name = f"r{name}" if table == "runs" else str(name)
        if (table, name) in self.set_aside or len(self.set_aside) >= SET_ASIDE_AT_MOST:
            return
        said = " ".join(f"{type(error).__name__}: {error}".split())[:SENTENCE_CHARS]
        one = SetAside(table=table, name=name[:SENTENCE_CHARS], why=said)
        self.set_aside[table, name] = one
        log.error("%s", one.sentence)
