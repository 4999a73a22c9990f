"""The scheduler's stage: its core, and the thread that watches the job folder if that is wished."""

from __future__ import annotations

import contextlib

import pykka

from .folder_watch import FolderWatch
from .link import Link
from .scheduler import Stirred
from .stage import Script, Stage


class SchedulerStage(Stage):
    """Hosts the scheduler's core. `watched` is the folder to watch, None: none is."""

    def __init__(self, script: Script, link: Link, watched: str | None) -> None:
        super().__init__(script, link)
        self._watch = None if watched is None else FolderWatch(watched, self._stirred)

    def open(self) -> None:
        """Open everything, then watch."""
        super().open()
        if self._watch is not None:
            self._watch.start()

    def shut(self) -> None:
        """Watch no more."""
        if self._watch is not None:
            self._watch.stop()
        super().shut()

    def _stirred(self) -> None:
        """Tell the core, from the watch's thread."""
        with contextlib.suppress(pykka.ActorDeadError):
            self.actor_ref.tell(Stirred())
