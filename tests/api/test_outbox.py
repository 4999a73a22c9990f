"""A socket's outbox: shared frames, bounded waiting, nothing lost silently."""

import asyncio

from callsheet.webui.outbox import MAX_BYTES, MAX_FRAMES, Outbox


class SlowSocket:
    """A socket that takes a frame only when the test lets it."""

    ws_connection = None

    def __init__(self):
        self.taken = []
        self.gate = asyncio.Event()
        self.closed = False

    async def write_message(self, frame, binary):
        await self.gate.wait()
        self.taken.append(frame)

    def close(self, code):
        self.closed = code == 1000


def run(test):
    async def wrapped():
        socket, cuts = SlowSocket(), []
        box = Outbox(socket, lambda: cuts.append(len(socket.taken)) or box.push(b"resync"))
        try:
            await test(socket, box, cuts)
        finally:
            box.stop()

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
        for i in range(MAX_FRAMES + 10):
            box.push(b"%d" % i)
        assert len(cuts) == 1
        socket.gate.set()
        await box.room()
        # What was being written when the rest was thrown away still goes out, then the notice.
        assert socket.taken[-10:] == [b"resync", *(b"%d" % i for i in range(1001, 1010))]
        assert len(socket.taken) <= 11

    run(test)


def test_too_many_bytes_are_thrown_away_and_said():
    async def test(socket, box, cuts):
        for _ in range(6):
            box.push(b"x" * (MAX_BYTES // 4))
        assert len(cuts) == 1

    run(test)


def test_one_frame_above_the_limit_is_sent():
    async def test(socket, box, cuts):
        box.push(b"x" * (MAX_BYTES + 1))
        socket.gate.set()
        await box.room()
        assert (len(socket.taken), cuts) == (1, [])

    run(test)


def test_closing_waits_for_what_waits():
    async def test(socket, box, cuts):
        box.push(b"last")
        closing = asyncio.create_task(box.close())
        await asyncio.sleep(0)
        assert not socket.closed
        socket.gate.set()
        await closing
        assert (socket.taken, socket.closed) == ([b"last"], True)

    run(test)
