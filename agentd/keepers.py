"""agentd's side of the keepers: starts them where there are none, commands them, hears them.

Used by the local host, on agentd's one thread. A keeper is a process of its own that outlives
agentd (`keeper.py`); which keepers there are is read from their locks, so that a new agentd finds
those of the one before. It must never take a keeper for dead while its lock is held.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from ..jobs.errors import CallsheetError
from . import keeper, procs, start_keeper
from .host import Key, Spec
from .keeper_line import DATAGRAM_BYTES
from .own_programs import with_variables

log = logging.getLogger("callsheet.agentd")

COUNT = 2
# A keeper that was just started, or one that another agentd kept busy, answers within this time.
ANSWER_S = 20.0
# A start larger than this is read by the keeper from the claim, unless it has what is not there.
START_BYTES = 30_000
# No larger start goes over a socket, whatever the system's limits are.
WHOLE_START_BYTES = 150_000
BATCH = 16
LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND

_encode = msgspec.json.Encoder().encode


class KeeperFailed(CallsheetError):
    """A keeper could not be started or does not answer."""


class KeeperGone(KeeperFailed):
    """A keeper has ended while it was called."""


class Kept:
    """The connection to one keeper; `live` maps keys (as text) to pids."""

    def __init__(self, name: str, link: socket.socket) -> None:
        self.name = name
        self.socket = link
        self.keeper_id = ""
        self.format = 0
        self.live: dict[str, int] = {}
        self.asked: set[str] = set()
        self.batch: list[bytes] = []
        self.unsent: deque[bytes] = deque()
        self.was_let_go = False

    @property
    def pid(self) -> int:
        """The keeper's own pid, as its id says."""
        return int(self.keeper_id.split(".")[1])

    @property
    def load(self) -> int:
        """How many runs it has in hand."""
        return len(self.asked)


