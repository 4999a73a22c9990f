"""Between the waiter's core and its prober: posts to `PROBER`, and what comes back as `local`.

Plain values, so that the simulation can play the prober. They never leave the process.
"""

from __future__ import annotations

import msgspec

from ..jobs.polled import BoundPolled

PROBER = "prober"


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """Make a check, at most once, within its timeout. Answered by `Probed`."""

    probe_id: int
    cond: BoundPolled


class CancelProbe(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody waits for this check any more: end it if that can be done. It needs no answer."""

    probe_id: int


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """A check was made. `reason` says what is so, the same way as long as that does not change."""

    probe_id: int
    met: bool
    reason: str


ToProber = Probe | CancelProbe
