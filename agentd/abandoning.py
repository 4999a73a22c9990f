"""What becomes of processes and results that no server has asked for in a long time.

Part of the agent's core, and as pure. Both are kept for ever unless the agent's settings say
otherwise. What counts is the time an agentd was there and no server was: by the clock that only
grows, so that no leap of the wall clock abandons anything. It is kept in the spool over restarts.
"""

from __future__ import annotations

from typing import NamedTuple

from .host import Host, Now

# The time without a server is written down this often.
NOTE_US = 60_000_000


class Policy(NamedTuple):
    """After how long without a server processes are stopped, and results removed; None: never."""

    processes_us: int | None = None
    results_us: int | None = None


class Abandoning:
    """See the module. `away_us` is how long no server has been there."""

    def __init__(self, policy: Policy, host: Host, away_us: int) -> None:
        self.away_us = away_us
        self._policy = policy
        self._host = host
        self._noted_us = away_us
        self._last_us: int | None = None

    def settle(self, now: Now, *, has_server: bool) -> None:
        """Count the time that has passed since the last call."""
        passed_us = 0 if self._last_us is None else max(0, now.monotonic_us - self._last_us)
        self._last_us = now.monotonic_us
        self.away_us = 0 if has_server else self.away_us + passed_us
        grown_us = self.away_us - self._noted_us
        if grown_us >= NOTE_US or (has_server and self._noted_us):
            self._noted_us = self.away_us
            self._host.remember_away(self.away_us)

    @property
    def are_processes(self) -> bool:
        """Whether processes are to be stopped."""
        after_us = self._policy.processes_us
        return after_us is not None and self.away_us >= after_us

    @property
    def are_results(self) -> bool:
        """Whether results are to be removed."""
        after_us = self._policy.results_us
        return after_us is not None and self.away_us >= after_us

    def wakes_at(self) -> int | None:
        """Return when to settle again while no server is there (monotonic µs), None: never."""
        limits = [after_us for after_us in self._policy if after_us is not None]
        if not limits or self._last_us is None:
            return None
        left = [after_us - self.away_us for after_us in limits if after_us > self.away_us]
        return self._last_us + min([*left, NOTE_US])
