"""The runner's sessions: whose word it is that something was concluded.

Part of the ledger's core. What a runner said before it was killed may come after the next one was
welcomed, and given the same runs to start. Facts that agents have told count whoever brings them;
what a runner has concluded itself counts only while it is the last one that was welcomed.

A session is known to nobody but the runner whose welcome has come to it. A greeting of a dead one
that comes late begins a session in which nobody lives, so that the living one is refused: it greets
again, and says again what it has concluded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..jobs.run import Run
from ..messages.commands import SessionOver
from ..messages.hello import RunnerWelcome, Session
from ..messages.instructions import AgentsTaken, AttemptEnded, AttemptUpdated
from .ledger_sending import Outgoing, parts

# Runs of one part of the welcome.
WELCOME_RUNS = 100

# Of a session, where they say so.
FromRunner = AttemptEnded | AttemptUpdated | AgentsTaken


class RunnerSessions:
    """See the module."""

    def __init__(self, epoch: int, outgoing: Outgoing) -> None:
        self._present: Session = (epoch, 0)
        self._outgoing = outgoing
        self._incarnation = ""

    def welcome(self, incarnation: str, runs: list[Run], seq: int) -> Iterator[RunnerWelcome]:
        """Begin the session of a runner, unless it is there already; yield its welcome."""
        epoch, number = self._present
        if incarnation != self._incarnation or not number:
            number += 1
            self._present, self._incarnation = (epoch, number), incarnation
        some_runs = parts(runs, WELCOME_RUNS) or [[]]
        for part, some in enumerate(some_runs):
            yield RunnerWelcome(
                epoch=epoch,
                seq=seq,
                session=number,
                part=part,
                last=part == len(some_runs) - 1,
                runs=some,
                incarnation=incarnation,
            )

    def present(self, take: Callable[[str, Any, int], None]) -> Callable[[str, Any, int], None]:
        """Return a handler that takes nothing of other sessions than the present one."""

        def taken(sender: str, message: FromRunner, now_us: int) -> None:
            session = message.session
            if session is None or session == self._present:
                take(sender, message, now_us)
            else:
                self._outgoing.reply(sender, SessionOver(session=session))

        return taken
