"""Stop times: the ledger is told when that of a running attempt has come.

Part of the runner's core. It is the agent that stops the process, by its own clock and also while
nobody is there to tell it to; this makes the run *stopping*. Said again until the ledger has
answered by having the attempt stopped.
"""

from __future__ import annotations

from ..jobs.run import Run
from ..messages.instructions import AttemptUpdated
from ..messages.post import LEDGER, Post
from .due_times import DueTimes
from .runner_book import Book, Key, Phase

AGAIN_US = 2_000_000
AT_ONCE = 500


class Stops:
    """See the module."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._due: DueTimes[Key] = DueTimes()

    def watch(self, run: Run) -> None:
        """Watch an attempt that is to be started, or runs, if its run has a stop time."""
        if run.stop_us is not None:
            self._due.set((run.run_id, run.attempt), run.stop_us)

    def settle(self, now_us: int) -> list[Post]:
        """Say whose time has come."""
        posts: list[Post] = []
        for key in self._due.take(now_us, AT_ONCE):
            attempt = self._book.attempts.get(key)
            if attempt is None or attempt.is_over or attempt.stopping or attempt.stranger:
                continue
            self._due.set(key, now_us + AGAIN_US)
            if attempt.phase is Phase.RUNNING:
                said = AttemptUpdated(run_id=key[0], attempt=key[1], stopping=True)
                posts.append(Post(LEDGER, said))
        return posts

    def wakes_at(self) -> int | None:
        """Return when the next one is due."""
        return self._due.earliest()
