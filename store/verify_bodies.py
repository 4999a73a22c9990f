"""The records that `verify` holds against nothing but themselves: can each of them be read?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .rows import (
    decode_agent,
    decode_agent_token,
    decode_backfill,
    decode_calendar,
    decode_finding,
    decode_operation,
    decode_part,
    decode_pause,
    decode_round,
    decode_session,
    decode_streak,
    decode_token,
    decode_user,
)

Decode = Callable[[bytes], Any]

# By table: what names a row in SQL, and by what its body is read.
BODIES: dict[str, tuple[str, Decode]] = {
    "agents": ("agent_id", decode_agent),
    "agent_tokens": ("token_id", decode_agent_token),
    "api_tokens": ("token_id", decode_token),
    "backfills": ("n", decode_backfill),
    "calendars": ("name", decode_calendar),
    "calendar_versions": ("name", decode_calendar),
    "check_rounds": ("place", decode_round),
    "findings": ("key", decode_finding),
    "operations": ("operation_id", decode_operation),
    "operation_parts": ("operation_id || ' ' || number", decode_part),
    "pauses": ("trim(kind || ' ' || name)", decode_pause),
    "sessions": ("substr(session_id, 1, 8)", decode_session),
    "streaks": ("job_id || ' ' || args", decode_streak),
    "users": ("name", decode_user),
}


def bodies(rows: Callable[[str], Any]) -> Iterator[tuple[str, str, Decode, bytes]]:
    """Yield table and name of each such row, by what it is read, and its body."""
    for table, (name, decode) in BODIES.items():
        for said, body in rows(f"SELECT {name}, body FROM {table}").fetchall():
            yield table, said, decode, body
