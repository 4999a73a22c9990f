"""Has processes die at named places, each of them so many times, several processes at once.

Each lane goes by itself through the places of its processes, in another order each time. A process
that has died is armed again when it works again, or at once, so that it dies also while it begins.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import history as h
from crash_points import PLACES, Place
from keepers import begun_by, stands
from live_server import ROLES, Server, until

# Against hanging only: some places are passed seldom, and all others die meanwhile.
PATIENCE_S = 900.0
LANES = (
    ("ledger/0",),
    ("scheduler/0", "waiter/0"),
    ("binder/0", "checker/0", "runner/0", "responder/0"),
    ("agent",),
    ("web/0",),
    ("keeper",),
    ("supervisor",),
)


class Crashes:
    """`armed`: the folder in which places are armed. `done` takes each blow once it is over.
    `enough`: set by who wants no more deaths."""

    def __init__(self, server: Server, armed: Path, done: Callable[[h.Blow], None]) -> None:
        self._server = server
        self._armed = armed
        self._done = done
        self._chance = random.Random(0)
        self.enough = threading.Event()
        armed.mkdir(exist_ok=True)

    def at(self, place: str) -> None:
        """Have somebody die at a place, and wait until it has happened."""
        blow = h.Blow("crash", place, time.time(), 0.0)
        (self._armed / place).touch()
        pid = until(
            lambda: self._taken(place) or self._urged(place), f"a death: {place}", PATIENCE_S
        )
        if PLACES[place].stands:
            blow.hit = self._end_keeper(pid)
        else:
            until(lambda: is_dead(pid), f"the end of process {pid}: {place}", PATIENCE_S)
        if PLACES[place].process == "supervisor":
            assert self._server.process is not None
            self._server.process.wait()
            self._server.start()
        blow.until_s = time.time()
        self._done(blow)

    def everywhere(self, places: list[str], times: int, chance: random.Random) -> None:
        """Have somebody die `times` times at each place; return when all lanes are through."""
        lanes = [[name for name in places if PLACES[name].process in lane] for lane in LANES]
        faults: list[BaseException] = []

        def through(lane: list[str], own: random.Random) -> None:
            try:
                self._through(lane, times, own)
            except BaseException as error:
                faults.append(error)
                self.enough.set()

        seeds = [random.Random(chance.random()) for _ in lanes]
        threads = [
            threading.Thread(target=through, args=(lane, own))
            for lane, own in zip(lanes, seeds, strict=True)
            if lane
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]

    def _through(self, lane: list[str], times: int, chance: random.Random) -> None:
        began_s = time.monotonic()
        for turn in range(times):
            for name in chance.sample(lane, len(lane)):
                if self.enough.is_set():
                    return
                if chance.random() < 0.7:
                    until(lambda name=name: self._works(PLACES[name]), f"{name}: it", PATIENCE_S)
                self.at(name)
            took_s = time.monotonic() - began_s
            who = " ".join(sorted({PLACES[name].process for name in lane}))
            print(f"{took_s:6.0f} s: {who}: {turn + 1} of {times}", file=sys.stderr, flush=True)

    def _urged(self, place: str) -> int:
        """Have the supervisor do something, as it does when somebody dies; return 0. Asked again
        and again: of a server that has just begun the file tells the processes of the one before.
        """
        process = self._server.process
        if PLACES[place].process == "supervisor" and process is not None:
            with contextlib.suppress(OSError, ValueError, KeyError):
                pid = self._server.processes()[self._chance.choice(ROLES)]
                if _stat_of(pid)[1] == str(process.pid):
                    os.kill(pid, signal.SIGKILL)
        return 0

    def _taken(self, place: str) -> int:
        """Return the pid of who has died, 0 while nobody has."""
        for file in self._armed.glob(f"{place}.*"):
            file.unlink()
            return int(file.name.rpartition(".")[2])
        return 0

    def _end_keeper(self, pid: int) -> list[str]:
        """Kill a keeper that stands still; return the claims whose end it alone would know."""
        until(lambda: stands(pid), "the keeper to stand still")
        hit = begun_by(pid, self._server.state / "spool")
        os.kill(pid, signal.SIGKILL)
        return sorted(hit)

    def _works(self, place: Place) -> bool:
        """Whether the process of a place says that it works; of keepers nobody says."""
        if place.process == "keeper":
            return True
        with contextlib.suppress(OSError, ValueError, KeyError):
            health: Any = json.loads((self._server.state / "health.json").read_text())
            if place.process == "supervisor":
                return bool(health["ready"])
            role = health["roles"][place.process]
            return bool(role["ready"]) and not is_dead(role["pid"])
        return False


def is_dead(pid: int) -> bool:
    """Whether a process is over; one whose parent has not looked after it yet is."""
    try:
        return _stat_of(pid)[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _stat_of(pid: int) -> list[str]:
    """Return what `/proc` says of a process behind its name: state, parent …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
