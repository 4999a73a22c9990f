"""How an agent ends processes: stops, graces, timeouts, stop times, single signals.

Part of the agent's core, and as pure. What is done to a process is noted in its claim before it is
done, so that the next agentd goes on where this one ended; what is done twice does no harm.
"""

from __future__ import annotations

import heapq
import signal

from ..messages.agents import SignalProcess
from .held import LIVE, Held, signal_name
from .host import Host, Key, Now


class Ending:
    """See the module. `live` are the processes there are, by key."""

    def __init__(self, host: Host) -> None:
        self.live: dict[Key, Held] = {}
        self._host = host
        self._due: list[tuple[int, int, Key, str]] = []
        self._count = 0

    # --- a process comes and goes ---------------------------------------------------------------

    def watch(self, held: Held, now: Now) -> None:
        """Watch a process, from its start on or again after this agentd took it over."""
        self.live[held.key] = held
        program = held.spec.program
        if program.timeout_us is not None:
            self._at(held.started_monotonic_us + program.timeout_us, held.key, "timeout")
        if held.spec.stop_us is not None:
            self._at_stop_time(held, now)
        stopped_us = held.acted("stop")
        if stopped_us is not None and program.grace_us is not None:
            self._at(stopped_us + program.grace_us, held.key, "kill")
        self._act_again(held)

    def is_over(self, held: Held) -> None:
        """A process is over: whoever was to be stopped leaves nobody behind."""
        self.live.pop(held.key, None)
        if held.ending_signal is not None:
            self._host.signal(held.key, signal.SIGKILL, whole=True)

    # --- what is asked --------------------------------------------------------------------------

    def stop(self, held: Held | None, now: Now, *, kill: bool) -> None:
        """Send the stop signal, and SIGKILL after the grace; `kill`: at once."""
        if held is None or held.phase not in LIVE:
            return
        program = held.spec.program
        if kill:
            self._kill(held, now)
        elif held.acted("stop") is None:
            self._act(held, "stop", program.stop_signal, now)
            if program.grace_us is not None:
                self._at(now.monotonic_us + program.grace_us, held.key, "kill")

    def stop_all(self, now: Now) -> list[Held]:
        """Stop every process that is not being stopped already; return those."""
        some = [held for held in self.live.values() if held.ending_signal is None]
        for held in some:
            self.stop(held, now, kill=False)
        return some

    def kill_all(self, now: Now) -> None:
        """Kill every process."""
        for held in list(self.live.values()):
            self._kill(held, now)

    def signal(self, held: Held | None, message: SignalProcess, now: Now) -> None:
        """Send one signal to the process, once per command."""
        if held is None or held.phase not in LIVE:
            return
        line = f"signal {now.monotonic_us} {message.signal} {message.command_id[:64]}"
        if any(act.split(" ")[3:] == line.split(" ")[3:] for act in held.acts):
            return
        held.acts.append(line)
        self._host.note(held.key, line)
        self._host.signal(held.key, message.signal, whole=False)

    # --- time -----------------------------------------------------------------------------------

    def settle(self, now: Now) -> None:
        """Do what is due."""
        while self._due and self._due[0][0] <= now.monotonic_us:
            _, _, key, word = heapq.heappop(self._due)
            held = self.live.get(key)
            if held is not None:
                self._overdue(held, word, now)

    def wakes_at(self) -> int | None:
        """Return when `settle` is due (monotonic µs), None: never."""
        return self._due[0][0] if self._due else None

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
                self.stop(held, now, kill=False)
            else:
                self._at_stop_time(held, now)

    def _at_stop_time(self, held: Held, now: Now) -> None:
        assert held.spec.stop_us is not None, f"{held.key}: no stop time"
        # Looked at once a second at least: the wall clock may be put forward.
        wait_us = min(max(held.spec.stop_us - now.wall_us, 1_000), 1_000_000)
        self._at(now.monotonic_us + wait_us, held.key, "stop")

    # --- acts -----------------------------------------------------------------------------------

    def _kill(self, held: Held, now: Now) -> None:
        if held.acted("kill") is None:
            self._act(held, "kill", signal.SIGKILL, now)
        else:
            self._act_again(held)

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
