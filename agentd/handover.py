"""How an agent hands over what it has: outputs while they grow, and after the last of them the end.

Part of the agent's core, and as pure. An end is reported when the server has all outputs or may
take them itself, and again until it is forgotten; output goes as far as the server has given
credit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .held import OVER, Held, Phase
from .host import Collected, Host, Key, Now
from .pace import Pace
from .streams import CREDIT_OF_ALL, Stream

# An end that is not forgotten is reported again, at most so many at once.
REPEAT_US = 2_000_000
REPEATS_AT_ONCE = 500
# How often the outputs of live processes are looked at: seldom enough to cost nothing, and while
# much is written so often that little more of it is on the disk than is to be kept.
LOOK_US = 100_000
LOOK_SOON_US = 10_000
MUCH_BYTES = 4 * 2**20
# A process this young is left for the next look: most are over by then.
YOUNG_US = 40_000


class Handover:
    """See the module. What its methods return are messages for the runner."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._growing: dict[Key, Held] = {}
        self._ends: dict[Key, Held] = {}
        self._repeats: dict[Key, int] = {}
        self._pace = Pace()
        self._look_us = 0

    def is_over(self, held: Held, now: Now) -> list[Any]:
        """A process is over: its output has its whole length now."""
        if held.exit is None or not held.exit.error:
            held.see(self._host.extents(held.key, held.spec, final=True))
            if held.phase is Phase.DONE:
                held.collecting = self._host.collect(held.key, held.spec)
            self._find(held)
        return self._send(held, now)

    def collected(self, held: Held, fact: Collected, now: Now) -> list[Any]:
        """The artifacts of a process that is over are there."""
        held.collected(fact)
        self._find(held)
        return self._send(held, now)

    def _find(self, held: Held) -> None:
        for stream in held.streams.values():
            if stream.size:
                stream.path = self._host.output_path(held.key, stream.name)

    def again(self, held: Held, now: Now) -> list[Any]:
        """Report the end of a process to one who asks for its start."""
        self._repeats.pop(held.key, None)
        return self._send(held, now)

    def taken(self, held: Held, name: str, upto: int, now: Now) -> list[Any]:
        """The server has an output up to an offset."""
        stream = held.stream(name)
        if stream is None:
            return []
        stream.take(upto, self._pace, now.monotonic_us)
        if held.phase in OVER and upto < stream.size:
            # The server could not take the file itself: it gets the bytes, and then the end.
            stream.path = None
            self._repeats.pop(held.key, None)
        return self._send(held, now)

    def forget(self, key: Key) -> None:
        """The server knows of the end."""
        self._growing.pop(key, None)
        self._ends.pop(key, None)
        self._repeats.pop(key, None)

    def met(self) -> None:
        """The connection is new: what was on its way by another is sent again."""
        self._pace.begin()
        for held in self._growing.values():
            for stream in held.streams.values():
                stream.go_back(stream.taken)

    def welcomed(self, now: Now) -> None:
        """The server has let us in: it is told at once whatever it has not answered."""
        self._repeats = dict.fromkeys(self._repeats, now.monotonic_us)

    def look(self, live: Iterable[Held], now: Now) -> None:
        """See which outputs have grown, whether or not there is a server."""
        if now.monotonic_us < self._look_us:
            return
        born_before_us = now.monotonic_us - YOUNG_US
        most = 0
        for held in live:
            if held.started_monotonic_us <= born_before_us:
                more = held.see(self._host.extents(held.key, held.spec))
                if more > 0:
                    self._growing[held.key] = held
                    most = max(most, more)
        self._look_us = now.monotonic_us + (LOOK_SOON_US if most > MUCH_BYTES else LOOK_US)

    def settle(self, now: Now) -> list[Any]:
        """Report what is due, and send output as far as it may be sent; those that had their turn
        go behind the others."""
        messages = self._repeat(now)
        growing = list(self._growing.values())
        in_flight = sum(held.in_flight for held in growing)
        for held in growing:
            in_flight -= held.in_flight
            sent = self._send(held, now, CREDIT_OF_ALL - in_flight)
            in_flight += held.in_flight
            if sent and held.key in self._growing:
                self._growing[held.key] = self._growing.pop(held.key)
            messages += sent
        return messages

    def looks_at(self, *, is_any_live: bool) -> int | None:
        """Return when `look` is due (monotonic µs), None: never."""
        return self._look_us if is_any_live else None

    def wakes_at(self) -> int | None:
        """Return when `settle` is due (monotonic µs), None: never."""
        return next(iter(self._repeats.values()), None)

    # --- inside ---------------------------------------------------------------------------------

    def _send(self, held: Held, now: Now, credit: int | None = None) -> list[Any]:
        """Send output as far as it may be sent, and after the last of it the end. `credit`: how
        many chunks of it may be on their way, None: what the others leave."""
        over = held.phase in OVER
        messages: list[Any] = []
        for stream in held.streams.values():
            if not _is_settled(stream, over=over):
                if credit is None:
                    credit = self._left_by_others(held)
                messages += stream.chunks(
                    self._host, held.key, self._pace, now.monotonic_us, credit - held.in_flight
                )
        if not all(_is_settled(stream, over=over) for stream in held.streams.values()):
            self._growing[held.key] = held
            return messages
        self._growing.pop(held.key, None)
        if over and not held.collecting and held.key not in self._repeats:
            self._ends[held.key] = held
            self._repeats[held.key] = now.monotonic_us + REPEAT_US
            messages.append(held.end_message())
        return messages

    def _left_by_others(self, held: Held) -> int:
        others = (other for other in self._growing.values() if other is not held)
        return CREDIT_OF_ALL - sum(other.in_flight for other in others)

    def _repeat(self, now: Now) -> list[Any]:
        """Report ends again that nobody has answered."""
        late: list[Key] = []
        for key, at_us in self._repeats.items():
            if at_us > now.monotonic_us or len(late) >= REPEATS_AT_ONCE:
                break
            late.append(key)
        for key in late:
            del self._repeats[key]
            self._repeats[key] = now.monotonic_us + REPEAT_US
        return [self._ends[key].end_message() for key in late]


def _is_settled(stream: Stream, *, over: bool) -> bool:
    """Whether nothing of an output is to be sent: it is taken, or the server takes it itself."""
    return stream.is_taken or (over and stream.path is not None)
