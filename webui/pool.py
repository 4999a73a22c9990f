"""Threads that read the store and files for the loop, each with a reader of its own.

The loop never waits for a disk. Work is refused when too much waits; a read that takes longer than
the reader's own limit (2 s) is given up there.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..store.interface import Reader, StoreError
from .routing import Problem

log = logging.getLogger("callsheet.web")

THREADS = 4
# Reads in hand and waiting; more are refused with 503.
MAX_WAITING = 400

T = TypeVar("T")


class ReaderPool:
    """See the module."""

    def __init__(self, open_reader: Callable[[], Reader], threads: int = THREADS) -> None:
        self._open = open_reader
        self._local = threading.local()
        self._readers: list[Reader] = []
        self._lock = threading.Lock()
        self._waiting = 0
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="callsheet-read")

    async def read(self, act: Callable[[Reader], T]) -> T:
        """Return `act(reader)`, called on one of the threads; all its reads see one state.

        Raises:
            Problem: 503, too much waits, or the store could not answer (in time).
        """
        return await self._run(lambda: self._read(act))

    async def run(self, act: Callable[[], T]) -> T:
        """Return `act()`, called on one of the threads: for files."""
        return await self._run(act)

    def close(self) -> None:
        """Stop the threads, close the readers."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for reader in self._readers:
            reader.close()

    async def _run(self, act: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            sentence = "too many requests wait for the store: try again later"
            raise Problem(503, sentence, headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, act)
        except StoreError as error:
            # What it says is about files and SQL: for the log, not for clients.
            log.warning("web: a read failed: %s", error)
            sentence = "the store did not answer, or not in time: ask for less or try again later"
            raise Problem(503, sentence, headers={"Retry-After": "1"}) from error
        finally:
            self._waiting -= 1

    def _read(self, act: Callable[[Reader], T]) -> T:
        reader: Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = self._open()
            with self._lock:
                self._readers.append(reader)
        with reader.snapshot():
            return act(reader)
