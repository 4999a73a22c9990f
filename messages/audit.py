"""The record of who did what: entries whose hashes make a chain.

Each hash covers the entry's text and the hash before it, so that an entry that is changed, taken
out or put in shows. What a chain cannot show by itself is that its end was cut off: who wants to
know that notes the last number and hash elsewhere, and has them looked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from ..jobs.errors import CallsheetError

# The hash before the first entry.
BEGINNING = "0" * 64


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing somebody did, or was refused (`outcome` done or refused, then with `sentence`).

    `who` is `user:NAME`, `token:NAME`, or `local`; `source` the address they came from;
    `credential` by what they were known. `act` is the wish's name, `target` what it was about,
    `details` what changed (before and after, where there is such).
    """

    number: int
    at_us: int
    who: str
    act: str
    outcome: str
    target: str = ""
    source: str = ""
    credential: str = ""
    command_id: str = ""
    sentence: str = ""
    details: dict[str, Any] = {}


class AuditRow(msgspec.Struct, frozen=True):
    """An entry as it is stored: `body` is its JSON, which the hash covers."""

    number: int
    body: str
    hash: str

    @property
    def entry(self) -> AuditEntry:
        """What it says."""
        return _decode(self.body)


class Broken(CallsheetError):
    """The chain does not hold at an entry."""

    def __init__(self, number: int, sentence: str) -> None:
        self.number = number
        super().__init__(f"audit log: entry {number}: {sentence}")


_decode = msgspec.json.Decoder(AuditEntry).decode


def chained(before: str, entry: AuditEntry) -> AuditRow:
    """Return the row of an entry that follows the hash `before`."""
    body = msgspec.json.encode(entry).decode()
    return AuditRow(entry.number, body, _hash(before, body))


class Chain:
    """A chain that is followed row by row; `number` and `hash` are of the last one that held."""

    def __init__(self) -> None:
        self.number = 0
        self.hash = BEGINNING

    def follow(self, rows: Iterable[AuditRow]) -> None:
        """Check that these rows follow.

        Raises:
            Broken: one of them does not.
        """
        for row in rows:
            if row.number != self.number + 1:
                sentence = f"it follows entry {self.number}: some are missing or doubled"
                raise Broken(row.number, sentence)
            if row.hash != _hash(self.hash, row.body):
                raise Broken(row.number, "it, or what was before it, is not what was written")
            try:
                number = row.entry.number
            except msgspec.DecodeError:
                raise Broken(row.number, "it is not to be understood") from None
            if number != row.number:
                raise Broken(row.number, f"it says that it is entry {number}")
            self.number, self.hash = row.number, row.hash


def _hash(before: str, body: str) -> str:
    return hashlib.sha256(f"{before}\n{body}".encode()).hexdigest()
