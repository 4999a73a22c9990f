"""How an agent hands over what it has: output while it grows, and after the last of it the end.

Part of the agent's core, and as pure. An end is reported again until it is forgotten; output goes
as far as the server has given credit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .held import OVER, Held
from .host import Host, Key, Now

# An end that is not forgotten is reported again, at most so many at once.
REPEAT_US = 2_000_000
REPEATS_AT_ONCE = 500
# How often the outputs of live processes are looked at.
LOOK_US = 100_000
# A process this young is left for the next look: most are over by then.
YOUNG_US = 40_000


class Handover:
    """See the module. What its methods return are messages for the runner."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._growing: dict[Key, Held] = {}
        self._ends: dict[Key, Held] = {}
        self._repeats: dict[Key, int] = {}
        self._look_us = 0

    def is_over(self, held: Held, now: Now) -> list[Any]:
        """A process is over: its output has its whole length now."""
        if held.exit is None or not held.exit.error:
            held.size = self._host.output_size(held.key)
            if held.size:
                held.path = self._host.output_path(held.key)
        return self._send(held, now)

    def again(self, held: Held, now: Now) -> list[Any]:
        """Report the end of a process to one who asks for its start."""
        self._repeats.pop(held.key, None)
        return self._send(held, now)

    def taken(self, held: Held, upto: int, now: Now) -> list[Any]:
        """The server has the output up to an offset."""
        held.take(upto)
        if held.phase in OVER and upto < held.size:
            # The server could not take the file itself: it gets the bytes, and then the end.
            held.path = None
            self._repeats.pop(held.key, None)
        return self._send(held, now)

    def forget(self, key: Key) -> None:
        """The server knows of the end."""
        self._growing.pop(key, None)
        self._ends.pop(key, None)
        self._repeats.pop(key, None)

    def welcomed(self, now: Now) -> None:
        """The server has let us in: it is told at once whatever it has not answered."""
        self._repeats = dict.fromkeys(self._repeats, now.monotonic_us)

    def settle(self, live: Iterable[Held], now: Now) -> list[Any]:
        """Report what is due, and what `live` processes have written."""
        messages = self._repeat(now)
        if now.monotonic_us >= self._look_us:
            self._look_us = now.monotonic_us + LOOK_US
            self._look(live, now)
        for held in list(self._growing.values()):
            messages += self._send(held, now)
        return messages

    def wakes_at(self, *, is_any_live: bool) -> int | None:
        """Return when `settle` is due (monotonic µs), None: never."""
        first_us = next(iter(self._repeats.values()), None)
        times = [first_us] if first_us is not None else []
        if is_any_live:
            times.append(self._look_us)
        return min(times, default=None)

    # --- inside ---------------------------------------------------------------------------------

    def _look(self, live: Iterable[Held], now: Now) -> None:
        """See which outputs have grown."""
        born_before_us = now.monotonic_us - YOUNG_US
        for held in live:
            if held.started_monotonic_us <= born_before_us:
                size = self._host.output_size(held.key)
                if size > held.size:
                    held.size = size
                    self._growing[held.key] = held

    def _send(self, held: Held, now: Now) -> list[Any]:
        """Send output as far as it may be sent, and after the last of it the end."""
        over = held.phase in OVER
        messages: list[Any] = []
        whole = held.taken >= held.size or (over and held.path is not None)
        if not whole:
            self._growing[held.key] = held
            messages += held.chunks(self._host, now.monotonic_us)
            whole = held.taken >= held.size
        if whole:
            self._growing.pop(held.key, None)
            if over and held.key not in self._repeats:
                self._ends[held.key] = held
                self._repeats[held.key] = now.monotonic_us + REPEAT_US
                messages.append(held.end_message())
        return messages

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
