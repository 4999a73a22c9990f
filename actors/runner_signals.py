"""Signals to processes: each is sent a few times, since it has no answer, and carried out once.

Part of the runner's core.
"""

from __future__ import annotations

from ..messages.agents import SignalProcess
from ..messages.commands import SignalAttempt
from ..messages.post import Post
from .runner_book import Book, Key, Phase

REPEAT_US = 2_000_000
SIGNAL_TRIES = 3


class Signals:
    """See the module."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._signals: dict[str, tuple[Key, SignalProcess, int, int]] = {}

    def signal(self, message: SignalAttempt, now_us: int) -> list[Post]:
        """Signal a process, once."""
        key = (message.run_id, message.attempt)
        attempt = self._book.attempts.get(key)
        if attempt is None or attempt.phase is not Phase.RUNNING or not attempt.agent_id:
            return []
        command = SignalProcess(
            epoch=self._book.epoch,
            run_id=message.run_id,
            attempt=message.attempt,
            signal=message.signal,
            command_id=message.command_id,
        )
        self._signals[message.command_id] = (key, command, now_us + REPEAT_US, SIGNAL_TRIES - 1)
        return [self._book.tell(attempt, command)]

    def settle(self, now_us: int) -> list[Post]:
        """Send again what may not have arrived."""
        posts = []
        for command_id, (key, command, again_us, tries) in list(self._signals.items()):
            if now_us < again_us <= now_us + 2 * REPEAT_US:
                continue
            attempt = self._book.attempts.get(key)
            if attempt is None or attempt.phase is not Phase.RUNNING or not tries:
                del self._signals[command_id]
                continue
            self._signals[command_id] = (key, command, now_us + REPEAT_US, tries - 1)
            posts.append(self._book.tell(attempt, command))
        return posts

    def wakes_at(self) -> int | None:
        """Return when `settle` has something to do."""
        return min((again_us for _, _, again_us, _ in self._signals.values()), default=None)
