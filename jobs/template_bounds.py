"""How large a value may be that an operator, method or filter of a template makes.

Looked at before the value is made: a text of 10 GB is refused, not made and then refused. It bounds
what one step makes; time and memory as a whole are bounded by the process that renders. Called by
`templates.py`; pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .errors import UserError

# A rendered text, and any text or list a step makes, is at most so long.
MAX_CHARS = 1_000_000
MAX_EXPONENT = 1_000
# Of a whole number; what is longer takes ever longer to write out.
MAX_BITS = 4_096
_LONG_NUMBER = re.compile(r"\d{4,}")
_STAR = re.compile(r"%[-+ #0-9.]*\*")
_NESTED = re.compile(r"\{[^{}]*:[^{}]*\{")

Arguments = tuple[Any, ...]
# What a call makes: its size, from the value it is called on and its arguments.
Estimate = Callable[[Any, Arguments, Mapping[str, Any]], int]


class TooLarge(UserError):
    """A step of a template would make too large a value."""

    def __init__(self, step: str) -> None:
        super().__init__(f"{step}: makes more than {MAX_CHARS} characters: expected fewer")


def check_operator(operator: str, left: Any, right: Any) -> None:
    """Refuse an operator whose result would be too large.

    Raises:
        UserError: it would.
    """
    match operator:
        case "**":
            if not _small(left, 10**6) or not _small(right, MAX_EXPONENT):
                raise UserError(f"operator **: expected numbers up to {MAX_EXPONENT}")
        case "*":
            if max(size(left) * _count(right), size(right) * _count(left)) > MAX_CHARS:
                raise TooLarge("operator *")
        case "+":
            if size(left) + size(right) > MAX_CHARS:
                raise TooLarge("operator +")
        case "<<":
            if _count(right) > MAX_BITS:
                raise UserError(f"operator <<: expected at most {MAX_BITS} places")
        case "%":
            if isinstance(left, str):
                check_format(left, right if isinstance(right, tuple) else (right,))


def check_result(value: Any) -> None:
    """Refuse a number that became too long.

    Raises:
        UserError: it did.
    """
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise UserError("a number became too large: expected fewer than 1,234 digits")


def check_format(pattern: str, arguments: Iterable[Any]) -> None:
    """Refuse a pattern of `%` or `str.format` with widths beyond reason, or too much to fill in.

    Raises:
        UserError: it has.
    """
    if _LONG_NUMBER.search(pattern) or _STAR.search(pattern) or _NESTED.search(pattern):
        raise UserError(f"format {pattern[:60]!r}: expected widths and precisions below 1000")
    filled = 0
    for one in arguments:
        filled += sum(map(size, one.values())) if isinstance(one, Mapping) else size(one)
    if len(pattern) + filled * max(1, pattern.count("{")) > MAX_CHARS:
        raise TooLarge("format")


def check_call(function: Any, arguments: Arguments, named: Mapping[str, Any]) -> None:
    """Refuse a method of a text, number or list that would make too large a value.

    Raises:
        UserError: it would.
    """
    owner = getattr(function, "__self__", None)
    if isinstance(owner, str | bytes | int | list | tuple | dict):
        _check(METHODS, getattr(function, "__name__", ""), owner, arguments, named)


def check_filter(name: str, value: Any, arguments: Arguments, named: Mapping[str, Any]) -> None:
    """Refuse a filter that would make too large a value.

    Raises:
        UserError: it would.
    """
    if name == "format":
        check_format(str(value), (*arguments, *named.values()))
    else:
        _check(FILTERS, name, value, arguments, named)


def size(value: Any) -> int:
    """Return the length of a text or list, 0 of anything else."""
    return len(value) if isinstance(value, str | bytes | list | tuple | dict) else 0


# --- estimates ----------------------------------------------------------------------------------


def _check(
    table: Mapping[str, Estimate],
    name: str,
    value: Any,
    arguments: Arguments,
    named: Mapping[str, Any],
) -> None:
    estimate = table.get(name)
    if estimate is not None and estimate(value, arguments, named) > MAX_CHARS:
        raise TooLarge(name)


def _number(arguments: Arguments, named: Mapping[str, Any], place: int, key: str) -> int:
    """Return a number among the arguments of a call, 0 when it is not given."""
    given = arguments[place] if place < len(arguments) else named.get(key)
    return max(0, _count(given))


def _width(key: str = "width") -> Estimate:
    """Return the estimate of what fills up to a width."""
    return lambda value, arguments, named: _number(arguments, named, 0, key) + size(value)


def _per_line(value: Any, arguments: Arguments, named: Mapping[str, Any]) -> int:
    width = arguments[0] if arguments else named.get("width", 4)
    return (str(value).count("\n") + 1) * max(_count(width), size(width)) + size(value)


def _tabs(value: Any, arguments: Arguments, named: Mapping[str, Any]) -> int:
    return size(value) + len(value) * _number(arguments, named, 0, "tabsize")


def _replaced(value: Any, arguments: Arguments, named: Mapping[str, Any]) -> int:
    new = arguments[1] if len(arguments) > 1 else named.get("new")
    return size(value) + (size(value) + 1) * max(size(new) - 1, 0)


def _joined(value: Any, arguments: Arguments, _named: Mapping[str, Any]) -> int:
    """`separator.join(items)`."""
    items = arguments[0] if arguments else ()
    return size(items) * size(value) + sum(map(size, items)) if size(items) else 0


def _joined_by(value: Any, arguments: Arguments, named: Mapping[str, Any]) -> int:
    """`items | join(separator)`."""
    return _joined(arguments[0] if arguments else named.get("d", ""), (value,), {})


def _wrapped(value: Any, arguments: Arguments, named: Mapping[str, Any]) -> int:
    between = arguments[2] if len(arguments) > 2 else named.get("wrapstring")
    return size(value) * (1 + size(between))


METHODS: dict[str, Estimate] = {
    "ljust": _width(),
    "rjust": _width(),
    "center": _width(),
    "zfill": _width(),
    "expandtabs": _tabs,
    "replace": _replaced,
    "join": _joined,
    "to_bytes": _width("length"),
    "translate": lambda *_: MAX_CHARS + 1,
}
FILTERS: dict[str, Estimate] = {
    "center": _width(),
    "indent": _per_line,
    "wordwrap": _wrapped,
    "replace": _replaced,
    "join": _joined_by,
    "batch": _width("linecount"),
    "slice": _width("slices"),
    "tojson": _width("indent"),
    # A quote becomes five characters.
    "quote": lambda value, *_: 5 * len(str(value)) + 2,
}


def _small(value: Any, most: int) -> bool:
    return isinstance(value, int | float) and abs(value) <= most


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0
