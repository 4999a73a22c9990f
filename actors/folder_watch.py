"""A thread that says when something stirs in the job folder. It is a trigger and no more.

What has changed is found by reading the folder again, never from the events: a new folder with
files in it shows as the folder alone, and of a folder reached by a symbolic link that was pointed
elsewhere no event comes at all. So the folder's identity is looked at too, every other second (of
one that was never there seldom), and whoever is told reads everything every few minutes all the
same. Used by the scheduler's stage.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import NamedTuple

log = logging.getLogger("callsheet.scheduler")

# How often the folder's identity is looked at.
LOOK_MS = 2_000
# The same while it has never been there: most who have no calendars never make any.
SELDOM_S = 10.0
# Events are gathered this long; the library wakes so often.
STEP_MS = 250
MOST_MS = 2_000
# How long the stop of the thread is waited for: it is asked once in a step.
STOP_S = 2.0


class _Identity(NamedTuple):
    real: str
    device: int
    inode: int


class FolderWatch:
    """Calls `stirred` from a thread of its own, perhaps too often, between `start` and `stop`."""

    def __init__(self, folder: str, stirred: Callable[[], None]) -> None:
        self._folder = folder
        self._stirred = stirred
        self._stop = threading.Event()
        self._warned = ""
        self._thread = threading.Thread(target=self._run, name="folder-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()
        self._thread.join(STOP_S)

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        there, wait_s = True, SELDOM_S
        while not self._stop.is_set():
            identity = _identity(self._folder)
            if identity is not None:
                there, wait_s = True, LOOK_MS / 1e3
                self._watch(identity)
            elif there:
                there = False
                self._stirred()
            if identity is None or self._warned:
                self._stop.wait(wait_s)

    def _watch(self, identity: _Identity) -> None:
        """Watch until the folder is another one."""
        from watchfiles import watch

        first = True
        try:
            for changes in watch(
                identity.real,
                watch_filter=lambda _, path: "/.git/" not in path,
                debounce=MOST_MS,
                step=STEP_MS,
                stop_event=self._stop,
                rust_timeout=LOOK_MS,
                yield_on_timeout=True,
                raise_interrupt=False,
                ignore_permission_denied=True,
            ):
                # At first: for what changed while the watch was being set up.
                if changes or first:
                    self._stirred()
                first = False
                self._warned = ""
                if _identity(self._folder) != identity:
                    self._stirred()
                    return
        except (OSError, RuntimeError) as error:
            self._warn(f"{self._folder}: cannot be watched: {error}: it is read now and then")

    def _warn(self, sentence: str) -> None:
        if sentence != self._warned:
            self._warned = sentence
            log.warning("%s", sentence)


def _identity(folder: str) -> _Identity | None:
    """Return which folder the path leads to now, None when it leads to none."""
    try:
        real = os.path.realpath(folder)
        found = os.stat(real)
    except OSError:
        return None
    return _Identity(real, found.st_dev, found.st_ino)
