"""Chunks of output are as large as the network is quick, so that beats are not behind them."""

from __future__ import annotations

from collections import deque

import pytest
from noting_host import NotingHost

from callsheet.agentd.host import Extent, Key
from callsheet.agentd.pace import CHUNK_BYTES, LEAST_BYTES, PATIENCE_MAX_US, PATIENCE_US, Pace
from callsheet.agentd.streams import CREDIT, Stream

KEY = Key("r1", 1)
SECOND_US = 1_000_000


class EndlessHost(NotingHost):
    """Its outputs never end."""

    def read_output(self, key: Key, name: str, offset: int, limit: int) -> bytes:
        return bytes(limit)

    def compress(self, data: bytes) -> tuple[bytes, str | None]:
        return data, None


class Line:
    """A network of so many bytes a second, in order, with a time of its own each way."""

    def __init__(self, bytes_a_second: int, way_us: int) -> None:
        self._rate, self._way_us = bytes_a_second, way_us
        self.now_us = 0
        self._free_us = 0
        self._answers: deque[tuple[int, int]] = deque()
        self.pace = Pace()
        self.stream = Stream("output")
        self.stream.see(Extent("output", 2**40))
        self.most_queued_us = 0
        self.sent_bytes = self.taken_bytes = 0

    def run(self, seconds: int) -> None:
        """Send as much as may be sent; note how long something sent now would wait."""
        until_us = self.now_us + seconds * SECOND_US
        self.most_queued_us = self.sent_bytes = 0
        begun = self.stream.taken
        while self.now_us < until_us:
            for chunk in self.stream.chunks(EndlessHost(), KEY, self.pace, self.now_us, CREDIT):
                passes_us = len(chunk.data) * SECOND_US // self._rate
                self._free_us = max(self._free_us, self.now_us) + passes_us
                self.sent_bytes += len(chunk.data)
                end = chunk.offset + len(chunk.data)
                self._answers.append((self._free_us + 2 * self._way_us, end))
            self.most_queued_us = max(self.most_queued_us, self._free_us - self.now_us)
            self.now_us, upto = self._answers.popleft()
            self.stream.take(upto, self.pace, self.now_us)
        self.taken_bytes = self.stream.taken - begun


@pytest.mark.parametrize("way_us", [1_000, 300_000])
@pytest.mark.parametrize("rate", [16_000, 100_000, 1_000_000])
def test_nothing_waits_long_behind_output_however_slow_the_network_is(rate, way_us):
    line = Line(rate, way_us)
    line.run(60)
    assert line.most_queued_us < 6 * SECOND_US
    line.run(600)
    assert line.most_queued_us < 3 * SECOND_US
    # Little is sent twice, and little of the network is left unused.
    assert line.taken_bytes > 0.9 * line.sent_bytes
    assert line.taken_bytes > 0.5 * 600 * rate


def test_on_a_quick_network_chunks_are_soon_as_large_as_they_may_be():
    line = Line(100_000_000, 1_000)
    line.run(1)
    assert line.pace.chunk_bytes == CHUNK_BYTES


def test_what_nobody_takes_is_sent_again_ever_more_seldom():
    stream, pace = Stream("output"), Pace()
    stream.see(Extent("output", 2**20))
    sent_at_s = [
        second
        for second in range(200)
        if stream.chunks(EndlessHost(), KEY, pace, second * SECOND_US, CREDIT)
    ]
    assert sent_at_s == [0, 2, 6, 14, 30, 62, 94, 126, 158, 190]
    assert (pace.chunk_bytes, pace.patience_us) == (LEAST_BYTES, PATIENCE_MAX_US)


def test_what_was_sent_again_says_nothing_of_the_network():
    stream, pace = Stream("output"), Pace()
    stream.see(Extent("output", 2**20))
    stream.chunks(EndlessHost(), KEY, pace, 0, 1)
    (again,) = stream.chunks(EndlessHost(), KEY, pace, PATIENCE_US, 1)
    before = (pace.chunk_bytes, pace.patience_us)
    stream.take(again.offset + len(again.data), pace, PATIENCE_US + 1)
    assert (pace.chunk_bytes, pace.patience_us) == before


def test_a_new_connection_begins_with_small_chunks_and_little_patience():
    pace = Pace()
    for _ in range(10):
        pace.taken(pace.chunk_bytes, 1_000)
    pace.missed()
    pace.begin()
    first = Pace()
    assert (pace.chunk_bytes, pace.patience_us) == (first.chunk_bytes, first.patience_us)
