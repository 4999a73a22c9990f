"""The checker's findings and rounds: how they are read, written and held. Both are bounded.

Called by the SQLite store and its in-memory twin, which are the only ones to know the tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

import msgspec

from ..jobs.findings import CheckRound, Finding
from .records import Records, body_by
from .rows import decode_finding, decode_round

if TYPE_CHECKING:
    from .interface import Changes

_encode = msgspec.msgpack.Encoder().encode
_finding, _round = body_by(decode_finding), body_by(decode_round)

# Closed findings that are kept, and rounds: of a day, at one a minute.
CLOSED_KEPT = 1_000
ROUNDS_KEPT = 1_440

_PUT_OPEN = (
    "INSERT INTO findings (key, body) VALUES (?, ?)"
    " ON CONFLICT (key) WHERE closed_us IS NULL DO UPDATE SET body = excluded.body"
)
_FORGET = (
    "DELETE FROM findings WHERE place IN (SELECT place FROM findings WHERE closed_us IS NOT NULL"
    f" ORDER BY closed_us DESC, place DESC LIMIT -1 OFFSET {CLOSED_KEPT})"
)


class FindingReader(Protocol):
    """What is read of them."""

    def findings(self) -> tuple[int | None, list[Finding]]:
        """Return when the checker last reported, and its open findings, the oldest first."""

    def closed_findings(self, limit: int) -> list[Finding]:
        """Return the findings closed last, the newest first."""

    def check_rounds(self, limit: int) -> list[CheckRound]:
        """Return the last rounds, the newest first."""


class SqliteFindingReads(Records):
    """Implements `FindingReader` for a reader that runs statements by `_one` and `_all`."""

    _reading: Callable[..., AbstractContextManager[None]]

    def findings(self) -> tuple[int | None, list[Finding]]:
        """See `FindingReader`."""
        with self._reading(several=True):
            row = self._one("SELECT checked_at_us FROM meta")
            assert row is not None
            text = "SELECT key, body FROM findings WHERE closed_us IS NULL ORDER BY place"
            return row[0], self._read_all("findings", _finding, text)

    def closed_findings(self, limit: int) -> list[Finding]:
        """See `FindingReader`."""
        text = (
            "SELECT key, body FROM findings WHERE closed_us IS NOT NULL"
            " ORDER BY closed_us DESC, place DESC LIMIT ?"
        )
        return self._read_all("findings", _finding, text, limit)

    def check_rounds(self, limit: int) -> list[CheckRound]:
        """See `FindingReader`."""
        text = "SELECT place, body FROM check_rounds ORDER BY place DESC LIMIT ?"
        return self._read_all("check_rounds", _round, text, limit)


def write_findings(connection: sqlite3.Connection, changes: Changes) -> None:
    """Write what a batch changes of them, inside the transaction that is open."""
    is_closing = False
    for key, finding in changes.findings.items():
        connection.execute(_PUT_OPEN, (key, _encode(finding)))
        if finding.closed_us is not None:
            is_closing = True
            text = "UPDATE findings SET closed_us = ? WHERE key = ? AND closed_us IS NULL"
            connection.execute(text, (finding.closed_us, key))
    if is_closing:
        connection.execute(_FORGET)
    if changes.check_round is not None:
        connection.execute(
            "INSERT INTO check_rounds (body) VALUES (?)", (_encode(changes.check_round),)
        )
        text = "DELETE FROM check_rounds WHERE place <= (SELECT max(place) FROM check_rounds) - ?"
        connection.execute(text, (ROUNDS_KEPT,))


class FindingTables:
    """The same in memory; `FindingReader` reads of it."""

    def __init__(self) -> None:
        self.checked_at_us: int | None = None
        self.open: dict[str, Finding] = {}
        self.closed: list[Finding] = []
        self.rounds: list[CheckRound] = []

    def copy(self) -> FindingTables:
        """Return a copy that shares the frozen records."""
        twin = FindingTables()
        twin.checked_at_us = self.checked_at_us
        twin.open, twin.closed, twin.rounds = dict(self.open), [*self.closed], [*self.rounds]
        return twin

    def apply(self, changes: Changes) -> None:
        """Take in what a batch changes."""
        for key, finding in changes.findings.items():
            if finding.closed_us is None:
                self.open[key] = finding
            else:
                self.open.pop(key, None)
                self.closed = [*self.closed, finding]
        # The newest last; of those closed at one time, in their order.
        self.closed = sorted(self.closed, key=lambda one: one.closed_us or 0)[-CLOSED_KEPT:]
        if changes.check_round is not None:
            self.checked_at_us = changes.check_round.at_us
            self.rounds = [*self.rounds, changes.check_round][-ROUNDS_KEPT:]


class MemoryFindingReads:
    """Implements `FindingReader` on such tables."""

    @property
    def _findings(self) -> FindingTables:
        raise NotImplementedError

    def findings(self) -> tuple[int | None, list[Finding]]:
        """See `FindingReader`."""
        return self._findings.checked_at_us, list(self._findings.open.values())

    def closed_findings(self, limit: int) -> list[Finding]:
        """See `FindingReader`."""
        return self._findings.closed[::-1][:limit]

    def check_rounds(self, limit: int) -> list[CheckRound]:
        """See `FindingReader`."""
        return self._findings.rounds[::-1][:limit]
