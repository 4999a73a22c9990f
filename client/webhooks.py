"""For receivers of webhooks: is a request really from a server that has the secret, and is it new?

Signatures are those of the Standard Webhooks specification, so its libraries do as well.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..jobs.errors import CallsheetError
from ..jobs.signing import is_signed

# A request that is older, or comes from further ahead, is not taken.
TOLERANCE_S = 300


class BadWebhook(CallsheetError):
    """A request is not from who has the secret, or not from now."""


class Webhooks:
    """Checks requests signed with one secret; remembers whom it has seen for as long as it matters.

    A request is sent again until it is answered with success, so answer a repeat with success too,
    and `forget` one that could not be dealt with. Repeats may come hours later, beyond this memory:
    where twice is once too often, keep the ids (`webhook-id`) of what was done.
    """

    def __init__(
        self,
        secret: str,
        *,
        tolerance_s: int = TOLERANCE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secret = secret
        self._tolerance_s = tolerance_s
        self._clock = clock
        self._seen: dict[str, float] = {}

    def check(self, headers: Mapping[str, str], body: bytes) -> Any:
        """Return what the request says; None when it was taken before.

        Args:
            headers: those of the request; their names in any case.
            body: the bytes as they came.
        Raises:
            BadWebhook: a header is missing, its time is too far away, or its signature is wrong.
        """
        given = {name.lower(): text for name, text in headers.items()}
        try:
            id_, stamp = given["webhook-id"], given["webhook-timestamp"]
            signatures = given["webhook-signature"]
        except KeyError as error:
            raise BadWebhook(f"webhook: no header {error.args[0]}: expected one") from None
        now_s = self._clock()
        if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
            raise BadWebhook("webhook: webhook-timestamp: expected seconds since 1970")
        if abs(now_s - int(stamp)) > self._tolerance_s:
            sentence = f"expected a time within {self._tolerance_s} s"
            raise BadWebhook(f"webhook {id_[:100]}: its time is {stamp}: {sentence}")
        if not is_signed(signatures, self._secret, id_, int(stamp), body):
            raise BadWebhook(f"webhook {id_[:100]}: its signature is wrong: expected our secret's")
        return None if self._repeats(id_, now_s) else _said(body)

    def forget(self, headers: Mapping[str, str]) -> None:
        """Take a request again when it comes again: it was not dealt with."""
        given = {name.lower(): text for name, text in headers.items()}
        self._seen.pop(given.get("webhook-id", ""), None)

    def _repeats(self, id_: str, now_s: float) -> bool:
        """Note a request; return whether it was there before."""
        horizon_s = now_s - 2 * self._tolerance_s
        self._seen = {key: at_s for key, at_s in self._seen.items() if at_s >= horizon_s}
        is_repeat = id_ in self._seen
        self._seen[id_] = now_s
        return is_repeat


def _said(body: bytes) -> Any:
    """Return a body as data where it is JSON, else as text."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
