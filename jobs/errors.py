"""The root of callsheet's exceptions, in two families: the user's fault, and ours."""

from __future__ import annotations


class CallsheetError(Exception):
    """Anything callsheet raises on purpose; its text is one sentence a person can act on."""


class UserError(CallsheetError):
    """The user's fault: shown as its sentence alone, never with a traceback."""
