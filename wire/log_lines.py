"""One line of a log: as text for people, or as one JSON object; without any secret in it.

Every process of a server and every agent writes its lines by these formatters. A line says which
run, and which message or wish, it is about, where the code that logs has said so (`extra=about(…)`)
or the stage that plays a message has (`now.at`).
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from typing import Any

import msgspec

from ..jobs.masking import mask

# Lines longer than this are cut: one odd message must not fill a disk.
LINE_CHARACTERS = 64 * 2**10

# How sentences name the run that they are about.
_NAMED = re.compile(r"\b(?:run|claim|output of|action) (r\d+)(?:[./](\d+))?\b")

_encode = msgspec.json.Encoder().encode


class Now(threading.local):
    """What a thread is at: `at` is (peer, message) while it plays one, else None."""

    at: tuple[str, Any] | None = None


now = Now()


def about(**fields: Any) -> dict[str, Any]:
    """Return the `extra` of a log call that says what the line is about: `run_id`, `cause`, …"""
    return {"about": fields}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a line is about; what the call said goes before what the thread is at."""
    found: dict[str, Any] = {}
    at = now.at
    if at is not None:
        peer, message = at
        inner = getattr(message, "instruction", None)
        for part in (message, inner, getattr(message, "run", None)):
            run_id = getattr(part, "run_id", None)
            if isinstance(run_id, str) and run_id:
                found["run_id"] = run_id
        found["cause"] = getattr(message, "command_id", None) or peer
    found.update(getattr(record, "about", {}))
    return found


def _cut(text: str) -> str:
    if len(text) <= LINE_CHARACTERS:
        return text
    return f"{text[:LINE_CHARACTERS]}… ({len(text) - LINE_CHARACTERS} characters more)"


class TextFormatter(logging.Formatter):
    """Lines as Apsis has them: `2026-11-23T23:38:05.853 callsheet.web W message`; what a line is
    about stands at its end unless the message names it."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03d %(name)s %(levelname).1s %(message)s", "%Y-%m-%dT%H:%M:%S"
        )

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base's name
        """See the class."""
        line = super().formatMessage(record)
        fields = fields_of(record)
        if fields.get("run_id", "") in record.message:
            fields.pop("run_id", None)
            if "about" not in record.__dict__:
                fields.pop("cause", None)
        if not fields:
            return line
        return f"{line} [{' '.join(f'{name}={value}' for name, value in fields.items())}]"

    def format(self, record: logging.LogRecord) -> str:
        """Return the text, a traceback below it included."""
        return _cut(mask(super().format(record)))


class JsonFormatter(logging.Formatter):
    """One JSON object a line, times in UTC. `part`: the role whose process it is."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "part": self._part,
            "pid": os.getpid(),
            "logger": record.name,
            "message": _cut(mask(record.getMessage())),
        }
        named = _NAMED.search(line["message"])
        if named is not None:
            line["run_id"] = named[1]
        for name, value in fields_of(record).items():
            if value not in ("", None):
                line[name] = mask(value) if isinstance(value, str) else value
        if record.exc_info:
            line["exception"] = _cut(mask(self.formatException(record.exc_info)))
        return _encode(line).decode("utf-8")


def formatter(style: str, part: str) -> logging.Formatter:
    """Return the formatter of a style, `text` or `json`."""
    return JsonFormatter(part) if style == "json" else TextFormatter()


def make_ready() -> None:
    """Make a line of each style now, for the processes that are forked from this one."""
    record = logging.LogRecord(__name__, logging.INFO, __file__, 1, "%s: ready", ("log",), None)
    for style in ("text", "json"):
        formatter(style, "log").format(record)
