"""Previews of operations: kept for a while under a token, with each run and the state it was in.

Carrying one out is about just these runs; what is in another state by then is left alone.
"""

from __future__ import annotations

import secrets

import msgspec

from ..jobs.times import SECOND_US
from ..messages.operations import Deed, Target
from .routing import Problem

# Previews are kept so long, and so many runs in all of them.
KEPT_US = 15 * 60 * SECOND_US
KEPT_RUNS = 200_000


class Preview(msgspec.Struct, kw_only=True):
    """What would be done to which runs, as of `at_us`, for `who`."""

    who: str
    deed: Deed
    query: str
    targets: list[Target]
    at_us: int


class Previews:
    """See the module. Owned by the loop's thread."""

    def __init__(self) -> None:
        self._kept: dict[str, Preview] = {}

    def keep(self, preview: Preview) -> str:
        """Keep a preview; return its token."""
        token = secrets.token_urlsafe(18)
        self._kept[token] = preview
        held = sum(len(one.targets) for one in self._kept.values())
        for old, one in list(self._kept.items()):
            is_old = one.at_us + KEPT_US < preview.at_us
            if old != token and (is_old or held > KEPT_RUNS):
                held -= len(self._kept.pop(old).targets)
        return token

    def of(self, token: str, who: str, now_us: int) -> Preview:
        """Return a preview of somebody's own.

        Raises:
            Problem: 400, there is none under that token any more.
        """
        found = self._kept.get(token)
        if found is None or found.who != who or found.at_us + KEPT_US < now_us:
            raise Problem(400, "preview: not known any more: expected one of the last 15 minutes")
        return found
