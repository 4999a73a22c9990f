"""What `verify` remembers of the log while it looks at everything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ..messages.transitions import AnyEvent, RunsArchived, RunWithdrawn, SkipsRecorded
from .rows import decode_events

# No run has a number beyond; one that an altered row names must not fill the memory.
MOST = 1 << 33


class Bits:
    """A set of numbers from 0 on, a bit each: there may be as many as events."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self._count = 0

    def __contains__(self, number: int) -> bool:
        place = number >> 3
        return 0 <= place < len(self._bits) and bool(self._bits[place] & 1 << (number & 7))

    def __len__(self) -> int:
        return self._count

    def add(self, number: int) -> None:
        """Put a number in."""
        place = number >> 3
        if place >= len(self._bits):
            self._bits.extend(bytes(place - len(self._bits) + 4096))
        self._count += number not in self
        self._bits[place] |= 1 << (number & 7)


class Log(msgspec.Struct, kw_only=True):
    """What the events say that is needed beside the runs. `seen` are seqs, `archived` numbers."""

    seen: Bits
    withdrawn: dict[int, RunWithdrawn] = {}
    archived: Bits
    archived_events: int = 0
    archived_planned: int = 0
    skips: dict[int, SkipsRecorded] = {}


def keep(log: Log, event: AnyEvent) -> None:
    """Take in what an event says that is needed beside its run."""
    match event:
        case RunWithdrawn():
            log.withdrawn[int(event.run_id[1:])] = event
        case RunsArchived():
            for number in event.numbers:
                if 0 < number < MOST:
                    log.archived.add(number)
            log.archived_events += event.events
            log.archived_planned += event.planned
        case SkipsRecorded():
            log.skips[event.seq] = event


def events_of(batches: Iterable[tuple[Any, ...]]) -> Iterator[AnyEvent]:
    """Yield the events of rows (seq, body, ...), but for those that cannot be read."""
    for _, body, _ in batches:
        try:
            yield from decode_events(body)
        except ValueError:
            continue  # Told when the log was looked at.
