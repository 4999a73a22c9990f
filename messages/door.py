"""The ledger's door: what it could not store, or not read again, it does not even hear.

A message of the house that is of a kind its sender may say, and holds something that no record can
hold, is a fault of that sender: it becomes an `Unfit`, which says whose fault it is and where, and
all else in its frame is heard. Anything that is no such message at all is a `BadFrame`, as ever.
"""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from ..jobs.job import Job
from .codec import MAX_FRAME_BYTES, MAX_MESSAGES, BadFrame, Reader
from .instructions import ApplyJobs, StoredDefinition
from .wishes import AddRuns, LedgerWish

# Of what is told of a fault.
SENTENCE_CHARS = 300

_decode_job = msgspec.msgpack.Decoder(Job).decode
_decode_parts = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_BROKEN = (ValueError, RecursionError, OverflowError)


class Unfit(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is refused: its kind, its command id when it was a wish, what is wrong."""

    kind: str
    sentence: str
    command_id: str = ""


class _Head(msgspec.Struct):
    """What is read of a message that cannot be read."""

    kind: str
    command_id: str = ""


_decode_head = msgspec.msgpack.Decoder(_Head).decode


class DoorReader(Reader):
    """Reads what one kind of peer may say to the ledger; of wishes only some kinds are taken."""

    def __init__(self, accepted: Any, wishes: frozenset[type] = frozenset()) -> None:
        super().__init__(accepted)
        self._wishes = wishes
        self._one = msgspec.msgpack.Decoder(accepted)
        kinds = get_args(accepted) or (accepted,)
        self._kinds = {kind.__struct_config__.tag for kind in kinds}

    def unpack(self, frame: bytes | memoryview) -> list[Any]:
        """See `Reader`; what does not fit is an `Unfit` in its place.

        Raises:
            BadFrame: also a wish that is not this peer's to make.
        """
        try:
            messages = super().unpack(frame)
        except BadFrame as error:
            messages = self._sifted(frame, error)
        for place, message in enumerate(messages):
            kind = type(message)
            if kind is LedgerWish or kind is ApplyJobs:
                messages[place] = self._looked_at(message)
        return messages

    def _sifted(self, frame: bytes | memoryview, why: BadFrame) -> list[Any]:
        """Return the messages of a frame of which some cannot be read.

        Raises:
            BadFrame: `why`, where one of them is not of a kind that is read here.
        """
        if len(frame) > MAX_FRAME_BYTES:
            raise why
        try:
            parts = _decode_parts(frame)
            heads = [_decode_head(part) for part in parts]
        except _BROKEN:
            raise why from None
        if len(parts) > MAX_MESSAGES or any(head.kind not in self._kinds for head in heads):
            raise why
        return [self._read(part, head) for part, head in zip(parts, heads, strict=True)]

    def _read(self, part: msgspec.Raw, head: _Head) -> Any:
        try:
            return self._one.decode(part)
        except _BROKEN as error:
            return _unfit(head.kind, str(error), head.command_id)

    def _looked_at(self, message: LedgerWish | ApplyJobs) -> Any:
        """Return the message when also what it holds as bytes can be read, and is its sender's."""
        if isinstance(message, ApplyJobs):
            sentence = _definitions_fault(message.definitions)
            return _unfit("ApplyJobs", sentence) if sentence else message
        wish = message.instruction
        if type(wish) not in self._wishes:
            raise BadFrame(f"a wish for {type(wish).__name__}: not this peer's")
        if isinstance(wish, AddRuns) and wish.alike and not wish.runs:
            return _unfit("AddRuns", "alike: expected a run that they are as", message.command_id)
        if isinstance(wish, AddRuns) and wish.ad_hoc_job is not None:
            sentence = _job_fault(wish.ad_hoc_job, wish.ad_hoc_id)
            if sentence:
                return _unfit("AddRuns", f"ad_hoc_job: {sentence}", message.command_id)
        return message


def _unfit(kind: str, sentence: str, command_id: str = "") -> Unfit:
    return Unfit(kind=kind, sentence=f"{kind}: {sentence}"[:SENTENCE_CHARS], command_id=command_id)


def _definitions_fault(definitions: list[StoredDefinition]) -> str:
    """Return what is wrong with the first of them that is no job, empty: nothing."""
    for stored in definitions:
        if fault := _job_fault(stored.body, stored.job_id):
            return f"definition {stored.hash} of {stored.job_id}: {fault}"
    return ""


def _job_fault(body: bytes, job_id: str | None) -> str:
    """Return why nobody could read a job of these bytes, empty: it can be read."""
    try:
        job = _decode_job(body)
    except _BROKEN as error:
        return str(error)
    return "" if job.job_id == job_id else f"is {job.job_id}: expected {job_id}"
