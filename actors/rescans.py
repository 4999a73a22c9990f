"""When the job folder is looked at though nobody asked for it. Pure; part of the scheduler's core.

Something stirs in the folder: it is looked at once it has been quiet for a moment, or has not been
for long. What no one saw stir is found by looking every few minutes all the same.
"""

from __future__ import annotations

from typing import Literal

Watch = Literal["off", "notify", "auto"]

# A checkout touches many files; a look before its end would see half of it.
QUIET_US = 500_000
PATIENCE_US = 5_000_000
ANYWAY_US = 300_000_000


class Rescans:
    """`watch` off: never looks by itself."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._first_us: int | None = None
        self._last_us = 0
        self._looked_us: int | None = None

    def stirred(self, now_us: int) -> None:
        """Something has changed in the folder, perhaps."""
        if self._first_us is None:
            self._first_us = now_us
        self._last_us = now_us

    def looks(self, now_us: int) -> None:
        """The folder is about to be read."""
        self._first_us = None
        self._looked_us = now_us

    def due(self, now_us: int) -> bool:
        """Whether the folder is to be looked at now."""
        at_us = self.wakes_at()
        # A clock that was set back must not stop the looking.
        back = self._looked_us is not None and now_us < self._looked_us - QUIET_US
        return at_us is not None and (at_us <= now_us or back)

    def wakes_at(self) -> int | None:
        """Return when the folder is to be looked at, None: never."""
        if self.watch == "off" or self._looked_us is None:
            return None
        anyway_us = self._looked_us + ANYWAY_US
        if self._first_us is None:
            return anyway_us
        return min(self._last_us + QUIET_US, self._first_us + PATIENCE_US, anyway_us)
