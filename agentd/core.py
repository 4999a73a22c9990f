"""The agent's core: what an agent does with the runner's commands and with its host's facts.

Hosted by `daemon.py` over a real host, and by the simulation over a made-up one. It has no clock,
socket, file or process: time comes in as `Now`, the host is a port (`host.py`), and what it returns
are posts to the runner. Every command may come twice, late or not at all; every report is repeated
until it is answered. It never starts an attempt twice, and never says what it does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import msgspec

from ..messages.agents import (
    AGENT_VERSIONS,
    AgentBeat,
    AgentHello,
    AgentWelcome,
    AskHello,
    Fenced,
    ForgetProcess,
    ListProcesses,
    OutputTaken,
    ProcessInfo,
    ProcessList,
    ShutDown,
    SignalProcess,
    StartProcess,
    StopProcess,
)
from ..messages.post import RUNNER, Post
from .abandoning import Abandoning, Policy
from .closing import GRACE_US, Closing, How, too_late
from .ending import Ending
from .handover import Handover
from .held import LIVE, OVER, Held, Phase, refusal
from .host import Collected, Ended, Fact, Gone, Host, Key, Noted, Now, Refused, Spec, Started

BEAT_US = 2_000_000
# A hello that is not answered is said again.
HELLO_US = 1_000_000
# A forgotten attempt is remembered longer than any command to start it may be under way.
FORGOTTEN_US = 60_000_000

# Servers of older versions do not know the word.
NOTES_SINCE = 3
# Nothing is ever abandoned.
KEEP = Policy()

MakeSpec = Callable[[StartProcess], Spec | str]


class AgentCore:
    """See the module. `identity` is the hello without its claims; `make_spec` may say why not.

    `epoch` and `away_us` are what the spool remembers. `said` holds lines for the log.
    """

    def __init__(
        self,
        identity: AgentHello,
        host: Host,
        make_spec: MakeSpec,
        *,
        epoch: int = 0,
        away_us: int = 0,
        policy: Policy = KEEP,
    ) -> None:
        self.address = f"agent/{identity.agent_id}"
        self.epoch = epoch
        self.fenced, self.connected = 0, False
        self._identity = identity
        # The version of the dialogue that is spoken with this server: an older one may take less.
        self.spoken = identity.version
        self._is_asking = False
        self._host = host
        self._make_spec = make_spec
        self._held: dict[Key, Held] = {}
        # To be started at the end of this turn, unless what has come with it says otherwise.
        self._starting: list[Key] = []
        self._ending = Ending(host)
        self._handover = Handover(host)
        self._forgotten: dict[Key, int] = {}
        self._welcomed = False
        self._closing = Closing()
        self._abandoning = Abandoning(policy, host, away_us)
        self.said: list[str] = []
        self._hello_us = self._beat_us = 0

    # --- the stage's calls ----------------------------------------------------------------------

    def begin(self, now: Now) -> list[Post]:
        """Take up every claim of the spool."""
        for found in self._host.claims():
            held = Held.of(found, now.wall_us)
            self._held[held.key] = held
            if held.phase in LIVE:
                self._ending.watch(held, now)
            elif held.phase in OVER:
                self._is_over(held, now)
        return []

    def meet(self, now: Now) -> list[Post]:
        """A connection to the server is there, perhaps to another one than before."""
        self.connected, self._welcomed = True, False
        self.spoken = self._identity.version
        self._handover.met()
        return self._hello(now)

    def refused(self) -> None:
        """The server does not take this agent: the next hello is of the version before, which an
        older server may speak; after the oldest comes the newest again."""
        if self._welcomed or not self._is_asking:
            return
        self._is_asking = False
        older = [version for version in AGENT_VERSIONS if version < self.spoken]
        self.spoken = older[-1] if older else self._identity.version

    def part(self) -> None:
        """The connection is gone."""
        self.connected = False

    def receive(self, sender: str, message: Any, now: Now) -> list[Post]:
        """Take one command of the runner."""
        if message.epoch < self.epoch:
            self.fenced += 1
            run_id, attempt = getattr(message, "run_id", ""), getattr(message, "attempt", 0)
            return [_post(Fenced(epoch=self.epoch, run_id=run_id, attempt=attempt))]
        posts: list[Post] = []
        if message.epoch > self.epoch:
            self.epoch = message.epoch
            self._host.remember_epoch(message.epoch)
            posts = [] if isinstance(message, AgentWelcome | AskHello) else self._hello(now)
        match message:
            case StartProcess():
                posts += self._start(message, now)
            case ForgetProcess():
                self._forget(Key(message.run_id, message.attempt), now)
            case OutputTaken():
                held = self._named(message)
                if held is not None:
                    taken = self._handover.taken(held, message.name, message.upto, now)
                    posts += _posts(taken)
            case ShutDown():
                self.shut_down("kill" if message.kill else "stop" if message.stop else "leave", now)
            case StopProcess():
                posts += self._stop(message, now)
            case SignalProcess():
                self._ending.signal(self._named(message), message, now)
            case AgentWelcome():
                self._welcomed = True
                self._handover.welcomed(now)
            case AskHello():
                posts += self._hello(now, message.request)
            case ListProcesses(request=request):
                posts.append(_post(ProcessList(request=request, processes=self._infos())))
            case _:
                raise AssertionError(f"{self.address}: {message!r}: not a command to an agent")
        return posts

    def happened(self, fact: Fact, now: Now) -> list[Post]:
        """Take what became of a command to the host."""
        held = self._held.get(fact.key)
        if isinstance(fact, Collected) and held is not None and held.collecting:
            return _posts(self._handover.collected(held, fact, now))
        if held is None or held.phase in OVER:
            return []
        match fact:
            case Started():
                held.pid, held.phase = fact.pid, Phase.RUNNING
                held.started_us = fact.at_us
                held.started_monotonic_us = fact.monotonic_us
                self._ending.watch(held, now)
                if self._closing.how in ("stop", "kill"):
                    self._ending.stop(held, now, kill=self._closing.how == "kill")
                return [_post(held.started_message())]
            case Ended():
                held.exit, held.phase = fact.exit, Phase.DONE
                if not held.started_us and not fact.exit.error:
                    held.started_us = max(0, fact.exit.at_us - fact.exit.elapsed_us)
                return self._is_over(held, now)
            case Gone():
                held.sentence, held.lost_us, held.phase = fact.sentence, fact.at_us, Phase.LOST
                return self._is_over(held, now)
            case Refused():
                return self._refused(fact, now)
            case Noted():
                # An older server would not read the frame with it.
                knows = self.spoken >= NOTES_SINCE
                return [_post(held.note_message(fact.sentence))] if knows else []
        return []

    def settle(self, now: Now) -> list[Post]:
        """Do what is due."""
        posts: list[Post] = []
        for key in self._starting:
            self._host.start(key, self._held[key].spec, now)
        self._starting.clear()
        self._handover.look(self._ending.live.values(), now)
        if self.connected:
            if not self._welcomed and now.monotonic_us >= self._hello_us:
                posts += self._hello(now)
            if now.monotonic_us >= self._beat_us:
                self._beat_us = now.monotonic_us + BEAT_US
                beat = AgentBeat(
                    agent_id=self._identity.agent_id,
                    live=len(self._ending.live),
                    at_us=now.wall_us,
                )
                posts.append(_post(beat))
            posts += _posts(self._handover.settle(now))
        self._ending.settle(now)
        if self._closing.kills(now):
            self._ending.kill_all(now)
        self._abandon(now)
        for key, until_us in list(islice(self._forgotten.items(), 100)):
            if until_us > now.monotonic_us:
                break
            del self._forgotten[key]
        return posts

    def wakes_at(self) -> int | None:
        """Return when `settle` is due (monotonic µs), None: never."""
        looks_us = self._handover.looks_at(is_any_live=bool(self._ending.live))
        times = [self._ending.wakes_at(), self._closing.wakes_at(), looks_us]
        if not self.has_server:
            times.append(self._abandoning.wakes_at())
        if self.connected:
            times.append(self._beat_us if self._welcomed else min(self._beat_us, self._hello_us))
            times.append(self._handover.wakes_at())
        return min((at_us for at_us in times if at_us is not None), default=None)

    def is_closed(self, now: Now) -> bool:
        """Return whether agentd is to end, since it was told to."""
        live = sum(held.phase not in OVER for held in self._held.values())
        return self._closing.is_over(now, len(self._held), live, connected=self.has_server)

    @property
    def has_server(self) -> bool:
        """Whether a server is there that knows this agent."""
        return self.connected and self._welcomed

    @property
    def leaves_nothing(self) -> bool:
        """Whether it was told to end its processes before itself."""
        return self._closing.how in ("stop", "kill")

    def shut_down(self, how: How, now: Now) -> None:
        """Start nothing more, and end: at once, or after all processes were stopped or killed."""
        graces = [held.spec.program.grace_us for held in self._ending.live.values()]
        grace_us = max([GRACE_US, *(us for us in graces if us is not None)])
        self._closing.begin(how, grace_us, now)
        if how == "kill":
            self._ending.kill_all(now)
        elif how == "stop":
            self._ending.stop_all(now)

    # --- commands -------------------------------------------------------------------------------

    def _start(self, message: StartProcess, now: Now) -> list[Post]:
        key = Key(message.run_id, message.attempt)
        held = self._held.get(key)
        if held is not None:
            if held.phase is Phase.NOT_STARTED:
                held.phase = Phase.ASKED
                self._host.start_again(key, held.spec)
            elif held.phase in LIVE:
                return [_post(held.started_message())]
            elif held.phase in OVER:
                return _posts(self._handover.again(held, now))
            return []
        if key in self._forgotten:
            return []
        if message.incarnation not in ("", self._identity.incarnation):
            # For an earlier life of this agent: whoever sent it has not heard of the present one.
            return self._hello(now)
        if self._closing.how is not None:
            self._forgotten[key] = now.monotonic_us + FORGOTTEN_US
            return [_post(refusal(key, "the agent is shutting down", retry=True, elsewhere=True))]
        if why_not := too_late(message.not_after_us, now):
            return [_post(refusal(key, why_not, retry=True))]
        spec = self._make_spec(message)
        if isinstance(spec, str):
            return [_post(refusal(key, spec, retry=False))]
        self._held[key] = Held(key, spec)
        self._starting.append(key)
        return []

    def _stop(self, message: StopProcess, now: Now) -> list[Post]:
        """Stop a process; of one that is not here say that it never will be.

        An agent that was stopped itself finds the command to start and that to stop in one turn,
        and the run may have been given up since.
        """
        key = Key(message.run_id, message.attempt)
        if key not in self._held and message.boot_id not in ("", self._identity.boot_id):
            # It may have begun, and what was known of it may have gone with the power.
            return self._hello(now)
        if key in self._starting:
            self._starting.remove(key)
            del self._held[key]
        held = self._held.get(key)
        if held is not None and held.phase is not Phase.NOT_STARTED:
            self._ending.stop(held, now, kill=message.kill)
            return []
        self._forget(key, now)
        self._forgotten[key] = now.monotonic_us + FORGOTTEN_US
        return [_post(refusal(key, "stopped before it was started", retry=False))]

    def _refused(self, fact: Refused, now: Now) -> list[Post]:
        del self._held[fact.key]
        if not fact.retry:
            self._forgotten[fact.key] = now.monotonic_us + FORGOTTEN_US
        return [_post(refusal(fact.key, fact.sentence, retry=fact.retry))]

    def _forget(self, key: Key, now: Now) -> None:
        held = self._held.get(key)
        if held is not None and held.phase in OVER | {Phase.NOT_STARTED}:
            del self._held[key]
            self._handover.forget(key)
            self._forgotten[key] = now.monotonic_us + FORGOTTEN_US
            self._host.forget(key)

    def _named(self, message: OutputTaken | SignalProcess) -> Held | None:
        """Return the claim that a command is for, None when it is not here."""
        return self._held.get(Key(message.run_id, message.attempt))

    def _is_over(self, held: Held, now: Now) -> list[Post]:
        self._ending.is_over(held)
        if held.phase is Phase.DONE:
            held.results = self._host.results_of(held.key, held.spec)
        return _posts(self._handover.is_over(held, now))

    def _abandon(self, now: Now) -> None:
        """Stop processes and remove results that nobody has asked for in a long time."""
        self._abandoning.settle(now, has_server=self.has_server)
        why = f"no server was there for {self._abandoning.away_us / 1e6:.0f} s"
        if self._abandoning.are_processes:
            for held in self._ending.stop_all(now):
                self.said.append(f"{held.key}: stopped, since {why}")
        if self._abandoning.are_results:
            for key in [held.key for held in self._held.values() if held.phase in OVER]:
                self._forget(key, now)
                self.said.append(f"{key}: removed, since {why}")

    # --- who we are -----------------------------------------------------------------------------

    def _infos(self) -> list[ProcessInfo]:
        usages = self._host.usages([held.pid for held in self._ending.live.values()])
        return [held.info(usages.get(held.pid, (0, 0))) for held in self._held.values()]

    def _hello(self, now: Now, answers: str = "") -> list[Post]:
        self._hello_us = now.monotonic_us + HELLO_US
        self._is_asking = True
        hello = msgspec.structs.replace(
            self._identity,
            version=self.spoken,
            claims=[held.claim() for held in self._held.values()],
            answers=answers,
        )
        return [_post(hello)]


def _post(message: Any) -> Post:
    return Post(RUNNER, message)


def _posts(messages: list[Any]) -> list[Post]:
    return [_post(message) for message in messages]
