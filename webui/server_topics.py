"""The topics of the event stream about the server: its jobs, agents, findings, pauses, its log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..messages.access import Role
from ..store.interface import Reader
from ..wire.log_feed import LEVELS
from .looks import Look
from .records import agents_list
from .routing import Problem, encode
from .seam import Changed, Resync, Shared
from .server_log import Numbered
from .services import Services
from .topics import Op, OutputTopic, Owner, RunsTopic, RunTopic, Subscription, parse_resume
from .v2_checks import checks_of
from .v2_pauses import PauseRecord, in_force, pause_data


class JobsTopic(Subscription):
    """Changes of the set of jobs."""

    def __init__(self, socket: Owner, op: Op) -> None:
        super().__init__(socket, op)
        self._resume = parse_resume(op.resume)

    def begin(self) -> None:
        """See `Subscription`."""
        self.services.hub.follow(self, "jobs", resume=self._resume)

    def end(self) -> None:
        """See `Subscription`."""
        self.services.hub.unfollow(self, "jobs")

    def changed(self, tick: Changed, body: Shared | None) -> None:
        """See `Follower`."""
        for event in tick.jobs:
            names = {"added": event.added, "changed": event.changed, "removed": event.removed}
            self.send({"epoch": tick.epoch, "seq": event.seq, "jobs_changed": names})


class AgentsTopic(Subscription):
    """The agents, whenever anything but the counters of their traffic changes."""

    _last: bytes = b""

    def begin(self) -> None:
        """See `Subscription`."""
        self.services.hub.follow(self, "agents")

    def end(self) -> None:
        """See `Subscription`."""
        self.services.hub.unfollow(self, "agents")

    def agents(self, answer: Any) -> None:
        """See `Follower`."""
        agents = agents_list(answer, processes=False)
        passing = ("last_seen", "received", "sent")
        stays = [{k: v for k, v in one.items() if k not in passing} for one in agents]
        now = encode(stays)
        if now != self._last:
            self._last = now
            self.send({"agents": agents})

    def say_resync(self) -> None:
        """Send the agents again with the next answer: that is all there is to read."""
        self._last = b""

    def resync(self, message: Resync) -> None:
        """See `Follower`: what was lost are events, and these are none."""


class LookTopic(Subscription):
    """What is looked up for all who follow it, whole, now and whenever it changes."""

    NAME = ""

    def begin(self) -> None:
        """See `Subscription`."""
        self.services.looks[self.NAME].watch(self)

    def end(self) -> None:
        """See `Subscription`."""
        self.services.looks[self.NAME].leave(self)

    def looked(self, tail: Shared) -> None:
        """See `looks.Watcher`."""
        self.socket.outbox.push(tail, head=self.head)

    def say_resync(self) -> None:
        """Send it again: that is all there is to read."""
        self.services.looks[self.NAME].show(self)


class ChecksTopic(LookTopic):
    """The checker's findings."""

    NAME = "checks"


class PausesTopic(LookTopic):
    """The pauses in force."""

    NAME = "pauses"


class LogTopic(Subscription):
    """The lines of the server's log: those kept after `resume`, then each that comes."""

    def __init__(self, socket: Owner, op: Op) -> None:
        super().__init__(socket, op)
        if op.level not in LEVELS:
            raise Problem(400, f"level {op.level[:50]!r}: expected one of {', '.join(LEVELS)}")
        self._levels = frozenset(LEVELS[LEVELS.index(op.level) :])
        self._resume = parse_resume(op.resume)

    def begin(self) -> None:
        """See `Subscription`."""
        log = self.services.log
        log.follow(self._take)
        kept, gap = log.since(self._resume)
        if gap:
            self.send({"resync": True, "epoch": log.epoch, "seq": log.seq - len(kept)})
        self._say(kept)

    def end(self) -> None:
        """See `Subscription`."""
        self.services.log.unfollow(self._take)

    def say_resync(self) -> None:
        """Say that lines were left out; there is nowhere to read them but in the log itself."""
        log = self.services.log
        self.send({"resync": True, "epoch": log.epoch, "seq": log.seq})

    def _take(self, lines: list[Numbered]) -> None:
        if any(line.level in self._levels for _, line in lines):
            self._say(lines)

    def _say(self, lines: list[Numbered]) -> None:
        log = self.services.log
        said = [
            {"seq": seq, **line.fields, **({"lost": line.lost} if line.lost else {})}
            for seq, line in lines
            if line.level in self._levels
        ]
        self.send({"epoch": log.epoch, "seq": lines[-1][0] if lines else log.seq, "log": said})


def make_looks(services: Services) -> dict[str, Look]:
    """Return what the store is looked up for again and again, by topic."""

    def pauses(reader: Reader) -> list[PauseRecord]:
        return [pause_data(pause) for pause in in_force(reader, services.now_us())]

    reads: dict[str, Callable[[Reader], Any]] = {"checks": checks_of, "pauses": pauses}
    return {name: Look(services.hub, services.pool, name, read) for name, read in reads.items()}


TOPICS: dict[str, type[Subscription]] = {
    "runs": RunsTopic,
    "run": RunTopic,
    "output": OutputTopic,
    "jobs": JobsTopic,
    "agents": AgentsTopic,
    "checks": ChecksTopic,
    "pauses": PausesTopic,
    "log": LogTopic,
}
# For who reaches only runs with certain labels.
SCOPED_TOPICS = ("runs", "run", "output")
# What it takes to follow a topic, where that is more than to look.
TOPIC_ROLES = {"log": Role.ADMIN}
