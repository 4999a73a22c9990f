"""The one codec: lists of messages to frames of MessagePack and back, under limits.

Bytes exist only here. A frame holds a list of messages of one direction; the frame's decoder is
chosen by who reads it, so a message of another direction is refused, not dispatched.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ..jobs.errors import CallsheetError
from ..jobs.run import KnownRun, NewRun
from .agents import AgentsAnswer, AnyFromAgent, AnyToAgent, AskAgents, OutputGrew
from .binding import FromBinder, ToBinder
from .commands import AnyFromLedger
from .hello import Refuse
from .instructions import AnyToLedger
from .published import Answer, Asked, Published
from .registry import Enrol, EnrolDone
from .standing import AskStanding, FolderStanding
from .told import ToldRun
from .transitions import Beat, FeedFrame, FromFeed
from .wishes import Done, Refused, SchedulerWish

# A frame is at most this large on any socket (ZeroMQ's MAXMSGSIZE is set to it).
MAX_FRAME_BYTES = 4 * 2**20
# `pack` starts a new frame above this, so that no peer waits long for one frame.
TARGET_FRAME_BYTES = 64 * 2**10
MAX_MESSAGES = 10_000
MAX_DEPTH = 32
# What packed runs may be when they are unpacked.
UNPACKED_BYTES = 64 * 2**20


class BadFrame(CallsheetError):
    """Bytes from a peer are not a list of messages this reader accepts."""

    def __init__(self, what: str) -> None:
        super().__init__(f"frame: {what}")


_encoder = msgspec.msgpack.Encoder()
_readers: list[Reader] = []


class Reader:
    """Decodes frames whose messages are of one closed set; `accepts` is the type of a frame.

    Its decoder is made when it first reads: to look through the types of all directions takes a
    fifth of the start of an agent, which reads one.
    """

    def __init__(self, accepted: Any) -> None:
        self.accepts = list[accepted]
        _readers.append(self)

    @functools.cached_property
    def _decoder(self) -> msgspec.msgpack.Decoder[list[Any]]:
        return msgspec.msgpack.Decoder(self.accepts)

    def unpack(self, frame: bytes | memoryview) -> list[Any]:
        """Return the messages of a frame, in order.

        Raises:
            BadFrame: it is too large, too deep, not MessagePack, or holds anything outside the set.
        """
        if len(frame) > MAX_FRAME_BYTES:
            raise BadFrame(f"{len(frame)} bytes: at most {MAX_FRAME_BYTES} are accepted")
        try:
            messages = self._decoder.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
            raise BadFrame(f"{error}: expected a list of known messages") from None
        if len(messages) > MAX_MESSAGES:
            raise BadFrame(f"{len(messages)} messages: at most {MAX_MESSAGES} are accepted")
        return messages


class ToldReader(Reader):
    """Reads the feed for one who seldom needs more of a run than that it has moved."""

    def __init__(self) -> None:
        # What is raw becomes a `ToldRun` before anybody sees it.
        super().__init__(FeedFrame[msgspec.Raw] | Beat)  # type: ignore[type-var]

    def unpack(self, frame: bytes | memoryview) -> list[Any]:
        """See `Reader`; of a record only its head is looked at.

        Raises:
            BadFrame: also for a record without one.
        """
        messages = super().unpack(frame)
        try:
            return [
                msgspec.structs.replace(message, runs=list(map(ToldRun, message.runs)))
                if type(message) is FeedFrame
                else message
                for message in messages
            ]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadFrame(f"{error}: expected the records of runs") from None


def make_ready() -> None:
    """Make the decoders of all readers now, for the processes that are forked from this one."""
    for reader in _readers:
        reader._decoder  # noqa: B018 - it is made by being asked for
    _new_runs()


def pack(messages: Iterable[Any]) -> list[bytes]:
    """Encode messages, in order, into as few frames as fit `TARGET_FRAME_BYTES` each.

    Returns an empty list for no messages. A single message above the target is a frame of its own.
    """
    return [*frames_of(messages)]


def frames_of(messages: Iterable[Any]) -> Iterator[bytes]:
    """Yield the same one by one, for who hands each on at once."""
    parts: list[bytes] = []
    size = 0
    for message in messages:
        part = _encoder.encode(message)
        if parts and (size + len(part) > TARGET_FRAME_BYTES or len(parts) >= MAX_MESSAGES):
            yield _frame(parts)
            parts, size = [], 0
        parts.append(part)
        size += len(part)
    if parts:
        yield _frame(parts)


def encode(record: Any) -> bytes:
    """Encode one record, for a store column or a file."""
    return _encoder.encode(record)


def pack_runs(runs: list[NewRun]) -> bytes:
    """Encode many runs that are much alike, in a small part of the space."""
    return zlib.compress(_encoder.encode(runs), 1)


def unpack_runs(packed: bytes) -> list[NewRun]:
    """Return packed runs.

    Raises:
        BadFrame: it is none, or too large.
    """
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(packed, UNPACKED_BYTES)
        runs = _new_runs().decode(data)
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrame(f"{error}: expected packed runs") from None
    return runs


@functools.cache
def _new_runs() -> msgspec.msgpack.Decoder[list[NewRun]]:
    return msgspec.msgpack.Decoder(list[NewRun])


def _frame(parts: list[bytes]) -> bytes:
    """Join encoded messages under a MessagePack array header."""
    count = len(parts)
    if count < 16:
        header = bytes([0x90 | count])
    elif count < 2**16:
        header = b"\xdc" + count.to_bytes(2, "big")
    else:
        header = b"\xdd" + count.to_bytes(4, "big")
    return header + b"".join(parts)


# Who reads what. The key names the reader's port.
LEDGER_READER = Reader(AnyToLedger)
FROM_LEDGER_READER = Reader(AnyFromLedger)
SCHEDULER_READER = Reader(FromBinder | SchedulerWish | AskStanding)
FROM_SCHEDULER_READER = Reader(ToBinder | Done | Refused | Refuse | FolderStanding)
RUNNER_READER = Reader(AnyFromAgent | AskAgents)
KEYED_AGENT_READER = Reader(AnyFromAgent)
TO_AGENT_READER = Reader(AnyToAgent | Refuse)
FROM_RUNNER_READER = Reader(AgentsAnswer | Refuse)
# Before its key is known an agent may say only this, and is told only that.
ENROL_READER = Reader(Enrol)
FROM_ENROL_READER = Reader(EnrolDone | Refuse)
FEED_READER = Reader(FromFeed)
WAITER_FEED_READER = Reader(FeedFrame[KnownRun] | Beat)
WEB_FEED_READER = ToldReader()
OUTPUTS_READER = Reader(OutputGrew)
# Programs of others: what they may ask, and what they hear.
ASKED_READER = Reader(Asked)
ANSWER_READER = Reader(Answer)
PUBLISHED_READER = Reader(Published)
