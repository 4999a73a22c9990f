"""The settings of the feed: where programs of other hosts follow the server, and which of them.

Called by `settings.py`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..jobs.errors import UserError
from ..jobs.reading import At, Fields, filled, shown
from .agent_settings import next_endpoint, read_endpoint


class FeedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`listen`: where it is published, None: on this host only; `ask`: where programs ask for what
    they missed. `allow`: public keys, by the names they go by."""

    listen: str | None = None
    ask: str | None = None
    allow: dict[str, str] = {}


def take_feed(fields: Fields) -> FeedSettings:
    """Return what the whole file says of the feed."""

    def feed(value: Any, at: At) -> FeedSettings:
        inner = Fields(value, at)
        listen = inner.take("listen", read_endpoint, None)
        allow = inner.take("allow", _allow, {})
        inner.finish()
        if listen is not None and not allow:
            raise UserError("expected allow: with the keys of those who may follow")
        return FeedSettings(
            listen=listen, ask=None if listen is None else next_endpoint(listen), allow=allow or {}
        )

    return fields.take("feed", feed, FeedSettings())


def _allow(value: Any, at: At) -> dict[str, str]:
    fields = Fields(value, at)
    found = {str(name): fields.take(name, _key, "") for name in list(fields.data)}
    return {name: key for name, key in found.items() if key}


def _key(value: Any, at: At) -> str:
    key = filled(value, at)
    if len(key) != 43 or not key.replace("-", "").replace("_", "").isalnum() or not key.isascii():
        sentence = "expected 43 letters, digits or - _, as `callsheetctl feed key` shows it"
        raise UserError(f"{shown(key)}: {sentence}")
    return key
