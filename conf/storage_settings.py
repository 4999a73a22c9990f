"""The settings of outputs: how much is kept of one, where, and for how long.

Called by `settings.py`. Whether a URL can be used is found out when a server starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..jobs.errors import UserError
from ..jobs.keeping import KEEP_BYTES
from ..jobs.parse_output import read_keep
from ..jobs.reading import At, Fields, Told, filled, shown
from ..jobs.times import parse_duration


class StorageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`keep_bytes`: of one output, where its job does not say. `url`: where finished outputs go, by
    fsspec, with its `options`; None: they stay on the disk. `retention_us`: outputs older than this
    are removed, None: never."""

    keep_bytes: int = KEEP_BYTES
    url: str | None = None
    options: dict[str, Any] = {}
    retention_us: int | None = None


def take_storage(fields: Fields) -> StorageSettings:
    """Return what the whole file says of outputs."""
    return fields.take("outputs", _storage, StorageSettings())


def _storage(value: Any, at: At) -> StorageSettings:
    fields = Fields(value, at)
    keep_bytes = fields.take("keep", read_keep, KEEP_BYTES)
    url = fields.take("url", _url, None)
    options = fields.take("options", _options, {})
    retention_us = fields.take("retention", _retention, None)
    fields.finish()
    if any(path[: len(at.path)] == at.path for path, _ in at.problems):
        raise Told
    return StorageSettings(
        keep_bytes=keep_bytes, url=url, options=options, retention_us=retention_us
    )


def _url(value: Any, at: At) -> str:
    url = filled(value, at)
    if "://" not in url:
        raise UserError(f"{shown(url)}: expected a URL of fsspec, like s3://bucket/folder")
    return url


def _options(value: Any, _at: At) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UserError(f"{shown(value)}: expected a mapping, for the file system of the URL")
    return dict(value)


def _retention(value: Any, _at: At) -> int:
    found = parse_duration(value)
    if found <= 0:
        raise UserError(f"{value}: expected a duration of more than 0")
    return found
