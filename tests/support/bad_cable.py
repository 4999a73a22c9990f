"""A cable that delays, loses, reorders and doubles what goes through it, as `tc netem` would.

A program of its own, in a network namespace between the two ends, since few kernels have netem: it
takes every frame from one of its two interfaces and gives it to the other, each way alike, with

    delay 300ms 100ms loss 10% reorder 25% duplicate 5%

until a line comes on its input, from when on it is as good as any; the end of its input is its own.
"""

from __future__ import annotations

import heapq
import random
import select
import socket
import sys
import time

DELAY_S, JITTER_S = 0.3, 0.1
LOSS, REORDER, DUPLICATE = 0.10, 0.25, 0.05
# What more comes while so much waits is lost, as in netem.
FRAMES_AT_MOST = 1_000
FRAME_BYTES = 65_536
AT_ONCE = 100
ALL_KINDS = 3


class BadCable:
    """See the module."""

    def __init__(self, seed: int, *sockets: socket.socket) -> None:
        self._random = random.Random(seed)
        self._to = dict(zip(sockets, reversed(sockets), strict=True))
        self._waiting: list[tuple[float, int, socket.socket, bytes]] = []
        self._count = 0
        self.is_bad = True

    def take(self, source: socket.socket, now_s: float) -> None:
        """Take what has come from one side."""
        for _ in range(AT_ONCE):
            try:
                frame, (_, _, kind, _, _) = source.recvfrom(FRAME_BYTES)
            except BlockingIOError:
                return
            if kind == socket.PACKET_OUTGOING:
                continue
            for _ in range(self._copies()):
                self._count += 1
                due_s = now_s + self._delay_s()
                heapq.heappush(self._waiting, (due_s, self._count, self._to[source], frame))

    def _copies(self) -> int:
        if not self.is_bad:
            return 1
        if self._random.random() < LOSS or len(self._waiting) >= FRAMES_AT_MOST:
            return 0
        return 1 + (self._random.random() < DUPLICATE)

    def _delay_s(self) -> float:
        if not self.is_bad or self._random.random() < REORDER:
            return 0.0
        return DELAY_S + self._random.uniform(-JITTER_S, JITTER_S)

    def give(self, now_s: float) -> float | None:
        """Give on what is due; return in how many seconds there is more, None: never."""
        while self._waiting and self._waiting[0][0] <= now_s:
            _, _, sink, frame = heapq.heappop(self._waiting)
            try:
                sink.send(frame)
            except OSError:
                continue  # That side is down, or has no room: the frame is lost.
        return max(0.0, self._waiting[0][0] - now_s) if self._waiting else None


def main() -> None:
    """Run between the two interfaces that the arguments name; the third is the seed."""
    sockets = []
    for name in sys.argv[1:3]:
        one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_KINDS))
        one.bind((name, ALL_KINDS))
        one.setblocking(False)
        sockets.append(one)
    cable = BadCable(int(sys.argv[3]), *sockets)
    print("ready", flush=True)
    wait_s: float | None = None
    while True:
        readable, _, _ = select.select([*sockets, sys.stdin], [], [], wait_s)
        if sys.stdin in readable:
            if not sys.stdin.readline():
                return
            cable.is_bad = False
        now_s = time.monotonic()
        for one in sockets:
            if one in readable:
                cable.take(one, now_s)
        wait_s = cable.give(now_s)


if __name__ == "__main__":
    main()
