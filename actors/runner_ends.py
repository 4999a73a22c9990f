"""Outputs and ends of processes: from the agents to the output store and to the ledger.

Part of the runner's core. The end of a process is reported only when all of its output is kept;
what cannot be kept now is tried again, and nothing of it is given up.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..jobs.keeping import ORDER, OUTPUT, OUTPUTS_AT_MOST, STREAMS, WHOLE, Gap, is_output_id
from ..jobs.results import are_results
from ..jobs.states import State
from ..messages.agents import (
    OutputChunk,
    OutputGrew,
    OutputTaken,
    ProcessEnded,
    ProcessLost,
    ProcessNoted,
)
from ..messages.instructions import AttemptEnded, OutputRecord
from ..messages.post import Post
from .outputs_seam import (
    OUTPUTS,
    STORE,
    AppendOutput,
    FinishOutput,
    OutputFinished,
    OutputStored,
)
from .runner_agents import Agent
from .runner_book import Attempt, Book, Key, Phase
from .runner_reports import noted
from .runner_words import ended_meta, outcome

# An output that could not be kept is finished again.
KEEP_AGAIN_US = 2_000_000
# What an agent may add to the log of a run at a time.
NOTE_CHARS = 1_000


class Ends:
    """See the module."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._again: dict[Key, int] = {}

    # --- outputs --------------------------------------------------------------------------------

    def chunk(self, agent: Agent, message: OutputChunk, now_us: int) -> list[Post]:
        """Bytes of an output have come."""
        key = (message.run_id, message.attempt)
        attempt = self._book.attempts.get(key)
        if attempt is None:
            # One that was started anew does not know that all of it is taken.
            if self._book.over.get(key, State.LOST) is not State.LOST:
                return [self._forget(agent, key)]
            # Its end is still to come, also that of one that was lost: it will settle it.
            attempt = self._book.stranger(agent, key, now_us)
        if attempt.agent_id != agent.agent_id or attempt.is_over:
            return []
        if not self._may_be(attempt, message.name):
            return []
        append = AppendOutput(
            run_id=message.run_id,
            attempt=message.attempt,
            output_id=message.name,
            offset=message.offset,
            data=message.data,
            compression=message.compression,
            gap=message.gap,
            keep_bytes=self._book.keep_of(attempt, message.name),
        )
        return [Post(STORE, append)]

    def stored(self, message: OutputStored) -> list[Post]:
        """Bytes of an output are in its file: the agent may send more."""
        attempt = self._book.attempts.get((message.run_id, message.attempt))
        if attempt is None:
            return []
        posts = [_grew(message, message.length)]
        if not attempt.is_over:
            # Of one that is over the agent would take it for a wish to have the rest sent.
            posts.insert(0, self._taken(attempt, message.output_id, message.length))
        return posts

    def kept(self, message: OutputFinished, now_us: int) -> list[Post]:
        """An output is kept, or is not."""
        key = (message.run_id, message.attempt)
        attempt = self._book.attempts.get(key)
        if attempt is None or attempt.phase is Phase.REPORTED:
            return []
        if message.record is not None:
            attempt.kept[message.output_id] = message.record
        if attempt.phase is not Phase.FINISHING:
            return []
        if message.error:
            self._again[key] = now_us + KEEP_AGAIN_US
            return []
        self._again.pop(key, None)
        if message.record is None:
            # Not all of it is here: the agent sends the rest, and then the end again.
            ended, attempt.ended = attempt.ended, None
            attempt.phase = Phase.RUNNING
            if attempt.started_us is None and ended is not None:
                attempt.started_us = ended.started_us or None
            return [self._taken(attempt, message.output_id, message.length)]
        posts = [_grew(message, message.record.length, ended=True)]
        return posts + self._report_if_kept(attempt, now_us)

    # --- ends -----------------------------------------------------------------------------------

    def ended(self, agent: Agent, message: ProcessEnded | ProcessLost, now_us: int) -> list[Post]:
        """An agent says that a process is over, perhaps not for the first time."""
        key = (message.run_id, message.attempt)
        attempt = self._book.attempts.get(key)
        if attempt is None:
            state = self._book.over.get(key)
            # Of one that was given up its agent may come to know more, and have output of it.
            tells = isinstance(message, ProcessEnded) or bool(message.output_bytes)
            if state is not None and not (state is State.LOST and tells):
                return [self._forget(agent, key)]
            # Nobody here knows it: the ledger will say whether it may be forgotten.
            attempt = self._book.stranger(agent, key, now_us)
        if not attempt.agent_id and self._book.believes(agent, attempt):
            self._book.give(attempt, agent.agent_id, now_us)
        if attempt.agent_id != agent.agent_id or attempt.is_over:
            return []
        if message.spool_path is not None and self._book.agents.is_keyed(agent.agent_id):
            # A path on another host; read here, it would be whatever file that agent names.
            message = msgspec.structs.replace(message, spool_path=None, spool_paths={})
        return self.over(attempt, message, now_us)

    def over(
        self, attempt: Attempt, message: ProcessEnded | ProcessLost, now_us: int
    ) -> list[Post]:
        """A process is over: keep its output, then report."""
        attempt.ended = message
        attempt.phase = Phase.FINISHING
        return [*_finish(self._book, attempt), *self._report_if_kept(attempt, now_us)]

    def noted(self, agent: Agent, message: ProcessNoted, now_us: int) -> list[Post]:
        """An agent says something of a process of its own, for the log of the run."""
        key = (message.run_id, message.attempt)
        attempt = self._book.attempts.get(key)
        if attempt is None or attempt.agent_id != agent.agent_id:
            return []
        return [noted(attempt, " ".join(message.sentence.split())[:NOTE_CHARS])]

    def settle(self, now_us: int) -> list[Post]:
        """Try again to keep what could not be kept."""
        posts = []
        for key, at_us in list(self._again.items()):
            # A clock that was set back must not silence this.
            if at_us <= now_us or at_us > now_us + KEEP_AGAIN_US:
                del self._again[key]
                attempt = self._book.attempts.get(key)
                if attempt is not None and attempt.phase is Phase.FINISHING:
                    posts += _finish(self._book, attempt)
        return posts

    def wakes_at(self) -> int | None:
        """Return when `settle` has something to do."""
        return min(self._again.values(), default=None)

    # --- inside ---------------------------------------------------------------------------------

    def _may_be(self, attempt: Attempt, name: str) -> bool:
        """Whether an attempt may have an output of a name: it becomes that of a file."""
        if name not in attempt.names and len(attempt.names) < OUTPUTS_AT_MOST:
            if not is_output_id(name):
                return False
            attempt.names.add(name)
        return name in attempt.names

    def _forget(self, agent: Agent, key: Key) -> Post:
        """The end of an attempt is on record: its agent need not keep it."""
        agent.sent += 1
        return Post(agent.address, self._book.forget_command(key))

    def _taken(self, attempt: Attempt, name: str, upto: int) -> Post:
        command = OutputTaken(
            epoch=self._book.epoch,
            run_id=attempt.key[0],
            attempt=attempt.key[1],
            name=name,
            upto=upto,
        )
        return self._book.tell(attempt, command)

    def _report_if_kept(self, attempt: Attempt, now_us: int) -> list[Post]:
        """Tell the ledger of the end, once every output is kept."""
        names = _names(attempt)
        if any(name not in attempt.kept for name in names):
            return []
        outputs = [attempt.kept[name] for name in names]
        return self._report(attempt, outputs + _streams(attempt), now_us)

    def _report(self, attempt: Attempt, outputs: list[OutputRecord], now_us: int) -> list[Post]:
        ended = attempt.ended
        assert ended is not None, f"{attempt.key}: not over"
        attempt.phase = Phase.REPORTED
        started_us = ended.started_us or attempt.started_us
        meta: dict[str, Any] = {}
        exit_code = results = None
        if isinstance(ended, ProcessLost):
            state, message = State.LOST, ended.sentence
        else:
            state, message = outcome(ended)
            meta = ended_meta(ended, self._book.agents.by_id[attempt.agent_id].meta)
            if ended.results is not None and are_results(ended.results):
                results = ended.results
            if ended.error:
                started_us = None
            elif ended.status >= 0:
                exit_code = ended.status
        report = AttemptEnded(
            run_id=attempt.key[0],
            attempt=attempt.key[1],
            at_us=ended.at_us,
            state=state,
            message=message,
            started_us=started_us,
            agent_id=attempt.agent_id,
            meta=meta,
            outputs=outputs,
            exit_code=exit_code,
            results=results,
        )
        return [self._book.report(report, now_us)]


