"""The scheduler's stage: its core, and the threads that watch its folders if that is wished."""

from __future__ import annotations

import contextlib

import pykka

from .folder_watch import FolderWatch
from .link import Link
from .scheduler import Stirred
from .stage import Script, Stage


class SchedulerStage(Stage):
    """Hosts the scheduler's core. `watched` are the folders to watch."""

    def __init__(self, script: Script, link: Link, watched: tuple[str, ...]) -> None:
        super().__init__(script, link)
        self._watches = [FolderWatch(folder, self._stirred) for folder in watched]

    def open(self) -> None:
        """Open everything, then watch."""
        super().open()
        for watch in self._watches:
            watch.start()

    def shut(self) -> None:
        """Watch no more."""
        for watch in self._watches:
            watch.stop()
        super().shut()

    def _stirred(self) -> None:
        """Tell the core, from the watch's thread."""
        with contextlib.suppress(pykka.ActorDeadError):
            self.actor_ref.tell(Stirred())
