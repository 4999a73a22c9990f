"""The settings of logs: where lines go, which of them, and how files are rolled over.

Called by `settings.py`; what writes them is `wire/log_files.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from ..jobs.errors import UserError
from ..jobs.parse_output import read_size
from ..jobs.reading import At, Fields, Told, filled, shown
from ..jobs.times import parse_duration

LEVELS = ("debug", "info", "warning", "error", "critical")
# The processes of a server, and what of theirs has a level of its own.
PARTS = (
    "supervisor", "ledger", "scheduler", "binder", "waiter", "runner", "responder", "checker",
    "web", "agent", "runs", "requests",
)  # fmt: skip
SIZE_BYTES = 64 * 2**20
LEAST_BYTES = 4 * 2**10
KEEP = 10
MOST_KEPT = 10_000
SHORTEST_US = 60 * 10**6


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`folder`: a file for each process goes there, None: nowhere. `levels`: of single parts.
    `format`: text or json. Files are rolled over at `size_bytes` and each `every_us`, 0: never;
    `keep` older ones stay. `stderr`: from which level lines go there too, off, or empty: all of
    them without a folder, else warnings."""

    folder: Path | None = None
    level: str = "info"
    levels: dict[str, str] = {}
    format: str = "text"
    size_bytes: int = SIZE_BYTES
    every_us: int = 0
    keep: int = KEEP
    stderr: str = ""


def take_logs(fields: Fields, base: Path) -> LogSettings:
    """Return what the whole file says of logs; paths are relative to `base`."""

    def absolute(value: Any, at: At) -> Path:
        return Path(os.path.normpath(base / os.path.expanduser(filled(value, at))))

    def logs(value: Any, at: At) -> LogSettings:
        inner = Fields(value, at)
        folder = inner.take("folder", absolute, None)
        level = inner.take("level", _level, "info")
        levels = inner.take("levels", _levels, {})
        style = inner.take("format", _format, "text")
        rotate = inner.take("rotate", _rotate, (SIZE_BYTES, 0, KEEP))
        stderr = inner.take("stderr", _stderr, None) or ""
        inner.finish()
        if any(path[: len(at.path)] == at.path for path, _ in at.problems):
            raise Told
        size_bytes, every_us, keep = rotate
        return LogSettings(
            folder=folder, level=level, levels=levels, format=style, stderr=stderr,
            size_bytes=size_bytes, every_us=every_us, keep=keep,
        )  # fmt: skip

    return fields.take("log", logs, None) or LogSettings()


def _level(value: Any, _at: At) -> str:
    found = str(value).lower()
    if found not in LEVELS:
        raise UserError(f"{shown(value)}: expected {', '.join(LEVELS[:-1])} or {LEVELS[-1]}")
    return found


def _stderr(value: Any, at: At) -> str:
    # Plain `off` is a string in YAML 1.2; `false` means the same to everybody.
    return "off" if value in ("off", False) else _level(value, at)


def _levels(value: Any, at: At) -> dict[str, str]:
    fields = Fields(value, at, known=PARTS)
    found = {part: fields.take(part, _level) for part in PARTS if part in fields.data}
    fields.finish()
    return found


def _format(value: Any, _at: At) -> str:
    if value not in ("text", "json"):
        raise UserError(f"{shown(value)}: expected text or json")
    return str(value)


def _rotate(value: Any, at: At) -> tuple[int, int, int]:
    fields = Fields(value, at)
    size_bytes = fields.take("size", _file_size, SIZE_BYTES)
    every_us = fields.take("every", _every, None) or 0
    keep = fields.take("keep", _keep, KEEP)
    fields.finish()
    return size_bytes, every_us, keep


def _file_size(value: Any, at: At) -> int:
    found = read_size(value, at)
    if 0 < found < LEAST_BYTES:
        raise UserError(f"{shown(value)}: expected 0, or {LEAST_BYTES} bytes or more")
    return found


def _every(value: Any, _at: At) -> int:
    found = parse_duration(value)
    if found < SHORTEST_US:
        raise UserError(f"{shown(value)}: expected a duration of a minute or more")
    return found


def _keep(value: Any, _at: At) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_KEPT:
        raise UserError(f"{shown(value)}: expected a whole number from 1 to {MOST_KEPT}")
    return value
