"""The ledger's part in execution: what the runner reports of attempts, put on record.

A fact of an older attempt, or of a run that is over, moves nothing; it is acknowledged all the
same, so that the runner and its agents can forget it. A run whose policy says so waits again when
an attempt has ended, and comes to a finished state with its last one only.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec.structs import replace

from ..jobs.internal_programs import BoundInternal
from ..jobs.results import judged
from ..jobs.retry import AttemptRecord, backoff_us, tries_again
from ..jobs.run import Run
from ..jobs.states import ACTIVE, SETTLES, State
from ..jobs.times import SECOND_US
from ..messages.commands import ClaimKnown, Recorded
from ..messages.instructions import AskClaim, AttemptEnded, AttemptStarted, AttemptUpdated
from .ledger_book import Book
from .ledger_deadlines import open_of
from .ledger_sending import Outgoing

UNDER_WAY = frozenset({State.STARTING, State.RUNNING, State.STOPPING})
# States of a run whose attempt is with an agent, the one that is on record.
HAS_AGENT = frozenset({State.RUNNING, State.STOPPING})


class Attempts:
    """Moves runs by what became of their programs."""

    def __init__(self, book: Book, outgoing: Outgoing) -> None:
        self._book = book
        self.outgoing = outgoing
        self._internal: list[str] = []

    def take_internal(self) -> list[str]:
        """Return the runs that have begun to start since the last call and whose programs are the
        ledger's own to carry out: the runner is not told of them."""
        internal, self._internal = self._internal, []
        return internal

    def launch(self, run: Run, now_us: int, who: str) -> Run:
        """Send a scheduled run on its way: to wait for its conditions, or to start."""
        put_off_us = run.not_before_us if (run.not_before_us or 0) > now_us else None
        if run.moved_from is not None:
            put_off_us = None  # A person has said when.
        if run.conds or put_off_us is not None:
            fields = {"message": None, "not_before_us": put_off_us}
            return self._book.move(run, State.WAITING, now_us, "waiting", who, **fields)
        return self.start(run, now_us, who)

    def start(self, run: Run, now_us: int, who: str) -> Run:
        """Begin the next attempt of a run: it is starting, and the runner is told."""
        if isinstance(run.program, BoundInternal):
            self._internal.append(run.run_id)
        else:
            self.outgoing.start(run.run_id)
        attempt = run.attempt + 1
        if attempt > 1:
            # When it ran is the attempt's; that of the one before is in its record.
            run = replace(run, times={k: v for k, v in run.times.items() if k != State.RUNNING})
        return self._book.move(
            run,
            State.STARTING,
            now_us,
            f"starting: {_place(run, attempt)}" if attempt > 1 else "starting",
            who,
            attempt=attempt,
            held=False,
            message=None,
            stop_asked=False,
            kill_asked=False,
            results={},
        )

    def started(self, sender: str, message: AttemptStarted, now_us: int) -> None:
        """A program runs: starting is running, and a stop asked for meanwhile is carried out."""
        run = self._book.get(message.run_id)
        if run is not None and run.attempt == message.attempt and run.state in ACTIVE:
            if run.state is State.STARTING:
                run = self._running(run, message.at_us, message.agent_id, now_us, message.meta)
                if run.stop_asked:
                    run = self._book.move(run, State.STOPPING, now_us, "stopping", sender)
                    self.outgoing.stop(run.run_id)
            elif run.unreachable:
                run = self._book.note(run, now_us, "reachable again", sender, unreachable=False)
        self._record(sender, run, message.run_id, message.attempt)

    def ended(self, sender: str, message: AttemptEnded, now_us: int) -> None:
        """A program is over: the run is too, or waits for another attempt, or is settled if it
        was lost. What is found of one that stays lost is put on record as well."""
        run = self._book.get(message.run_id)
        if run is not None:
            run = self._over(run, message, now_us)
        self._record(sender, run, message.run_id, message.attempt)

    def give_up(self, run: Run, now_us: int, who: str) -> Run:
        """End a run that waits for another attempt as its last one ended."""
        last = run.attempts[-1]
        state = State.ERROR if last.state is State.LOST else last.state
        line = f"{state}: stopped before {_place(run, last.number + 1)}"
        said = last.message or None
        return self._book.move(run, state, now_us, line, who, message=said, held=False)

    def claim(self, sender: str, message: AskClaim, now_us: int) -> None:
        """Say whether an attempt is that agent's."""
        run = self._book.get(message.run_id)
        verdict = _verdict(run, message)
        is_present = run is not None and run.attempt == message.attempt
        wanted = run if is_present and verdict != "foreign" else None
        known = ClaimKnown(
            run_id=message.run_id,
            attempt=message.attempt,
            agent_id=message.agent_id,
            verdict=verdict,
            stop=wanted is not None and wanted.stop_asked,
            kill=wanted is not None and wanted.kill_asked,
        )
        self.outgoing.reply(sender, known)

    def updated(self, sender: str, message: AttemptUpdated, now_us: int) -> None:
        """The agent fell silent or came back, a line is to be noted, or the stop time has come."""
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
            run = self._book.note(run, now_us, line, sender, **fields)
        if message.stopping and run.state is State.RUNNING:
            self._stopping(run, now_us, now_us, sender)
            self.outgoing.stop(run.run_id)

    # --- inside ---------------------------------------------------------------------------------

    def _over(self, run: Run, message: AttemptEnded, now_us: int) -> Run:
        if run.attempt == message.attempt and not _is_anothers(run, message.agent_id):
            if run.state in UNDER_WAY or message.state in SETTLES.get(run.state, ()):
                return self._end(run, message, now_us)
            if run.state is message.state is State.LOST:
                return self._found(run, message, now_us)
            if run.finished and run.retry is None and State.LOST.value in run.times:
                return self._after_loss(run, message, now_us)
        return self._late_end(run, message, now_us)

    def _running(
        self, run: Run, at_us: int, agent_id: str | None, now_us: int, meta: dict[str, Any]
    ) -> Run:
        self.outgoing.answered(run.run_id, ended=False)
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

    def _stopping(self, run: Run, at_us: int, now_us: int, who: str) -> Run:
        """The stop time of a running run has come."""
        at_us = _between(run.times.get("running", at_us), at_us, now_us)
        return self._book.move(run, State.STOPPING, now_us, "stopping", who, at_us=at_us)

    def _end(self, run: Run, message: AttemptEnded, now_us: int) -> Run:
        message, results = _with_results(run, message)
        started_us = message.started_us
        if started_us is None and message.state in (State.SUCCESS, State.FAILURE):
            started_us = message.at_us
        if run.state is State.STARTING and started_us is not None:
            run = self._running(run, started_us, message.agent_id, now_us, {})
        stop_us = run.stop_us
        if run.state is State.RUNNING and stop_us is not None and message.at_us >= stop_us:
            # Its agent stopped it, and that has come before the word that it was time.
            run = self._stopping(run, stop_us, now_us, "")
        self.outgoing.answered(run.run_id, ended=True)
        self._book.changes.outputs.extend(message.outputs)
        earliest = run.times.get("running", run.times.get("starting", message.at_us))
        fields: dict[str, Any] = {
            "at_us": _between(earliest, message.at_us, now_us),
            "message": message.message or None,
            "agent_id": message.agent_id or run.agent_id,
            "meta": {**run.meta, **message.meta} if message.meta else run.meta,
            "results": results,
        }
        line = _outcome(message)
        if run.retry is not None:
            fields["attempts"] = _with_end(run, message, fields["at_us"], fields["agent_id"])
            next_us = _next_us(run, message, now_us)
            if next_us is not None:
                wait_s = (next_us - now_us) / SECOND_US
                line = f"{_place(run, run.attempt)}: {line}: the next in {wait_s:.0f} s"
                fields |= {"not_before_us": next_us, "agent_id": None}
                run = self._book.move(run, State.WAITING, now_us, line, "", **fields)
                return self._put_off(run, now_us)
            if run.attempt > 1:
                line += f" ({_place(run, run.attempt)})"
        return self._book.move(run, message.state, now_us, line, "", **fields)

    def _put_off(self, run: Run, now_us: int) -> Run:
        """Judge at once whether an attempt took too long: the next begins to count anew."""
        over_us = open_of(run).get("max_duration")
        if over_us is not None:
            self._book.judge(run.run_id, "max_duration", over_us, now_us)
        return self._book.get(run.run_id) or run

    def _found(self, run: Run, message: AttemptEnded, now_us: int) -> Run:
        """Put on record what the agent of a lost run has kept of it, come back after the run was
        given up; that it is lost remains."""
        if not message.outputs:
            return run
        self._book.changes.outputs.extend(message.outputs)
        if message.message == run.message:
            return run
        fields: dict[str, Any] = {"message": message.message}
        if run.retry is not None:
            fields["attempts"] = tuple(
                replace(one, message=message.message) if one.number == message.attempt else one
                for one in run.attempts
            )
        return self._book.note(run, now_us, f"more is known: {_outcome(message)}", "", **fields)

    def _after_loss(self, run: Run, message: AttemptEnded, now_us: int) -> Run:
        """Put on record what the agent has of a run that was lost, and is over otherwise since: it
        was marked, which stays, or this is its end once more, which adds nothing."""
        self._book.changes.outputs.extend(message.outputs)
        meta = {**run.meta, **message.meta}
        if meta == run.meta:
            return run
        return self._book.note(run, now_us, f"more is known: {_outcome(message)}", "", meta=meta)

    def _late_end(self, run: Run, message: AttemptEnded, now_us: int) -> Run:
        """Put on record how an attempt ended that was lost, and was followed by another, or what
        is found of it: of the run it moves nothing."""
        known = _record_of(run, message.attempt)
        if known is None or known.state is not State.LOST:
            return run
        present = run.state is State.LOST and run.attempt == message.attempt
        anothers = message.agent_id is not None and message.agent_id != known.agent_id
        stays = message.state is State.LOST
        if present or anothers or (stays and not message.outputs):
            return run
        self._book.changes.outputs.extend(message.outputs)
        settled = replace(known, state=message.state, message=message.message)
        if settled == known:
            return run
        attempts = tuple(settled if one is known else one for one in run.attempts)
        of = f"attempt {known.number}"
        said = f"more is known of {of}" if stays else f"{of}, which was lost, has ended"
        return self._book.note(run, now_us, f"{said}: {_outcome(message)}", "", attempts=attempts)

    def _record(self, sender: str, run: Run | None, run_id: str, attempt: int) -> None:
        """Tell the runner what is on record of an attempt, once it is durable."""
        live = run is not None and run.attempt == attempt and run.state in UNDER_WAY
        known = _record_of(run, attempt) if run is not None else None
        state = State.ERROR if run is None else run.state if known is None else known.state
        recorded = Recorded(run_id=run_id, attempt=attempt, state=state, ended=not live)
        self.outgoing.reply(sender, recorded)


