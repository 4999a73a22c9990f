"""What becomes of finished outputs later: they go where the settings say, and when it is time.

Beside the output store, on a thread of its own: a store far away that is slow or down holds up no
run. A finished output is on the disk, and read there, until it has arrived; nothing is removed
before. So whatever dies meanwhile, the next one goes on with what still lies there.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time

from ..conf.storage_settings import StorageSettings
from ..store.places import DiskPlace, Lying, Place, UrlPlace

log = logging.getLogger("callsheet.outputs")

# How often the folder is looked at.
LOOK_S = 5.0
# A place that failed is tried again after this time.
AGAIN_S = 30.0
# A file this young may not be flushed yet by whoever has just written it.
YOUNG_S = 10.0
# Outputs that are too old are looked for this often.
RETENTION_S = 600.0
# What finished outputs are called; live ones and those being written end otherwise.
_OUTPUT = re.compile(r"[0-9a-f]{2}/r[0-9]{1,19}/[0-9]+\.[A-Za-z0-9_][A-Za-z0-9_.-]*")
_UNFINISHED = (".part", ".gap", ".new")


class OutputsUpkeep:
    """See the module. `root` is the output folder; `far`: where its files go, None: they stay."""

    def __init__(
        self,
        root: str,
        settings: StorageSettings,
        *,
        look_s: float = LOOK_S,
        young_s: float = YOUNG_S,
    ) -> None:
        self._root = root
        self._settings = settings
        self._look_s = look_s
        self._young_s = young_s
        self._disk = DiskPlace(root)
        self.far: Place | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="outputs upkeep", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; what it has not done is done by the next one."""
        self._over.set()
        self._thread.join(10)

    def _work(self) -> None:
        pause_s, retire_s = 0.0, time.monotonic()
        while not self._over.wait(pause_s):
            pause_s = self._look_s
            try:
                if self._settings.url is not None and self.far is None:
                    self.far = UrlPlace(self._settings.url, self._settings.options)
                self.move_all()
                if self._settings.retention_us is not None and time.monotonic() >= retire_s:
                    retire_s = time.monotonic() + RETENTION_S
                    self.remove_old(time.time() - self._settings.retention_us / 1e6)
            except Exception as error:  # noqa: BLE001 - whatever a store far away raises
                log.warning("outputs: %s: tried again in %.0f s", error, AGAIN_S)
                pause_s = AGAIN_S

    def move_all(self) -> int:
        """Move every finished output to where it goes; return how many there were.

        Raises:
            OSError: one of the places has failed.
        """
        if self.far is None:
            return 0
        count = 0
        for lying in self._finished(self._disk):
            if time.time() - lying.changed_s < self._young_s:
                continue
            try:
                self.far.put(f"{self._root}/{lying.path}", lying.path)
            except FileNotFoundError:
                continue  # made anew meanwhile
            if os.stat(f"{self._root}/{lying.path}").st_ctime == lying.changed_s:
                self._disk.remove(lying.path)
                count += 1
        return count

    def remove_old(self, before_s: float) -> int:
        """Remove finished outputs older than an instant, wherever they are; return how many.

        Raises:
            OSError: one of the places has failed.
        """
        count = 0
        for place in (self._disk, self.far):
            if place is None:
                continue
            for lying in self._finished(place):
                if 0 < lying.changed_s < before_s:
                    place.remove(lying.path)
                    count += 1
        return count

    def _finished(self, place: Place) -> list[Lying]:
        return [
            lying
            for lying in place.files()
            if _OUTPUT.fullmatch(lying.path) and not lying.path.endswith(_UNFINISHED)
        ]
