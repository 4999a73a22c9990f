"""Processes that a run leaves behind, or that have left its group: found, told, killed.

Used by the local host. Keepers are subreapers, so whoever loses its parent becomes a child of
theirs; whose it was is said by what its environment carries, or by its session. A process that has
shed all three (environment, session, parent) before a stop looked at the tree is not found: nothing
of the run is on it any more.
"""

from __future__ import annotations

from collections.abc import Iterable

from . import procs
from .host import Key
from .keepers import Keepers
from .spool import Spool
from .users import COOKIE

# Who forks while it is being killed is looked for again.
ROUNDS = 3
# Children of a keeper that are looked into at once; told are so many of a run.
LOOKED_AT = 1_000
TOLD = 20


class Strays:
    """See the module."""

    def __init__(self, spool: Spool, keepers: Keepers) -> None:
        self._spool = spool
        self._keepers = keepers
        self._trees: dict[Key, dict[int, procs.Stat]] = {}
        self._known: dict[int, procs.Stat] = {}
        self._marked: dict[bytes, list[int]] | None = None

    def look_anew(self) -> None:
        """What is known of processes is out of date. Until then one look serves for all."""
        self._known, self._marked = {}, None

    def left_by(self, ended: Iterable[tuple[Key, int]]) -> dict[Key, tuple[tuple[int, str], ...]]:
        """Return the processes (pid, name) that outlive runs which have just ended.

        Args:
            ended: key and pid of each run's own process.
        """
        orphans = self._keepers.orphans()[:LOOKED_AT]
        if not orphans:
            return {}
        by_cookie = {self._spool.cookie(key): key for key, _ in ended}
        by_session = {pid: key for key, pid in ended if pid}
        found: dict[Key, list[tuple[int, str]]] = {}
        others = self._keepers.in_hand()
        for pid in orphans:
            cookie = procs.variable_of(pid, COOKIE.encode()).decode("latin-1")
            key = by_cookie.get(cookie)
            if key is None and cookie.removeprefix(self._spool.cookie_prefix) in others:
                # It has just been started, or belongs to one that goes on.
                continue
            stat = procs.stat_of(pid)
            if key is None and stat is not None:
                key = by_session.get(stat.session)
            if key is None or stat is None or stat.pid in by_session or procs.is_dying(pid):
                continue
            found.setdefault(key, []).append((pid, procs.name_of(pid)))
        return {key: tuple(strays[:TOLD]) for key, strays in found.items()}

    def remember(self, key: Key, pid: int) -> None:
        """Remember the whole tree of a process that is to end: its members may lose each other."""
        tree = self._trees.setdefault(key, {})
        tree.update((stat.pid, stat) for stat in procs.below([pid], self._everybody()))

    def led_by(self, pid: int, number: int) -> int:
        """Signal the group of a sudo, but not itself: it hands signals on, and they would come
        twice. Return how many were signalled, 0 when it leads nobody or is no sudo any more."""
        group = [stat for stat in self._everybody().values() if stat.group == pid]
        if not procs.is_roots(pid):
            return 0
        return procs.signal_all([stat for stat in group if stat.pid != pid], number)

    def kill(self, key: Key, number: int) -> None:
        """Signal whoever is left of a run."""
        for _ in range(ROUNDS):
            left = self._left(key)
            if not left or not procs.signal_all(left, number):
                return
            self.look_anew()

    def forget(self, key: Key) -> None:
        """A run is over and done with."""
        self._trees.pop(key, None)

    def _left(self, key: Key) -> list[procs.Stat]:
        """Return who carries the mark of a run, was in its tree, or descends from such."""
        known = self._everybody()
        if self._marked is None:
            self._marked = procs.marks(COOKIE.encode(), known)
        cookie = self._spool.cookie(key).encode()
        # Of the tree as it was, who is still the same; its parent may be another by now.
        tree = self._trees.get(key, {}).values()
        left = [known[s.pid] for s in tree if s.pid in known and known[s.pid].ticks == s.ticks]
        found = {stat.pid: stat for stat in left}
        found |= {pid: known[pid] for pid in self._marked.get(cookie, ())}
        found |= {stat.pid: stat for stat in procs.below(found, known)}
        return list(found.values())

    def _everybody(self) -> dict[int, procs.Stat]:
        self._known = self._known or procs.everybody()
        return self._known