def _names(attempt: Attempt) -> list[str]:
    """Return the outputs of a process that is over; at most so many are believed."""
    ended = attempt.ended
    assert ended is not None, f"{attempt.key}: not over"
    return [name for name in ended.output_bytes if is_output_id(name)][:OUTPUTS_AT_MOST]


def _streams(attempt: Attempt) -> list[OutputRecord]:
    """Return stdout and stderr where they are told apart: what of the output came from them."""
    ended = attempt.ended
    if ended is None or ORDER not in attempt.kept:
        return []
    return [
        OutputRecord(
            run_id=attempt.key[0],
            attempt=attempt.key[1],
            output_id=name,
            name=name,
            length=length,
            truncated=attempt.kept[OUTPUT].truncated if OUTPUT in attempt.kept else False,
        )
        for name, length in ended.stream_bytes.items()
        if name in STREAMS and length
    ]


def _finish(book: Book, attempt: Attempt) -> list[Post]:
    """Have every output kept that is not yet."""
    ended = attempt.ended
    assert ended is not None, f"{attempt.key}: not over"
    paths = {OUTPUT: ended.spool_path, **ended.spool_paths}
    return [
        Post(
            STORE,
            FinishOutput(
                run_id=attempt.key[0],
                attempt=attempt.key[1],
                output_id=name,
                length=ended.output_bytes[name],
                spool_path=paths.get(name),
                gap=Gap(*ended.gaps.get(name, WHOLE)),
                keep_bytes=book.keep_of(attempt, name),
                name=ended.artifacts.get(name, ""),
            ),
        )
        for name in _names(attempt)
        if name not in attempt.kept
    ]


def _grew(message: OutputStored | OutputFinished, length: int, *, ended: bool = False) -> Post:
    grew = OutputGrew(
        run_id=message.run_id,
        attempt=message.attempt,
        output_id=message.output_id,
        length=length,
        ended=ended,
    )
    return Post(OUTPUTS, grew)
