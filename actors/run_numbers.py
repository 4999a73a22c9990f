"""The scheduler's stock of run numbers, leased in blocks from the ledger.

A number is handed out once, ever: an answer is used only for the request that waits for it, so that
a doubled answer, or one meant for an earlier scheduler, adds nothing. Lost blocks stay unused.
"""

from __future__ import annotations

from collections import deque

from ..messages.commands import IdsLeased
from ..messages.instructions import LeaseIds
from ..messages.post import LEDGER, Post
from .requests import OpenRequests

# What a start leaves unused is a leap in the numbers that people see: so the first block is small.
BLOCK = 100
BLOCK_AT_MOST = 20_000
# A block used up faster than this has the next one doubled, one that lasts longer halved.
BUSY_US = 10_000_000


class RunNumbers:
    """Numbers in stock. `first_request` is a number no earlier scheduler used for a request."""

    def __init__(self, first_request: int) -> None:
        self._request = first_request
        self._blocks: deque[range] = deque()
        self._stock = 0
        self._wanted = 0
        self._block = BLOCK
        self._leased_us: int | None = None
        self._requests = OpenRequests()

    def __len__(self) -> int:
        return self._stock

    def take(self, count: int) -> list[str] | None:
        """Take exactly `count` run ids; None when the stock is short, which has more leased."""
        if count > self._stock:
            self._wanted = max(self._wanted, count)
            return None
        run_ids: list[str] = []
        while len(run_ids) < count:
            block = self._blocks.popleft()
            some = block[: count - len(run_ids)]
            run_ids.extend(f"r{number}" for number in some)
            if len(some) < len(block):
                self._blocks.appendleft(block[len(some) :])
        self._stock -= count
        return run_ids

    def leased(self, message: IdsLeased) -> None:
        """Take in a block, if it is the one asked for."""
        if self._requests.answered(message.request):
            self._blocks.append(range(message.first_id, message.first_id + message.count))
            self._stock += message.count
            if self._wanted <= self._stock:
                self._wanted = 0

    def settle(self, now_us: int) -> list[Post]:
        """Ask for a block when the stock runs low; ask again when nobody answers."""
        low = self._stock < max(self._block // 2, self._wanted)
        if not low or self._requests:
            return self._requests.repeat(now_us)
        if self._leased_us is not None:
            busy = 0 <= now_us - self._leased_us < BUSY_US
            block = self._block * 2 if busy else self._block // 2
            self._block = min(max(block, BLOCK), BLOCK_AT_MOST)
        self._leased_us = now_us
        self._request += 1
        lease = LeaseIds(count=max(self._block, self._wanted), request=self._request)
        return [self._requests.send(self._request, Post(LEDGER, lease), now_us)]

    def wakes_at(self) -> int | None:
        """Return when the request is to be repeated."""
        return self._requests.wakes_at()
