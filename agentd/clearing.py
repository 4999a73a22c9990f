"""Claims that are forgotten: removed when it is quiet, many of them at a time.

Part of the local host, on agentd's one thread. The journal of exits begins anew when no claim is
left whose end it may still be needed for.
"""

from __future__ import annotations

import logging
from math import inf

from .grouped import Grouped
from .host import Key
from .spool import Spool

log = logging.getLogger("callsheet.agentd")

# Claims removed in one moment; with more than the second waiting, in busy ones too.
AT_ONCE = 50
BACKLOG = 2_000
# It is quiet when nothing has come for so long: while a burst of runs goes on, others need the
# processor more.
QUIET_S = 0.02


class Clearing:
    """See the module. `ended`: those whose end is told and not yet forgotten."""

    def __init__(self, spool: Spool, grouped: Grouped) -> None:
        self.ended: set[Key] = set()
        self._spool = spool
        self._grouped = grouped
        self._doomed: list[Key] = []
        self._quiet_s = 0.0

    @property
    def backlog(self) -> int:
        """How many forgotten claims are still there."""
        return len(self._doomed)

    def doom(self, key: Key) -> None:
        """Have a claim removed, some time."""
        self._doomed.append(key)

    def is_busy(self, now_s: float) -> None:
        """Something has come: it is not quiet for a while."""
        self._quiet_s = now_s + QUIET_S
        if len(self._doomed) > BACKLOG:
            self.clean(AT_ONCE)

    def tidy(self, now_s: float) -> float:
        """Remove some when it is quiet, or when the next claim would need a new directory; return
        in how many seconds there may be more to do, so that one looks again."""
        wait_s = self._quiet_s - now_s if self._spool.has_free else 0.0
        if wait_s > 0:
            return wait_s if self._doomed else inf
        return 0.0 if self.clean(AT_ONCE) else inf

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
