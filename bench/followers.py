"""Subscribers for a benchmark that may be stopped: of the event stream, or of the feed.

Run as a program (`python followers.py stream HOST:PORT COUNT`, `… feed ADDRESS COUNT`) it follows
with COUNT subscribers, prints `ready`, and then answers lines: to `lags` with the lag of each
message since the last such line, in ms, as JSON; to `head SEQ`, once each of them knows all up to
there, with what they went through. Who is told to read again does so, and who is disconnected
connects again.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from listeners import seq_of
from server import instant_s
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.ioloop import IOLoop
from tornado.websocket import WebSocketError, websocket_connect

from callsheet.client.feed import Feed, Snapshot

PAGE = "/api/v2/runs?limit=100"
AGAIN_S = 0.2
MOST_BYTES = 2**26


class Console:
    """A subscriber of the event stream: all runs, as cheaply as can be."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.seq = 0
        self.resyncs = 0
        self.connects = 0
        self.begun = False
        self.lags_ms: list[float] = []

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            try:
                await self._follow()
            except (OSError, HTTPClientError, WebSocketError):
                await asyncio.sleep(AGAIN_S)

    async def _follow(self) -> None:
        socket = await websocket_connect(
            f"ws://{self._address}/api/v2/stream", max_message_size=MOST_BYTES
        )
        self.connects += 1
        try:
            if self.connects > 1:
                await self._read_again()
            await socket.write_message('{"op": "subscribe", "id": "1", "topic": "runs"}')
            while (text := await socket.read_message()) is not None:
                assert isinstance(text, str)
                if not text.startswith('{"id":"1"'):
                    continue
                if '"resync"' in text[:60]:
                    self.resyncs += 1
                    await self._read_again()
                    continue
                self.begun = True
                self.seq = max(self.seq, seq_of(text.encode()))
                self._note_lag(text)
        finally:
            socket.close()

    async def _read_again(self) -> None:
        answer = await AsyncHTTPClient().fetch(f"http://{self._address}{PAGE}")
        self.seq = max(self.seq, json.loads(answer.body)["seq"])

    def _note_lag(self, text: str) -> None:
        """Note how long ago the last move of the last run of a message was."""
        at = text.rfind('"times":{')
        if at >= 0:
            last = max(json.loads(text[at + 8 : text.index("}", at) + 1]).values())
            self.lags_ms.append((time.time() - instant_s(last)) * 1e3)


class Program:
    """A subscriber of the feed."""

    def __init__(self, address: str) -> None:
        self._feed = Feed(address)
        self.seq = 0
        self.resyncs = 0
        self.connects = 1
        self.begun = False
        self.lags_ms: list[float] = []

    async def run(self) -> None:
        """Follow for ever, beside others on the same loop."""
        while True:
            news = self._feed.next(0)
            if news is None:
                await asyncio.sleep(0.01)
                continue
            self.seq = news.seq
            if isinstance(news, Snapshot):
                self.resyncs += self.begun
                self.begun = True
            else:
                self.lags_ms.append((time.time() - instant_s(news.events[-1]["time"])) * 1e3)
                await asyncio.sleep(0)


async def follow(kind: str, address: str, count: int) -> None:
    """Follow, and answer what is asked on the standard input."""
    some = [(Console if kind == "stream" else Program)(address) for _ in range(count)]
    tasks = [asyncio.create_task(one.run()) for one in some]
    while not all(one.begun for one in some):  # noqa: ASYNC110 - what begins are fifty
        await asyncio.sleep(0.05)
    print("ready", flush=True)
    while True:
        line = await IOLoop.current().run_in_executor(None, sys.stdin.readline)
        word, _, rest = line.strip().partition(" ")
        if word == "lags":
            print(json.dumps([lag for one in some for lag in one.lags_ms]), flush=True)
            for one in some:
                one.lags_ms.clear()
        elif word == "head":
            while not all(one.seq >= int(rest) for one in some):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            found: dict[str, Any] = {
                "resyncs": sum(one.resyncs for one in some),
                "connects": sum(one.connects for one in some),
            }
            print(json.dumps(found), flush=True)
        else:
            break
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(follow(sys.argv[1], sys.argv[2], int(sys.argv[3])))
