"""The record of who did what, in pages: `/api/v2/audit-log`."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict, cast

import msgspec
from msgspec import Meta

from ..jobs.times import format_time_ms
from ..messages.audit import AuditRow
from ..store.access import AUDIT_ROWS
from ..store.interface import Reader
from .routing import Request, Route
from .shapes import Instant


class AuditQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which entries."""

    after: Annotated[
        int, Meta(ge=-1, le=2**53, description="Those after this number; -1: the last ones.")
    ] = -1
    limit: Annotated[int, Meta(ge=1, le=AUDIT_ROWS)] = 100
    raw: Annotated[
        bool,
        Meta(description="As they are stored, for who follows the chain of their hashes."),
    ] = False


class AuditRecord(TypedDict):
    """One thing somebody did, or was refused; see the guide of access."""

    number: int
    who: str
    act: str
    outcome: str
    time: Instant
    hash: str
    target: NotRequired[str]
    source: NotRequired[str]
    credential: NotRequired[str]
    command_id: NotRequired[str]
    sentence: NotRequired[str]
    details: NotRequired[dict[str, Any]]


class AuditHead(TypedDict):
    """Number and hash of the last entry."""

    number: int
    hash: str


class AuditLog(TypedDict):
    """Entries in order; with `raw` as number, body and hash."""

    head: AuditHead
    entries: NotRequired[list[AuditRecord]]
    rows: NotRequired[list[list[int | str]]]


async def get_audit_log(request: Request, query: AuditQuery) -> AuditLog:
    """Who did what: entries in order after a number, or the last ones."""
    limit, after = query.limit, query.after

    def read(reader: Reader) -> tuple[int, str, list[AuditRow]]:
        number, hash_ = reader.audit_head()
        begin = max(0, number - limit) if after < 0 else after
        return number, hash_, reader.audit(begin, limit)

    number, hash_, rows = await request.services.read(read)
    found: AuditLog = {"head": {"number": number, "hash": hash_}}
    if query.raw:
        found["rows"] = [[row.number, row.body, row.hash] for row in rows]
    else:
        found["entries"] = [_entry_jso(row) for row in rows]
    return found


def _entry_jso(row: AuditRow) -> AuditRecord:
    entry = row.entry
    said: dict[str, Any] = msgspec.to_builtins(entry)
    del said["at_us"]
    said |= {"time": format_time_ms(entry.at_us), "hash": row.hash}
    return cast("AuditRecord", said)


ROUTES = [Route("GET", "/api/v2/audit-log", get_audit_log)]
