"""Runs of processes: given to agents, followed to their end, their outputs kept.

Part of the runner's core. Each attempt is given to one agent, once: that is written down before the
agent hears of it, and no other agent ever gets the attempt. Every command is repeated until it is
answered; what an agent reports of an attempt counts only if it is the one that has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from ..jobs.programs import BoundProcess
from ..jobs.run import Run
from ..jobs.states import State
from ..messages.agents import (
    AgentHello,
    AskHello,
    ForgetProcess,
    OutputChunk,
    OutputGrew,
    OutputTaken,
    ProcessEnded,
    ProcessLost,
    ProcessRefused,
    ProcessStarted,
    SignalProcess,
    StartProcess,
    StopProcess,
)
from ..messages.commands import SignalAttempt
from ..messages.instructions import AttemptEnded, AttemptStarted, AttemptUpdated, OutputRecord
from ..messages.post import Post
from .outputs_seam import (
    OUTPUTS,
    PLACEMENTS,
    STORE,
    AppendOutput,
    FinishOutput,
    KeepPlaced,
    OutputFinished,
    OutputStored,
    Placed,
)
from .runner_agents import Agent, Agents
from .runner_words import ended_meta, outcome, running_meta

Key = tuple[str, int]

# Commands without an answer are repeated.
REPEAT_US = 2_000_000
# A start that the agent could not carry out now is asked for again.
RETRY_US = 1_000_000
# An output that could not be kept is finished again.
KEEP_AGAIN_US = 5_000_000
# A command to start may be this old when the agent gets it.
START_WITHIN_US = 20_000_000
# A signal has no answer: it is sent so often, and carried out once.
SIGNAL_TRIES = 3
REPEATS_AT_ONCE = 500
# The journal of placements is written anew after so many.
JOURNAL_AFTER = 50_000
OUTPUT = "output"


class Phase(Enum):
    """Where an attempt is, as the runner knows it."""

    PLACING = "placing"
    ASKED = "asked"
    RUNNING = "running"
    FINISHING = "finishing"
    REPORTED = "reported"


class Attempt:
    """One attempt. `program` None: the ledger did not name it, an agent did."""

    __slots__ = (
        "agent_id",
        "ended",
        "flagged",
        "job_id",
        "key",
        "killing",
        "phase",
        "program",
        "started_us",
        "stop_us",
        "stopping",
        "wait_until_us",
    )

    def __init__(self, key: Key, run: Run | None) -> None:
        program = run.program if run is not None else None
        self.key = key
        self.program = program if isinstance(program, BoundProcess) else None
        self.job_id = run.job_id if run is not None else ""
        self.stop_us = run.stop_us if run is not None else None
        self.phase = Phase.PLACING
        self.agent_id = ""
        self.started_us: int | None = None
        self.stopping = False
        self.killing = False
        self.flagged = False
        self.wait_until_us = 0
        self.ended: ProcessEnded | ProcessLost | None = None


class Processes:
    """See the module. `epoch` is set by the runner when the ledger welcomes it."""

    def __init__(
        self, agents: Agents, placed: Mapping[Key, str], *, grace_us: int, start_timeout_us: int
    ) -> None:
        self.epoch = 0
        self.attempts: dict[Key, Attempt] = {}
        self._agents = agents
        self._placed = dict(placed)
        self._grace_us = grace_us
        self._start_timeout_us = start_timeout_us
        self._begun_us = 0
        self._due: dict[Key, int] = {}
        self._keeping: dict[Key, int] = {}
        self._signals: dict[str, tuple[Key, SignalProcess, int, int]] = {}
        self._journaled = 0
        self._doubts = 0

    # --- the ledger's side ----------------------------------------------------------------------

    def begin(self, now_us: int) -> None:
        """The runner starts: agents get a while to come."""
        self._begun_us = now_us

    def start(self, run: Run, now_us: int) -> list[Post]:
        """Take a run that is to be started."""
        key = (run.run_id, run.attempt)
        attempt = self.attempts.get(key)
        if attempt is None:
            attempt = self.attempts[key] = Attempt(key, run)
            attempt.agent_id = self._placed.get(key, "")
            attempt.wait_until_us = max(
                now_us + self._start_timeout_us, self._begun_us + self._grace_us
            )
            return self._place(attempt, now_us)
        return self._ask(attempt, now_us) if attempt.phase is Phase.ASKED else []

    def adopt(self, run: Run, now_us: int) -> list[Post]:
        """Take a run that the ledger has as running or stopping."""
        key = (run.run_id, run.attempt)
        attempt = self.attempts.get(key)
        if attempt is None:
            attempt = self.attempts[key] = Attempt(key, run)
            attempt.phase = Phase.RUNNING
            attempt.started_us = run.times.get("running", now_us)
            attempt.flagged = run.unreachable
            self._give(attempt, run.agent_id or self._placed.get(key, ""), now_us)
        if run.state is State.STOPPING:
            return self.stop(key, now_us, kill=False)
        return []

    def stop(self, key: Key, now_us: int, *, kill: bool) -> list[Post]:
        """Stop a process, repeated until it is over."""
        attempt = self.attempts.get(key)
        if attempt is None or attempt.phase in (Phase.FINISHING, Phase.REPORTED):
            return []
        attempt.stopping = True
        attempt.killing = attempt.killing or kill
        if not attempt.agent_id:
            return []
        self._again(key, now_us + REPEAT_US)
        return [self._to_agent(attempt, self._stop_command(attempt))]

    def signal(self, message: SignalAttempt, now_us: int) -> list[Post]:
        """Signal a process, once."""
        key = (message.run_id, message.attempt)
        attempt = self.attempts.get(key)
        if attempt is None or attempt.phase is not Phase.RUNNING:
            return []
        command = SignalProcess(
            epoch=self.epoch,
            run_id=message.run_id,
            attempt=message.attempt,
            signal=message.signal,
            command_id=message.command_id,
        )
        self._signals[message.command_id] = (key, command, now_us + REPEAT_US, SIGNAL_TRIES - 1)
        return [self._to_agent(attempt, command)]

    def over(self, key: Key) -> list[Post]:
        """The end is on record: the agent may forget the process."""
        attempt = self.attempts.pop(key, None)
        self._due.pop(key, None)
        self._keeping.pop(key, None)
        self._placed.pop(key, None)
        if attempt is None or not attempt.agent_id:
            return []
        self._agents.by_id[attempt.agent_id].load -= 1
        return [self._to_agent(attempt, self.forget_command(key))]

    def forget_command(self, key: Key) -> ForgetProcess:
        """Return the command to forget an attempt."""
        return ForgetProcess(epoch=self.epoch, run_id=key[0], attempt=key[1])

    def drop_others(self, live: set[Key]) -> list[Post]:
        """The ledger has named all live runs: the others are over, if nothing is to be reported."""
        for key, attempt in list(self.attempts.items()):
            if key not in live and attempt.phase is not Phase.REPORTED and attempt.program:
                self.attempts.pop(key)
                self._due.pop(key, None)
                self._keeping.pop(key, None)
                if attempt.agent_id:
                    self._agents.by_id[attempt.agent_id].load -= 1
        self._placed = {key: agent_id for key, agent_id in self._placed.items() if key in live}
        return [self._journal()]

    # --- agents ---------------------------------------------------------------------------------

    def met(self, agent: Agent, hello: AgentHello, now_us: int) -> list[Post]:
        """An agent has introduced itself: compare what it has with what it should have."""
        posts: list[Post] = []
        states = {(claim.run_id, claim.attempt): claim.state for claim in hello.claims}
        doubted: frozenset[Key] = frozenset()
        if agent.doubt is not None and agent.doubt[0] == hello.answers:
            doubted = agent.doubt[1]
            agent.doubt = None
        missing = set()
        for key, attempt in self.attempts.items():
            if attempt.phase is Phase.PLACING and not attempt.agent_id:
                posts += self._place(attempt, now_us)
                continue
            if attempt.agent_id != agent.agent_id:
                continue
            if attempt.phase in (Phase.PLACING, Phase.ASKED):
                posts += self._ask(attempt, now_us)
            elif attempt.phase is Phase.RUNNING and key not in states:
                missing.add(key)
        for key in missing & doubted:
            posts += self._not_there(self.attempts[key], now_us)
        missing -= doubted
        if missing:
            # It may have said so before it was told to start them: ask once more.
            self._doubts += 1
            agent.doubt = (f"doubt {self._doubts}", frozenset(missing))
            posts.append(Post(agent.address, AskHello(epoch=self.epoch, request=agent.doubt[0])))
        for key, state in states.items():
            if state == "not_started" and key not in self.attempts:
                posts.append(Post(agent.address, self.forget_command(key)))
        return posts

    def fell_silent(self, agent: Agent) -> list[AttemptUpdated]:
        """Flag the runs of an agent that is not heard of."""
        updates = []
        for attempt in self.attempts.values():
            if attempt.agent_id == agent.agent_id and attempt.phase is Phase.RUNNING:
                attempt.flagged = True
                run_id, number = attempt.key
                updates.append(AttemptUpdated(run_id=run_id, attempt=number, unreachable=True))
        return updates

    def heard_again(self, agent: Agent) -> list[AttemptStarted]:
        """Say of an agent's flagged runs that they run."""
        reports = []
        for attempt in self.attempts.values():
            if attempt.agent_id == agent.agent_id and attempt.flagged:
                attempt.flagged = False
                if attempt.phase is Phase.RUNNING:
                    reports.append(self._running_report(attempt))
        return reports

    def started(self, agent: Agent, message: ProcessStarted) -> AttemptStarted | None:
        """A process runs; return what the ledger is to be told."""
        attempt = self.attempts.get((message.run_id, message.attempt))
        if attempt is None or attempt.agent_id != agent.agent_id:
            return None
        if attempt.phase not in (Phase.PLACING, Phase.ASKED):
            return None
        attempt.phase = Phase.RUNNING
        attempt.started_us = message.at_us
        self._due.pop(attempt.key, None)
        meta = running_meta(message.pid, message.at_us, agent.meta)
        return self._running_report(attempt, meta)

    def refused(self, agent: Agent, message: ProcessRefused, now_us: int) -> AttemptEnded | None:
        """A process was not started; return the end to report, None: it will be tried again."""
        key = (message.run_id, message.attempt)
        attempt = self.attempts.get(key)
        if attempt is None or attempt.agent_id != agent.agent_id:
            return None
        if attempt.phase is not Phase.ASKED:
            return None
        if message.retry:
            # By the same agent: another copy of the command may be on its way to it still.
            self._again(key, now_us + RETRY_US)
            return None
        attempt.phase = Phase.REPORTED
        return self._error(attempt, now_us, message.sentence)

    def ended(
        self, agent: Agent, message: ProcessEnded | ProcessLost, now_us: int
    ) -> tuple[AttemptEnded | None, list[Post]]:
        """A process is over; return the end to report, if no output is to be kept first."""
        key = (message.run_id, message.attempt)
        attempt = self.attempts.get(key)
        if attempt is None:
            # Nobody here knows it: the ledger will say whether it may be forgotten.
            attempt = self.attempts[key] = Attempt(key, None)
            self._give(attempt, agent.agent_id, now_us)
        if attempt.agent_id != agent.agent_id or attempt.phase in (
            Phase.FINISHING,
            Phase.REPORTED,
        ):
            return None, []
        self._due.pop(key, None)
        attempt.ended = message
        if not message.output_bytes.get(OUTPUT):
            return self._report(attempt, []), []
        attempt.phase = Phase.FINISHING
        return None, [self._keep(attempt, now_us)]

    # --- outputs --------------------------------------------------------------------------------

    def chunk(self, agent: Agent, message: OutputChunk) -> list[Post]:
        """Bytes of an output have come."""
        attempt = self.attempts.get((message.run_id, message.attempt))
        if attempt is not None:
            if attempt.agent_id != agent.agent_id:
                return []
            if attempt.phase in (Phase.FINISHING, Phase.REPORTED):
                return []
        append = AppendOutput(
            run_id=message.run_id,
            attempt=message.attempt,
            output_id=OUTPUT,
            offset=message.offset,
            data=message.data,
            compression=message.compression,
        )
        if attempt is None:
            attempt = self.attempts[message.run_id, message.attempt] = Attempt(
                (message.run_id, message.attempt), None
            )
            attempt.phase = Phase.RUNNING
            self._give(attempt, agent.agent_id, 0)
        return [Post(STORE, append)]

    def stored(self, message: OutputStored) -> list[Post]:
        """Bytes of an output are in its file: the agent may send more."""
        attempt = self.attempts.get((message.run_id, message.attempt))
        if attempt is None:
            return []
        grew = OutputGrew(
            run_id=message.run_id,
            attempt=message.attempt,
            output_id=message.output_id,
            length=message.length,
        )
        return [self._to_agent(attempt, self._taken(attempt, message.length)), Post(OUTPUTS, grew)]

    def kept(
        self, message: OutputFinished, now_us: int
    ) -> tuple[AttemptEnded | None, list[Post]]:
        """An output is kept, or is not; return the end to report when that is all."""
        key = (message.run_id, message.attempt)
        attempt = self.attempts.get(key)
        if attempt is None or attempt.phase is not Phase.FINISHING:
            return None, []
        self._keeping.pop(key, None)
        if message.error:
            self._keeping[key] = now_us + KEEP_AGAIN_US
            return None, []
        if message.record is None:
            # Not all of it is here: the agent sends the rest, and then the end again.
            attempt.phase, attempt.ended = Phase.RUNNING, None
            return None, [self._to_agent(attempt, self._taken(attempt, message.length))]
        grew = OutputGrew(
            run_id=message.run_id,
            attempt=message.attempt,
            output_id=message.output_id,
            length=message.record.length,
            ended=True,
        )
        return self._report(attempt, [message.record]), [Post(OUTPUTS, grew)]

    # --- time -----------------------------------------------------------------------------------

    def settle(self, now_us: int) -> tuple[list[AttemptEnded], list[Post]]:
        """Repeat what has no answer; return the ends to report, and posts."""
        reports: list[AttemptEnded] = []
        posts: list[Post] = []
        late = []
        for key, at_us in self._due.items():
            if at_us > now_us + REPEAT_US:
                self._due[key] = now_us  # the clock was set back
            elif at_us <= now_us:
                late.append(key)
                if len(late) >= REPEATS_AT_ONCE:
                    break
        for key in late:
            attempt = self.attempts[key]
            del self._due[key]
            if attempt.phase is Phase.PLACING:
                posts += self._place(attempt, now_us)
                if attempt.phase is Phase.PLACING and now_us >= attempt.wait_until_us:
                    attempt.phase = Phase.REPORTED
                    self._due.pop(key, None)
                    reports.append(self._error(attempt, now_us, _no_agent(attempt)))
            elif attempt.phase is Phase.ASKED:
                posts += self._ask(attempt, now_us)
            elif attempt.phase is Phase.RUNNING and attempt.stopping:
                posts += self.stop(key, now_us, kill=False)
        for key, at_us in list(self._keeping.items()):
            if at_us <= now_us:
                posts.append(self._keep(self.attempts[key], now_us))
        posts += self._signal_again(now_us)
        return reports, posts

    def wakes_at(self) -> int | None:
        """Return when `settle` has something to do."""
        times = [min(some.values()) for some in (self._due, self._keeping) if some]
        times += [again_us for _, _, again_us, _ in self._signals.values()]
        return min(times, default=None)

    # --- inside ---------------------------------------------------------------------------------

    def _place(self, attempt: Attempt, now_us: int) -> list[Post]:
        """Give an attempt to an agent, for good; or look again soon."""
        assert attempt.program is not None, f"{attempt.key}: no program"
        posts: list[Post] = []
        if not attempt.agent_id:
            agent = self._agents.choose(attempt.program.group_id)
            if agent is None:
                self._again(attempt.key, min(now_us + RETRY_US, max(attempt.wait_until_us, now_us)))
                return []
            run_id, number = attempt.key
            self._placed[attempt.key] = agent.agent_id
            placed = Placed(run_id=run_id, attempt=number, agent_id=agent.agent_id)
            posts.append(Post(PLACEMENTS, placed))
            self._journaled += 1
            if self._journaled >= JOURNAL_AFTER:
                posts.append(self._journal())
            self._give(attempt, agent.agent_id, now_us)
        else:
            self._give(attempt, attempt.agent_id, now_us)
        attempt.phase = Phase.ASKED
        return posts + self._ask(attempt, now_us)

    def _give(self, attempt: Attempt, agent_id: str, now_us: int) -> None:
        attempt.agent_id = agent_id
        if agent_id:
            self._agents.known(agent_id, now_us).load += 1

    def _ask(self, attempt: Attempt, now_us: int) -> list[Post]:
        """Command the start, if its agent is there; again until it answers."""
        assert attempt.program is not None, f"{attempt.key}: no program"
        self._again(attempt.key, now_us + REPEAT_US)
        agent = self._agents.by_id[attempt.agent_id]
        if not agent.connected or agent.hello is None:
            return []
        run_id, number = attempt.key
        command = StartProcess(
            epoch=self.epoch,
            run_id=run_id,
            attempt=number,
            program=attempt.program,
            not_after_us=now_us + START_WITHIN_US,
            stop_us=attempt.stop_us,
            job_id=attempt.job_id,
            incarnation=agent.hello.incarnation,
        )
        return [self._to_agent(attempt, command)]

    def _again(self, key: Key, at_us: int) -> None:
        self._due.pop(key, None)
        self._due[key] = at_us

    def _stop_command(self, attempt: Attempt) -> StopProcess:
        run_id, number = attempt.key
        return StopProcess(epoch=self.epoch, run_id=run_id, attempt=number, kill=attempt.killing)

    def _taken(self, attempt: Attempt, upto: int) -> OutputTaken:
        run_id, number = attempt.key
        return OutputTaken(
            epoch=self.epoch, run_id=run_id, attempt=number, name=OUTPUT, upto=upto
        )

    def _to_agent(self, attempt: Attempt, message: Any) -> Post:
        agent = self._agents.by_id[attempt.agent_id]
        agent.sent += 1
        return Post(agent.address, message)

    def _keep(self, attempt: Attempt, now_us: int) -> Post:
        self._keeping[attempt.key] = now_us + KEEP_AGAIN_US * 60
        ended = attempt.ended
        assert ended is not None, f"{attempt.key}: not over"
        finish = FinishOutput(
            run_id=attempt.key[0],
            attempt=attempt.key[1],
            output_id=OUTPUT,
            length=ended.output_bytes[OUTPUT],
            spool_path=ended.spool_path,
        )
        return Post(STORE, finish)

    def _running_report(
        self, attempt: Attempt, meta: dict[str, Any] | None = None
    ) -> AttemptStarted:
        assert attempt.started_us is not None, f"{attempt.key}: not started"
        run_id, number = attempt.key
        return AttemptStarted(
            run_id=run_id,
            attempt=number,
            at_us=attempt.started_us,
            agent_id=attempt.agent_id,
            meta=meta or {},
        )

    def _report(self, attempt: Attempt, outputs: list[OutputRecord]) -> AttemptEnded:
        """Return what the ledger is to be told of the end."""
        attempt.phase = Phase.REPORTED
        ended = attempt.ended
        assert ended is not None, f"{attempt.key}: not over"
        run_id, number = attempt.key
        agent_meta = self._agents.by_id[attempt.agent_id].meta
        started_us = ended.started_us or attempt.started_us
        if isinstance(ended, ProcessLost):
            state, message, meta = State.LOST, ended.sentence, {}
        else:
            state, message = outcome(ended)
            meta = ended_meta(ended, agent_meta)
            if ended.error:
                started_us = None
        return AttemptEnded(
            run_id=run_id,
            attempt=number,
            at_us=ended.at_us,
            state=state,
            message=message,
            started_us=started_us,
            agent_id=attempt.agent_id,
            meta=meta,
            outputs=outputs,
        )

    def _error(self, attempt: Attempt, now_us: int, sentence: str) -> AttemptEnded:
        run_id, number = attempt.key
        return AttemptEnded(
            run_id=run_id,
            attempt=number,
            at_us=now_us,
            state=State.ERROR,
            message=sentence,
            agent_id=attempt.agent_id or None,
        )

    def _not_there(self, attempt: Attempt, now_us: int) -> list[Post]:
        """The agent has no trace of a process that ran on it. Nothing can be known of its end."""
        run_id, number = attempt.key
        attempt.ended = ProcessLost(
            run_id=run_id,
            attempt=number,
            at_us=now_us,
            sentence=f"lost: agent {attempt.agent_id} has no record of the process",
        )
        self.lost.append(self._report(attempt, []))
        return []

    def _journal(self) -> Post:
        """Have the journal of placements begin anew with those that count."""
        self._journaled = 0
        placed = [
            Placed(run_id=key[0], attempt=key[1], agent_id=agent_id)
            for key, agent_id in self._placed.items()
        ]
        return Post(PLACEMENTS, KeepPlaced(placed=placed))

    def _signal_again(self, now_us: int) -> list[Post]:
        posts = []
        for command_id, (key, command, again_us, tries) in list(self._signals.items()):
            if again_us > now_us:
                continue
            attempt = self.attempts.get(key)
            if attempt is None or attempt.phase is not Phase.RUNNING or not tries:
                del self._signals[command_id]
                continue
            self._signals[command_id] = (key, command, now_us + REPEAT_US, tries - 1)
            posts.append(self._to_agent(attempt, command))
        return posts


def _no_agent(attempt: Attempt) -> str:
    assert attempt.program is not None, f"{attempt.key}: no program"
    group = attempt.program.group_id
    return f"start failed: {attempt.key[0]}: no connected agent in group: {group}"