def _with_results(run: Run, message: AttemptEnded) -> tuple[AttemptEnded, dict[str, str]]:
    """Return the end of an attempt and its results: one that has not given back what its job says
    is no success."""
    results, wrong = judged(run.result_specs, message.results)
    if message.state is not State.SUCCESS:
        return message, dict(message.results or {})
    if wrong:
        said = "; ".join(filter(None, (wrong, message.message)))
        message = replace(message, state=State.FAILURE, message=said)
    return message, results


def _is_anothers(run: Run, agent_id: str | None) -> bool:
    """Whether an attempt is on record as with another agent than the one that reports its end."""
    told = run.agent_id is not None and agent_id is not None and run.agent_id != agent_id
    return told and run.state is not State.STARTING


def _verdict(run: Run | None, message: AskClaim) -> Literal["theirs", "over", "foreign"]:
    known = _record_of(run, message.attempt) if run is not None else None
    if known is not None:
        # Its agent may be another than that of the run's present attempt.
        if known.agent_id != message.agent_id:
            return "foreign"
        return "theirs" if known.state is State.LOST else "over"
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


def _next_us(run: Run, message: AttemptEnded, now_us: int) -> int | None:
    """Return when the attempt after this one may start, None when there will be none."""
    retry, stopped = run.retry, run.stop_asked or run.state is State.STOPPING
    if retry is None or stopped or run.state not in UNDER_WAY:
        return None
    if not tries_again(retry, run.attempt, message.state, message.exit_code):
        return None
    next_us = now_us + backoff_us(retry, run.run_id, run.attempt)
    return next_us if run.stop_us is None or next_us < run.stop_us else None


def _with_end(
    run: Run, message: AttemptEnded, ended_us: int, agent_id: str | None
) -> tuple[AttemptRecord, ...]:
    """Return the run's attempts with the end of this one, in place of what was known of it."""
    record = AttemptRecord(
        number=run.attempt,
        state=message.state,
        started_us=run.times.get("running"),
        ended_us=ended_us,
        message=message.message,
        agent_id=agent_id,
    )
    return (*(one for one in run.attempts if one.number != run.attempt), record)


def _record_of(run: Run, attempt: int) -> AttemptRecord | None:
    return next((one for one in run.attempts if one.number == attempt), None)


def _place(run: Run, attempt: int) -> str:
    """Return an attempt in words, such as `attempt 2 of 3`."""
    return f"attempt {attempt} of {run.retry.attempts}" if run.retry else f"attempt {attempt}"


def _outcome(message: AttemptEnded) -> str:
    word, said = message.state.value, message.message
    # What was lost says so itself.
    return said if said.startswith(f"{word}: ") else f"{word}: {said}" if said else word
