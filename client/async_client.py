"""The client for asynchronous programs: each method of `Surface` is awaited for its answer."""

from __future__ import annotations

import asyncio

from .async_caller import AsyncCaller
from .caller import AGAIN_S
from .http import NoServer
from .surface import Surface


class AsyncClient(Surface, AsyncCaller):
    """A client of one server; for one event loop, and any number of tasks."""

    async def wait_running(self, timeout: float) -> None:  # noqa: ASYNC109 - as in `Client`
        """Wait until the service is up; only a refused connection is tried again.

        Raises:
            TimeoutError: it was not up in time.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        await self.running()
                    except NoServer:
                        await asyncio.sleep(AGAIN_S)
                    else:
                        return
        except TimeoutError:
            raise TimeoutError(f"{self.url}: not running after {timeout} s") from None
