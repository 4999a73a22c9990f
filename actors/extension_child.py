"""A program that has an extension's type make a check or carry out an action.

Started by the waiter's prober and by the responder for each, so that other people's code can hang,
crash or take memory without them. Reads `{target, data}` from its standard input, for an action
with its `event`; `target` is from the settings. Answers `{met, reason}`, `{message}` or
`{error, final}` and ends. What the code prints goes to where errors go, not into the answer.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

import msgspec

from ..jobs.errors import UserError
from ..jobs.extend import Finding, GiveUp
from ..jobs.registry import plain_words
from .extensions import imported

SAID_CHARACTERS = 1_000


def main() -> None:
    """Answer one question."""
    question = json.load(sys.stdin)
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        answer = _answer(question)
    except GiveUp as error:
        answer = {"error": str(error) or "gave up", "final": True}
    except UserError as error:
        answer = {"error": str(error), "final": False}
    except msgspec.ValidationError as error:
        answer = {"error": plain_words(error), "final": True}
    except Exception as error:  # noqa: BLE001 - other people's code
        answer = {"error": _said(error), "final": False}
    with os.fdopen(answers, "w") as out:
        json.dump(answer, out)
    # Threads that the code began need not end.
    os._exit(0)


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    record = msgspec.convert(question["data"], imported(question["target"]), strict=False)
    if "event" in question:
        message = record.run(question["event"])
        if not isinstance(message, str):
            raise TypeError(f"run gave {message!r}: expected a text")
        return {"message": message[:SAID_CHARACTERS]}
    found = record.check()
    if not isinstance(found, Finding) or not isinstance(found.reason, str):
        raise TypeError(f"check gave {found!r}: expected a Finding")
    return {"met": bool(found.met), "reason": found.reason[:SAID_CHARACTERS]}


def _said(error: Exception) -> str:
    """Return an error with the line of the code that raised it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{said[:SAID_CHARACTERS]} ({os.path.basename(frame.filename)}:{frame.lineno})"


if __name__ == "__main__":
    main()
