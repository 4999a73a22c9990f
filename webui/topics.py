"""The topics of the event stream about runs: what a subscription follows, and what it sends.

Those about the server are in `server_topics`. Each is a follower of the hub; what it sends goes
into its socket's outbox, under its own id.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec

from ..jobs.run import Run, run_number
from ..jobs.run_filter import RunFilter
from ..store.interface import Reader
from .following import OutputFollower, Span
from .gate import check_reach, within_reach
from .guests import Guest
from .outbox import Outbox
from .query import parse_filter
from .records import line, log_lines, run_record
from .routing import Problem, encode
from .seam import Changed, Followed, OutputCame, Resync, RunTick, Shared, Status
from .services import Services, known
from .shapes import LogLine


class Op(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a client says. A mistyped term would be a subscription to more than was meant."""

    op: str
    id: str
    topic: str = ""
    run_id: str = ""
    output_id: str = "output"
    start: int | None = None
    resume: str | None = None
    job: str | list[str] = []
    state: str | list[str] = []
    label: str | list[str] = []
    owner: str | list[str] = []
    agent: str | list[str] = []
    arg: str | list[str] = []
    q: str | list[str] = []
    since: str | list[str] = []
    until: str | list[str] = []
    level: str = "info"


class Owner(Protocol):
    """The socket, as a subscription sees it."""

    services: Services
    outbox: Outbox
    guest: Guest | None

    def refuse(self, id_: str | None, status: int, sentence: str) -> None:
        """End a subscription with an error."""


