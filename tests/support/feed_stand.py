"""A server's side of the sockets for other programs: real sockets, and a log of what was said."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zmq

from callsheet.messages.published import (
    AskEvents,
    AskRuns,
    Events,
    PublishedEvents,
    Runs,
    Wanted,
)
from callsheet.wire.published import here

PATIENCE_S = 60.0


def a_frame(seq: int, **event: Any) -> PublishedEvents:
    """A frame with one event."""
    said = {"seq": seq, "time": "", "kind": "noted", "run_id": "r1", "message": "", **event}
    return PublishedEvents(epoch=1, after=seq - 1, seq=seq, events=[said], runs=[])


class FeedStand:
    """Says what it is told to; answers with no runs, and with the events that it has said."""

    def __init__(self, ports: list[Any], address: str = "") -> None:
        self.ports = ports
        self.address = address
        self.key = ""
        self.wanted: list[tuple[bytes, bool]] = []
        self.asked = 0
        self.said: list[PublishedEvents] = []

    @property
    def publisher(self) -> Any:
        """The port that publishes."""
        return next(port for port in self.ports if "published" in port.name)

    def say(self, *messages: Any) -> None:
        """Publish messages."""
        self.said += [one for one in messages if isinstance(one, PublishedEvents)]
        self.publisher.send(self.publisher.name, messages)

    def turn(self) -> None:
        """Take what has come, and answer it."""
        letters: list[Any] = []
        for port in self.ports:
            port.receive(100, letters)
        for letter in letters:
            for message in letter.messages:
                if isinstance(message, Wanted):
                    self.wanted.append((message.topic, message.on))
                    continue
                self.asked += 1
                port = next(port for port in self.ports if port.name == letter.port)
                assert port.leads_to(letter.peer)
                port.send(letter.peer, [self._answer(message)])

    def _answer(self, asked: AskRuns | AskEvents) -> Any:
        if isinstance(asked, AskRuns):
            return Runs(id=asked.id, epoch=1, seq=0, cursor=None, runs=[])
        frames = [frame for frame in self.said if frame.seq > asked.after]
        head = self.said[-1].seq if self.said else 0
        return Events(
            id=asked.id,
            epoch=1,
            after=asked.after,
            seq=head,
            head=head,
            complete=True,
            events=[event for frame in frames for event in frame.events],
            runs=[run for frame in frames for run in frame.runs],
        )

    def turn_until(self, holds: Callable[[], Any], what: str) -> Any:
        """Turn until something holds, and return it."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := holds()):
            assert time.monotonic() < deadline, f"waited for {what}"
            self.turn()
        return found

    def close(self) -> None:
        """Close all sockets."""
        for port in self.ports:
            port.close()


@contextlib.contextmanager
def feed_stand(folder: Path) -> Iterator[FeedStand]:
    """Give a stand for programs of this host."""
    context: Any = zmq.Context()
    addresses = [f"ipc://{folder}/{name}" for name in ("published", "replay")]
    stand = FeedStand(here(context, addresses[0], addresses[1], time.monotonic), addresses[0])
    try:
        yield stand
    finally:
        stand.close()
        context.destroy(linger=0)
