"""What every delivery is held to: how it says that it failed, and an end to waiting.

Used by the modules that carry actions out, on threads of the responder's stage.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

from ..jobs.errors import CallsheetError


class NotDelivered(CallsheetError):
    """An attempt has failed; `final`: it would fail again, so it is not tried again."""

    def __init__(self, sentence: str, *, final: bool = False) -> None:
        self.final = final
        super().__init__(sentence)


class TimeLimit:
    """Ends whatever waits on a socket once the time is up, however slowly bytes trickle in."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.is_over = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(limit_s, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        """The time begins."""
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """It is over in time."""
        self._timer.cancel()

    def watch(self, connection: socket.socket | None) -> None:
        """Watch this socket from now on."""
        with self._lock:
            self._socket = connection
        if self.is_over:
            self._end()

    def _end(self) -> None:
        with self._lock:
            self.is_over = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
