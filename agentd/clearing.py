"""Claims that are forgotten: removed in idle moments, many of them at a time.

Part of the local host, on agentd's one thread. The journal of exits begins anew when no claim is
left whose end it may still be needed for.
"""

from __future__ import annotations

import logging

from .grouped import Grouped
from .host import Key
from .spool import Spool

log = logging.getLogger("callsheet.agentd")


class Clearing:
    """See the module. `ended`: those whose end is told and not yet forgotten."""

    def __init__(self, spool: Spool, grouped: Grouped) -> None:
        self.ended: set[Key] = set()
        self._spool = spool
        self._grouped = grouped
        self._doomed: list[Key] = []

    @property
    def backlog(self) -> int:
        """How many forgotten claims are still there."""
        return len(self._doomed)

    def doom(self, key: Key) -> None:
        """Have a claim removed, some time."""
        self._doomed.append(key)

    def clean(self, at_most: int) -> bool:
        """Remove forgotten claims; return whether there are more."""
        for key in self._doomed[:at_most]:
            try:
                self._spool.forget(key)
            except OSError as error:
                log.warning("claim %s: cannot be removed: %s", key, error.strerror)
            self._grouped.forget(key)
        self._grouped.clean()
        self.ended.difference_update(self._doomed[:at_most])
        del self._doomed[:at_most]
        if not self._doomed and not self.ended:
            self._spool.exits.tidy()
        return bool(self._doomed)
