"""The server's own processes: what the supervisor and the operating system say of each.

Called by `health` and `/metrics`; it reads `/proc` only.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple, TypedDict

from .figures import Board

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


class Facts(NamedTuple):
    """What the operating system says of a process. `up_s`: for how long it has been there."""

    cpu_s: float
    resident_bytes: int
    files: int
    threads: int
    up_s: float


class ProcessRow(TypedDict):
    """One process of the server. `queue`: messages that wait for it; None is not known."""

    role: str
    pid: int | None
    status: str
    restarts: int
    up_s: float | None
    resident_bytes: int | None
    cpu_s: float | None
    queue: int | None


def process_rows(board: Board) -> list[ProcessRow]:
    """Return the processes by role, the supervisor first; empty while nothing is known of them."""
    rows: list[ProcessRow] = []
    for role, one in board.processes().items():
        facts = facts_of(one.standing.pid)
        queue = None if one.figures is None else one.figures.gauges.get("mailbox")
        rows.append(
            {
                "role": role,
                "pid": one.standing.pid or None,
                "status": "up" if one.standing.ready and facts is not None else "down",
                "restarts": max(0, one.standing.starts - 1),
                "up_s": None if facts is None else round(facts.up_s, 1),
                "resident_bytes": None if facts is None else facts.resident_bytes,
                "cpu_s": None if facts is None else round(facts.cpu_s, 2),
                "queue": None if queue is None else int(queue),
            }
        )
    return sorted(rows, key=lambda row: (row["role"] != "supervisor", row["role"]))


def facts_of(pid: int) -> Facts | None:
    """Return what is known of a process, None when there is none (any more)."""
    if not pid:
        return None
    folder = Path(f"/proc/{pid}")
    try:
        parts = (folder / "stat").read_text().rpartition(")")[2].split()
        files = len(os.listdir(folder / "fd"))
    except (OSError, ValueError):
        return None
    return Facts(
        cpu_s=(int(parts[11]) + int(parts[12])) / _TICKS,
        resident_bytes=int(parts[21]) * _PAGE_BYTES,
        files=files,
        threads=int(parts[17]),
        up_s=max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - int(parts[19]) / _TICKS),
    )
