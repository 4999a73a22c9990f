"""The root of callsheet's exceptions, in two families: the user's fault, and ours."""

from __future__ import annotations


class CallsheetError(Exception):
    """Anything callsheet raises on purpose; its text is one sentence a person can act on."""


class UserError(CallsheetError):
    """The user's fault: shown as its sentence alone, never with a traceback."""


class OutOfLimits(BaseException):
    """Work on other people's templates took more time than it may have.

    Raised into the work from outside, wherever it is. It is no Exception: neither a template nor
    the code that renders one may take it for an error of theirs and go on.
    """
