"""G11: half of all subscribers are stopped (SIGSTOP) for a minute while runs move.

First a hundred consoles on the event stream, then twenty programs on the feed. For each, over that
minute: the moves a second; what the web server, and all processes of the server together, grow at
the most; the lag of messages (p99) at those that go on, before and meanwhile; and after SIGCONT how
long it takes until each of those that were stopped knows all there is. Arguments: for how many
seconds they are stopped, and how many moves a second are tried for.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import BenchError, benchmark, emit, percentile
from g10_outputs import anonymous_bytes
from p12_memory import processes
from server import Server, running_server

SECONDS, RATE = 60.0, 5_000
# Of each kind; a program of the feed reads every event for itself, which takes a core for a few.
HALF = {"stream": 50, "feed": 10}
BEFORE_S = 10.0
LEAD_S = 5.0
STEP_S = 0.1
# starting, running, success: what a run moves through that was scheduled before.
MOVES_A_RUN = 3
TIMEOUT_S = 300.0
LOOK_S = 0.2
JOB = "program: {type: no-op}\n"


class Followers:
    """A process of subscribers; see `followers.py`."""

    def __init__(self, kind: str, address: str, count: int) -> None:
        command = [sys.executable, str(Path(__file__).with_name("followers.py"))]
        self._process = subprocess.Popen(
            [*command, kind, address, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._line() != "ready\n":
            raise BenchError("the subscribers did not begin: expected them to follow")

    def ask(self, text: str) -> Any:
        """Ask, and return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()
        return json.loads(self._line())

    def signal(self, number: int) -> None:
        """Stop or continue all of them."""
        self._process.send_signal(number)

    def end(self) -> None:
        """End them."""
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


class Growth(threading.Thread):
    """Looks at the memory of a server's processes until it is told that it is over."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        state = Path(server.folder, "callsheet.db.state", "processes.json")
        self._web = int(json.loads(state.read_text())["web/0"])
        self._pids = processes(server)
        self._before = {pid: anonymous_bytes(pid) for pid in self._pids}
        self.over = threading.Event()
        self.web_bytes = self.all_bytes = 0

    def run(self) -> None:
        while not self.over.wait(LOOK_S):
            now = {pid: anonymous_bytes(pid) for pid in self._pids}
            self.web_bytes = max(self.web_bytes, now[self._web] - self._before[self._web])
            self.all_bytes = max(self.all_bytes, sum(now.values()) - sum(self._before.values()))


def prepare(server: Server, seconds: float, rate: float) -> float:
    """Schedule runs so that they move at the rate for so long; return when they begin to."""
    steps = round(seconds / STEP_S)
    each = round(rate / MOVES_A_RUN * STEP_S)
    api = server.api
    # Scheduling takes a while itself: as fast as it goes, and a little longer.
    begun_s = time.time()
    api.schedule("noop", count=each, at_s=begun_s + 3_600)
    at_s = begun_s + 2 * steps * (time.time() - begun_s) + LEAD_S
    for step in range(steps):
        api.schedule("noop", count=each, at_s=at_s + step * STEP_S)
    if time.time() > at_s:
        raise BenchError("the runs were not scheduled in time: expected a quieter machine")
    return at_s


def measure(kind: str, address_of: Callable[[Server], str]) -> None:
    """Measure one kind of subscribers."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    rate = int(sys.argv[2]) if len(sys.argv) > 2 else RATE
    with running_server({"noop": JOB}) as server:
        server.api.succeeded("noop", server.api.schedule("noop", count=100), TIMEOUT_S)
        address = address_of(server)
        going, stopped = (Followers(kind, address, HALF[kind]) for _ in range(2))
        try:
            at_s = prepare(server, BEFORE_S + seconds, rate)
            time.sleep(max(0.0, at_s - time.time()))
            going.ask("lags")
            time.sleep(BEFORE_S)
            before_ms = going.ask("lags")
            growth = Growth(server)
            begun = head_of(server)
            growth.start()
            begun_s = time.monotonic()
            stopped.signal(signal.SIGSTOP)
            time.sleep(seconds)
            meanwhile_ms = going.ask("lags")
            head = head_of(server)
            took_s = time.monotonic() - begun_s
            stopped.signal(signal.SIGCONT)
            continued_s = time.monotonic()
            went = stopped.ask(f"head {head}")
            converged_s = time.monotonic() - continued_s
            growth.over.set()
            growth.join()
            others = going.ask(f"head {head}")
        finally:
            going.end()
            stopped.end()
    emit(f"G11_{kind}_moves", (head - begun) / took_s, "/s")
    emit(f"G11_{kind}_web", growth.web_bytes / 2**20, "MiB")
    emit(f"G11_{kind}_all", growth.all_bytes / 2**20, "MiB")
    emit(f"G11_{kind}_lag_before", percentile(before_ms, 99), "ms")
    emit(f"G11_{kind}_lag", percentile(meanwhile_ms, 99), "ms")
    emit(f"G11_{kind}_converged", converged_s, "s")
    emit(f"G11_{kind}_resyncs", went["resyncs"], "times")
    emit(f"G11_{kind}_reconnects", went["connects"] - HALF[kind], "times")
    emit(f"G11_{kind}_resyncs_of_others", others["resyncs"], "times")


def head_of(server: Server) -> int:
    """Return the seq of the last event."""
    return int(server.api.get_v2("/runs?limit=1&counts=0")["seq"])


def main() -> None:
    """Measure once."""
    measure("stream", lambda server: server.address)
    measure(
        "feed",
        lambda server: f"ipc://{Path(server.folder, 'callsheet.db.state', 'run', 'published')}",
    )


if __name__ == "__main__":
    benchmark(main)
