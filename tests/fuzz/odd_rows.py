"""Rows of a database as a bug or another hand may have left them: one value of one row is another.

And what the roles might say to a ledger over such a database: by the types of their messages, so
that each can be read, and makes no sense.
"""

from __future__ import annotations

import sqlite3
from typing import Any, get_args

import msgspec
from odd_values import Dice, maker_of, odd, wounded

from callsheet.messages.codec import BadFrame
from callsheet.messages.hello import Hello
from callsheet.messages.post import LEDGER
from callsheet.messages.verbs import READERS

KIND = "ledger"
# What is said at most in one case.
SAID_AT_MOST = 6
PEERS = READERS[LEDGER]
# Tables of which nothing is a record; each column of the others may be any other thing.
PLAIN = ("sqlite_sequence",)


def wound(connection: sqlite3.Connection, dice: Dice) -> str:
    """Change one value of one row; return of which table and column."""
    names = [
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'"
            " ORDER BY name"
        )
        if name not in PLAIN
    ]
    table = dice.choice(names)
    found = connection.execute(f"PRAGMA table_info({table})").fetchall()
    columns = [row[1] for row in found]
    key = [row[1] for row in found if row[5]] or ["rowid"]
    # Where the record is, most is to be seen.
    bodies = [name for name in columns if name in ("body", "record", "spec")]
    column = dice.choice(bodies if bodies and dice.random() < 0.6 else columns)
    rows = connection.execute(f"SELECT {column}, {', '.join(key)} FROM {table}").fetchall()
    if not rows:
        return f"{table} is empty"
    value, *named = dice.choice(rows)
    where = " AND ".join(f"{name} IS ?" for name in key)
    text = f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {where}"
    try:
        connection.execute(text, (_another(value, dice), *named))
    except (sqlite3.IntegrityError, OverflowError):
        return f"{table}.{column} bears no other"
    return f"{table}.{column}"


def _another(value: Any, dice: Dice) -> Any:
    roll = dice.random()
    if roll < 0.1:
        return dice.choice((None, 0, -1, 99, 2**63 - 1, -(2**63), 1.5, "", "x", ".", b"", b"\xff"))
    if isinstance(value, bytes):
        if roll < 0.5:
            return wounded(value, dice)
        return _other_record(value, dice)
    if isinstance(value, int):
        return value + dice.choice((-1, 1, 2, 1_000, 10**6, 10**15, -(10**15)))
    text = wounded(str(value or "").encode(), dice)
    return text.decode("utf-8", "replace")


def _other_record(value: bytes, dice: Dice) -> bytes:
    """Return a record with other values in it."""
    try:
        data = msgspec.msgpack.decode(value)
    except msgspec.DecodeError:
        return dice.randbytes(20)
    at = data
    while isinstance(at, list) and at and isinstance(at[0], dict | list):
        at = dice.choice(at)
    if isinstance(at, dict) and at:
        for _ in range(dice.choice((1, 1, 2))):
            at[dice.choice(list(at))] = odd(dice)
    else:
        data = odd(dice)
    try:
        return msgspec.msgpack.encode(data)
    except (OverflowError, UnicodeEncodeError, TypeError):
        return b"\xc1"


def some_said(dice: Dice) -> list[tuple[str, list[Any]]]:
    """Return what some roles say, as their frames are read: sender and messages."""
    said: list[tuple[str, list[Any]]] = []
    for kind in dice.sample(sorted(PEERS), dice.randrange(3)):
        said.append((f"{kind}/0", [Hello(role=f"{kind}/0", incarnation="1")]))
    for _ in range(dice.randrange(1, SAID_AT_MOST)):
        kind = dice.choice(sorted(PEERS))
        accepted = get_args(PEERS[kind].accepts)[0]
        try:
            frame = msgspec.msgpack.encode([maker_of(accepted)(dice)])
            said.append((f"{kind}/0", PEERS[kind].unpack(frame)))
        except (BadFrame, OverflowError, UnicodeEncodeError, TypeError):
            continue
    return said
