"""The scheduler's stage: its core, and the threads that watch its folders if that is wished."""

from __future__ import annotations

import contextlib

import pykka

from ..wire.ports import Letter
from .folder_watch import FolderWatch
from .link import Link
from .scheduler import Scheduler, Stirred
from .stage import Script, Stage


class SchedulerStage(Stage):
    """Hosts the scheduler's core. `watched` are the folders to watch."""

    def __init__(self, script: Script, link: Link, watched: tuple[str, ...]) -> None:
        super().__init__(script, link)
        self._watches = [FolderWatch(folder, self._stirred) for folder in watched]
        self._health = ""

    def open(self) -> None:
        """Open everything, then watch."""
        super().open()
        for watch in self._watches:
            watch.start()

    def turn(self, letters: list[Letter]) -> None:
        """Play a batch; what keeps the job folder from force is said to who supervises and logs."""
        super().turn(letters)
        assert isinstance(self.core, Scheduler)
        if (health := self.core.health) != self._health:
            self._health = health
            self.link.health(health)

    def shut(self) -> None:
        """Watch no more."""
        for watch in self._watches:
            watch.stop()
        super().shut()

    def _stirred(self) -> None:
        """Tell the core, from the watch's thread."""
        with contextlib.suppress(pykka.ActorDeadError):
            self.actor_ref.tell(Stirred())
