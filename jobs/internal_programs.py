"""Programs that the server itself carries out: archive, vacuum, stats, backup.

Their types, from a job file to what a run is bound to. They touch nothing here; the ledger has them
done (`actors/ledger_upkeep.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from .errors import UserError
from .reading import At, Fields, filled, is_plain, many, shown, text
from .times import SECOND_US, parse_duration

# `type` in a job file, by kind; the class names are those of Apsis.
INTERNAL_TYPES = {
    "archive": "archive",
    "vacuum": "vacuum",
    "stats": "stats",
    "backup": "backup",
    "ArchiveProgram": "archive",
    "VacuumProgram": "vacuum",
    "StatsProgram": "stats",
}


class Internal(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the records of a job file; `age`, `path` and `chunk_sleep` may hold templates.
    A path is relative to the database's folder."""


class Archive(Internal, frozen=True, kw_only=True, tag_field="type", tag="archive"):
    """Move finished runs that last changed before `age` ago into a file (`path` None: nowhere, they
    are dropped): at most `count`, in chunks of `chunk_size` (None: all in one), with `chunk_sleep`
    between them. Of these `jobs` (ids, or folders of them; empty: of all) and with one of these
    `labels` (empty: with any); the newest `keep` of each job stay."""

    age: str
    path: str | None
    count: int
    jobs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    keep: int = 0
    chunk_size: int | None = None
    chunk_sleep: str | None = None


class Vacuum(Internal, frozen=True, kw_only=True, tag_field="type", tag="vacuum"):
    """Give back to the disk what the database does not use any more."""


class Stats(Internal, frozen=True, kw_only=True, tag_field="type", tag="stats"):
    """Figures of the server as one line of JSON, printed, and appended to `path` if given."""

    path: str | None = None


class Backup(Internal, frozen=True, kw_only=True, tag_field="type", tag="backup"):
    """Write a whole copy of the database to `path`, in place of what is there."""

    path: str


InternalProgram = Archive | Vacuum | Stats | Backup


class BoundArchive(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="bound-archive"
):
    """An archive whose values are final."""

    age_us: int
    path: str | None
    count: int
    jobs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    keep: int = 0
    chunk_size: int | None = None
    chunk_sleep_us: int = 0


class BoundVacuum(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="bound-vacuum"):
    """A vacuum."""


class BoundStats(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="bound-stats"):
    """Stats whose path is final."""

    path: str | None = None


class BoundBackup(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="bound-backup"):
    """A backup whose path is final."""

    path: str


BoundInternal = BoundArchive | BoundVacuum | BoundStats | BoundBackup

_APSIS = {
    "archive": "apsis.program.internal.archive.ArchiveProgram",
    "vacuum": "apsis.program.internal.vacuum.VacuumProgram",
    "stats": "apsis.program.internal.stats.StatsProgram",
}


def read_internal(kind: str, fields: Fields) -> InternalProgram:
    """Read the rest of a program of one of these kinds.

    Raises:
        Told: a key is wrong, missing or not known.
    """
    found: dict[str, Any] = {}
    if kind == "archive":
        found = {
            "age": fields.take("age", _duration),
            "path": fields.take("path", _path_or_none, null=True),
            "count": fields.take("count", _count),
            "jobs": fields.take("jobs", many(filled), ()),
            "labels": fields.take("labels", many(filled), ()),
            "keep": fields.take("keep", _count, 0),
            "chunk_size": fields.take("chunk_size", _count, None),
            "chunk_sleep": fields.take("chunk_sleep", _duration, None),
        }
    elif kind == "backup":
        found = {"path": fields.take("path", filled)}
    elif kind == "stats":
        found = {"path": fields.take("path", filled, None)}
    fields.finish()
    return _KINDS[kind](**found)


def bind_internal(program: InternalProgram, expand: Callable[[str], str]) -> BoundInternal:
    """Return the program with its templates filled.

    Raises:
        UserError: what a template gave is no duration, or no path.
    """
    match program:
        case Archive():
            return BoundArchive(
                age_us=_positive(expand(program.age)),
                path=None if program.path is None else _path(expand(program.path)),
                count=program.count,
                jobs=program.jobs,
                labels=program.labels,
                keep=program.keep,
                chunk_size=program.chunk_size,
                chunk_sleep_us=_positive(expand(program.chunk_sleep or "0")),
            )
        case Vacuum():
            return BoundVacuum()
        case Stats():
            return BoundStats(path=None if program.path is None else _path(expand(program.path)))
        case Backup():
            return BoundBackup(path=_path(expand(program.path)))


def internal_texts(program: InternalProgram) -> Iterator[str]:
    """Yield the texts that binding renders."""
    for name in ("age", "path", "chunk_sleep"):
        yield getattr(program, name, None) or ""


def internal_data(program: InternalProgram | BoundInternal) -> dict[str, Any]:
    """Return a program as data: as written in a job, or as bound to a run."""
    data: dict[str, Any] = msgspec.to_builtins(program)
    kind = data.pop("type").removeprefix("bound-")
    found: dict[str, Any] = {"type": _APSIS.get(kind, kind)}
    for name, value in data.items():
        if name.endswith("_us"):
            found[name.removesuffix("_us")] = value / SECOND_US
        elif value or name == "path":
            found[name] = value
    return found


def internal_words(program: InternalProgram | BoundInternal) -> str:
    """Return a program in words."""
    match program:
        case Archive():
            return f"archive age {program.age} → {program.path or 'nowhere'}"
        case BoundArchive():
            where = program.path or "nowhere"
            return f"archive age {program.age_us / SECOND_US:g} s → {where}"
        case Vacuum() | BoundVacuum():
            return "vacuum"
        case Stats() | BoundStats():
            return f"stats → {program.path}" if program.path else "stats"
        case _:
            return f"backup → {program.path}"


_KINDS: dict[str, type[InternalProgram]] = {
    "archive": Archive,
    "vacuum": Vacuum,
    "stats": Stats,
    "backup": Backup,
}


def _duration(value: Any, at: At) -> str:
    """Read a duration that is no less than 0, or a template of one, as its text."""
    if isinstance(value, str) and any(mark in value for mark in ("{{", "{%", "{#")):
        return text(value, at)
    if not isinstance(value, str) and not is_plain(value):
        raise UserError(f"{shown(value)}: expected a duration such as 90d")
    _positive(value)
    return str(value)


def _positive(value: Any) -> int:
    found = parse_duration(value)
    if found < 0:
        raise UserError(f"duration {value!r}: is negative: expected 0 or more")
    return found


def _path_or_none(value: Any, at: At) -> str | None:
    return None if value is None else filled(value, at)


def _count(value: Any, _at: At) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**53:
        raise UserError(f"{shown(value)}: expected a whole number of 1 or more")
    return value


def _path(value: str) -> str:
    if not value or "\0" in value:
        raise UserError(f"path {value!r}: expected the path of a file")
    return value
