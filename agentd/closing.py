"""How agentd ends when it is told to: at once, leaving its processes as they are, or after them.

Part of the agent's core, and as pure. Once it has begun nothing more is started. Who is to be
stopped gets the stop signal and the grace of its job, then SIGKILL; agentd stays until the server
has what became of them, or cannot be reached, or has taken too long.
"""

from __future__ import annotations

from typing import Literal

from .host import Now

How = Literal["leave", "stop", "kill"]

# Who is to be stopped, and has no grace period, is killed after this time.
GRACE_US = 60_000_000
# What is killed must be over, and its ends on record, within this time; then agentd ends anyhow,
# and the next one on its spool hands over the rest.
PATIENCE_US = 30_000_000


class Closing:
    """See the module. `how` is None until it begins."""

    def __init__(self) -> None:
        self.how: How | None = None
        self._kill_us: int | None = None
        self._until_us = 0

    def begin(self, how: How, grace_us: int, now: Now) -> None:
        """Take no more runs; `grace_us`: the longest grace of those that are to be stopped.

        Once more may end it sooner, never later: a stop may become a kill.
        """
        order = ("leave", "stop", "kill")
        if self.how is not None and order.index(how) <= order.index(self.how):
            return
        self.how, self._kill_us, self._until_us = how, None, 0
        if how == "stop":
            self._kill_us = now.monotonic_us + grace_us
        if how != "leave":
            self._until_us = (self._kill_us or now.monotonic_us) + PATIENCE_US

    def kills(self, now: Now) -> bool:
        """Return, once, that the time to stop by themselves is over for all processes."""
        if self._kill_us is None or now.monotonic_us < self._kill_us:
            return False
        self._kill_us = None
        return True

    def is_over(self, now: Now, held: int, live: int, *, connected: bool) -> bool:
        """Return whether agentd may end, with so many claims in its hands, so many of them live."""
        if self.how is None:
            return False
        if not held or now.monotonic_us >= self._until_us:
            return True
        return not live and not connected

    def wakes_at(self) -> int | None:
        """Return when something is due (monotonic µs), None: nothing."""
        if self.how is None:
            return None
        return self._until_us if self._kill_us is None else self._kill_us


def too_late(not_after_us: int, now: Now) -> str:
    """Return why nothing is started on a command that was good until then; empty: it may be."""
    late_us = now.wall_us - not_after_us
    if late_us <= 0:
        return ""
    return (
        f"the command to start came {late_us / 1e6:.1f} s too late: expected clocks that "
        "agree, and commands that do not wait"
    )
