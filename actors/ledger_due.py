"""What the docket says is due, or soon will be. Part of the ledger's core.

A run that is due goes on its way unless it is held, put off or paused. One that only its time
keeps back is decided a moment ahead (`jobs/ahead.py`); whatever else there is to be decided of a
run is decided when its time has come.
"""

from __future__ import annotations

from ..jobs.ahead import may_go_ahead
from ..messages.commands import DueTaken, RunsDocketed
from ..messages.instructions import RunsDue, RunsSoon
from .ledger_attempts import Attempts
from .ledger_book import Book
from .ledger_deeds import is_due
from .ledger_pauses import Pauses


class DueRuns:
    """Moves scheduled runs when their time has come."""

    def __init__(self, book: Book, attempts: Attempts, pauses: Pauses) -> None:
        self._book = book
        self._attempts = attempts
        self._pauses = pauses

    def due(self, sender: str, message: RunsDue, now_us: int) -> None:
        """Send runs on their way whose time has come."""
        for run_id in message.run_ids:
            run = self._book.get(run_id)
            if run is not None and is_due(run, now_us) and not self._pauses.skips(run, now_us):
                self._attempts.launch(run, now_us, "")
        self._attempts.outgoing.reply(sender, DueTaken(run_ids=message.run_ids))

    def soon(self, sender: str, message: RunsSoon, now_us: int) -> None:
        """Begin to start those that may go ahead; the others are left on the docket."""
        started = []
        for run_id in message.run_ids:
            run = self._book.get(run_id)
            if run is not None and may_go_ahead(run, now_us) and self._pauses.of(run) is None:
                self._attempts.start(run, now_us, "")
                started.append(run_id)
        if started:
            self._attempts.outgoing.reply(sender, RunsDocketed(dropped=started))
