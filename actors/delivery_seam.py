"""Between the responder's core and the threads that carry actions out: posts to `DELIVERY`, and
what comes back as `local`. Plain values, so that a test or the simulation can play the threads."""

from __future__ import annotations

import msgspec

from ..messages.commands import OutboxItem

# The address of the responder's own process that carries actions out.
DELIVERY = "delivery"


class Deliver(msgspec.Struct, frozen=True, kw_only=True):
    """Carry this out, once, within its limits; answered by `Delivered` or `ArgsFilled`."""

    item: OutboxItem


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """It is done (`error` empty) or has failed; `final`: it would fail again, so it need not be
    tried. `message` goes to the run's log."""

    action_id: str
    message: str = ""
    error: str = ""
    final: bool = False


class ArgsFilled(msgspec.Struct, frozen=True, kw_only=True):
    """The args of a follow-up run, filled in by a process under limits."""

    action_id: str
    args: dict[str, str]
