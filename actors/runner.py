"""The runner's core: gives starting runs to agents and reports what became of them.

It plays no-ops itself. All it knows is rebuilt from the ledger's welcome, the agents' inventories
and the journal of placements, so it may die at any instant. It never decides what state a run is
in: it reports, repeats, and lets the ledger say what is on record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..jobs.keeping import KEEP_BYTES
from ..jobs.programs import BoundNoOp
from ..jobs.run import Run
from ..jobs.states import State
from ..messages.agents import (
    AGENT_VERSIONS,
    AgentBeat,
    AgentHello,
    AgentWelcome,
    AskAgents,
    AskHello,
    Fenced,
    OutputChunk,
    ProcessEnded,
    ProcessList,
    ProcessLost,
    ProcessNoted,
    ProcessRefused,
    ProcessStarted,
)
from ..messages.commands import (
    AgentsInForce,
    ClaimKnown,
    KillOnAgent,
    Recorded,
    SessionOver,
    ShutAgentDown,
    SignalAttempt,
    StartRun,
    StopAttempt,
)
from ..messages.hello import Hello, Refuse, RunnerWelcome
from ..messages.post import LEDGER, RUNNER, Post
from ..messages.registry import Enrol
from ..messages.transitions import Beat, FeedFrame
from ..messages.wishes import Done, Refused
from .outputs_seam import OutputFinished, OutputStored, Placed
from .requests import OpenRequests, earliest
from .runner_agents import Agent, Agents
from .runner_book import Book, Key, Phase
from .runner_choice import Choice
from .runner_claims import Claims, names_a_run
from .runner_deeds import Deeds
from .runner_ends import Ends
from .runner_lists import Lists
from .runner_meeting import Meeting
from .runner_noops import NoOps
from .runner_placing import GRACE_US, Placing
from .runner_registry import Registry
from .runner_signals import Signals
from .runner_stops import Stops

HELLO = ("hello",)


class RefusedByLedger(Exception):
    """The ledger does not speak with this runner: another version of callsheet."""


class Runner:
    """See the module.

    `placed` is what the journal of placements holds, `booted_us` when its host was started;
    `start_timeout_us` how long a run waits for an agent of its group; `server_id` names the
    installation to the agents; `gated`: agents of other hosts may come in, by a gate beside this
    core; `choice`: who gets what; the rest is for agents.
    """

    def __init__(
        self,
        *,
        placed: Mapping[Key, Placed] | None = None,
        booted_us: int = 0,
        incarnation: str = "",
        server_id: str = "",
        start_timeout_us: int = 0,
        gated: bool = False,
        choice: Choice | None = None,
        sudo_argv: tuple[str, ...] = (),
        keep_bytes: int = KEEP_BYTES,
    ) -> None:
        self.address = RUNNER
        self._incarnation, self._server_id = incarnation, server_id
        self._agents = Agents()
        self._book = Book(self._agents, choice or Choice(), keep_bytes)
        self._noops, self._ends = NoOps(), Ends(self._book)
        self._placing = Placing(
            self._book,
            self._ends,
            placed or {},
            start_timeout_us=start_timeout_us,
            incarnation=incarnation,
            sudo_argv=sudo_argv,
            booted_us=booted_us,
        )
        self._meeting = Meeting(self._book, self._ends, self._placing, incarnation)
        self._asking = OpenRequests()
        self._parts: dict[int, list[Run]] = {}
        self._parts_of, self._seq = (0, 0, 0), 0
        self._part_count: int | None = None
        self._lists, self._signals = Lists(self._book), Signals(self._book)
        self._stops = Stops(self._book)
        self._claims = Claims(self._book, self._ends, self._placing.stop)
        self._registry = Registry(gated=gated, is_here=self._agents.by_id.__contains__)
        self._deeds = Deeds(self._book, self._registry, self._placing, self._meeting)
        self._handlers: dict[type, Callable[[str, Any, int], list[Post]]] = {
            StartRun: self._start,
            Recorded: self._recorded,
            StopAttempt: self._stop,
            SignalAttempt: self._signal,
            RunnerWelcome: self._welcomed,
            SessionOver: self._session_over,
            Refuse: self._refused,
            Beat: self._beat,
            FeedFrame: lambda *_: [],
            OutputStored: lambda _, message, __: self._ends.stored(message),
            OutputFinished: lambda _, *message: self._ends.kept(*message),
            AskAgents: self._lists.ask,
            AgentsInForce: self._deeds.in_force,
            ClaimKnown: self._claims.known,
            ShutAgentDown: self._deeds.shut_down,
            KillOnAgent: self._deeds.kill,
            Enrol: self._registry.enrol,
            Done: lambda _, message, __: self._registry.answered(message),
            Refused: lambda _, message, __: self._registry.answered(message),
        }
        self._agent_handlers: dict[type, Callable[[Agent, Any, int], list[Post]]] = {
            ProcessStarted: self._placing.started,
            ProcessRefused: self._placing.refused,
            ProcessEnded: self._ends.ended,
            ProcessLost: self._ends.ended,
            ProcessNoted: self._ends.noted,
            OutputChunk: self._ends.chunk,
            AgentBeat: self._agent_beat,
            ProcessList: self._lists.listed,
            Fenced: self._fenced,
        }

    def figures(self) -> dict[str, float]:
        """Return who is there, and how much they have in hand."""
        agents = list(self._agents.by_id.values())
        found = {f"agents {info.state}": 0.0 for info in self._agents.infos()}
        for info in self._agents.infos():
            found[f"agents {info.state}"] += 1
        return found | {"attempts": float(sum(agent.load for agent in agents))}

    # --- Core -----------------------------------------------------------------------------------

    def begin(self, now_us: int) -> list[Post]:
        """Say hello to the ledger."""
        self._placing.not_before_us = now_us + GRACE_US
        return self._hello(now_us)

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        """Take one message from the ledger, the feed, an agent, an asker or the output store."""
        handler = self._handlers.get(type(message))
        if handler is not None:
            return handler(sender, message, now_us)
        if isinstance(message, AgentHello):
            return self._agent_hello(sender, message, now_us)
        return self._from_agent(sender, message, now_us)

    def settle(self, now_us: int) -> list[Post]:
        """Do what is due."""
        posts = self._asking.repeat(now_us)
        posts += [self._book.report(ended, now_us) for ended in self._noops.due(now_us)]
        posts += self._book.repeat(now_us)
        if self._book.epoch:
            for agent in self._agents.look(now_us):
                posts += self._meeting.fell_silent(agent)
            posts += self._placing.settle(now_us)
            posts += self._signals.settle(now_us)
            posts += self._stops.settle(now_us)
            posts += self._ends.settle(now_us)
        posts += self._registry.settle(now_us)
        posts += self._claims.settle(now_us)
        posts += self._lists.settle(now_us)
        return posts

    def wakes_at(self) -> int | None:
        """Return when `settle` is due."""
        return earliest(
            self._asking.wakes_at(),
            self._noops.wakes_at(),
            self._book.wakes_at(),
            self._placing.wakes_at(),
            self._signals.wakes_at(),
            self._stops.wakes_at(),
            self._ends.wakes_at(),
            self._agents.wakes_at(),
            self._registry.wakes_at(),
            self._claims.wakes_at(),
            self._lists.wakes_at(),
        )

    # --- the ledger -----------------------------------------------------------------------------

    def _hello(self, now_us: int) -> list[Post]:
        self._parts, self._parts_of, self._part_count = {}, (0, 0, 0), None
        hello = Hello(role=self.address, incarnation=self._incarnation)
        return [self._asking.send(HELLO, Post(LEDGER, hello), now_us)]

    def _beat(self, sender: str, message: Beat, now_us: int) -> list[Post]:
        """The feed says which ledger lives: a new one is greeted."""
        if message.epoch > self._book.epoch and HELLO not in self._asking:
            return self._hello(now_us)
        return []

    def _session_over(self, sender: str, message: SessionOver, now_us: int) -> list[Post]:
        """What was said is not taken: the ledger is new, or was greeted for one before us since."""
        if message.session == self._book.session and HELLO not in self._asking:
            return self._hello(now_us)
        return []

    def _refused(self, sender: str, message: Refuse, now_us: int) -> list[Post]:
        raise RefusedByLedger(message.sentence)

    def _welcomed(self, sender: str, message: RunnerWelcome, now_us: int) -> list[Post]:
        """Take a part of the workload; when it is whole, take up what it names.

        One that answers an earlier greeting is out of date: by it an attempt that is over would be
        started again.
        """
        session = (message.epoch, message.session)
        ours = message.incarnation == self._incarnation and session > self._book.session
        if HELLO not in self._asking or not ours:
            return []
        as_of = (*session, message.seq)
        if as_of < self._parts_of:
            return []
        if as_of > self._parts_of:
            self._parts, self._parts_of, self._part_count = {}, as_of, None
        self._parts[message.part] = message.runs
        if message.last:
            self._part_count = message.part + 1
        if len(self._parts) != self._part_count:
            return []
        self._asking.answered(HELLO)
        runs = [run for _, part in sorted(self._parts.items()) for run in part]
        self._parts = {}
        new = not self._book.epoch
        self._book.session, self._seq = session, message.seq
        return self._book.report_again(now_us) + self._take_up(runs, now_us, new=new)

    def _take_up(self, runs: list[Run], now_us: int, *, new: bool) -> list[Post]:
        posts = self._placing.keep_only({(run.run_id, run.attempt) for run in runs})
        for run in runs:
            key = (run.run_id, run.attempt)
            if self._book.reports_end(key) or key in self._book.over:
                continue
            if isinstance(run.program, BoundNoOp):
                posts += self._take_up_noop(run, key, now_us)
                continue
            self._stops.watch(run)
            if run.state is State.STARTING:
                posts += self._placing.start(run, now_us)
            else:
                posts += self._placing.adopt(run, now_us)
        for agent in self._agents.by_id.values():
            if agent.hello is not None:
                welcome = AgentWelcome(epoch=self._book.epoch, server_id=self._server_id)
                posts.append(Post(agent.address, welcome))
                if new:
                    posts += self._meeting.compare(agent, agent.hello, now_us)
                    posts += self._claims.strays(agent, now_us)
        return posts + self._deeds.free_the_gone(now_us)

    def _take_up_noop(self, run: Run, key: Key, now_us: int) -> list[Post]:
        if run.state is State.STARTING:
            if key in self._noops:
                return []
            return [self._book.report(self._noops.start(run, now_us), now_us)]
        ended = self._noops.adopt(run, now_us)
        if run.state is State.STOPPING:
            ended = self._noops.stop(key, now_us) or ended
        return [self._book.report(ended, now_us)] if ended is not None else []

    def _start(self, sender: str, message: StartRun, now_us: int) -> list[Post]:
        run = message.run
        key = (run.run_id, run.attempt)
        if message.epoch != self._book.epoch or key in self._book.over:
            return []
        # A late copy of a command: the welcome knew better.
        if run.version <= self._seq and key not in self._book.attempts:
            return []
        if self._book.reports_end(key):
            return []
        if not isinstance(run.program, BoundNoOp):
            self._stops.watch(run)
            return self._placing.start(run, now_us)
        if key in self._noops:
            return []
        return [self._book.report(self._noops.start(run, now_us), now_us)]

    def _recorded(self, sender: str, message: Recorded, now_us: int) -> list[Post]:
        key = (message.run_id, message.attempt)
        if not self._book.recorded(message, now_us):
            attempt = self._book.attempts.get(key)
            if message.ended and attempt is not None and attempt.phase is Phase.RUNNING:
                # The run is over by other means, and its process is not.
                attempt.stranger = True
            return []
        self._noops.drop(key)
        self._placing.over(key)
        attempt = self._book.drop(key)
        if attempt is None or not attempt.agent_id or attempt.given_up:
            return []
        agent = self._agents.by_id[attempt.agent_id]
        agent.sent += 1
        return [Post(agent.address, self._book.forget_command(key))]

    def _stop(self, sender: str, message: StopAttempt, now_us: int) -> list[Post]:
        if message.epoch != self._book.epoch:
            return []
        key = (message.run_id, message.attempt)
        ended = self._noops.stop(key, now_us)
        if ended is not None:
            return [self._book.report(ended, now_us)]
        return self._placing.stop(key, now_us, kill=message.kill)

    def _signal(self, sender: str, message: SignalAttempt, now_us: int) -> list[Post]:
        if message.epoch != self._book.epoch:
            return []
        return self._signals.signal(message, now_us)

    # --- agents ---------------------------------------------------------------------------------

    def _agent_hello(self, sender: str, message: AgentHello, now_us: int) -> list[Post]:
        if sender != f"agent/{message.agent_id}" or self._registry.revoked(message.agent_id):
            return []
        if message.version not in AGENT_VERSIONS:
            sentence = (
                f"agent {message.agent_id}: speaks protocol version {message.version}: expected "
                f"{AGENT_VERSIONS[0]} to {AGENT_VERSIONS[-1]}"
            )
            return [Post(sender, Refuse(sentence=sentence))]
        agent = self._agents.met(message, now_us)
        posts = self._heard(agent, now_us)
        if not self._book.epoch:
            return posts
        welcome = AgentWelcome(epoch=self._book.epoch, server_id=self._server_id)
        posts.append(Post(sender, welcome))
        posts += self._meeting.met(agent, message, now_us)
        return posts + self._claims.strays(agent, now_us)

    def _from_agent(self, sender: str, message: Any, now_us: int) -> list[Post]:
        """Take what an agent reports; one that has not introduced itself is asked to."""
        role, _, agent_id = sender.partition("/")
        handler = self._agent_handlers.get(type(message))
        if role != "agent" or handler is None or not names_a_run(message):
            return []
        if self._registry.revoked(agent_id):
            return []
        agent = self._agents.by_id.get(agent_id)
        if agent is None or agent.hello is None:
            if not self._book.epoch:
                return []
            return [Post(sender, AskHello(epoch=self._book.epoch, request="who are you"))]
        posts = self._heard(agent, now_us)
        if not self._book.epoch:
            return posts
        if self._claims.doubts(agent, message):
            return posts + self._claims.ask(agent, message, now_us)
        return posts + handler(agent, message, now_us)

    def _heard(self, agent: Agent, now_us: int) -> list[Post]:
        """An agent is alive. What it says is the first of it after a silence, or not."""
        self._agents.follow_clock(now_us)
        agent.heard_us = now_us
        agent.received += 1
        if not agent.silent and agent.received > 1:
            return []
        self._agents.is_silent(agent, silent=False)
        return self._meeting.heard_again(agent, now_us)

    def _agent_beat(self, agent: Agent, message: AgentBeat, now_us: int) -> list[Post]:
        agent.live = message.live
        agent.told_the_time(message.at_us, now_us)
        return self._deeds.beat(agent, now_us) + self._meeting.beat(agent, now_us)

    def _fenced(self, agent: Agent, message: Fenced, now_us: int) -> list[Post]:
        """An agent has heard of a newer ledger than we have."""
        if message.epoch > self._book.epoch and HELLO not in self._asking:
            return self._hello(now_us)
        return []
