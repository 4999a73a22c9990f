"""The runner's stage: its core with the output store and the journal of placements beside it.

What the core posts to them stays in this process. A placement is in the journal before the agent
hears of it: the journal's line is written while the batch is being sent, in the order of the posts.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import pykka

from ..wire.ports import Letter
from .link import Link
from .outputs_seam import PLACEMENTS, STORE, KeepPlaced, Placed
from .outputs_store import OutputsStore
from .runner import Runner
from .runner_book import Key
from .stage import Script, Stage

JOURNAL = "placements"


class PlacementJournal:
    """Which attempt was given to which agent: one line each, read when a runner starts.

    It outlives the runner's process. It need not outlive the host: then the agents say what they
    have.
    """

    def __init__(self, root: str) -> None:
        self._path = os.path.join(root, JOURNAL)
        self.placed: dict[Key, Placed] = {}
        os.makedirs(root, mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as file:
            for line in file:
                with contextlib.suppress(ValueError, TypeError):
                    # A torn last line is left out.
                    placed = _placed(*json.loads(line))
                    self.placed[placed.run_id, placed.attempt] = placed
        self._file = self._open(self._path)

    def take(self, messages: Iterable[Any]) -> None:
        """Write what the core posts; one write for all of it."""
        lines: list[bytes] = []
        for message in messages:
            if isinstance(message, KeepPlaced):
                self._begin_anew(message.placed)
                lines = []
            else:
                lines.append(_line(message))
        if lines:
            os.write(self._file, b"".join(lines))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _open(self, path: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        if os.fstat(fd).st_size:
            # Ends a torn line, so that the next one stands alone.
            os.write(fd, b"\n")
        return fd

    def _begin_anew(self, placed: Iterable[Placed]) -> None:
        part = self._path + ".part"
        with open(part, "wb") as file:
            file.writelines(map(_line, placed))
        os.rename(part, self._path)
        os.close(self._file)
        self._file = self._open(self._path)


class RunnerStage(Stage):
    """Hosts the runner's core. `root` is the output folder."""

    def __init__(
        self,
        script: Script,
        link: Link,
        root: str,
        make_runner: Callable[[Mapping[Key, Placed]], Runner],
    ) -> None:
        super().__init__(script, link)
        self._root = root
        self._make_runner = make_runner
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
        if self._journal is not None:
            self._journal.close()
        super().shut()

    def _tell(self, answers: list[Any] | BaseException) -> None:
        """Tell the core, from the store's threads."""
        with contextlib.suppress(pykka.ActorDeadError):
            self.actor_ref.tell(answers)


def _line(placed: Placed) -> bytes:
    words = [placed.run_id, placed.attempt, placed.agent_id, placed.boot_id]
    return json.dumps(words).encode() + b"\n"


def _placed(run_id: str, attempt: int, agent_id: str, boot_id: str = "") -> Placed:
    """Return what a line of the journal says; those of before had no boot id."""
    return Placed(
        run_id=str(run_id), attempt=int(attempt), agent_id=str(agent_id), boot_id=str(boot_id)
    )
