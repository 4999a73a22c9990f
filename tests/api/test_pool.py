"""The readers of the web server's pool: how many there are, and what is left of them at rest."""

from __future__ import annotations

import asyncio
import threading
from contextlib import nullcontext
from typing import Any

from callsheet.webui.pool import THREADS, ReaderPool


class FakeReader:
    """Notes what becomes of it."""

    def __init__(self) -> None:
        self.rested = 0
        self.closed = False

    def snapshot(self) -> Any:
        assert not self.closed
        return nullcontext()

    def rest(self) -> None:
        self.rested += 1

    def close(self) -> None:
        self.closed = True


def of_pool(act: Any) -> tuple[Any, list[FakeReader]]:
    """Return what `act` does with a pool, and the pool's readers; it is closed then."""
    made: list[FakeReader] = []

    def open_reader() -> Any:
        made.append(FakeReader())
        return made[-1]

    async def play() -> Any:
        pool = ReaderPool(open_reader)
        try:
            return await act(pool)
        finally:
            pool.close()

    found = asyncio.run(play())
    assert all(reader.closed for reader in made)
    return found, made


async def together(pool: ReaderPool) -> None:
    """Read in all threads at once."""
    gate = threading.Barrier(THREADS)
    await asyncio.gather(*(pool.read(lambda _: gate.wait(20)) for _ in range(THREADS)))


def test_one_read_after_another_has_the_same_reader() -> None:
    async def act(pool: ReaderPool) -> set[int]:
        return {await pool.read(id) for _ in range(5 * THREADS)}

    found, made = of_pool(act)
    assert (len(found), len(made)) == (1, 1)


def test_reads_at_once_have_a_reader_each_and_at_rest_one_is_left_which_rests() -> None:
    async def act(pool: ReaderPool) -> tuple[int, int]:
        await together(pool)
        pool.rest()
        pool.rest()
        left = [await pool.read(id) for _ in range(3)]
        await together(pool)
        return len(set(left)), left[0]

    (count, left), made = of_pool(act)
    assert count == 1
    assert [reader.rested for reader in made if id(reader) == left] == [2]
    assert [reader.rested for reader in made if id(reader) != left] == [0] * (2 * THREADS - 2)


def test_a_reader_that_reads_is_let_be_by_a_rest() -> None:
    async def act(pool: ReaderPool) -> bool:
        begun, may_end = threading.Event(), threading.Event()

        def slow(reader: Any) -> bool:
            begun.set()
            assert may_end.wait(20)
            return reader.closed or reader.rested > 0

        reading = asyncio.ensure_future(pool.read(slow))
        await asyncio.get_running_loop().run_in_executor(None, begun.wait, 20)
        pool.rest()
        may_end.set()
        return await reading

    found, _ = of_pool(act)
    assert not found


def test_a_read_that_fails_gives_its_reader_back() -> None:
    async def act(pool: ReaderPool) -> None:
        for _ in range(3):
            try:
                await pool.read(lambda _: 1 / 0)
            except ZeroDivisionError:
                continue
            raise AssertionError

    _, made = of_pool(act)
    assert len(made) == 1
