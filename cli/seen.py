"""What of a text a terminal is given: no character of it moves the cursor or commands the terminal.

Args, reasons and the lines of logs hold what people and programs wrote.
"""

from __future__ import annotations

import re
import unicodedata

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_COLOUR_OR_CONTROL = re.compile(r"\x1b\[[\d;]*m|[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WIDE = ("W", "F")


def one_line(text: str) -> str:
    """Return a text in which line breaks and other control characters are told as escapes."""
    return text if text.isprintable() else _CONTROL.sub(_told, text)


def cell(text: str) -> str:
    """Return the same of the cell of a table, which we may have coloured."""
    return text if text.isprintable() else _COLOUR_OR_CONTROL.sub(_told, text)


def some_lines(text: str) -> str:
    """Return the same of a text that may have several lines."""
    return text if text.isprintable() else _CONTROL_IN_LINES.sub(_told, text)


def width(text: str) -> int:
    """Return how many columns a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        2 if unicodedata.east_asian_width(char) in _WIDE else not unicodedata.combining(char)
        for char in text
    )


def _told(match: re.Match[str]) -> str:
    found = match[0]
    return found if len(found) > 1 else repr(found)[1:-1]
