"""The client for ordinary programs: each method of `Surface` asks, and returns the answer."""

from __future__ import annotations

from .caller import AGAIN_S, Caller
from .surface import Surface


class Client(Surface, Caller):
    """A client of one server; for one thread at a time."""

    def wait_running(self, timeout: float) -> None:
        """Wait until the service is up; only a refused connection is tried again.

        Raises:
            TimeoutError: it was not up in time.
        """
        import time

        from .http import NoServer

        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{self.url}: not running after {timeout} s")
            try:
                self.running(timeout_s=left)
            except NoServer:
                time.sleep(min(AGAIN_S, max(left, 0)))
            else:
                return
