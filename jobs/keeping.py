"""How much of an output is kept: its head and its tail, and how the bytes between are spoken of.

Offsets always count what the program wrote, so that they mean the same while an output grows and
ever after; the bytes of a `Gap` are simply not there. Used by agents, the output store and web,
which have to agree. Pure.
"""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

import msgspec

# What is kept of one output where neither the job nor the settings say anything.
KEEP_BYTES = 64 * 2**20
# No output is longer, and no message says that one is.
LONGEST_BYTES = 2**53
# In a record that is read: how many bytes of an output are kept.
KeepBytes = Annotated[int, msgspec.Meta(ge=0, le=LONGEST_BYTES)]
KEEP_AT_LEAST, KEEP_AT_MOST = 64 * 2**10, 2**40
# Of what is kept, this part is from the beginning: what went wrong is mostly told at the end.
HEAD_SHARE = 4
# The most that is kept of an artifact whose job says nothing else: more of it, and none is.
ARTIFACT_BYTES = 2**30
# The ids of what a process prints, of its two parts, and of the table that tells them apart: 16
# bytes an entry, see `Order`.
OUTPUT, STREAMS, ORDER = "output", ("stdout", "stderr"), "order"
PROCESS_OUTPUTS = frozenset({OUTPUT, *STREAMS, ORDER})
# Outputs of one attempt: what its process prints, and artifacts.
OUTPUTS_AT_MOST = 200
OUTPUT_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
# Files beside those of outputs end so.
_TAKEN_ENDINGS = (".part", ".gap", ".new")


class Gap(NamedTuple):
    """The bytes from `start` up to `end` are not kept; none of them where both are the same."""

    start: int = 0
    end: int = 0

    @property
    def length(self) -> int:
        """How many bytes are not kept."""
        return self.end - self.start


WHOLE = Gap()
_GAP = re.compile(rb"([0-9]{1,20}) ([0-9]{1,20})\s*")


def gap_of(size: int, keep_bytes: int, known: Gap = WHOLE, *, slack: int = 0) -> Gap:
    """Return what of `size` bytes need not be kept.

    Args:
        keep_bytes: how many are to be kept.
        known: what is gone already: the gap only grows.
        slack: a gap that would grow by less than this stays as it is.

    Returns:
        `known` where nothing more has to go.
    """
    head = keep_bytes // HEAD_SHARE
    end = size - (keep_bytes - head)
    start = min(head, known.start) if known.length else head
    if end - start <= 0 or size - known.length <= keep_bytes + slack:
        return known
    return Gap(start, max(end, known.end))


def both(one: Gap, other: Gap) -> Gap:
    """Return what is not kept where one or the other is gone, and with it all between them."""
    if not one.length or not other.length:
        return one if one.length else other
    return Gap(min(one.start, other.start), max(one.end, other.end))


def kept(length: int, gap: Gap) -> int:
    """Return how many bytes are there of an output that has `length`."""
    return length - gap.length


def mark(gap: Gap) -> bytes:
    """Return what stands in the place of the bytes that are not there; empty for a whole output."""
    if not gap.length:
        return b""
    return f"\n[callsheet: {gap.length:,} bytes were left out here]\n".encode()


def gap_line(gap: Gap) -> bytes:
    """Return a gap as the one line of a file beside its output; always of the same length."""
    return b"%020d %020d\n" % gap


def read_gap(line: bytes) -> Gap:
    """Read a gap as `gap_line` writes it; what is not one means that nothing is gone."""
    found = _GAP.fullmatch(line)
    if found is None:
        return WHOLE
    gap = Gap(int(found[1]), int(found[2]))
    return gap if gap.start <= gap.end <= LONGEST_BYTES else WHOLE


def is_output_id(name: str) -> bool:
    """Whether a name can be the id of an output: it names files, on agents and on the server."""
    return OUTPUT_ID.fullmatch(name) is not None and not name.endswith(_TAKEN_ENDINGS)
