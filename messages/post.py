"""What a core hands to its stage: messages with the address of who gets them."""

from __future__ import annotations

from typing import Any, NamedTuple

FEED = "feed"
LEDGER = "ledger/0"
SCHEDULER = "scheduler/0"
BINDER = "binder/0"
WAITER = "waiter/0"
RUNNER = "runner/0"
RESPONDER = "responder/0"
CHECKER = "checker/0"
WEB = "web/0"
# The runner's own gate, in its process: who is let in by key.
GATE = "gate"
# What the web server publishes for other programs: on this host, and over TCP.
PUBLISHED = "published"
PUBLISHED_FAR = "published far"


class Post(NamedTuple):
    """One message on its way. `to` is an address such as `ledger/0`, `agent/<id>` or `feed`."""

    to: str
    message: Any
