"""A socket's outbox: shared frames, bounded waiting, nothing lost silently."""

import asyncio

import pytest

from callsheet.webui.outbox import MAX_BYTES, MAX_FRAMES, TOO_SLOW, Outbox, Waiting
from callsheet.webui.seam import Shared


class SlowSocket:
    """A socket that takes a frame only when the test lets it."""

    ws_connection = None

    def __init__(self):
        self.taken = []
        self.gate = asyncio.Event()
        self.closed = None

    async def write_message(self, frame, binary):
        await self.gate.wait()
        self.taken.append(frame)

    def close(self, code, reason=None):
        self.closed = code


def run(test):
    async def wrapped():
        socket, cuts = SlowSocket(), []
        waiting = Waiting()
        box = Outbox(socket, lambda: cuts.append(len(socket.taken)) or box.push(b"resync"), waiting)
        try:
            await test(socket, box, cuts)
        finally:
            box.stop()
            assert waiting.bytes == 0

    asyncio.run(asyncio.wait_for(wrapped(), 20))


def test_frames_are_sent_in_order():
    async def test(socket, box, cuts):
        socket.gate.set()
        for i in range(100):
            box.push(b"%d" % i)
        await box.room()
        assert socket.taken == [b"%d" % i for i in range(100)]

    run(test)


def test_too_many_frames_are_thrown_away_and_said():
    async def test(socket, box, cuts):
        box.push(b"in hand")
        await asyncio.sleep(0)
        for i in range(3 * MAX_FRAMES):
            box.push(b"%d" % i)
        # However long it goes on, nothing waits for who takes nothing, and nobody is told yet.
        assert (box.frames, box.bytes, box.cuts, cuts) == (0, 0, 1, [])
        socket.gate.set()
        await box.room()
        box.push(b"next")
        await box.room()
        assert socket.taken == [b"in hand", b"resync", b"next"]

    run(test)


def test_too_many_bytes_are_thrown_away_and_said():
    async def test(socket, box, cuts):
        for _ in range(6):
            box.push(b"x" * (MAX_BYTES // 4))
        assert (box.cuts, box.bytes) == (1, 0)

    run(test)


def test_one_frame_above_the_limit_is_sent():
    async def test(socket, box, cuts):
        box.push(b"x" * (MAX_BYTES + 1))
        socket.gate.set()
        await box.room()
        assert (len(socket.taken), box.cuts) == (1, 0)

    run(test)


def test_closing_waits_for_what_waits():
    async def test(socket, box, cuts):
        box.push(b"last")
        closing = asyncio.create_task(box.close())
        await asyncio.sleep(0)
        assert not socket.closed
        socket.gate.set()
        await closing
        assert (socket.taken, socket.closed) == ([b"last"], 1000)


@pytest.mark.parametrize("when", ["before", "after"])
def test_who_would_never_hear_what_it_must_is_disconnected(when):
    async def test(socket, box, cuts):
        if when == "before":
            box.push(b"refused", must=True)
        for _ in range(MAX_FRAMES + 1):
            box.push(b"x")
        assert socket.closed == (TOO_SLOW if when == "before" else None)
        box.push(b"refused", must=True)
        assert socket.closed == TOO_SLOW

    run(test)


def in_many(count, most_bytes, test):
    """Run a test with so many outboxes under one bound."""

    async def wrapped():
        waiting = Waiting(most_bytes)
        boxes = [Outbox(SlowSocket(), lambda: None, waiting) for _ in range(count)]
        test(waiting, boxes)
        for box in boxes:
            box.stop()
        assert waiting.bytes == 0

    asyncio.run(wrapped())


def test_a_frame_that_many_wait_for_is_kept_and_counted_once():
    def test(waiting, boxes):
        frame = Shared(b"x" * 1_000)
        for box in boxes:
            box.push(frame, head=b"head")
        assert waiting.bytes == 1_000 + 50 * len(b"head")
        assert all(box.frames == 1 for box in boxes)

    in_many(50, 10_000, test)


def test_all_together_hold_no_more_than_one_bound_and_the_fullest_is_cut_first():
    def test(waiting, boxes):
        lean, *fat = boxes
        lean.push(b"y" * 100)
        for n in range(1_000):
            fat[n % 10].push(b"x" * 1_000)
            assert waiting.bytes <= 5_000
        assert (lean.cuts, lean.frames) == (0, 1)
        assert waiting.cuts == sum(box.cuts for box in fat) > 0

    in_many(11, 5_000, test)
