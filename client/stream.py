"""Following a topic of the event stream: resumed after every loss, for ever; asynchronous."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from tornado.httpclient import HTTPClientError
from tornado.websocket import WebSocketClientConnection, WebSocketError

from .http import APIError, Connection
from .sockets import open_socket

# Between attempts to connect: doubled each time, by up to a half more or less, so that all clients
# of a server that was restarted do not come back at once.
FIRST_WAIT_S = 0.25
MOST_WAIT_S = 10.0
# The server sends a beat each second; a connection without any is a dead one.
SILENCE_S = 15.0
SUBSCRIPTION = "1"


async def follow_topic(
    server: Connection,
    topic: str,
    terms: Mapping[str, Any] | None = None,
    *,
    resume: str | None = None,
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield what the server says about a topic (docs/api.md lists them), without end.

    After a lost connection it connects again and resumes where it was, an output at the byte that
    comes next, so nothing is missed. Two messages are of special kinds: `{"lost": sentence}`, once,
    when the connection is lost, and `{"resync": True, …}`: some changes are not to be had any more,
    read the list again.

    Args:
        server: where it is, and what is shown to it.
        terms: what the topic is asked with: a query, a run's id.
        resume: `epoch:seq` of a list read before; None: what comes from now on.

    Raises:
        APIError: the server refuses the subscription, or ends it.
    """
    asked = dict(terms or {})
    wait_s = FIRST_WAIT_S
    told = False
    while True:
        try:
            socket = await open_socket(server, "/api/v2/stream")
        except (OSError, HTTPClientError, WebSocketError) as error:
            if not told:
                told = True
                yield {"lost": f"{server.address}: {error}"}
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.5))
            wait_s = min(2 * wait_s, MOST_WAIT_S)
            continue
        try:
            ask = {"op": "subscribe", "id": SUBSCRIPTION, "topic": topic, "resume": resume, **asked}
            await socket.write_message(json.dumps(ask))
            async for message in _messages(socket):
                told, wait_s = False, FIRST_WAIT_S
                if "seq" in message and "epoch" in message:
                    resume = f"{message['epoch']}:{message['seq']}"
                if "next" in message:
                    asked["start"] = message["next"]
                yield message
        finally:
            socket.close()
        told = True
        yield {"lost": f"{server.address}: the connection was lost"}


async def _messages(socket: WebSocketClientConnection) -> AsyncIterator[dict[str, Any]]:
    """Yield the messages about the subscription until the connection ends or falls silent."""
    while True:
        try:
            text = await asyncio.wait_for(socket.read_message(), SILENCE_S)
        except (TimeoutError, WebSocketError):
            return
        if text is None:
            return
        message = json.loads(text)
        if message.get("id") != SUBSCRIPTION:
            continue
        if "error" in message:
            raise APIError(message.get("status", 500), message["error"], message)
        yield message
