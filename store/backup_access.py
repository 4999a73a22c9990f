"""Who may come in, where databases are copied: what a backup holds of it, and what a restore keeps.

A backup travels: it holds nothing by which somebody could log in, or find a password by trying. A
restore must not let in again who was shut out since: it keeps who may come in as it was last known.
"""

from __future__ import annotations

import sqlite3

import msgspec

from ..messages.access import User
from .migrate import connect
from .tallies import TallyKeeper

# Who may come in; the columns of these have not changed since they were made.
_TABLES = ("api_tokens", "users", "agents")

_user = msgspec.msgpack.Decoder(User).decode
_encode = msgspec.msgpack.Encoder().encode


def leave_out_secrets(path: str, *, passwords: bool) -> None:
    """Take log-ins, one-time tokens of agents and, unless `passwords`, the hashes of passwords out
    of a copy. Hashes of tokens stay: they are of 256 random bits, and lead nowhere.

    Users stay, with a password that nothing matches.
    """
    connection = connect(path, writable=True)
    try:
        # What is deleted is overwritten, not only unlinked.
        connection.execute("PRAGMA secure_delete = ON").fetchall()
        tallies = TallyKeeper(connection)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM sessions")
        connection.execute("DELETE FROM agent_tokens")
        if not passwords:
            for name, body in connection.execute("SELECT name, body FROM users").fetchall():
                user = msgspec.structs.replace(_user(body), password="")
                values = (_encode(user), name)
                connection.execute("UPDATE users SET body = ? WHERE name = ?", values)
        tallies.put()
        connection.execute("COMMIT")
    finally:
        connection.close()


def keep_access(path: str, there: str) -> bool:
    """Put tokens, users and agents as they are in the database `there` in the place of those of
    the copy at `path`; all log-ins end. False, and nothing, when they cannot be read."""
    connection = connect(path, writable=True)
    try:
        tallies = TallyKeeper(connection)
        connection.execute("ATTACH DATABASE ? AS there", (there,))
        try:
            connection.execute("BEGIN IMMEDIATE")
            for table in _TABLES:
                connection.execute(f"DELETE FROM main.{table}")
                connection.execute(f"INSERT INTO main.{table} SELECT * FROM there.{table}")
            connection.execute("DELETE FROM main.sessions")
            tallies.put()
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return False
        else:
            return True
        finally:
            connection.execute("DETACH DATABASE there")
    finally:
        connection.close()
