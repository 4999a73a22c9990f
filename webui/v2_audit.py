"""The record of who did what, in pages: `/api/v2/audit-log`."""

from __future__ import annotations

from typing import Any

import msgspec

from ..jobs.times import format_time_ms
from ..messages.audit import AuditRow
from ..store.access import AUDIT_ROWS
from ..store.interface import Reader
from .routing import Request, Route


async def get_audit_log(request: Request) -> Any:
    """Entries in order after number `after`, at most `limit`; without `after` the last ones.

    `raw`: as they are stored, for who wants to follow the chain of their hashes.
    """
    limit = request.number("limit", 100, 1, AUDIT_ROWS)
    after = request.number("after", -1, -1, 2**53)
    raw = request.flag("raw", bare=True)

    def read(reader: Reader) -> tuple[int, str, list[AuditRow]]:
        number, hash_ = reader.audit_head()
        begin = max(0, number - limit) if after < 0 else after
        return number, hash_, reader.audit(begin, limit)

    number, hash_, rows = await request.services.read(read)
    found: dict[str, Any] = {"head": {"number": number, "hash": hash_}}
    if raw:
        found["rows"] = [[row.number, row.body, row.hash] for row in rows]
    else:
        found["entries"] = [_entry_jso(row) for row in rows]
    return found


def _entry_jso(row: AuditRow) -> dict[str, Any]:
    entry = row.entry
    said: dict[str, Any] = msgspec.to_builtins(entry)
    del said["at_us"]
    return said | {"time": format_time_ms(entry.at_us), "hash": row.hash}


ROUTES = [Route("GET", "/api/v2/audit-log", get_audit_log)]
