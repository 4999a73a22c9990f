"""A run's record as the feed has brought it: read whole only when somebody needs the whole of it.

Most records come, are replaced by the next of the same run, and nobody has looked at them. To read
one whole takes six times as long as to see whose it is and which state it is in.
"""

from __future__ import annotations

import msgspec

from ..jobs.run import Run, RunId
from ..jobs.states import State


class _Head(msgspec.Struct, frozen=True):
    """What is read of every record."""

    run_id: RunId
    state: State


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Run).decode
_decode_head = msgspec.msgpack.Decoder(_Head).decode


class ToldRun:
    """One record. `run_id` and `state` are its run's."""

    __slots__ = ("_record", "_run", "run_id", "state")

    def __init__(self, record: msgspec.Raw | bytes) -> None:
        """Take an encoded record.

        Raises:
            msgspec.DecodeError: it is none of a run.
        """
        head = _decode_head(record)
        self.run_id, self.state = head.run_id, head.state
        self._record: msgspec.Raw | bytes = record
        self._run: Run | None = None

    @classmethod
    def of(cls, run: Run) -> ToldRun:
        """Return what the feed would have brought of a run."""
        told = cls(_encode(run))
        told._run = run
        return told

    def whole(self) -> Run:
        """Return the run; read once, whoever asks."""
        if self._run is None:
            self._run = _decode(self._record)
        return self._run

    def encoded(self) -> bytes:
        """Return the record alone, without the frame in which it came."""
        return bytes(self._record)
