"""The one module of the server that reads a clock.

Stages and the supervisor's loop ask here and hand the time to the cores as an argument. Nothing
else in the server calls `time`.
"""

from __future__ import annotations

import time


def now_us() -> int:
    """Return the wall clock, microseconds UTC since the epoch. It may jump either way."""
    return time.time_ns() // 1_000


def booted_us() -> int:
    """Return when this host was started, by its wall clock as it is now."""
    return now_us() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000


def monotonic_s() -> float:
    """Return seconds that only grow, from an instant of no meaning: for durations."""
    return time.monotonic()
