"""The agent's core: what an agent does with the runner's commands and with its host's facts.

Hosted by `daemon.py` over a real host, and by the simulation over a made-up one. It has no clock,
socket, file or process: time comes in as `Now`, the host is a port (`host.py`), and what it returns
are posts to the runner. Every command may come twice, late or not at all; every report is repeated
until it is answered. It never starts an attempt twice, and never says what it does not know.
"""

from __future__ import annotations

import heapq
import signal
from collections.abc import Callable
from typing import Any

import msgspec

from ..messages.agents import (
    AgentBeat,
    AgentHello,
    AgentWelcome,
    AskHello,
    Fenced,
    ForgetProcess,
    ListProcesses,
    OutputTaken,
    ProcessList,
    ShutDown,
    SignalProcess,
    StartProcess,
    StopProcess,
)
from ..messages.post import RUNNER, Post
from .closing import Closing
from .held import LIVE, OVER, Held, Phase, refusal, signal_name
from .host import Ended, Fact, Gone, Host, Key, Now, Refused, Spec, Started

BEAT_US = 2_000_000
# A hello that is not answered is said again.
HELLO_US = 1_000_000
# An end that is not forgotten is reported again, at most so many at once.
REPEAT_US = 2_000_000
REPEATS_AT_ONCE = 500
# How often the outputs of live processes are looked at.
LOOK_US = 100_000
# A process this young is left for the next look: most are over by then.
YOUNG_US = 40_000
# A forgotten attempt is remembered longer than any command to start it may be under way.
FORGOTTEN_US = 60_000_000

MakeSpec = Callable[[StartProcess], Spec | str]


