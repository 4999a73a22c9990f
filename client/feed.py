"""Following the server over ZeroMQ: every event, once and in order. Synchronous.

    with Feed("ipc:///srv/callsheet.db.state/run/published", resume=last) as feed:
        for news in feed:
            ...
            save(feed.position)

See docs/feed.md for what is heard, and for other languages.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Self

import zmq

from ..jobs.errors import UserError
from ..messages.codec import ANSWER_READER, PUBLISHED_READER, BadFrame, pack
from ..messages.published import BEAT, EVENTS
from .feed_follower import Change, FeedFollower, News, Snapshot

__all__ = ["BadFeed", "Change", "Feed", "News", "Snapshot"]

# Frames that may wait here; what is beyond is lost, found to be missing and asked for.
HIGH_WATER_FRAMES = 1_000
# Over TCP a peer that is silent for so long is connected to anew.
HEARTBEAT_MS, HEARTBEAT_DEAD_MS = 3_000, 12_000
RECONNECT_MS, RECONNECT_MAX_MS = 100, 3_000
REPLAY_FILE = "replay"


class BadFeed(UserError):
    """The feed cannot be followed as it is asked for."""

    def __init__(self, what: str, wrong: str, expected: str) -> None:
        super().__init__(f"{what}: {wrong}: expected {expected}")


class Feed:
    """A subscription; for one thread. Iterating never ends by itself: it waits while there is no
    server, and goes on where it was when there is one again."""

    def __init__(
        self,
        address: str,
        *,
        resume: str | None = None,
        key_file: str | os.PathLike[str] | None = None,
        server_key: str | None = None,
    ) -> None:
        """Connect.

        Args:
            address: as `callsheetctl feed address` shows it: `ipc://…/published` or `tcp://host:port`.
            resume: the `position` up to which all was dealt with; None: begin with a snapshot.
            key_file: over TCP, the file of our own secret key (`callsheetctl feed key`).
            server_key: over TCP, the server's public key.

        Raises:
            BadFeed: an argument cannot be used.
        """
        self._given = (0, 0) if resume is None else _position(resume)
        self._follower = FeedFollower(None if resume is None else self._given)
        self._news: deque[News] = deque()
        context: Any = zmq.Context.instance()
        self._published = context.socket(zmq.SUB)
        self._asks = context.socket(zmq.DEALER)
        try:
            ask_address = _ask_address(address)
            for socket in (self._published, self._asks):
                _set_up(socket)
                if address.startswith("tcp://["):
                    socket.setsockopt(zmq.IPV6, 1)
                if address.startswith("tcp:"):
                    _introduce(socket, key_file, server_key)
            self._asks.setsockopt(zmq.IMMEDIATE, 1)
            for topic in (EVENTS, BEAT):
                self._published.setsockopt(zmq.SUBSCRIBE, topic)
            self._asks.connect(ask_address)
            self._published.connect(address)
        except zmq.ZMQError as error:
            self.close()
            expected = "an address as `callsheetctl feed address` shows it"
            raise BadFeed(address, str(error), expected) from None
        except BaseException:
            self.close()
            raise
        self._poller = zmq.Poller()
        self._poller.register(self._published, zmq.POLLIN)
        self._poller.register(self._asks, zmq.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[News]:
        while True:
            news = self.next()
            assert news is not None
            yield news

    def close(self) -> None:
        """Follow no more."""
        self._published.close(linger=0)
        self._asks.close(linger=0)

    @property
    def position(self) -> str:
        """Where the news given out so far end: what `resume` takes."""
        epoch, seq = self._given
        return f"{epoch}:{seq}"

    @property
    def is_current(self) -> bool:
        """Whether nothing is known to be missing, and nothing waits to be given out."""
        return self._follower.is_current and not self._news

    def next(self, timeout_s: float | None = None) -> News | None:
        """Return the next news; None when none came in time (None: wait for ever)."""
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._news:
            now_s = time.monotonic()
            self._ask(now_s)
            ends = [at for at in (until_s, self._follower.wakes_at()) if at is not None]
            wait_ms = None if not ends else max(0, round((min(ends) - now_s) * 1e3))
            ready = self._poller.poll(wait_ms)
            for socket, _ in ready:
                self._read(socket)
            if not ready and until_s is not None and now_s >= until_s:
                return None
        news = self._news.popleft()
        self._given = (news.epoch, news.seq)
        return news

    def _ask(self, now_s: float) -> None:
        asked = self._follower.due(now_s)
        if asked is not None:
            for frame in pack([asked]):
                try:
                    self._asks.send(frame, zmq.NOBLOCK)
                except zmq.Again:
                    return  # There is no server: asked again in a while.

    def _read(self, socket: Any) -> None:
        reader = PUBLISHED_READER if socket is self._published else ANSWER_READER
        try:
            parts = socket.recv_multipart(zmq.NOBLOCK)
            for message in reader.unpack(parts[-1]):
                self._news += self._follower.take(message, time.monotonic())
        except (zmq.Again, BadFrame):
            return  # What a newer server says besides is not for us.


def _position(text: str) -> tuple[int, int]:
    epoch, _, seq = text.partition(":")
    if not (epoch.isascii() and epoch.isdigit() and seq.isascii() and seq.isdigit()):
        raise BadFeed("resume", repr(text[:50]), "a position as the feed gave it, EPOCH:SEQ")
    return int(epoch), int(seq)


def _ask_address(address: str) -> str:
    scheme, _, rest = address.partition("://")
    if scheme == "ipc":
        return f"ipc://{os.path.join(os.path.dirname(rest), REPLAY_FILE)}"
    host, _, port = rest.rpartition(":")
    if scheme != "tcp" or not host or not port.isascii() or not port.isdigit():
        raise BadFeed(address, "not an address", "ipc://…/published or tcp://host:port")
    return f"tcp://{host}:{int(port) + 1}"


def _set_up(socket: Any) -> None:
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RCVHWM, HIGH_WATER_FRAMES)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)


def _introduce(socket: Any, key_file: Any, server_key: str | None) -> None:
    """Show our key, and accept only the server's.

    Raises:
        BadFeed: a key is missing, or is none.
    """
    if key_file is None or server_key is None:
        raise BadFeed("feed over tcp", "a key is missing", "key_file and server_key")
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_DEAD_MS)
    try:
        with open(key_file, "rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise BadFeed(str(key_file), "others may read it", "mode 0600")
            secret = file.read(4_096).strip()
    except OSError as error:
        raise BadFeed(str(key_file), f"cannot be read: {error.strerror}", "a key") from None
    try:
        socket.setsockopt(zmq.CURVE_PUBLICKEY, zmq.curve_public(secret))
        socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
    except (ValueError, LookupError, zmq.ZMQError):
        raise BadFeed(
            str(key_file), "it holds no key", "what `callsheetctl feed key` made"
        ) from None
    socket.setsockopt(zmq.CURVE_SERVERKEY, _z85(server_key))


def _z85(text: str) -> bytes:
    import base64
    import binascii

    from zmq.utils import z85

    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=")
        if len(raw) != 32:
            raise ValueError
    except (ValueError, binascii.Error):
        raise BadFeed(
            "server_key", repr(text[:60]), "what `callsheetctl feed address` shows"
        ) from None
    return bytes(z85.encode(raw))
