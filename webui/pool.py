"""Threads that read the store and files for the loop, by readers of which each reads for one.

What one thread after another can do is done by one reader: each has pages of its own in memory,
which `rest` gives back. The loop never waits for a disk. Work is refused when too much waits; a
read that takes longer than the reader's own limit (2 s) is given up there.
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
        # Those that nobody reads with just now; the last is the one used last.
        self._free: list[Reader] = []
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

    def rest(self) -> None:
        """Close the readers that nobody reads with, but for one, which gives its memory back; from
        any thread."""
        with self._lock:
            spare, self._free = self._free, []
        while len(spare) > 1:
            spare.pop(0).close()
        for reader in spare:
            reader.rest()
            self._put_back(reader)

    def close(self) -> None:
        """Stop the threads, close the readers."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            while self._free:
                self._free.pop().close()

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
        with self._lock:
            reader = self._free.pop() if self._free else None
        reader = reader or self._open()
        try:
            with reader.snapshot():
                return act(reader)
        finally:
            self._put_back(reader)

    def _put_back(self, reader: Reader) -> None:
        with self._lock:
            self._free.append(reader)
