"""Following one output as it grows: spans of bytes, contiguous, until the run is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec

from ..messages.agents import AgentsAnswer
from .routing import Problem
from .seam import Changed, Followed, OutputCame, Resync, Shared, Status
from .services import Services

# The most of an output that one span holds.
SPAN_BYTES = 256 * 2**10


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes `start` … of an output that has `length` now; `ended`: the run is over and these are
    the last. `left_out`: so many bytes before them are not kept, though they were asked for."""

    start: int
    data: bytes
    length: int
    ended: bool
    attempt: int
    content_type: str = "application/octet-stream"
    left_out: int = 0


class OutputFollower:
    """A follower of a run and its outputs that only wakes its reader."""

    def __init__(self, services: Services, run_id: str) -> None:
        self.woken = asyncio.Event()
        self._services = services
        self._run_id = run_id
        hub = services.hub
        hub.follow(self, "output", run_id)
        hub.follow(self, "run", run_id)
        hub.add_beat(self)

    def close(self) -> None:
        """Follow no more."""
        hub = self._services.hub
        hub.unfollow(self, "output", self._run_id)
        hub.unfollow(self, "run", self._run_id)
        hub.drop_beat(self)

    def followed(self, message: Followed) -> None:
        """See `Follower`."""
        self.woken.set()

    def changed(self, tick: Changed, body: Shared | None) -> None:
        """See `Follower`."""
        self.woken.set()

    def resync(self, message: Resync) -> None:
        """See `Follower`."""
        self.woken.set()

    def agents(self, answer: AgentsAnswer) -> None:
        """See `Follower`."""

    def output(self, message: OutputCame) -> None:
        """See `Follower`."""
        self.woken.set()

    def status(self, status: Status) -> None:
        """Look again once a second: word of growth may be lost."""
        self.woken.set()

    async def spans(self, output_id: str, start: int | None) -> AsyncIterator[Span]:
        """Yield the output from `start` on as it grows; the last span has `ended`.

        Args:
            start: None begins at what comes from now on, negative so many bytes before the end.

        Raises:
            Problem: 404, there is no such run.
        """
        offset = start
        attempt: int | None = None
        while True:
            self.woken.clear()
            span = await self._services.outputs.span(self._run_id, output_id, offset, SPAN_BYTES)
            if attempt is not None and span.attempt != attempt:
                # The run is tried again, and its output begins anew: after what was to come of the
                # attempts before.
                async for rest in self._rest(output_id, attempt, offset or 0):
                    yield rest
                attempt, offset = attempt + 1, 0
                continue
            attempt, offset = span.attempt, span.start + len(span.data)
            if span.data or span.ended:
                yield span
            if span.ended:
                return
            if offset >= span.length:
                await self.woken.wait()

    async def _rest(self, output_id: str, attempt: int, offset: int) -> AsyncIterator[Span]:
        """Yield what an attempt that is over has from an offset on."""
        while True:
            try:
                span = await self._services.outputs.span(
                    self._run_id, output_id, offset, SPAN_BYTES, attempt
                )
            except Problem:
                return  # It has no such output.
            if not span.data:
                return
            yield msgspec.structs.replace(span, ended=False)
            offset = span.start + len(span.data)
