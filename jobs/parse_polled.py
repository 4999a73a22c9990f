"""Polled conditions out of the data of a job file. Called by `parse_conditions.py`."""

from __future__ import annotations

from typing import Any

from . import registry
from .errors import UserError
from .extension_data import read_data
from .parse_programs import duration_text, has_template
from .polled import (
    POLL_INTERVAL,
    TIMEOUT,
    CommandCheck,
    ExtensionCheck,
    FileCheck,
    HttpCheck,
    SqlCheck,
)
from .reading import At, Fields, Told, filled, flag, many, shown, text

METHODS = ("GET", "HEAD", "POST")
SIZE_DIGITS = 18


def read_file(fields: Fields, enabled: bool | str) -> FileCheck:
    """Read a `file` condition."""
    path = fields.take("path", _path)
    exists = fields.take("exists", flag, True)
    min_size = fields.take("min_size", _size, None)
    changed_within = fields.take("changed_within", duration_text, None)
    older_than = fields.take("older_than", duration_text, None)
    times = _times(fields)
    fields.finish()
    if not exists and (min_size, changed_within, older_than) != (None, None, None):
        fields.at.fail("asks more of a file that is not there: expected exists: true", key="exists")
        raise Told
    return FileCheck(
        path=path,
        exists=exists,
        min_size=min_size,
        changed_within=changed_within,
        older_than=older_than,
        enabled=enabled,
        **times,
    )


def read_http(fields: Fields, enabled: bool | str) -> HttpCheck:
    """Read an `http` condition."""
    url = fields.take("url", _url)
    method = fields.take("method", _method, "GET")
    status = fields.take("status", many(_status), ())
    contains = fields.take("contains", filled, None)
    times = _times(fields)
    fields.finish()
    if contains is not None and method == "HEAD":
        fields.at.key("contains").fail("is asked of an answer without a body: expected method GET")
        raise Told
    return HttpCheck(
        url=url, method=method, status=status, contains=contains, enabled=enabled, **times
    )


def read_command(fields: Fields, enabled: bool | str) -> CommandCheck:
    """Read a `command` condition."""
    argv = fields.take("argv", _argv, ())
    command = fields.take("command", filled, None)
    times = _times(fields)
    fields.finish()
    if bool(argv) == (command is not None):
        said = "both argv and command" if argv else "neither argv nor command"
        fields.at.fail(f"has {said}: expected one of them")
        raise Told
    return CommandCheck(argv=argv, command=command, enabled=enabled, **times)


def read_sql(fields: Fields, enabled: bool | str) -> SqlCheck:
    """Read an `sql` condition."""
    database = fields.take("database", filled)
    query = fields.take("query", filled)
    times = _times(fields)
    fields.finish()
    return SqlCheck(database=database, query=query, enabled=enabled, **times)


def read_extension(fields: Fields, enabled: bool | str, name: str) -> ExtensionCheck:
    """Read a condition whose type is an extension's."""
    times = _times(fields)
    data = read_data(fields, registry.kind_of("condition", name))
    return ExtensionCheck(name=name, data=data, enabled=enabled, **times)


def _times(fields: Fields) -> dict[str, str]:
    return {
        "timeout": fields.take("timeout", duration_text, TIMEOUT),
        "poll_interval": fields.take("poll_interval", duration_text, POLL_INTERVAL),
    }


def check_path(path: str) -> str:
    """Return an absolute path as it is.

    Raises:
        UserError: it is none; a server has no folder that a relative one could begin in.
    """
    if not path.startswith("/"):
        raise UserError(f"{shown(path)}: expected an absolute path")
    if "\0" in path:
        raise UserError(f"{shown(path)}: holds a NUL character: expected none")
    return path


def check_url(url: str) -> str:
    """Return a URL that may be asked.

    Raises:
        UserError: it is not of http, or holds a name and password.
    """
    scheme, colon, rest = url.partition("://")
    host = rest.split("/", 1)[0]
    if not colon or scheme.lower() not in ("http", "https") or not host:
        raise UserError(f"{shown(url)}: expected a URL like https://host/path")
    if "@" in host:
        raise UserError("holds a user or password: expected a URL without")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise UserError(f"{shown(url)}: expected a URL with other characters percent-encoded")
    return url


def _path(value: Any, at: At) -> str:
    path = filled(value, at)
    return path if has_template(path) else check_path(path)


def _url(value: Any, at: At) -> str:
    url = filled(value, at)
    return url if has_template(url) else check_url(url)


def _size(value: Any, at: At) -> str:
    if isinstance(value, str) and has_template(value):
        return text(value, at)
    digits = str(value)
    plain = isinstance(value, str | int) and not isinstance(value, bool)
    if not plain or not digits.isascii() or not digits.isdigit() or len(digits) > SIZE_DIGITS:
        raise UserError(f"{shown(value)}: expected a number of bytes")
    return digits


def _method(value: Any, _at: At) -> str:
    if value not in METHODS:
        raise UserError(f"{shown(value)}: expected one of {', '.join(METHODS)}")
    return str(value)


def _status(value: Any, _at: At) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 100 <= value <= 599:
        raise UserError(f"{shown(value)}: expected an HTTP status from 100 to 599")
    return value


def _argv(value: Any, at: At) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise UserError(f"{shown(value)}: expected a list of strings")
    found = many(text)(value, at)
    if not found or not found[0]:
        raise UserError("is empty: expected at least the program to run")
    return found