class Keepers:
    """All keepers of a spool. `runs` and `folder` are the spool's directories."""

    def __init__(self, runs: str, folder: str, env: dict[str, str], count: int = COUNT) -> None:
        self._runs = runs
        self._folder = folder
        self._env = json.dumps([["env", env]]).encode()
        self._names = [f"{keeper.FORMAT}-{n}" for n in range(count)]
        self.kept: dict[int, Kept] = {}

    def open(self) -> None:
        """Connect to every keeper there is and start those that are missing.

        Raises:
            KeeperFailed: a living keeper does not answer, or none can be started.
        """
        found = {name[:-5] for name in os.listdir(self._folder) if name.endswith(".lock")}
        # All that are missing at one go: they share their memory then.
        self._spawn([name for name in self._names if not self._lives(name)])
        for name in sorted(found | set(self._names)):
            try:
                kept = self._connect(name)
            except KeeperGone:
                if name not in self._names:
                    continue
                self._spawn([name])
                kept = self._connect(name)
            self._let_go(kept)
        self.flush()

    def close(self) -> None:
        """Hang up; the keepers stay."""
        for kept in self.kept.values():
            kept.socket.close()
        self.kept.clear()

    # --- commands -------------------------------------------------------------------------------

    def start(self, key: Key, spec: Spec, given: Mapping[str, str] | None = None) -> bool:
        """Have the least busy keeper start a process, with variables of which the claim knows
        nothing if some are `given`. False when it is too large for that."""
        env = with_variables(spec.env, given) if given else spec.env
        item = _encode(("start", str(key), spec.argv, env, spec.split))
        if given and len(item) > WHOLE_START_BYTES:
            return False
        kept = min((k for k in self.kept.values() if k.name in self._names), key=_load)
        kept.asked.add(str(key))
        whole = given or len(item) < START_BYTES
        kept.batch.append(item if whole else _encode(("file", str(key))))
        if len(kept.batch) >= BATCH:
            self._send(kept)
        return True

    def signal(self, key: Key, number: int, *, whole: bool) -> bool:
        """Have the keeper of a process signal it; False when no keeper has it."""
        for kept in self.kept.values():
            if str(key) in kept.asked:
                kept.batch.append(_encode(("signal", str(key), number, whole)))
                return True
        return False

    def flush(self) -> None:
        """Send what was asked since the last time."""
        for kept in self.kept.values():
            if kept.batch or kept.unsent:
                self._send(kept)

    def pid_of(self, keeper_id: str, key: Key) -> int | None:
        """Return the pid a keeper has for a key, 0 for none; None when that keeper is dead."""
        for kept in self.kept.values():
            if kept.keeper_id == keeper_id:
                return kept.live.get(str(key), 0)
        return None

    def live_pid(self, key: Key) -> int:
        """Return the pid of a process that some keeper has, 0 when none has it."""
        return next((k.live[str(key)] for k in self.kept.values() if str(key) in k.live), 0)

    def in_hand(self) -> set[str]:
        """Return the keys (as text) of runs that keepers have, started or not."""
        return set().union(*(kept.asked for kept in self.kept.values()))

    def orphans(self) -> list[int]:
        """Return the children of keepers that are no runs: those who lost their parent."""
        return [
            pid
            for kept in self.kept.values()
            for pid in set(procs.children_of(kept.pid)) - set(kept.live.values())
        ]

    def _let_go(self, kept: Kept) -> None:
        """Have a keeper go that is of another version, or one too many, when it has no run.

        Not before: once told to go it answers no call, so that an agentd that comes after this one
        could not reach it and its runs.
        """
        if kept.name not in self._names and not kept.asked:
            kept.batch.append(b'["retire"]')
            kept.was_let_go = True

    def _send(self, kept: Kept) -> None:
        if kept.batch:
            size = 2
            items: list[bytes] = []
            for item in kept.batch:
                if items and size + len(item) > DATAGRAM_BYTES:
                    kept.unsent.append(b"[" + b",".join(items) + b"]")
                    size, items = 2, []
                items.append(item)
                size += len(item) + 1
            kept.unsent.append(b"[" + b",".join(items) + b"]")
            kept.batch = []
        try:
            while kept.unsent:
                kept.socket.send(kept.unsent[0])
                kept.unsent.popleft()
        except BlockingIOError:
            return
        except OSError as error:
            # Its end of the line is closed: `hear` finds out and settles what it had.
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                raise
            kept.unsent.clear()

    # --- hearing --------------------------------------------------------------------------------

    def hear(self, fd: int) -> tuple[list[list[Any]], Kept | None]:
        """Return what a keeper says; and the keeper itself when it is gone."""
        kept = self.kept[fd]
        said: list[list[Any]] = []
        while True:
            try:
                data = kept.socket.recv(1 << 20)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self._lost(kept)
                return said, kept
            said += json.loads(data)
        for item in said:
            if item[0] == "started":
                kept.live[item[1]] = item[2]
            else:
                kept.live.pop(item[1], None)
                kept.asked.discard(item[1])
        if said:
            self._let_go(kept)
        return said, None

    def _lost(self, kept: Kept) -> None:
        del self.kept[kept.socket.fileno()]
        kept.socket.close()

    def replace(self, kept: Kept) -> None:
        """Put a new keeper in the place of one that is gone.

        Raises:
            KeeperFailed: the old one holds its lock still (it only hung up), or no new one comes.
        """
        if kept.name not in self._names:
            return
        deadline = time.monotonic() + 1.0
        while self._lives(kept.name) and time.monotonic() < deadline:
            time.sleep(0.005)
        if not self._lives(kept.name):
            self._spawn([kept.name])
        self._connect(kept.name)
        self.flush()

    # --- inside ---------------------------------------------------------------------------------

    def _lives(self, name: str) -> bool:
        fd = os.open(f"{self._folder}/{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def _spawn(self, names: list[str]) -> None:
        """Start keepers; when this returns each of them can be called, or has ended again.

        Raises:
            KeeperFailed: they cannot be started, or not in time.
        """
        if not names:
            return
        which = " and ".join(f"keeper {name}" for name in names)
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, f"{self._folder}/{names[0]}.log", LOG_FLAGS, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        argv = [sys.executable, "-I", "-S", start_keeper.__file__, self._runs, self._folder, *names]
        try:
            starter = os.posix_spawn(
                sys.executable, argv, {}, file_actions=actions, setsid=True, setsigmask=()
            )
        except OSError as error:
            raise KeeperFailed(f"{which}: cannot be started: {error.strerror}") from error
        end, poll = os.pidfd_open(starter), select.poll()
        poll.register(end, select.POLLIN)
        in_time = poll.poll(ANSWER_S * 1e3)
        if not in_time:
            signal.pidfd_send_signal(end, signal.SIGKILL)
        os.close(end)
        os.waitpid(starter, 0)
        if not in_time:
            raise KeeperFailed(f"{which}: not there after {ANSWER_S:.0f} s")

    def _connect(self, name: str) -> Kept:
        """Connect and hear what it has; its runs go on meanwhile.

        Raises:
            KeeperGone: it has ended; KeeperFailed: it does not answer in time.
        """
        deadline = time.monotonic() + ANSWER_S
        link = self._dial(name, deadline)
        kept = Kept(name, link)
        link.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            link.send(self._env)
            ready = False
            while not ready:
                data = link.recv(1 << 20)
                if not data:
                    raise KeeperFailed(f"keeper {name}: hung up: expected its list of runs")
                for item in json.loads(data):
                    ready = self._meet(kept, item) or ready
        except OSError as error:
            raise KeeperFailed(f"keeper {name}: does not answer: {error}") from error
        link.setblocking(False)
        self.kept[link.fileno()] = kept
        return kept

    def _meet(self, kept: Kept, item: list[Any]) -> bool:
        """Take one item of a keeper's introduction; return whether it was the last."""
        if item[0] == "hello":
            kept.format, kept.keeper_id = item[1], item[2]
        elif item[0] == "live":
            kept.live.update(item[1])
            kept.asked.update(key for key, _ in item[1])
        return bool(item[0] == "ready")

    def _dial(self, name: str, deadline: float) -> socket.socket:
        folder = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            while True:
                link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                try:
                    link.connect(f"/proc/self/fd/{folder}/{name}.sock")
                except OSError as error:
                    link.close()
                    if not self._lives(name):
                        raise KeeperGone(f"keeper {name}: has ended") from error
                    if time.monotonic() > deadline:
                        what = f"keeper {name}: cannot be reached: {error.strerror}"
                        raise KeeperFailed(what) from error
                    select.select([], [], [], 0.01)
                else:
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
                    return link
        finally:
            os.close(folder)


def _load(kept: Kept) -> int:
    return kept.load
