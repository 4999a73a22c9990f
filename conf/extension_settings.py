"""The settings of extensions: which types there are besides our own, and where each is from.

Called by `settings.py`. Nothing is imported here; see `actors/extensions.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ..jobs.errors import UserError
from ..jobs.reading import At, Fields, filled, many, shown
from .template_settings import import_path

_NAME = re.compile(r"[A-Za-z_][\w.-]*")


class Extension(msgspec.Struct, frozen=True, kw_only=True):
    """A type by its name. `target`: its class as `module:Class`; None: that of the entry point of
    this name."""

    name: str
    target: str | None = None

    @property
    def words(self) -> str:
        """What it is called in sentences."""
        return f"extensions.{self.name}" if self.target else f"extensions: {self.name}"


def take_extensions(fields: Fields) -> tuple[Extension, ...]:
    """Return the extensions: a list of names of entry points, a mapping of names to
    `module:Class`, or a list of both."""
    given: tuple[tuple[Extension, ...], ...] | None = fields.take("extensions", many(_some), ())
    found: dict[str, Extension] = {}
    for one in (one for some in given or () for one in some):
        if found.setdefault(one.name, one) != one:
            fields.at.fail(f"extensions: {one.name}: is there twice: expected another name")
    return tuple(found.values())


def _some(value: Any, at: At) -> tuple[Extension, ...]:
    if not isinstance(value, Mapping):
        return (Extension(name=_name(value, at)),)
    inner = Fields(value, at)
    found = []
    for name in value:
        target = inner.take(name, import_path)
        try:
            found.append(Extension(name=_name(name, at), target=target))
        except UserError as error:
            at.fail(str(error), key=name)
    inner.finish()
    return tuple(found)


def _name(value: Any, at: At) -> str:
    found = filled(value, at)
    if not _NAME.fullmatch(found) or found.startswith("apsis."):
        raise UserError(f"{shown(found)}: expected a name like market-hours")
    return found
