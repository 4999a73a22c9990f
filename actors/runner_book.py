"""What the runner keeps: attempts, agents, and reports the ledger has not recorded yet.

Part of the runner's core, shared by its parts. A report is repeated until the ledger has answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from msgspec.structs import replace

from ..jobs.ahead import held_until_us
from ..jobs.arg_variables import arg_variables
from ..jobs.keeping import ARTIFACT_BYTES, KEEP_BYTES, OUTPUT
from ..jobs.programs import BoundProcess, output_of, secrets_of
from ..jobs.run import Run
from ..jobs.states import State
from ..messages.agents import ForgetProcess, ProcessEnded, ProcessLost, StopProcess
from ..messages.commands import Recorded
from ..messages.hello import Session
from ..messages.instructions import AttemptEnded, AttemptStarted, OutputRecord
from ..messages.post import LEDGER, Post
from .requests import OpenRequests
from .runner_agents import Agent, Agents
from .runner_choice import Choice

Key = tuple[str, int]

REPORT_AGAIN_US = 2_000_000
# Answers are no longer on their way.
STALE_US = 30_000_000
# Attempts that are over are remembered, so that late repeats of their messages do nothing.
OVER_AT_MOST = 100_000


class Phase(Enum):
    """Where an attempt is, as the runner knows it."""

    PLACING = "placing"
    ASKED = "asked"
    RUNNING = "running"
    FINISHING = "finishing"
    REPORTED = "reported"


class Attempt:
    """An attempt of a process. `stranger`: the ledger did not ask for it (any more), yet an agent
    has it; its end is reported like any other, and the ledger decides."""

    __slots__ = (
        "agent_id",
        "args",
        "asked_us",
        "boot_id",
        "ended",
        "flagged",
        "given_up",
        "held_us",
        "job_id",
        "keep_bytes",
        "kept",
        "key",
        "killing",
        "names",
        "phase",
        "program",
        "refusal",
        "started_us",
        "stop_us",
        "stopping",
        "stranger",
        "told_us",
        "wait_until_us",
    )

    def __init__(self, key: Key, run: Run | None, phase: Phase) -> None:
        program = run.program if run is not None else None
        self.key = key
        self.program = program if isinstance(program, BoundProcess) else BoundProcess(argv=())
        self.stranger = run is None
        self.args: Mapping[str, str] = {} if run is None else run.args
        self.job_id = run.job_id if run is not None else ""
        self.stop_us = run.stop_us if run is not None else None
        self.phase = phase
        self.agent_id = ""
        # When the ledger asked for it, 0: not known; and the boot of the host that got it then.
        self.asked_us = run.times.get(State.STARTING.value, 0) if run is not None else 0
        # Its time, before which no agent hears of it.
        self.held_us = held_until_us(run) if run is not None else 0
        self.boot_id = ""
        # When its agent was last told to start it, perhaps by an earlier runner.
        self.told_us = 0
        self.refusal = ""
        self.started_us: int | None = None
        self.stopping = False
        self.killing = False
        self.flagged = False
        # It is lost by our word alone: its agent may have more to say, and has to keep it.
        self.given_up = False
        self.wait_until_us = 0
        self.ended: ProcessEnded | ProcessLost | None = None
        # Of its outputs: how much is kept of each, the names of those that have come, and those
        # that are kept for good.
        self.keep_bytes = output_of(self.program).keep_bytes
        self.names: set[str] = set()
        self.kept: dict[str, OutputRecord] = {}

    @property
    def artifact_bytes(self) -> int:
        """The most that may be of one artifact."""
        artifacts = output_of(self.program).artifacts
        return max((artifact.max_bytes for artifact in artifacts), default=ARTIFACT_BYTES)

    def with_args(self) -> BoundProcess:
        """Return the program with the run's args as variables; what the job sets itself stays."""
        program = self.program
        variables = arg_variables(self.args)
        own = program.env.keys() | secrets_of(program).keys()
        more = {name: value for name, value in variables.items() if name not in own}
        return replace(program, env={**more, **program.env}) if more else program

    @property
    def is_unstarted(self) -> bool:
        """Whether nothing is known of a process of it."""
        return self.phase in (Phase.PLACING, Phase.ASKED)

    @property
    def is_over(self) -> bool:
        """Whether its process is known to be over."""
        return self.phase in (Phase.FINISHING, Phase.REPORTED)

    @property
    def is_reported_running(self) -> bool:
        """Whether the ledger was told that its process runs, and may want to hear more of it."""
        running = self.phase is Phase.RUNNING and not self.stranger
        return running and self.started_us is not None


