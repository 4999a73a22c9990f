"""stdout and stderr of a process whose streams are told apart: views of its output by its order.

Neither is stored: the output is, and which of its bytes came from where (`jobs/order.py`). Offsets
of a view count the bytes of its stream. Used by web's threads.
"""

from __future__ import annotations

from collections.abc import Callable

from ..jobs.keeping import ORDER, OUTPUT, STREAMS
from ..jobs.order import ENTRY, Order
from ..messages.instructions import OutputRecord
from .outputs import OutputFiles

# Orders of finished outputs kept in memory.
ORDERS_AT_MOST = 16
# What is read of an order; an agent writes less.
ORDER_BYTES = ENTRY.size * 2**20

# What is read of an output at a time for a whole stream.
PIECE_BYTES = 2**20

ReadSpan = Callable[[int, int], tuple[int, bytes]]


def is_view(record: OutputRecord) -> bool:
    """Whether an output is not stored itself, but a part of another."""
    return record.path is None and record.data is None


def stream_span(
    order: Order, stream: int, read: ReadSpan, start: int, limit: int
) -> tuple[int, bytes]:
    """Return bytes of a stream from `start` on, and where they begin: later where some are not
    kept. None come only where there are none yet.

    Args:
        read: gives bytes of the output from an offset, at most so many, and where they begin.
    """
    if start >= order.parts[stream]:
        return start, b""
    offset = order.offset_of(stream, start)
    begin, data = read(offset, limit)
    place = start if begin == offset else order.places(begin)[stream]
    found = b"".join(
        data[piece.start - begin : piece.end - begin]
        for piece in order.pieces(begin, begin + len(data))
        if piece.stream == stream
    )
    if not found and place > start:
        return stream_span(order, stream, read, place, limit)
    return place, found


class StreamViews:
    """Reads stdout and stderr; from any thread."""

    def __init__(self, files: OutputFiles) -> None:
        self._files = files
        self._orders: dict[tuple[str, int], Order] = {}

    def finished(
        self, output: OutputRecord, order: OutputRecord, name: str, start: int, limit: int
    ) -> tuple[int, bytes]:
        """Return a span of a stream of a finished output.

        Raises:
            OutputGone: a file is not there or is damaged.
        """
        known = self._order(order)
        read = lambda offset, count: self._files.span(output, offset, count)  # noqa: E731
        return stream_span(known, STREAMS.index(name), read, start, limit)

    def whole(self, output: OutputRecord, order: OutputRecord, name: str) -> bytes:
        """Return all that is kept of a stream of a finished output.

        Raises:
            OutputGone: a file is not there or is damaged.
        """
        found: list[bytes] = []
        start = 0
        while True:
            begin, piece = self.finished(output, order, name, start, PIECE_BYTES)
            if not piece:
                return b"".join(found)
            found.append(piece)
            start = begin + len(piece)

    def live(
        self, run_id: str, attempt: int, name: str, start: int | None, limit: int
    ) -> tuple[int, int, bytes] | None:
        """Return a span of a stream that grows, after its length; None while there is none.

        Args:
            start: negative: so many bytes before its end; None: its end.
        """
        output = self._files.live(run_id, attempt, OUTPUT)
        table = self._files.live(run_id, attempt, ORDER)
        if output is None or table is None:
            return None
        order = Order(table.span(0, ORDER_BYTES)[1])
        stream = STREAMS.index(name)
        length = order.places(min(order.size, output.length))[stream]
        if start is None or start < 0:
            start = max(0, length + (start or 0))
        begin, data = start, b""
        if start < length:
            begin, data = stream_span(order, stream, output.span, start, limit)
        return length, begin, data

    def _order(self, record: OutputRecord) -> Order:
        key = (record.run_id, record.attempt)
        order = self._orders.get(key)
        if order is None:
            order = Order(self._files.read(record, 0, ORDER_BYTES))
            while len(self._orders) >= ORDERS_AT_MOST:
                self._orders.pop(next(iter(self._orders)), None)
            self._orders[key] = order
        return order
