"""Tokens, users, log-ins and the record of who did what: how they are read, written and held.

Called by the SQLite store and its in-memory twin, which are the only ones to know the tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ..messages.access import ApiToken, Session, User
from ..messages.audit import BEGINNING, AuditRow
from .records import Records, body_by
from .rows import decode_session, decode_token, decode_user

if TYPE_CHECKING:
    from .interface import Changes

_encode = msgspec.msgpack.Encoder().encode
_token, _user = body_by(decode_token), body_by(decode_user)
_session = body_by(decode_session)

# Rows of the record that one read returns at most.
AUDIT_ROWS = 1_000


class AccessReader(Protocol):
    """What is read of them."""

    def api_tokens(self) -> list[ApiToken]:
        """Return all tokens, revoked and expired ones too, by id."""

    def api_token(self, secret_hash: str) -> ApiToken | None:
        """Return the token whose secret has this hash, None when there is none."""

    def users(self) -> list[User]:
        """Return all users by name."""

    def user(self, name: str) -> User | None:
        """Return a user, None when there is none."""

    def sessions(self) -> list[Session]:
        """Return all log-ins, expired ones too."""

    def session(self, session_id: str) -> Session | None:
        """Return a log-in, None when there is none."""

    def audit(self, after: int, limit: int) -> list[AuditRow]:
        """Return rows of the record above number `after` in order, at most `limit` (≤ 1,000)."""

    def audit_head(self) -> tuple[int, str]:
        """Return number and hash of the last row; 0 and the beginning when there is none."""


class SqliteAccessReads(Records):
    """Implements `AccessReader` for a reader that runs statements by `_one` and `_all`."""

    def api_tokens(self) -> list[ApiToken]:
        """See `AccessReader`."""
        text = "SELECT token_id, body FROM api_tokens ORDER BY token_id"
        return self._read_all("api_tokens", _token, text)

    def api_token(self, secret_hash: str) -> ApiToken | None:
        """See `AccessReader`."""
        text = "SELECT token_id, body FROM api_tokens WHERE secret_hash = ?"
        return self._read_one("api_tokens", _token, text, secret_hash)

    def users(self) -> list[User]:
        """See `AccessReader`."""
        return self._read_all("users", _user, "SELECT name, body FROM users ORDER BY name")

    def user(self, name: str) -> User | None:
        """See `AccessReader`."""
        text = "SELECT name, body FROM users WHERE name = ?"
        return self._read_one("users", _user, text, name)

    def sessions(self) -> list[Session]:
        """See `AccessReader`."""
        return self._read_all("sessions", _session, "SELECT session_id, body FROM sessions")

    def session(self, session_id: str) -> Session | None:
        """See `AccessReader`."""
        text = "SELECT session_id, body FROM sessions WHERE session_id = ?"
        return self._read_one("sessions", _session, text, session_id)

    def audit(self, after: int, limit: int) -> list[AuditRow]:
        """See `AccessReader`."""
        text = "SELECT number, body, hash FROM audit WHERE number > ? ORDER BY number LIMIT ?"
        return [AuditRow(*row) for row in self._all(text, after, min(limit, AUDIT_ROWS))]

    def audit_head(self) -> tuple[int, str]:
        """See `AccessReader`."""
        row = self._one("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")
        return (0, BEGINNING) if row is None else (row[0], row[1])


def write_access(connection: sqlite3.Connection, changes: Changes) -> None:
    """Write a batch's part of them inside the transaction that is open."""
    put = connection.executemany
    if changes.api_tokens:
        put(
            "INSERT INTO api_tokens (token_id, secret_hash, body) VALUES (?, ?, ?)"
            " ON CONFLICT (token_id) DO UPDATE SET body = excluded.body",
            [(one.token_id, one.secret_hash, _encode(one)) for one in changes.api_tokens.values()],
        )
    _write_named(connection, "users", "name", changes.users)
    _write_named(connection, "sessions", "session_id", changes.sessions)
    if changes.audit:
        put(
            "INSERT INTO audit (number, body, hash) VALUES (?, ?, ?)",
            [(row.number, row.body, row.hash) for row in changes.audit],
        )


def _write_named(
    connection: sqlite3.Connection, table: str, key: str, rows: dict[str, Any]
) -> None:
    """Put rows that are not None, remove those that are."""
    gone: Iterable[tuple[str]] = [(name,) for name, row in rows.items() if row is None]
    connection.executemany(f"DELETE FROM {table} WHERE {key} = ?", gone)
    connection.executemany(
        f"INSERT INTO {table} ({key}, body) VALUES (?, ?)"
        f" ON CONFLICT ({key}) DO UPDATE SET body = excluded.body",
        [(name, _encode(row)) for name, row in rows.items() if row is not None],
    )


class AccessTables:
    """What the in-memory store holds of them."""

    def __init__(self) -> None:
        self.api_tokens: dict[str, ApiToken] = {}
        self.users: dict[str, User] = {}
        self.sessions: dict[str, Session] = {}
        self.audit: list[AuditRow] = []

    def copy(self) -> AccessTables:
        """Return a copy that shares the frozen records."""
        twin = AccessTables()
        twin.api_tokens = dict(self.api_tokens)
        twin.users = dict(self.users)
        twin.sessions = dict(self.sessions)
        twin.audit = list(self.audit)
        return twin

    def apply(self, changes: Changes) -> None:
        """Take a batch's part of them."""
        self.api_tokens.update(changes.api_tokens)
        for table, rows in ((self.users, changes.users), (self.sessions, changes.sessions)):
            for name, row in rows.items():
                if row is None:
                    table.pop(name, None)
                else:
                    table[name] = row  # type: ignore[assignment]
        self.audit += changes.audit


class MemoryAccessReads:
    """Implements `AccessReader` on tables in memory."""

    @property
    def _access(self) -> AccessTables:
        raise NotImplementedError

    def api_tokens(self) -> list[ApiToken]:
        """See `AccessReader`."""
        return [token for _, token in sorted(self._access.api_tokens.items())]

    def api_token(self, secret_hash: str) -> ApiToken | None:
        """See `AccessReader`."""
        tokens = self._access.api_tokens.values()
        return next((token for token in tokens if token.secret_hash == secret_hash), None)

    def users(self) -> list[User]:
        """See `AccessReader`."""
        return [user for _, user in sorted(self._access.users.items())]

    def user(self, name: str) -> User | None:
        """See `AccessReader`."""
        return self._access.users.get(name)

    def sessions(self) -> list[Session]:
        """See `AccessReader`."""
        return list(self._access.sessions.values())

    def session(self, session_id: str) -> Session | None:
        """See `AccessReader`."""
        return self._access.sessions.get(session_id)

    def audit(self, after: int, limit: int) -> list[AuditRow]:
        """See `AccessReader`."""
        return self._access.audit[after : after + min(limit, AUDIT_ROWS)]

    def audit_head(self) -> tuple[int, str]:
        """See `AccessReader`."""
        rows = self._access.audit
        return (rows[-1].number, rows[-1].hash) if rows else (0, BEGINNING)
