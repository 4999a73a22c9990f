"""The ledger's part in execution: what the runner reports of attempts, put on record.

A fact of an older attempt, or of a run that is over, moves nothing; it is acknowledged all the
same, so that the runner and its agents can forget it.
"""

from __future__ import annotations

from typing import Any, Literal

from ..jobs.run import Run
from ..jobs.states import ACTIVE, SETTLES, State
from ..messages.commands import ClaimKnown, Recorded
from ..messages.instructions import AskClaim, AttemptEnded, AttemptStarted, AttemptUpdated
from .ledger_book import Book
from .ledger_sending import Outgoing

UNDER_WAY = frozenset({State.STARTING, State.RUNNING, State.STOPPING})
# States of a run whose attempt is with an agent, the one that is on record.
HAS_AGENT = frozenset({State.RUNNING, State.STOPPING})


class Attempts:
    """Moves runs by what became of their programs."""

    def __init__(self, book: Book, outgoing: Outgoing) -> None:
        self._book = book
        self._outgoing = outgoing

    def launch(self, run: Run, now_us: int, who: str) -> Run:
        """Send a scheduled run on its way: to wait for its conditions, or to start."""
        if run.conds:
            return self._book.move(run, State.WAITING, now_us, "waiting", who, message=None)
        return self.start(run, now_us, who)

    def start(self, run: Run, now_us: int, who: str) -> Run:
        """Begin the next attempt of a run: it is starting, and the runner is told."""
        self._outgoing.start(run.run_id)
        return self._book.move(
            run,
            State.STARTING,
            now_us,
            "starting",
            who,
            attempt=run.attempt + 1,
            held=False,
            message=None,
            stop_asked=False,
            kill_asked=False,
        )

    def started(self, sender: str, message: AttemptStarted, now_us: int) -> None:
        """A program runs: starting is running, and a stop asked for meanwhile is carried out."""
        run = self._book.get(message.run_id)
        if run is not None and run.attempt == message.attempt and run.state in ACTIVE:
            if run.state is State.STARTING:
                run = self._running(run, message.at_us, message.agent_id, now_us, message.meta)
                if run.stop_asked:
                    run = self._book.move(run, State.STOPPING, now_us, "stopping", sender)
                    self._outgoing.stop(run.run_id)
            elif run.unreachable:
                run = self._book.note(run, now_us, "reachable again", sender, unreachable=False)
        self._record(sender, run, message.run_id, message.attempt)

    def ended(self, sender: str, message: AttemptEnded, now_us: int) -> None:
        """A program is over: the run is too, or is settled if it was lost."""
        run = self._book.get(message.run_id)
        if run is not None and run.attempt == message.attempt:
            settles = message.state in SETTLES.get(run.state, ())
            if (settles or run.state in UNDER_WAY) and not _is_anothers(run, message.agent_id):
                run = self._end(run, message, now_us)
        self._record(sender, run, message.run_id, message.attempt)

    def claim(self, sender: str, message: AskClaim, now_us: int) -> None:
        """Say whether an attempt is that agent's."""
        run = self._book.get(message.run_id)
        known = ClaimKnown(
            run_id=message.run_id,
            attempt=message.attempt,
            agent_id=message.agent_id,
            verdict=_verdict(run, message),
        )
        self._outgoing.reply(sender, known)

    def updated(self, sender: str, message: AttemptUpdated, now_us: int) -> None:
        """The agent fell silent or came back, or a line is to be noted."""
        run = self._book.get(message.run_id)
        if run is None or run.attempt != message.attempt or run.state not in UNDER_WAY:
            return
        fields: dict[str, Any] = {}
        line = message.note
        if message.unreachable is not None and message.unreachable != run.unreachable:
            fields["unreachable"] = message.unreachable
            line = line or ("agent unreachable" if message.unreachable else "reachable again")
        if message.meta is not None:
            fields["meta"] = {**run.meta, **message.meta}
        if fields or line:
            self._book.note(run, now_us, line, sender, **fields)

    # --- inside ---------------------------------------------------------------------------------

    def _running(
        self, run: Run, at_us: int, agent_id: str | None, now_us: int, meta: dict[str, Any]
    ) -> Run:
        self._outgoing.answered(run.run_id, ended=False)
        return self._book.move(
            run,
            State.RUNNING,
            now_us,
            "running",
            "",
            at_us=_between(run.times.get("starting", at_us), at_us, now_us),
            agent_id=agent_id,
            meta={**run.meta, **meta} if meta else run.meta,
        )

    def _end(self, run: Run, message: AttemptEnded, now_us: int) -> Run:
        started_us = message.started_us
        if started_us is None and message.state in (State.SUCCESS, State.FAILURE):
            started_us = message.at_us
        if run.state is State.STARTING and started_us is not None:
            run = self._running(run, started_us, message.agent_id, now_us, {})
        self._outgoing.answered(run.run_id, ended=True)
        self._book.changes.outputs.extend(message.outputs)
        word = message.state.value
        earliest = run.times.get("running", run.times.get("starting", message.at_us))
        return self._book.move(
            run,
            message.state,
            now_us,
            f"{word}: {message.message}" if message.message else word,
            "",
            at_us=_between(earliest, message.at_us, now_us),
            message=message.message or None,
            agent_id=message.agent_id or run.agent_id,
            meta={**run.meta, **message.meta} if message.meta else run.meta,
        )

    def _record(self, sender: str, run: Run | None, run_id: str, attempt: int) -> None:
        """Tell the runner what is on record of an attempt, once it is durable."""
        live = run is not None and run.attempt == attempt and run.state in ACTIVE
        state = run.state if run is not None else State.ERROR
        recorded = Recorded(run_id=run_id, attempt=attempt, state=state, ended=not live)
        self._outgoing.reply(sender, recorded)


def _is_anothers(run: Run, agent_id: str | None) -> bool:
    """Whether an attempt is on record as with another agent than the one that reports its end."""
    told = run.agent_id is not None and agent_id is not None and run.agent_id != agent_id
    return told and run.state is not State.STARTING


def _verdict(run: Run | None, message: AskClaim) -> Literal["theirs", "over", "foreign"]:
    if run is None or run.agent_id != message.agent_id or run.attempt < message.attempt:
        return "foreign"
    if run.attempt > message.attempt:
        return "over"
    if run.state is State.LOST or run.state in HAS_AGENT:
        return "theirs"
    return "over" if run.finished else "foreign"


def _between(low: int, value: int, high: int) -> int:
    """Clamp another host's clock between what this one has seen; `low` wins."""
    return max(low, min(value, high))
