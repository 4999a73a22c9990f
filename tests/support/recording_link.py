"""A link that keeps what a stage says, for tests of stages."""

from __future__ import annotations

import queue
import threading
from typing import Any

WAIT_S = 60.0


class RecordingLink:
    """See the module; `hears` returns the next word and what it was said with. Beats come when they
    like, and are kept apart."""

    def __init__(self) -> None:
        self.said: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.beats: queue.Queue[str] = queue.Queue()
        self.is_closed = threading.Event()

    def ready(self, detail: str = "") -> None:
        self.said.put(("ready", detail))

    def beat(self, figures: str = "") -> None:
        self.beats.put(figures)

    def health(self, sentence: str) -> None:
        self.said.put(("health", sentence))

    def unusable(self, sentence: str) -> None:
        self.said.put(("unusable", sentence))

    def crashed(self, role: str, error: BaseException) -> None:
        self.said.put(("crashed", error))

    def closed(self) -> None:
        self.is_closed.set()

    def hears(self) -> tuple[str, Any]:
        return self.said.get(timeout=WAIT_S)
