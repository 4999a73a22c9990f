"""The settings of templates: functions and filters by name, and where their modules are.

Called by `settings.py`. Nothing is imported here; see `actors/template_functions.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from ..jobs.errors import UserError
from ..jobs.reading import At, Fields, filled, shown
from ..jobs.templates import FILTER_NAMES, RESERVED


class TemplateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Functions and filters that templates have besides their own: `module:function` by name.

    `path`: a folder in which modules are looked for first.
    """

    functions: dict[str, str] = {}
    filters: dict[str, str] = {}
    path: Path | None = None


NO_TEMPLATES = TemplateSettings()


def take_templates(fields: Fields, base: Path) -> TemplateSettings:
    """Return the settings of templates; paths are relative to `base`."""

    def absolute(value: Any, at: At) -> Path:
        return Path(os.path.normpath(base / os.path.expanduser(filled(value, at))))

    def templates(value: Any, at: At) -> TemplateSettings:
        inner = Fields(value, at)
        functions = inner.take("functions", _functions, {})
        filters = inner.take("filters", _filters, {})
        path = inner.take("path", absolute, None)
        inner.finish()
        return TemplateSettings(functions=functions, filters=filters, path=path)

    return fields.take("templates", templates, NO_TEMPLATES)


def _functions(value: Any, at: At) -> dict[str, str]:
    return _named(value, at, RESERVED)


def _filters(value: Any, at: At) -> dict[str, str]:
    return _named(value, at, FILTER_NAMES)


def _named(value: Any, at: At, taken: frozenset[str]) -> dict[str, str]:
    """Read `module:function` by the names that templates are to have for them."""
    fields = Fields(value, at)
    for name in value:
        if not isinstance(name, str) or not name.isidentifier():
            at.fail(f"{shown(name)}: expected a name like business_day", key=name)
        elif name in taken:
            at.fail(f"{name}: expected a name that templates do not have already", key=name)
    found = {name: fields.take(name, import_path) for name in value}
    fields.finish()
    return found


def import_path(value: Any, at: At) -> str:
    """Read where something is to be imported from, `module:name`."""
    told = filled(value, at)
    module, _, function = told.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *function.split("."))):
        raise UserError(f"{shown(told)}: expected a form like package.module:function")
    return told