class Book:
    """See the module. `session` is what the ledger's last welcome has made this runner's life."""

    def __init__(self, agents: Agents, choice: Choice, keep_bytes: int = KEEP_BYTES) -> None:
        """`keep_bytes`: how much is kept of an output whose job does not say."""
        self.session: Session = (0, 0)
        self.keep_bytes = keep_bytes
        self.agents = agents
        self.choice = choice
        self.attempts: dict[Key, Attempt] = {}
        self.over: dict[Key, State] = {}
        self._reports = OpenRequests(REPORT_AGAIN_US)
        self._ends: dict[Key, tuple[State, int]] = {}
        self._takers_of: dict[str, list[Agent]] = {}
        self._takers_as_of = -1

    @property
    def epoch(self) -> int:
        """The ledger's; 0 until it has welcomed the runner."""
        return self.session[0]

    # --- attempts -------------------------------------------------------------------------------

    def of(self, agent: Agent, run_id: str, number: int) -> Attempt | None:
        """Return an attempt if this agent has it."""
        attempt = self.attempts.get((run_id, number))
        if attempt is None or attempt.agent_id != agent.agent_id:
            return None
        return attempt

    def stranger(self, agent: Agent, key: Key, now_us: int) -> Attempt:
        """Take up an attempt that an agent has and nobody here knows."""
        attempt = self.attempts[key] = Attempt(key, None, Phase.RUNNING)
        self.give(attempt, agent.agent_id, now_us)
        return attempt

    def give(self, attempt: Attempt, agent_id: str, now_us: int) -> None:
        """Put an attempt into the hands of an agent."""
        attempt.agent_id = agent_id
        if agent_id:
            agent = self.agents.known(agent_id, now_us)
            agent.has[attempt.key] = None
            self.choice.load_changed(agent)

    def take_back(self, attempt: Attempt) -> None:
        """Take an attempt out of the hands of its agent, which has no process of it."""
        agent = self.agents.by_id[attempt.agent_id]
        agent.has.pop(attempt.key, None)
        self.choice.load_changed(agent)
        attempt.agent_id = ""

    def keep_of(self, attempt: Attempt, name: str) -> int:
        """Return how many bytes are kept of an output."""
        if name == OUTPUT:
            return attempt.keep_bytes or self.keep_bytes
        return attempt.artifact_bytes

    def drop(self, key: Key) -> Attempt | None:
        """Forget an attempt."""
        attempt = self.attempts.pop(key, None)
        if attempt is not None and attempt.agent_id:
            agent = self.agents.by_id[attempt.agent_id]
            agent.has.pop(key, None)
            self.choice.load_changed(agent)
        return attempt

    def tell(self, attempt: Attempt, message: Any) -> Post:
        """Address a command to the agent of an attempt."""
        agent = self.agents.by_id[attempt.agent_id]
        agent.sent += 1
        return Post(agent.address, message)

    def stop_command(self, attempt: Attempt) -> StopProcess:
        """Return the command to stop an attempt."""
        run_id, number = attempt.key
        return StopProcess(
            epoch=self.epoch,
            run_id=run_id,
            attempt=number,
            kill=attempt.killing,
            boot_id=attempt.boot_id,
        )

    def forget_command(self, key: Key) -> ForgetProcess:
        """Return the command to forget an attempt."""
        return ForgetProcess(epoch=self.epoch, run_id=key[0], attempt=key[1])

    def claimer(self, attempt: Attempt) -> Agent | None:
        """Return the agent that named an attempt when it introduced itself, None for none: it has
        it already, though the journal may be lost with its host."""
        for agent in self.agents.named.get(attempt.key, ()):
            if self.believes(agent, attempt):
                return agent
        return None

    def free_agent(self, attempt: Attempt) -> Agent | None:
        """Return the agent that an attempt may be given to now, None for none."""
        group_id = attempt.program.group_id
        return self.choice.choose(self._takers(group_id), group_id, attempt.key)

    def believes(self, agent: Agent, attempt: Attempt) -> bool:
        """Return whether an agent is believed that it has an attempt nobody has given to it: one of
        this host is, others of what they might have been given."""
        keyed = self.agents.is_keyed(agent.agent_id)
        return not keyed or self.choice.fits(agent, attempt.program.group_id)

    def is_full(self, group_id: str) -> bool:
        """Return whether a group has agents that take runs, if only they had a slot free."""
        return bool(self._takers(group_id))

    def resting(self, group_id: str) -> list[str]:
        """Return the ids of a group's agents that are there, and get no runs."""
        return [
            agent_id
            for agent_id, agent in sorted(self.agents.by_id.items())
            if agent.connected and self.choice.fits(agent, group_id) and self.agents.rests(agent)
        ]

    def _takers(self, group_id: str) -> list[Agent]:
        """Return the agents that take runs of a group; looked up again when one of them changed."""
        if self._takers_as_of != self.agents.changes:
            self._takers_as_of, self._takers_of = self.agents.changes, {}
        found = self._takers_of.get(group_id)
        if found is None:
            found = self._takers_of[group_id] = [
                agent
                for agent in self.agents.by_id.values()
                if self.choice.fits(agent, group_id) and self.agents.takes_runs(agent)
            ]
        return found

    # --- reports --------------------------------------------------------------------------------

    def report(self, message: AttemptStarted | AttemptEnded, now_us: int) -> Post:
        """Tell the ledger, until it has recorded it. An end takes the place of a start."""
        key = (message.run_id, message.attempt)
        if isinstance(message, AttemptEnded):
            self._ends[key] = message.state, now_us
            if message.started_us is None or message.state is State.LOST:
                message = replace(message, session=self.session)
        return self._reports.send(key, Post(LEDGER, message), now_us)

    def report_again(self, now_us: int) -> list[Post]:
        """Tell the ledger in a new session what was concluded in the one before."""
        ends = [m for m in self._reports.messages() if isinstance(m, AttemptEnded) and m.session]
        return [self.report(ended, now_us) for ended in ends]

    def reports_end(self, key: Key) -> bool:
        """Whether the end of an attempt is reported and not recorded yet."""
        return key in self._ends

    def recorded(self, message: Recorded, now_us: int) -> bool:
        """Take the ledger's answer; return whether the attempt's end is on record."""
        key = (message.run_id, message.attempt)
        wanted, since_us = self._ends.get(key, (message.state, now_us))
        if message.state is State.LOST is not wanted and now_us < since_us + STALE_US:
            # The answer to an earlier report, that it was lost: now more is known.
            return False
        if not message.ended:
            if key not in self._ends:
                self._reports.answered(key)
            return False
        self._reports.answered(key)
        if key not in self._ends:
            return False
        del self._ends[key]
        self.over[key] = message.state
        if len(self.over) > OVER_AT_MOST:
            del self.over[next(iter(self.over))]
        return True

    def repeat(self, now_us: int) -> list[Post]:
        """Return the reports that are to be sent again."""
        return self._reports.repeat(now_us)

    def wakes_at(self) -> int | None:
        """Return when `repeat` has something."""
        return self._reports.wakes_at()