class AgentCore:
    """See the module. `identity` is the hello without its claims; `make_spec` may say why not."""

    def __init__(
        self, identity: AgentHello, host: Host, make_spec: MakeSpec, *, epoch: int = 0
    ) -> None:
        self.address = f"agent/{identity.agent_id}"
        self.epoch = epoch
        self.fenced, self.connected = 0, False
        self._identity = identity
        self._host = host
        self._make_spec = make_spec
        self._held: dict[Key, Held] = {}
        self._live: dict[Key, Held] = {}
        self._growing: dict[Key, Held] = {}
        self._repeats: dict[Key, int] = {}
        self._forgotten: dict[Key, int] = {}
        self._due: list[tuple[int, int, Key, str]] = []
        self._count, self._welcomed = 0, False
        self._closing = Closing()
        self._hello_us = self._beat_us = self._look_us = 0

    # --- the stage's calls ----------------------------------------------------------------------

    def begin(self, now: Now) -> list[Post]:
        """Take up every claim of the spool."""
        for found in self._host.claims():
            held = Held.of(found, now.wall_us)
            self._held[held.key] = held
            if held.phase in LIVE:
                self._is_live(held, now)
                self._act_again(held)
            elif held.phase in OVER:
                self._is_over(held, now)
        return []

    def meet(self, now: Now) -> list[Post]:
        """A connection to the server is there, perhaps to another one than before."""
        self.connected, self._welcomed = True, False
        return self._hello(now)

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
                posts += self._taken(message, now)
            case ShutDown():
                self._closing.begin(now, kill=message.kill)
                for key in list(self._live) if message.kill else ():
                    self._stop(key, now, kill=True)
            case StopProcess():
                self._stop(Key(message.run_id, message.attempt), now, kill=message.kill)
            case SignalProcess():
                self._signal(message, now)
            case AgentWelcome():
                self._welcomed = True
                self._repeats = dict.fromkeys(self._repeats, now.monotonic_us)
            case AskHello():
                posts += self._hello(now, message.request)
            case ListProcesses(request=request):
                infos = [held.info() for held in self._held.values()]
                posts.append(_post(ProcessList(request=request, processes=infos)))
            case _:
                raise AssertionError(f"{self.address}: {message!r}: not a command to an agent")
        return posts

    def happened(self, fact: Fact, now: Now) -> list[Post]:
        """Take what became of a command to the host."""
        held = self._held.get(fact.key)
        if held is None or held.phase in OVER:
            return []
        match fact:
            case Started():
                held.pid, held.phase = fact.pid, Phase.RUNNING
                held.started_us = fact.at_us
                held.started_monotonic_us = fact.monotonic_us
                self._is_live(held, now)
                self._act_again(held)
                return [_post(held.started_message())]
            case Ended():
                held.exit, held.phase = fact.exit, Phase.DONE
                if not held.started_us and not fact.exit.error:
                    held.started_us = fact.exit.at_us - fact.exit.elapsed_us
                return self._is_over(held, now)
            case Gone():
                held.sentence, held.lost_us, held.phase = fact.sentence, fact.at_us, Phase.LOST
                return self._is_over(held, now)
            case Refused():
                return self._refused(fact, now)

    def settle(self, now: Now) -> list[Post]:
        """Do what is due."""
        posts: list[Post] = []
        if self.connected:
            if not self._welcomed and now.monotonic_us >= self._hello_us:
                posts += self._hello(now)
            if now.monotonic_us >= self._beat_us:
                self._beat_us = now.monotonic_us + BEAT_US
                beat = AgentBeat(agent_id=self._identity.agent_id, live=len(self._live))
                posts.append(_post(beat))
            posts += self._repeat(now)
            if self._live and now.monotonic_us >= self._look_us:
                self._look_us = now.monotonic_us + LOOK_US
                self._look(now)
            for held in list(self._growing.values()):
                posts += self._hand_over(held, now)
        while self._due and self._due[0][0] <= now.monotonic_us:
            _, _, key, word = heapq.heappop(self._due)
            held_or_none = self._held.get(key)
            if held_or_none is not None and held_or_none.phase in LIVE:
                self._overdue(held_or_none, word, now)
        for key, until_us in list(self._forgotten.items())[:100]:
            if until_us > now.monotonic_us:
                break
            del self._forgotten[key]
        return posts

    def wakes_at(self) -> int | None:
        """Return when `settle` is due (monotonic µs), None: never."""
        times = []
        if self._due:
            times.append(self._due[0][0])
        if self.connected:
            times.append(self._beat_us if self._welcomed else min(self._beat_us, self._hello_us))
            for first_us in self._repeats.values():
                times.append(first_us)
                break
            if self._live:
                times.append(self._look_us)
        return min(times, default=None)

    def is_closed(self, now: Now) -> bool:
        """Return whether agentd is to end, since the server said so."""
        return self._closing.is_over(now, len(self._held))

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
                self._repeats.pop(key, None)
                return self._hand_over(held, now)
            return []
        if key in self._forgotten:
            return []
        if message.incarnation not in ("", self._identity.incarnation):
            # For an earlier life of this agent: whoever sent it has not heard of the present one.
            return self._hello(now)
        if why_not := self._closing.why_not(message.not_after_us, now):
            return [_post(refusal(key, why_not, retry=True))]
        spec = self._make_spec(message)
        if isinstance(spec, str):
            return [_post(refusal(key, spec, retry=False))]
        self._held[key] = Held(key, spec)
        self._host.start(key, spec, now)
        return []

    def _refused(self, fact: Refused, now: Now) -> list[Post]:
        del self._held[fact.key]
        if not fact.retry:
            self._forgotten[fact.key] = now.monotonic_us + FORGOTTEN_US
        return [_post(refusal(fact.key, fact.sentence, retry=fact.retry))]

    def _forget(self, key: Key, now: Now) -> None:
        held = self._held.get(key)
        if held is not None and held.phase in OVER | {Phase.NOT_STARTED}:
            del self._held[key]
            self._growing.pop(key, None)
            self._repeats.pop(key, None)
            self._forgotten[key] = now.monotonic_us + FORGOTTEN_US
            self._host.forget(key)

    def _stop(self, key: Key, now: Now, *, kill: bool) -> None:
        held = self._held.get(key)
        if held is None or held.phase not in LIVE:
            return
        program = held.spec.program
        if kill:
            self._kill(held, now)
        elif held.acted("stop") is None:
            self._act(held, "stop", program.stop_signal, now)
            if program.grace_us is not None:
                self._at(now.monotonic_us + program.grace_us, key, "kill")

    def _kill(self, held: Held, now: Now) -> None:
        if held.acted("kill") is None:
            self._act(held, "kill", signal.SIGKILL, now)
        else:
            self._act_again(held)

    def _signal(self, message: SignalProcess, now: Now) -> None:
        held = self._held.get(Key(message.run_id, message.attempt))
        if held is None or held.phase not in LIVE:
            return
        line = f"signal {now.monotonic_us} {message.signal} {message.command_id[:64]}"
        if any(act.split(" ")[3:] == line.split(" ")[3:] for act in held.acts):
            return
        held.acts.append(line)
        self._host.note(held.key, line)
        self._host.signal(held.key, message.signal, whole=False)

    def _act(self, held: Held, word: str, number: int, now: Now) -> None:
        """Signal the process as part of ending it; on record before it is done."""
        line = f"{word} {now.monotonic_us} {signal_name(number)}"
        held.acts.append(line)
        self._host.note(held.key, line)
        self._host.signal(held.key, number, whole=True)

    def _act_again(self, held: Held) -> None:
        """Signal once more what is to end: whoever was to do it may have died before it did."""
        if (number := held.ending_signal) is not None:
            self._host.signal(held.key, number, whole=True)

    # --- time -----------------------------------------------------------------------------------

    def _at(self, at_us: int, key: Key, word: str) -> None:
        self._count += 1
        heapq.heappush(self._due, (at_us, self._count, key, word))

    def _overdue(self, held: Held, word: str, now: Now) -> None:
        program = held.spec.program
        if word == "kill":
            self._kill(held, now)
        elif word == "timeout":
            if held.acted("timeout") is None and held.acted("stop") is None:
                self._act(held, "timeout", program.timeout_signal, now)
        elif held.spec.stop_us is not None:
            # A time of day, so the wall clock has the last word.
            if now.wall_us >= held.spec.stop_us:
                self._stop(held.key, now, kill=False)
            else:
                self._at_stop_time(held, now)

    def _at_stop_time(self, held: Held, now: Now) -> None:
        assert held.spec.stop_us is not None, f"{held.key}: no stop time"
        # Looked at once a second at least: the wall clock may be put forward.
        wait_us = min(max(held.spec.stop_us - now.wall_us, 1_000), 1_000_000)
        self._at(now.monotonic_us + wait_us, held.key, "stop")

    def _is_live(self, held: Held, now: Now) -> None:
        """Watch a process, from its start on or again after this agentd took it over."""
        self._live[held.key] = held
        program = held.spec.program
        if program.timeout_us is not None:
            self._at(held.started_monotonic_us + program.timeout_us, held.key, "timeout")
        if held.spec.stop_us is not None:
            self._at_stop_time(held, now)
        stopped_us = held.acted("stop")
        if stopped_us is not None and program.grace_us is not None:
            self._at(stopped_us + program.grace_us, held.key, "kill")

    # --- output and ends ------------------------------------------------------------------------

    def _look(self, now: Now) -> None:
        """See which outputs have grown."""
        born_before_us = now.monotonic_us - YOUNG_US
        for key, held in self._live.items():
            if held.started_monotonic_us <= born_before_us:
                size = self._host.output_size(key)
                if size > held.size:
                    held.size = size
                    self._growing[key] = held

    def _is_over(self, held: Held, now: Now) -> list[Post]:
        key = held.key
        self._live.pop(key, None)
        if held.ending_signal is not None:
            # Whoever was to be stopped leaves nobody behind.
            self._host.signal(key, signal.SIGKILL, whole=True)
        if held.exit is None or not held.exit.error:
            held.size = self._host.output_size(key)
            if held.size:
                held.path = self._host.output_path(key)
        return self._hand_over(held, now)

    def _hand_over(self, held: Held, now: Now) -> list[Post]:
        """Send output as far as it may be sent, and after the last of it the end."""
        over = held.phase in OVER
        posts, whole = [], held.taken >= held.size or (over and held.path is not None)
        if not whole:
            self._growing[held.key] = held
            posts = [_post(chunk) for chunk in held.chunks(self._host, now.monotonic_us)]
            whole = held.taken >= held.size
        if whole:
            self._growing.pop(held.key, None)
            if over and held.key not in self._repeats:
                self._repeats[held.key] = now.monotonic_us + REPEAT_US
                posts.append(_post(held.end_message()))
        return posts

    def _taken(self, message: OutputTaken, now: Now) -> list[Post]:
        held = self._held.get(Key(message.run_id, message.attempt))
        if held is None:
            return []
        held.take(message.upto)
        if held.phase in OVER and message.upto < held.size:
            # The server could not take the file itself: it gets the bytes, and then the end.
            held.path = None
            self._repeats.pop(held.key, None)
        return self._hand_over(held, now)

    def _repeat(self, now: Now) -> list[Post]:
        """Report ends again that nobody has answered."""
        late: list[Key] = []
        for key, at_us in self._repeats.items():
            if at_us > now.monotonic_us or len(late) >= REPEATS_AT_ONCE:
                break
            late.append(key)
        for key in late:
            del self._repeats[key]
            self._repeats[key] = now.monotonic_us + REPEAT_US
        return [_post(self._held[key].end_message()) for key in late]

    # --- who we are -----------------------------------------------------------------------------

    def _hello(self, now: Now, answers: str = "") -> list[Post]:
        self._hello_us = now.monotonic_us + HELLO_US
        claims = [held.claim() for held in self._held.values()]
        return [_post(msgspec.structs.replace(self._identity, claims=claims, answers=answers))]


def _post(message: Any) -> Post:
    return Post(RUNNER, message)
