"""A server that says what it likes, to an agent's core: in any order, of any epoch, about anything.

Every message is of the right types, as nothing else is read. Specs are made by agentd's own code;
on the host nothing is started, and facts come as they like, too. The agent lives, says only what
servers read, and asks of its host nothing that no host can do.
"""

from __future__ import annotations

import signal
import time
import traceback
from typing import Any, get_args

import msgspec
from noting_host import NotingHost
from odd_values import Dice, maker_of
from verdict import FOR_EVER, HANG_S, Verdict
from workers import in_workers

from callsheet.agentd.core import AgentCore
from callsheet.agentd.host import Ended, Exit, Extent, Gone, Key, Noted, Now, Refused, Spec, Started
from callsheet.agentd.launch import spec_of
from callsheet.agentd.users import NotAllowed
from callsheet.messages.agents import AgentHello, AgentWelcome, StartProcess
from callsheet.messages.codec import RUNNER_READER, TO_AGENT_READER, BadFrame, pack
from callsheet.messages.hello import Refuse
from callsheet.messages.post import RUNNER

KIND = "rogue"
SAID_AT_MOST = 14
IDENTITY = AgentHello(
    agent_id="fuzz", group_id="default", incarnation="1", boot_id="b", version=4, software="fuzz"
)
MAKE = maker_of(get_args(TO_AGENT_READER.accepts)[0])
PASSES_US = (0, 1, 10_000, 10**6, 61 * 10**6, 3_600 * 10**6)
SIGNALS = range(1, signal.NSIG)


class LivelyHost(NotingHost):
    """A host on which things happen as dice say; what cannot be done is a fault of who asks."""

    def __init__(self, dice: Dice) -> None:
        super().__init__()
        self._dice = dice
        self.under_way: set[Key] = set()

    def start(self, key: Key, spec: Spec, now: Now) -> None:
        super().start(key, spec, now)
        assert key not in self.under_way, f"{key}: is started twice"
        self.under_way.add(key)

    def signal(self, key: Key, number: int, *, whole: bool) -> None:
        assert number in SIGNALS, f"{key}: signal {number}"
        super().signal(key, number, whole=whole)

    def forget(self, key: Key) -> None:
        self.under_way.discard(key)

    def extents(self, key: Key, spec: Spec, *, final: bool = False) -> tuple[Extent, ...]:
        return (Extent("output", self._dice.choice((0, 5, 3_000, 400_000))),)

    def read_output(self, key: Key, name: str, offset: int, limit: int) -> bytes | None:
        assert offset >= 0, f"{key}: {name} from {offset}"
        return b"x" * min(limit, 100)

    def facts(self, now: Now) -> list[Any]:
        """Return what has happened."""
        found: list[Any] = []
        dice = self._dice
        for key in sorted(self.under_way):
            match dice.randrange(9):
                case 0 | 1:
                    found.append(Started(key, 7, now.wall_us, now.monotonic_us))
                case 2:
                    ended = Exit(at_us=now.wall_us, status=dice.choice((0, 1, -9)), pid=7)
                    found.append(Ended(key, ended))
                case 3:
                    found.append(Gone(key, now.wall_us, "lost"))
                case 4:
                    found.append(Noted(key, "\u202e\x1b[2J"))
        return found


class Play:
    """An agent and its rogue server, on a clock of their own."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self.host = LivelyHost(dice)
        self.now = Now(1_790_000_000_000_000, 5_000_000)
        self.core = AgentCore(IDENTITY, self.host, self._spec, epoch=dice.choice((0, 1, 7)))
        self._begun: set[Key] = set()

    def _spec(self, message: StartProcess) -> Spec | str:
        key = Key(message.run_id, message.attempt)
        try:
            return spec_of(
                key,
                message.program,
                folder=f"/nowhere/{key}",
                cookie="1-0",
                stop_us=message.stop_us,
                job_id=message.job_id,
                sudo=message.sudo_argv,
                keep_bytes=message.keep_bytes,
            )
        except NotAllowed as error:
            return str(error)

    def all(self, verdict: Verdict) -> None:
        """Live through a case."""
        dice, core = self._dice, self.core
        self._heard(core.begin(self.now))
        self._heard(core.meet(self.now))
        for _ in range(dice.randrange(1, SAID_AT_MOST)):
            if message := self._message():
                verdict.seen[type(message).__name__] += 1
                self._heard(core.receive(RUNNER, message, self.now))
            if dice.random() < 0.3:
                for fact in self.host.facts(self.now):
                    self._happened(fact)
            if dice.random() < 0.1:
                core.part()
                self._heard(core.meet(self.now))
            self._heard(core.settle(self.now))
            by_us = dice.choice(PASSES_US)
            # The clock on the wall may be put back.
            wall_us = self.now.wall_us + dice.choice((by_us, by_us, -by_us))
            self.now = Now(wall_us, self.now.monotonic_us + by_us)
            core.wakes_at()
            core.is_closed(self.now)
        self._heard(core.settle(self.now))

    def _happened(self, fact: Any) -> None:
        """Facts are the host's own, and in order: a process begins once, and ends."""
        if isinstance(fact, Started) and fact.key in self._begun:
            return
        if isinstance(fact, Started):
            self._begun.add(fact.key)
        if isinstance(fact, Ended | Gone | Refused):
            self.host.under_way.discard(fact.key)
        self._heard(self.core.happened(fact, self.now))

    def _message(self) -> Any:
        """Return a message as an agent reads it, None where it reads none."""
        dice = self._dice
        if dice.random() < 0.15:
            return AgentWelcome(epoch=max(self.core.epoch, 1), server_id="s")
        data = MAKE(dice)
        if isinstance(data, dict):
            if "epoch" in data and dice.random() < 0.8:
                data["epoch"] = self.core.epoch
            if "run_id" in data and dice.random() < 0.7:
                data["run_id"], data["attempt"] = dice.choice(("r1", "r2")), 1
            if "not_after_us" in data and dice.random() < 0.8:
                data["not_after_us"] = self.now.wall_us + 10**9
            if "incarnation" in data and dice.random() < 0.9:
                data["incarnation"] = ""
        try:
            [message] = TO_AGENT_READER.unpack(msgspec.msgpack.encode([data]))
        except (BadFrame, OverflowError, UnicodeEncodeError, TypeError):
            return None
        # That is the daemon's to hear, which ends in order.
        return None if isinstance(message, Refuse) else message

    def _heard(self, posts: list[Any]) -> None:
        for frame in pack(post.message for post in posts):
            RUNNER_READER.unpack(frame)


def work(seed: int, numbers: range, until_s: float, verdict: Verdict) -> None:
    """Play the cases of one worker."""
    for number in numbers:
        if time.monotonic() > until_s:
            break
        began_s = time.monotonic()
        try:
            Play(Dice(KIND, seed, number)).all(verdict)
        except Exception:
            verdict.fault(traceback.format_exc(limit=-6), number)
        took_s = time.monotonic() - began_s
        verdict.waited(took_s, number)
        if took_s > HANG_S / 10:
            verdict.fault(f"took {took_s:.0f} s to decide", number)
        verdict.played()


def fuzz(seed: int, numbers: range, until_s: float = FOR_EVER, workers: int = 2) -> Verdict:
    """Play these cases; all that was seen."""
    return in_workers(KIND, work, seed, numbers, until_s, workers)


def show(seed: int, number: int) -> None:
    """Print one case."""
    play = Play(Dice(KIND, seed, number))
    for _ in range(SAID_AT_MOST):
        print(play._message())
