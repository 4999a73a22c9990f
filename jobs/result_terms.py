"""Terms of queries about results: what they mean, and how they are written. Pure.

`jobs/run_filter.py` asks for a run at hand, `store/results.py` asks its rows the same.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from .errors import UserError

# A key, a sign (empty: there is such a result; `=`: it is one of the values; `<`, `<=`, `>`, `>=`
# with one value), and the values.
ResultTerm = tuple[str, str, tuple[str, ...]]

# Of a longer result only its beginning is compared.
COMPARED_CHARS = 256
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?\Z", re.ASCII)
_TERM = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]{0,99})(?:(<=|>=|<|>|=)(.*))?\Z", re.DOTALL)
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def text_of(value: str) -> str:
    """Return what of a result is compared."""
    return value[:COMPARED_CHARS]


def number_of(value: str) -> float | None:
    """Return the number that a text is, None when it is none."""
    if len(value) > COMPARED_CHARS or not _NUMBER.match(value):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def matches(results: Mapping[str, str], term: ResultTerm) -> bool:
    """Return whether among these results is one of the term: compared as numbers with a number,
    else as texts, character by character."""
    key, sign, values = term
    if key not in results:
        return False
    if not sign:
        return True
    text = text_of(results[key])
    if sign == "=":
        return text in map(text_of, values)
    bound = number_of(values[0])
    if bound is None:
        return _SIGNS[sign](text, text_of(values[0]))
    number = number_of(results[key])
    return number is not None and _SIGNS[sign](number, bound)


def split_term(text: str) -> tuple[str, str]:
    """Return key and sign of a term such as `rows>100`; the value is what follows the sign.

    Raises:
        UserError: it is none.
    """
    match = _TERM.match(text)
    if match is None:
        raise UserError(f"{text[:100]!r}: expected key, key=value, key>value or key<value")
    key, sign, value = match.groups()
    if sign and sign != "=" and not value:
        raise UserError(f"{text[:100]!r}: expected a value behind {sign}")
    return key, sign or ""
