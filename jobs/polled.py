"""Conditions that are checked again and again, since nothing tells when they come true.

Each kind as written in a job and as bound to a run. A bound one is hashable: runs that wait for the
same thing share one check. Who makes the checks is `actors/prober.py`, on the server's host.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .data_texts import data_hash

# So long a check may take, and so long after one is the next, when the job does not say.
TIMEOUT = "10"
POLL_INTERVAL = "60"


class FileCheck(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="file"
):
    """A file or folder is there, or is not (`exists` false). Durations and size as texts."""

    path: str
    exists: bool = True
    min_size: str | None = None
    changed_within: str | None = None
    older_than: str | None = None
    timeout: str = TIMEOUT
    poll_interval: str = POLL_INTERVAL
    enabled: bool | str = True


class HttpCheck(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="http"
):
    """A URL answers with one of `status` (empty: any 2xx), its body containing a text."""

    url: str
    method: str = "GET"
    status: tuple[int, ...] = ()
    contains: str | None = None
    timeout: str = TIMEOUT
    poll_interval: str = POLL_INTERVAL
    enabled: bool | str = True


class CommandCheck(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="command"
):
    """A program ends with exit status 0: `argv`, or else `command` by a shell."""

    argv: tuple[str, ...] = ()
    command: str | None = None
    timeout: str = TIMEOUT
    poll_interval: str = POLL_INTERVAL
    enabled: bool | str = True


class SqlCheck(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="sql"
):
    """The first value a query finds is true: neither null, 0 nor empty. `database` is a file of
    SQLite, or the name of a database of the settings."""

    database: str
    query: str
    timeout: str = TIMEOUT
    poll_interval: str = POLL_INTERVAL
    enabled: bool | str = True


class ExtensionCheck(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type",
    tag="extension",
):  # fmt: skip
    """What a type of the settings' extensions checks holds."""

    name: str
    data: dict[str, Any]
    timeout: str = TIMEOUT
    poll_interval: str = POLL_INTERVAL
    enabled: bool | str = True


Polled = FileCheck | HttpCheck | CommandCheck | SqlCheck | ExtensionCheck


# --- bound --------------------------------------------------------------------------------------


class BoundFileCheck(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="file"
):
    """See `FileCheck`."""

    path: str
    exists: bool = True
    min_bytes: int | None = None
    changed_within_us: int | None = None
    older_than_us: int | None = None
    timeout_us: int
    poll_us: int


class BoundHttpCheck(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="http"
):
    """See `HttpCheck`."""

    url: str
    method: str = "GET"
    status: tuple[int, ...] = ()
    contains: str | None = None
    timeout_us: int
    poll_us: int


class BoundCommandCheck(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="command"
):
    """See `CommandCheck`."""

    argv: tuple[str, ...]
    timeout_us: int
    poll_us: int


class BoundSqlCheck(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="sql"
):
    """See `SqlCheck`."""

    database: str
    query: str
    timeout_us: int
    poll_us: int


class BoundExtensionCheck(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type",
    tag="extension",
):  # fmt: skip
    """See `ExtensionCheck`."""

    name: str
    data: dict[str, Any]
    timeout_us: int
    poll_us: int

    def __hash__(self) -> int:
        """Return a hash of what is checked."""
        return data_hash(self.name, self.data)


BoundPolled = (
    BoundFileCheck | BoundHttpCheck | BoundCommandCheck | BoundSqlCheck | BoundExtensionCheck
)


def kind_of(cond: Polled | BoundPolled) -> str:
    """Return the name of a condition's kind, as settings and job files have it."""
    return str(type(cond).__struct_config__.tag)
