"""How signals reach the processes of an attempt, whoever keeps them and whosever they are.

Part of the local host, on agentd's one thread. A process with a keeper is signalled by it; one
whose keeper died, by a descriptor of its own; one of another user, by an agent that is not root,
by way of that user; a whole group with limits, by its cgroup. Whoever has left them comes last.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterable

from . import procs
from .grouped import Grouped
from .held import signal_name
from .host import Fact, Gone, Key, Spec
from .keepers import Keepers
from .reach import Errand, Reach
from .spool import Spool
from .strays import Strays
from .users import COOKIE

log = logging.getLogger("callsheet.agentd")

LOST = "lost: its keeper died, so how it ended is not known"


class Signals:
    """See the module. `fds` are to be polled; `hear` returns what has happened at one of them."""

    def __init__(self, spool: Spool, keepers: Keepers, grouped: Grouped) -> None:
        self.strays = Strays(spool, keepers)
        self._spool = spool
        self._keepers = keepers
        self._grouped = grouped
        self._reach = Reach()
        self._unkept: dict[int, Key] = {}
        self._unkept_pids: dict[Key, int] = {}
        # Those that only their own users can signal, and those that have a sudo before them.
        self._others: dict[Key, Spec] = {}
        self._led: set[Key] = set()

    # --- attempts come and go -------------------------------------------------------------------

    def take(self, key: Key, spec: Spec) -> None:
        """An attempt is about to be started, or was by an agentd before this one."""
        if spec.become and os.geteuid() != 0:
            self._others[key] = spec
        elif spec.become:
            self._led.add(key)

    def watch(self, key: Key, pid: int) -> bool:
        """Watch a process that has no keeper to its end; False when that has come."""
        ticks = procs.start_ticks(pid)
        fd = None if ticks is None else procs.open_same(pid, ticks, ticks)
        if fd is None:
            return False
        self._unkept[fd] = key
        self._unkept_pids[key] = pid
        return True

    def forget(self, key: Key) -> None:
        """An attempt is over and done with."""
        self._others.pop(key, None)
        self._led.discard(key)
        self._reach.forget(key)
        self.strays.forget(key)

    # --- signals --------------------------------------------------------------------------------

    def send(self, key: Key, number: int, *, whole: bool) -> Iterable[Fact]:
        """Send a signal; see `Host.signal`. Return what is known at once of how it went."""
        log.info("claim %s: %s", key, signal_name(number))
        if whole and number == signal.SIGKILL:
            self._grouped.kill(key)
        if key in self._others:
            return self._by_its_user(key, number, whole=whole)
        pid = self._keepers.live_pid(key) or self._unkept_pids.get(key, 0)
        if whole and pid:
            self.strays.remember(key, pid)
            if key in self._led and number != signal.SIGKILL and self.strays.led_by(pid, number):
                return ()
        if self._keepers.signal(key, number, whole=whole):
            # Its strays come after it, when its end is known: were they gone before, it could say
            # of itself how it ended.
            return ()
        if key in self._unkept_pids:
            fd = next(fd for fd, unkept in self._unkept.items() if unkept == key)
            signal.pidfd_send_signal(fd, number)
        if whole and number == signal.SIGKILL:
            self.strays.kill(key, number)
        return ()

    def _by_its_user(self, key: Key, number: int, *, whole: bool) -> Iterable[Fact]:
        spec = self._others[key]
        errand = Errand(
            key=key,
            user=spec.program.sudo_user or "",
            become=spec.become,
            variable=f"{COOKIE}={self._spool.cookie(key)}",
            number=number,
            whole=whole,
            is_live=key in self._unkept_pids or self._keepers.live_pid(key) > 0,
        )
        note = self._reach.send(errand)
        return () if note is None else (note,)

    # --- the loop's side ------------------------------------------------------------------------

    @property
    def fds(self) -> list[int]:
        """Descriptors to be polled for reading."""
        return [*self._unkept, *self._reach.fds]

    def hear(self, fd: int) -> Iterable[Fact]:
        """One of `fds` can be read: a process without a keeper is over, or an errand done."""
        if fd not in self._unkept:
            return self._reach.hear(fd)
        key = self._unkept.pop(fd)
        self._unkept_pids.pop(key, None)
        os.close(fd)
        return [Gone(key, time.time_ns() // 1_000, LOST)]
