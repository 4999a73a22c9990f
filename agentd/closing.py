"""When agentd starts nothing, and when it ends since its server said so: at once, leaving its
processes as they are, or after them."""

from __future__ import annotations

from .host import Now

# What is killed must be over, and its ends on record, within this time; then agentd ends anyhow,
# and the next one on its spool hands over the rest.
PATIENCE_US = 30_000_000


class Closing:
    """Part of the agent's core."""

    def __init__(self) -> None:
        self.began = False
        self._until_us = 0

    def begin(self, now: Now, *, kill: bool) -> None:
        """Take no more runs; with `kill` stay until nothing is left."""
        self.began = True
        self._until_us = now.monotonic_us + PATIENCE_US if kill else 0

    def is_over(self, now: Now, held_count: int) -> bool:
        """Return whether agentd may end, with so many claims still in its hands."""
        return self.began and (not held_count or now.monotonic_us >= self._until_us)


def too_late(not_after_us: int, now: Now) -> str:
    """Return why nothing is started on a command that was good until then; empty: it may be."""
    late_us = now.wall_us - not_after_us
    if late_us <= 0:
        return ""
    return (
        f"the command to start came {late_us / 1e6:.1f} s too late: expected clocks that "
        "agree, and commands that do not wait"
    )
