"""Every setting with its value and where it comes from: for `callsheetctl config show`.

It reads as the server does and looks at what was asked for on the way, so that no list of keys has
to be kept beside the readers. Sections that nobody wrote are tried as if they were there, empty:
their keys have defaults too. Secrets are never shown, nor what looks like one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec

from ..jobs.masking import MASK, mask
from ..jobs.reading import Fields, KeyPath, dotted
from .settings import Loaded, Settings, read_loaded, read_settings_data
from .yaml_writer import write_yaml

# Apsis's keys that mean nothing here are shown where they were written, and not else.
_APSIS = {"procstar", "python", "host_groups", "runs_lookback"}
# Whatever stands below these is a secret, unless it only says in which file the secret is.
_SECRET: tuple[KeyPath, ...] = (
    ("smtp", "auth", "password"),
    ("secrets",),
    ("notify",),
    ("outputs", "options"),
)
_IN_FILES = {"file", "password_file"}
# Keys whose numbers are microseconds inside; they are written as durations.
_DURATIONS = {"horizon", "interval", "session", "start_timeout"}
_MODES = {"socket_mode"}
_UNITS_US = (("d", 86_400 * 10**6), ("h", 3_600 * 10**6), ("m", 60 * 10**6), ("s", 10**6))

DEFAULT = "default"


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One setting. `source`: `default`, `override`, or `path:line:column` of its file."""

    key: str
    value: Any
    source: str


def show_settings(
    path: str | os.PathLike[str] | None, overrides: Sequence[str] = ()
) -> list[tuple[KeyPath, Shown]]:
    """Return all settings by key path: those that were written first, in their order.

    Raises:
        SettingsError: the file cannot be read, or something in it is wrong.
    """
    loaded = read_loaded(path, overrides)
    written = dict(_leaves((), loaded.data))
    defaults = _defaults(loaded)
    found: list[tuple[KeyPath, Shown]] = []
    for key_path, value in written.items():
        source = _source(loaded, path, key_path)
        hidden = _hidden(key_path, value)
        found.append((key_path, Shown(key=dotted(key_path), value=hidden, source=source)))
    for key_path, value in defaults.items():
        if not any(key_path[: len(one)] == one for one in written):
            shown = Shown(key=dotted(key_path), value=value, source=DEFAULT)
            found.append((key_path, shown))
    return found


def as_yaml(found: list[tuple[KeyPath, Shown]]) -> str:
    """Return settings as a file, each line with where it comes from."""
    tree: dict[Any, Any] = {}
    for key_path, shown in found:
        inner = tree
        for key in key_path[:-1]:
            inner = inner.setdefault(key, {})
        inner[key_path[-1]] = shown
    lines = list(_lines(tree, 0))
    width = min(60, max((len(text) for text, _ in lines), default=0))
    return "".join(
        f"{text:<{width}}  # {source}\n" if source else f"{text}\n" for text, source in lines
    )


def _lines(tree: Mapping[Any, Any], depth: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in tree.items():
        name = write_yaml({str(key): 0}).rpartition(":")[0]
        if isinstance(value, Shown):
            text = msgspec.json.encode(value.value).decode()
            if isinstance(value.value, str):
                text = write_yaml({"": value.value}).partition(":")[2].strip()
                if "\n" in text:
                    text = msgspec.json.encode(value.value).decode()
            found.append((f"{'  ' * depth}{name}: {text}", value.source))
        else:
            found.append((f"{'  ' * depth}{name}:", ""))
            found += _lines(value, depth + 1)
    return found


# --- what was written -----------------------------------------------------------------------------


def _leaves(path: KeyPath, value: Any) -> list[tuple[KeyPath, Any]]:
    """Return what stands at the ends of mappings, in order."""
    if isinstance(value, Mapping) and value:
        return [leaf for key, inner in value.items() for leaf in _leaves((*path, key), inner)]
    return [(path, value)] if path else []


def _source(loaded: Loaded, path: str | os.PathLike[str] | None, key_path: KeyPath) -> str:
    if any(key_path[: len(one)] == one for one in loaded.overridden):
        return "override"
    line, column = loaded.document.position(key_path)
    return f"{os.fspath(path or 'settings')}:{line}:{column}"


def _hidden(key_path: KeyPath, value: Any) -> Any:
    """Return a value, or what may be shown of it."""
    secret = any(key_path[: len(one)] == one for one in _SECRET)
    if secret and key_path[-1] not in _IN_FILES:
        return MASK if value not in (None, {}, []) else value
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [_hidden(key_path, one) for one in value]
    if isinstance(value, Mapping):
        return {key: _hidden((*key_path, key), one) for key, one in value.items()}
    return value


# --- what was not ---------------------------------------------------------------------------------


def _defaults(loaded: Loaded) -> dict[KeyPath, Any]:
    """Return the defaults of all keys that nobody wrote."""
    data = loaded.data
    settings, read = read_settings_data(data, loaded.base)
    while True:
        more = [one for one in _absent(data, read) if _is_section(loaded, data, one, settings)]
        if not more:
            break
        for section in more:
            data = _with(data, section, {})
        _, read = read_settings_data(data, loaded.base)
    sections = {fields.at.path for fields in read}
    found: dict[KeyPath, Any] = {}
    for key_path in _absent(data, read):
        if key_path not in sections:
            fields = next(one for one in read if one.at.path == key_path[:-1])
            default = _as_written(key_path, fields.defaults[str(key_path[-1])])
            # Some defaults have no words; and some keys mean nothing without others.
            for value in (default, None):
                tried = _with(data, key_path, value)
                if read_settings_data(tried, loaded.base)[0] == settings:
                    found[key_path] = value
                    break
    return found


def _is_section(
    loaded: Loaded, data: dict[str, Any], key_path: KeyPath, settings: Settings | None
) -> bool:
    """Whether a mapping is read there, and an empty one means what its absence means."""
    same, read = read_settings_data(_with(data, key_path, {}), loaded.base)
    return same == settings and any(fields.at.path == key_path for fields in read)


def _absent(data: Mapping[str, Any], read: Sequence[Fields]) -> list[KeyPath]:
    """Return the keys that were asked for and are not there."""
    return [
        (*fields.at.path, key)
        for fields in read
        for key in fields.defaults
        if not _is_apsis((*fields.at.path, key)) and _at(data, fields.at.path) is not None
    ]


def _is_apsis(key_path: KeyPath) -> bool:
    return key_path[0] in _APSIS


def _at(data: Any, path: KeyPath) -> Mapping[Any, Any] | None:
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else None


def _with(data: Mapping[str, Any], key_path: KeyPath, value: Any) -> dict[str, Any]:
    """Return the data with a value more."""
    copied: dict[str, Any] = deepcopy(dict(data))
    inner: dict[Any, Any] = copied
    for key in key_path[:-1]:
        inner = inner[key]
    inner[key_path[-1]] = value
    return copied


def _as_written(key_path: KeyPath, value: Any) -> Any:
    """Return a default as it would be written."""
    key = key_path[-1]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | frozenset):
        return [_as_written(key_path, one) for one in value]
    if key in _MODES:
        return f"{value:04o}"
    if key in _DURATIONS and isinstance(value, int) and value:
        name, unit_us = next(one for one in _UNITS_US if value % one[1] == 0)
        return f"{value // unit_us}{name}"
    if isinstance(value, msgspec.Struct):
        return None
    return value
