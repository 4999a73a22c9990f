"""The runner's stage: its core with the output store and the journal of placements beside it.

What the core posts to them stays in this process. A placement is in the journal before the agent
hears of it: the journal's line is written while the batch is being sent, in the order of the posts.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import pykka

from ..conf.storage_settings import StorageSettings
from ..wire.ports import Letter
from .link import Link
from .outputs_seam import PLACEMENTS, STORE, KeepPlaced, Placed
from .outputs_store import OutputsStore
from .outputs_upkeep import OutputsUpkeep
from .runner import Runner
from .runner_book import Key
from .stage import Script, Stage

log = logging.getLogger("callsheet.runner")

JOURNAL = "placements"
# A run that is held until its time is let go within some microseconds of it.
AWAKE_US = 200
_encode = msgspec.json.Encoder().encode
# Room for some 20,000 lines: more than a ledger on the same full disk can ask for.
ROOM_BYTES = 2**20


class PlacementJournal:
    """Which attempt was given to which agent: one line each, read when a runner starts.

    It outlives the runner's process. It need not outlive the host: then the agents say what they
    have. Room for more lines is taken ahead, so that it goes on where the disk is full.
    """

    def __init__(self, root: str) -> None:
        self._path = os.path.join(root, JOURNAL)
        self.placed: dict[Key, Placed] = {}
        os.makedirs(root, mode=0o700, exist_ok=True)
        data = b""
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as file:
            data = file.read().rstrip(b"\0")
        for line in data.splitlines():
            with contextlib.suppress(ValueError, TypeError):
                # A torn last line is left out.
                placed = _placed(*json.loads(line))
                self.placed[placed.run_id, placed.attempt] = placed
        # Ends a torn line, so that the next one stands alone.
        self._before = b"\n" if data and not data.endswith(b"\n") else b""
        self._file, self._end, self._room = -1, 0, 0
        self._open(len(data))

    def take(self, messages: Iterable[Any]) -> None:
        """Write what the core posts; one write for all of it.

        Raises:
            OSError: it cannot be written: nobody may be told to start what it names.
        """
        lines: list[bytes] = []
        for message in messages:
            if isinstance(message, KeepPlaced) and self._begin_anew(message.placed):
                lines = []
            elif isinstance(message, Placed):
                lines.append(_line(message))
        if lines:
            self._write(self._before + b"".join(lines))
            self._before = b""

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _open(self, end: int) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._file, self._end, self._room = fd, end, os.fstat(fd).st_size
        self._make_room(0)

    def _make_room(self, wanted: int) -> None:
        """Take room on the disk ahead; without it lines are written as long as there is some."""
        if self._end + wanted + ROOM_BYTES // 2 > self._room:
            with contextlib.suppress(OSError):
                os.posix_fallocate(self._file, self._end, wanted + ROOM_BYTES)
                self._room = self._end + wanted + ROOM_BYTES

    def _write(self, data: bytes) -> None:
        self._make_room(len(data))
        if os.pwrite(self._file, data, self._end) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        self._end += len(data)

    def _begin_anew(self, placed: Iterable[Placed]) -> bool:
        """Replace the journal by one of these lines; False: the old one, which has them, stays."""
        part = self._path + ".part"
        data = b"".join(map(_line, placed))
        try:
            with open(part, "wb") as file:
                file.write(data)
            os.rename(part, self._path)
        except OSError as error:
            log.warning("%s: cannot begin anew: %s: it goes on", self._path, error.strerror)
            with contextlib.suppress(OSError):
                os.unlink(part)
            return False
        os.close(self._file)
        self._before = b""
        self._open(len(data))
        return True


class RunnerStage(Stage):
    """Hosts the runner's core. `root` is the output folder; `storage`: what becomes of it."""

    def __init__(
        self,
        script: Script,
        link: Link,
        root: str,
        make_runner: Callable[[Mapping[Key, Placed]], Runner],
        storage: StorageSettings = StorageSettings(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(script, link)
        self._root = root
        self._make_runner = make_runner
        self._storage = storage
        self._upkeep: OutputsUpkeep | None = None
        self._store: OutputsStore | None = None
        self._journal: PlacementJournal | None = None

    def open(self) -> None:
        """Open the journal and the store before the core is built."""
        journal = self._journal = PlacementJournal(self._root)
        store = self._store = OutputsStore(self._root, self._tell, self._tell)
        self.script = msgspec.structs.replace(
            self.script,
            make_core=lambda: self._make_runner(journal.placed),
            local={STORE: store.take, PLACEMENTS: journal.take},
        )
        if self._storage.url is not None or self._storage.retention_us is not None:
            self._upkeep = OutputsUpkeep(self._root, self._storage)
        self.mailbox.awake_us = AWAKE_US
        super().open()

    def hear(self, message: Any) -> None:
        """Play what the output store says; an error that ended it ends the role."""
        if isinstance(message, BaseException):
            raise message
        self.turn([Letter("local", "local", message)])

    def shut(self) -> None:
        """Have the store finish what it has in hand."""
        if self._store is not None:
            self._store.close()
        if self._upkeep is not None:
            self._upkeep.close()
        if self._journal is not None:
            self._journal.close()
        super().shut()

    def _tell(self, answers: list[Any] | BaseException) -> None:
        """Tell the core, from the store's threads."""
        with contextlib.suppress(pykka.ActorDeadError):
            self.actor_ref.tell(answers)


def _line(placed: Placed) -> bytes:
    words = [placed.run_id, placed.attempt, placed.agent_id, placed.boot_id]
    return _encode(words) + b"\n"


def _placed(run_id: str, attempt: int, agent_id: str, boot_id: str = "") -> Placed:
    """Return what a line of the journal says; those of before had no boot id."""
    return Placed(
        run_id=str(run_id), attempt=int(attempt), agent_id=str(agent_id), boot_id=str(boot_id)
    )
