"""Between the runner's core and its output store: posts to `STORE`, and what comes back as `local`.

Plain values, so that the simulation can play the store.
"""

from __future__ import annotations

import msgspec

from ..jobs.keeping import KEEP_BYTES, WHOLE, Gap
from ..messages.instructions import OutputRecord

# Addresses of the runner's own process: the output store, and the journal of placements.
STORE = "store"
PLACEMENTS = "placements"
OUTPUTS = "outputs"


class AppendOutput(msgspec.Struct, frozen=True, kw_only=True):
    """Write bytes at an offset. Answered by `OutputStored`, whatever of it was there already.

    `gap`: so many bytes before the offset will never come. `keep_bytes`: how much is kept of it.
    """

    run_id: str
    attempt: int
    output_id: str
    offset: int
    data: bytes
    compression: str | None = None
    gap: int = 0
    keep_bytes: int = KEEP_BYTES


class FinishOutput(msgspec.Struct, frozen=True, kw_only=True):
    """The output has `length` bytes and is whole: keep it for good. Answered by `OutputFinished`.

    `spool_path`: take the bytes from this file of the agent rather than from what was appended;
    it has no bytes in `gap`. `keep_bytes`: how much is kept. `name`: what people call it, empty for
    the usual.
    """

    run_id: str
    attempt: int
    output_id: str
    length: int
    spool_path: str | None = None
    gap: Gap = WHOLE
    keep_bytes: int = KEEP_BYTES
    name: str = ""


class OutputStored(msgspec.Struct, frozen=True, kw_only=True):
    """The growing output now has `length` bytes, without a hole."""

    run_id: str
    attempt: int
    output_id: str
    length: int


class OutputFinished(msgspec.Struct, frozen=True, kw_only=True):
    """`record`: it is kept, and on the disk. None: it is not whole; there are `length` bytes of it;
    `error`: they cannot be kept now (disk full), so try again later."""

    run_id: str
    attempt: int
    output_id: str
    record: OutputRecord | None = None
    length: int = 0
    error: str = ""


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """(run, attempt) is given to this agent and no other. Written before the agent hears of it.

    `boot_id`: of the agent's host then; empty: not known.
    """

    run_id: str
    attempt: int
    agent_id: str
    boot_id: str = ""


class KeepPlaced(msgspec.Struct, frozen=True, kw_only=True):
    """Of the placements only these are of use still: forget the others."""

    placed: list[Placed]
