"""Requests to a real server, on many connections at once that are used again and again.

Each answer has a status that the API knows, and where it is a refusal a sentence in JSON that shows
nothing of the inside. 503 is honest where it says when to come again, and is counted.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Iterator

from fuzzed_server import FuzzedServer, looked_after, on_a_server
from odd_requests import KIND, Asked, a_request
from odd_values import Dice
from verdict import FOR_EVER, HANG_S, TRACES, Verdict

CONNECTIONS = 24
STATUSES = {200, 304, 206, 400, 401, 403, 404, 405, 413, 415, 416, 429, 417, 431, 411, 414}


class Answer:
    """What is read of an answer: its status, head and body."""

    def __init__(self, status: int, head: bytes, body: bytes) -> None:
        self.status, self.head, self.body = status, head, body


async def read_answer(reader: asyncio.StreamReader, method: str) -> Answer:
    """Read one answer.

    Raises:
        asyncio.IncompleteReadError: the connection has ended; ValueError: it is no HTTP.
    """
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        if status >= 200 or status == 101:
            break
    lower = head.lower()
    if method == "HEAD" or status in (101, 204, 304):
        return Answer(status, head, b"")
    body = b""
    at = lower.find(b"\r\ncontent-length:")
    if at >= 0:
        length = int(lower[at + 17 : lower.index(b"\r\n", at + 17)])
        body = await reader.readexactly(length)
    elif b"transfer-encoding: chunked" in lower:
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    else:
        body = await reader.read()
    return Answer(status, head, body)


def judge(verdict: Verdict, number: int, asked: Asked, answer: Answer) -> None:
    """Hold an answer against what is promised."""
    status = answer.status
    verdict.seen[str(status)] += 1
    if status == 503:
        if b"\r\nretry-after:" not in answer.head.lower():
            verdict.fault(f"{asked.what}: 503 without Retry-After: {answer.body[:300]!r}", number)
        return
    if status == 101:
        return
    if status not in STATUSES:
        verdict.fault(f"{asked.what}: {status}: {answer.body[:500]!r}", number)
    elif status >= 400 and asked.method != "HEAD" and not asked.alone:
        try:
            said = json.loads(answer.body)
            sound = isinstance(said["error"], str) and said["error"] and said["request_id"]
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            verdict.fault(
                f"{asked.what}: {status}: not an error in JSON: {answer.body[:300]!r}", number
            )
        elif TRACES.search(answer.body):
            verdict.fault(f"{asked.what}: shows what is inside: {answer.body[:500]!r}", number)


class Asking:
    """Asks on many connections; what is to be asked next comes from one place."""

    def __init__(self, port: int, tokens: list[str], seed: int, verdict: Verdict) -> None:
        self._port, self._tokens, self._seed = port, tokens, seed
        self._verdict = verdict
        self._last: deque[str] = deque(maxlen=CONNECTIONS)

    async def one(self, numbers: Iterator[int]) -> None:
        """Ask, case after case, on one connection at a time."""
        link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for number in numbers:
            asked = a_request(Dice(KIND, self._seed, number), self._tokens)
            began_s = time.monotonic()
            # Each may find that its connection was ended by the one before it.
            for fresh in (link is None, True):
                try:
                    if fresh:
                        if link is not None:
                            link[1].close()
                        link = await asyncio.open_connection("127.0.0.1", self._port, limit=2**22)
                except OSError as error:
                    self._verdict.fault(f"{asked.what}: nobody listens any more: {error}", number)
                    return
                try:
                    done = await asyncio.wait_for(self._ask(link, asked, number), HANG_S)
                except TimeoutError:
                    self._verdict.fault(f"{asked.what}: no answer within {HANG_S:.0f} s", number)
                    done = True
                if done or asked.alone:
                    break
            else:
                self._verdict.seen["no answer, the connection was ended"] += 1
                if not asked.alone:
                    self._verdict.fault(f"{asked.what}: the connection was ended", number)
            self._verdict.played()
            self._verdict.waited(time.monotonic() - began_s, number)
            if link is not None and (asked.alone or link[0].at_eof()):
                link[1].close()
                link = None
        if link is not None:
            link[1].close()

    async def _ask(
        self, link: tuple[asyncio.StreamReader, asyncio.StreamWriter], asked: Asked, number: int
    ) -> bool:
        """Ask once; return whether there was an answer."""
        reader, writer = link
        try:
            writer.write(asked.data)
            if asked.alone:
                # Nothing more comes: what is not whole yet never will be.
                writer.write_eof()
            answer = await read_answer(reader, asked.method)
        except (OSError, asyncio.IncompleteReadError):
            if asked.alone:
                self._verdict.seen["ended without an answer, as it may be"] += 1
            return False
        except (ValueError, asyncio.LimitOverrunError) as error:
            self._verdict.fault(f"{asked.what}: no HTTP: {error}", number)
            return True
        judge(self._verdict, number, asked, answer)
        if b"\r\nconnection: close" in answer.head.lower():
            reader.feed_eof()
        return True


async def ask_all(
    server: FuzzedServer, seed: int, numbers: range, verdict: Verdict, until_s: float
) -> None:
    """Ask for all cases, until some time."""
    asking = Asking(server.port, server.tokens, seed, verdict)
    shared = looked_after(server, numbers, verdict, until_s)
    await asyncio.gather(*(asking.one(shared) for _ in range(min(CONNECTIONS, len(numbers)))))


def fuzz(seed: int, numbers: range, until_s: float = FOR_EVER) -> Verdict:
    """Ask what these cases ask; all that was seen."""
    return on_a_server(KIND, play, seed, numbers, until_s)


def play(server: FuzzedServer, seed: int, numbers: range, until_s: float, verdict: Verdict) -> None:
    """Ask a server what these cases ask."""
    asyncio.run(ask_all(server, seed, numbers, verdict, until_s))


def show(seed: int, number: int) -> None:
    """Print one case."""
    print(a_request(Dice(KIND, seed, number), ["TOKEN"]).data)
