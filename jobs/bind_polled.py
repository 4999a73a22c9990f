"""Binding polled conditions. Called by `bind_conditions.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import registry
from .data_texts import texts_in, with_texts
from .errors import UserError
from .parse_polled import SIZE_DIGITS, check_path, check_url
from .polled import (
    BoundCommandCheck,
    BoundExtensionCheck,
    BoundFileCheck,
    BoundHttpCheck,
    BoundPolled,
    BoundSqlCheck,
    CommandCheck,
    ExtensionCheck,
    FileCheck,
    HttpCheck,
    Polled,
    SqlCheck,
    kind_of,
)
from .times import SECOND_US, parse_duration

SHELL = "/bin/sh"
LONGEST_CHECK_US = 600 * SECOND_US
SHORTEST_CHECK_US = SECOND_US // 10
SHORTEST_POLL_US = SECOND_US

Expand = Callable[[str], str]


def bind_polled(cond: Polled, expand: Expand) -> BoundPolled:
    """Bind a polled condition.

    Raises:
        UserError: what a template gave is not what belongs there.
    """
    kind = kind_of(cond)
    timeout_us = _duration_us(expand(cond.timeout), f"{kind}: timeout")
    poll_us = _duration_us(expand(cond.poll_interval), f"{kind}: poll_interval")
    times = {
        "timeout_us": min(max(timeout_us, SHORTEST_CHECK_US), LONGEST_CHECK_US),
        "poll_us": max(poll_us, SHORTEST_POLL_US),
    }
    match cond:
        case FileCheck():
            return BoundFileCheck(
                path=check_path(expand(cond.path)),
                exists=cond.exists,
                min_bytes=None if cond.min_size is None else _bytes(expand(cond.min_size)),
                changed_within_us=_optional_us(cond.changed_within, expand, "changed_within"),
                older_than_us=_optional_us(cond.older_than, expand, "older_than"),
                **times,
            )
        case HttpCheck():
            return BoundHttpCheck(
                url=check_url(expand(cond.url)),
                method=cond.method,
                status=cond.status,
                contains=None if cond.contains is None else expand(cond.contains),
                **times,
            )
        case CommandCheck():
            shell = (SHELL, "-c", expand(cond.command or ""))
            argv = tuple(map(expand, cond.argv)) or shell
            if any("\0" in word for word in argv):
                raise UserError("command: holds a NUL character: expected none")
            return BoundCommandCheck(argv=argv, **times)
        case SqlCheck():
            database, query = expand(cond.database), expand(cond.query)
            return BoundSqlCheck(database=database, query=query, **times)
        case ExtensionCheck():
            data = with_texts(cond.data, expand)
            registry.record_of(registry.kind_of("condition", cond.name), data)
            return BoundExtensionCheck(name=cond.name, data=data, **times)


def polled_texts(cond: Polled) -> Iterator[str]:
    """Yield every text of a polled condition that binding renders."""
    yield from (cond.timeout, cond.poll_interval)
    match cond:
        case FileCheck():
            yield from (cond.path, cond.min_size or "")
            yield from (cond.changed_within or "", cond.older_than or "")
        case HttpCheck():
            yield from (cond.url, cond.contains or "")
        case CommandCheck():
            yield from (*cond.argv, cond.command or "")
        case SqlCheck():
            yield from (cond.database, cond.query)
        case ExtensionCheck():
            yield from texts_in(cond.data)


def _duration_us(text: str, what: str) -> int:
    found = parse_duration(text)
    if found < 0:
        raise UserError(f"{what} {text}: is negative: expected 0 or more")
    return found


def _optional_us(text: str | None, expand: Expand, what: str) -> int | None:
    return None if text is None else _duration_us(expand(text), f"file: {what}")


def _bytes(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > SIZE_DIGITS:
        raise UserError(f"file: min_size {text!r}: expected a number of bytes")
    return int(text)
