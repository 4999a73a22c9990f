"""Gives the room of bytes that are not kept back to the disk, on threads of its own.

A hole is punched under the lock that a writer of the file holds, also while the system slows that
writer down because the disk is behind: agentd itself would stand still with it. What is gone is on
record before it comes here, so nothing hangs on when it is done.
"""

from __future__ import annotations

import logging
import threading

from ..wire.holes import punch

log = logging.getLogger("callsheet.agentd")

# Files at once: each may have to wait for its writer.
AT_ONCE = 8


class Puncher:
    """See the module. Its threads live as long as agentd, and begin when they are needed."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._holes: dict[str, tuple[int, int]] = {}
        self._threads = 0
        self._said = False

    def take(self, path: str, start: int, end: int) -> None:
        """Have a hole punched; those of one file that wait become one."""
        with self._lock:
            known = self._holes.get(path, (start, end))
            self._holes[path] = (min(start, known[0]), max(end, known[1]))
            if self._threads < min(AT_ONCE, len(self._holes)):
                self._threads += 1
                threading.Thread(target=self._work, name="holes", daemon=True).start()
            self._lock.notify()

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._holes:
                    self._lock.wait()
                path = next(iter(self._holes))
                start, end = self._holes.pop(path)
            try:
                if not punch(path, start, end) and not self._said:
                    self._said = True
                    log.warning("%s: this disk has no holes: long outputs stay whole on it", path)
            except FileNotFoundError:
                continue  # forgotten meanwhile
            except OSError as error:
                log.warning("%s: cannot be shortened: %s", path, error)
