"""Requests that wait for an answer, and when to send each again.

Every request between roles is idempotent and repeated until it is answered, so that lost, doubled
and reordered messages do no harm. Used by the cores of scheduler, waiter, responder and checker.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

from ..messages.post import Post

REPEAT_US = 1_000_000
# At most so many are repeated at once, so that a long burst is not doubled in one go.
REPEATS_AT_ONCE = 500


class _Sent(NamedTuple):
    sent_us: int
    post: Post


class OpenRequests:
    """Requests by key, in the order in which they were last sent."""

    def __init__(self, repeat_us: int = REPEAT_US) -> None:
        self._repeat_us = repeat_us
        self._sent: dict[Hashable, _Sent] = {}

    def __len__(self) -> int:
        return len(self._sent)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._sent

    def send(self, key: Hashable, post: Post, now_us: int) -> Post:
        """Remember `post` as sent now and return it; another one of the same key is replaced."""
        self._sent.pop(key, None)
        self._sent[key] = _Sent(now_us, post)
        return post

    def answered(self, key: Hashable) -> bool:
        """Forget a request; return whether it was open."""
        return self._sent.pop(key, None) is not None

    def messages(self) -> list[Any]:
        """Return what has not been answered."""
        return [sent.post.message for sent in self._sent.values()]

    def clear(self) -> None:
        """Forget all."""
        self._sent.clear()

    def repeat(self, now_us: int) -> list[Post]:
        """Return what has waited too long, as sent again now."""
        if not self._sent:
            return []
        late: list[tuple[Hashable, Post]] = []
        for key, sent in self._sent.items():
            # A clock that was set back must not silence the repeats.
            waited = sent.sent_us + self._repeat_us <= now_us or sent.sent_us > now_us
            if not waited or len(late) >= REPEATS_AT_ONCE:
                break
            late.append((key, sent.post))
        for key, post in late:
            self.send(key, post, now_us)
        return [post for _, post in late]

    def wakes_at(self) -> int | None:
        """Return when the oldest is to be sent again, None when there is none."""
        for sent in self._sent.values():
            return sent.sent_us + self._repeat_us
        return None


def earliest(*times_us: int | None) -> int | None:
    """Return the earliest of the times that are not None, None when there is none."""
    first_us = None
    for time_us in times_us:
        if time_us is not None and (first_us is None or time_us < first_us):
            first_us = time_us
    return first_us