class Subscription:
    """One subscription of a socket; a subclass per topic. Everything is pushed to the outbox."""

    def __init__(self, socket: Owner, op: Op) -> None:
        self.socket = socket
        self.services = socket.services
        self.id = op.id
        self.head = b'{"id":' + encode(op.id)
        self.task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Follow what is to be followed."""

    def end(self) -> None:
        """Follow it no more."""
        if self.task is not None:
            self.task.cancel()

    def send(self, value: dict[str, Any]) -> None:
        """Send an object with the subscription's id."""
        self.socket.outbox.push(encode({"id": self.id, **value}))

    def say_resync(self) -> None:
        """Tell the client to read again."""
        status = self.services.hub.status
        self.send({"resync": True, "epoch": status.epoch, "seq": status.seq})

    def run_task(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `act` as this subscription's own; a problem ends the subscription."""
        self.task = asyncio.get_running_loop().create_task(self._guarded(act))

    async def _guarded(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await act()
        except Problem as problem:
            self.socket.refuse(self.id, problem.status, problem.sentence)

    # --- as a follower ----------------------------------------------------------------------------

    def followed(self, message: Followed) -> None:
        """See `Follower`."""
        if message.resync:
            self.send({"resync": True, "epoch": message.epoch, "seq": message.seq})
        elif message.body:
            self.socket.outbox.push(message.body, head=self.head)
        else:
            self.send({"epoch": message.epoch, "seq": message.seq})

    def changed(self, tick: Changed, body: Shared | None) -> None:
        """See `Follower`."""

    def resync(self, message: Resync) -> None:
        """See `Follower`."""
        self.send({"resync": True, "epoch": message.epoch, "seq": message.seq})

    def agents(self, answer: Any) -> None:
        """See `Follower`."""

    def output(self, message: OutputCame) -> None:
        """See `Follower`."""

    def status(self, status: Status) -> None:
        """See `Follower`."""


class RunsTopic(Subscription):
    """Runs of a query: the newest record of each that changed, per tick."""

    def __init__(self, socket: Owner, op: Op) -> None:
        super().__init__(socket, op)
        names = ("job", "state", "label", "owner", "agent", "arg", "q", "since", "until")
        params = {name: _listed(getattr(op, name)) for name in names}
        wanted: RunFilter = parse_filter(params, self.services.now_us())
        self._wanted = within_reach(socket.guest, wanted)
        self._key = encode(self._wanted).decode()
        self._resume = parse_resume(op.resume)

    def begin(self) -> None:
        """See `Subscription`."""
        self.services.hub.follow(self, "runs", self._key, wanted=self._wanted, resume=self._resume)

    def end(self) -> None:
        """See `Subscription`."""
        self.services.hub.unfollow(self, "runs", self._key)

    def changed(self, tick: Changed, body: Shared | None) -> None:
        """See `Follower`."""
        if body is not None:
            self.socket.outbox.push(body, head=self.head)


class RunTopic(Subscription):
    """One run: first as it is with its log (after `resume` only what is new), then each change."""

    def __init__(self, socket: Owner, op: Op) -> None:
        super().__init__(socket, op)
        self._run_id = op.run_id
        self._resume = parse_resume(op.resume)
        self._waiting: list[tuple[int, RunTick]] | None = []
        # What the first message told, up to this event.
        self._told_seq = 0

    def begin(self) -> None:
        """See `Subscription`."""
        self.services.hub.follow(self, "run", self._run_id)

    def end(self) -> None:
        """See `Subscription`."""
        super().end()
        self.services.hub.unfollow(self, "run", self._run_id)

    def followed(self, message: Followed) -> None:
        """Read the run now that nothing of it can be missed."""
        self.run_task(self._first)

    def changed(self, tick: Changed, body: Shared | None) -> None:
        """See `Follower`."""
        for run in tick.runs:
            if run.run_id != self._run_id:
                continue
            if self._waiting is not None:
                self._waiting.append((tick.seq, run))
            elif tick.seq > self._told_seq:
                self._say(run, tick.epoch, tick.seq)

    async def _first(self) -> None:
        def read(reader: Reader) -> tuple[int, int, Run, list[LogLine]]:
            epoch, seq = reader.head()
            found = reader.run(self._run_id) if run_number(self._run_id) is not None else None
            run = check_reach(self.socket.guest, known(found, self._run_id))
            return epoch, seq, run, log_lines(reader.log(self._run_id))

        epoch, seq, run, lines = await self.services.read(read)
        after = self._resume[1] if self._resume is not None else 0
        lines = [one for one in lines if one["seq"] > after]
        self.send({"epoch": epoch, "seq": seq, "run": run_record(run), "log": lines})
        waiting, self._waiting = self._waiting or [], None
        # The store may be ahead of the ticks, those to come too: they tell of what it was then.
        self._told_seq = seq
        for tick_seq, tick in waiting:
            if tick_seq > seq:
                self._say(tick, epoch, tick_seq)

    def _say(self, tick: RunTick, epoch: int, seq: int) -> None:
        value: dict[str, Any] = {"epoch": epoch, "seq": seq}
        if tick.run is not None:
            value["run"] = run_record(tick.run)
        else:
            value["gone"] = [tick.run_id]
        value["log"] = [
            line(*one[:2], one[2], one[3], one[4] or one[3] or "", one[5])
            for one in tick.lines
            if one[0] > self._told_seq and (one[4] or one[3])
        ]
        self.send(value)


class OutputTopic(Subscription):
    """The bytes of an output, from `start` on, until the run is over."""

    def __init__(self, socket: Owner, op: Op) -> None:
        super().__init__(socket, op)
        self._op = op
        self._held = b""

    def begin(self) -> None:
        """See `Subscription`."""
        self.run_task(self._follow)

    async def _follow(self) -> None:
        op = self._op
        check_reach(self.socket.guest, await self.services.run(op.run_id))
        follower = OutputFollower(self.services, op.run_id)
        try:
            async for span in follower.spans(op.output_id, op.start):
                self._say(span)
                # An output is read only as fast as the client takes it.
                await self.socket.outbox.room()
        finally:
            follower.close()

    def _say(self, span: Span) -> None:
        held = b"" if span.left_out else self._held
        start, data = span.start - len(held), held + span.data
        self._held = b""
        if not span.ended:
            # A character may be cut in two at the end of what there is.
            keep = incomplete_tail(data)
            data, self._held = data[: len(data) - keep], data[len(data) - keep :]
            if not data:
                return
        value: dict[str, Any] = {"start": start, "next": start + len(data), "length": span.length}
        try:
            value["data"] = data.decode("utf-8")
        except UnicodeDecodeError:
            value["b64"] = base64.b64encode(data).decode("ascii")
        if span.left_out:
            value["left_out"] = span.left_out
        self.send({**value, "ended": span.ended, "attempt": span.attempt})


def parse_resume(text: str | None) -> tuple[int, int] | None:
    """Return (epoch, seq) of `EPOCH:SEQ`.

    Raises:
        Problem: 400, it is not that.
    """
    if text is None:
        return None
    epoch, _, seq = text.partition(":")
    if not (epoch.isascii() and epoch.isdigit() and seq.isascii() and seq.isdigit()):
        raise Problem(400, f"resume {text[:50]!r}: expected EPOCH:SEQ")
    return int(epoch[:18]), int(seq[:18])


def incomplete_tail(data: bytes) -> int:
    """Return how many bytes at the end begin a UTF-8 character without ending it."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return back if needed > back else 0
    return 0


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
