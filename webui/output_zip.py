"""All outputs of a run as one zip, made while it is sent: of it never more than a piece is held.

Names of artifacts come from programs: `member_name` makes of them what every system unpacks below
the folder of its choice. What is not in the zip, since it was not kept or its file is gone, is told
by a member of its own.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import Meta

from ..jobs.keeping import ORDER, PROCESS_OUTPUTS
from ..jobs.run import Run
from ..messages.instructions import OutputRecord
from ..store.outputs import shown_length
from .declared import Sends
from .output_api import Stream, pieces_of
from .routing import Problem, Reply, Request, Route

# The quickest that deflate has: texts shrink to a fifth, and a core gives 100 MB a second.
LEVEL = 1
# From here on a member has sizes of 64 bits; some old programs do not read those.
LARGE_BYTES = 2**30
TOLD_IN = "left-out.txt"
# No part of a name is longer: file systems take 255 bytes.
MAX_PART = 60
MAX_PARTS = 10
# What a name may not hold on one system or another, and names that mean devices on one.
_ODD = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\u200e\u200f\u202a-\u202e\u2066-\u2069]')
_NO_WORD = re.compile(r"[^\w.=-]+")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class ZipQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Of which attempt."""

    attempt: Annotated[
        int, Meta(ge=0, le=2**31, description="Only of this attempt; 0: of all.")
    ] = 0


class Member(NamedTuple):
    """An output and its name in the zip."""

    name: str
    record: OutputRecord


async def get_zip(
    request: Request, query: ZipQuery
) -> Annotated[Reply, Sends(kinds=("application/zip",))]:
    """All outputs and artifacts of a run as a zip; of a running one what there is of them now.
    `left-out.txt` in it says what is not, where something was not kept or is gone."""
    outputs = request.services.outputs
    run, records = await outputs.all_of(request.params["run_id"])
    found = [one for one in records if query.attempt in (0, one.attempt)]
    if query.attempt and not found:
        raise Problem(404, f"no outputs of attempt {query.attempt} for {run.run_id}")
    name = quote(zip_name(run), safe="")
    return Stream(
        _zipped(request, run, members_of(found)),
        length=None,
        content_type="application/zip",
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
    )


class _Sink:
    """Where the zip is written to: the bytes wait until they are taken. It cannot be sought in, so
    sizes and checksums stand behind the members' bytes."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        self._waiting += data
        return len(data)

    def flush(self) -> None:
        """Nothing: whoever takes the bytes sends them."""

    def close(self) -> None:
        """Nothing: there is no file."""

    def take(self) -> bytes:
        data = bytes(self._waiting)
        self._waiting.clear()
        return data


async def _zipped(request: Request, run: Run, members: list[Member]) -> AsyncIterator[bytes]:
    """Yield the zip of a run's outputs, piece after piece."""
    sink, pool = _Sink(), request.services.pool
    told: list[str] = []
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        for member in members:
            if member.record.truncated:
                # How many of a stream's own bytes are among those, nobody counts.
                gap = member.record.gap.length
                what = f"{gap:,} bytes were" if gap else "a part was"
                told.append(f"{member.name}: {what} left out\n")
            large = shown_length(member.record) > LARGE_BYTES
            pieces = pieces_of(request, member.record)
            try:
                piece = await anext(pieces, b"")
                with archive.open(_entry(member.name, run), "w", force_zip64=large) as file:
                    while piece:
                        await pool.run(partial(file.write, piece))
                        if data := sink.take():
                            yield data
                        piece = await anext(pieces, b"")
            except Problem as problem:
                told.append(f"{member.name}: {problem.sentence}\n")
        if told or not members:
            archive.writestr(_entry(TOLD_IN, run), "".join(told) or "There are no outputs.\n")
    yield sink.take()


def _entry(name: str, run: Run) -> zipfile.ZipInfo:
    """Return the entry of a member; its time is that of the run's last move, in UTC."""
    at_us = max(run.times.values(), default=run.schedule_us)
    at = datetime.fromtimestamp(at_us / 1e6, UTC)
    # A zip's clock goes from 1980 to 2107.
    year = min(max(at.year, 1980), 2107)
    entry = zipfile.ZipInfo(name, (year, at.month, at.day, at.hour, at.minute, at.second))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o100644 << 16
    return entry


# --- names ----------------------------------------------------------------------------------------


def members_of(records: Iterable[OutputRecord]) -> list[Member]:
    """Return what goes into the zip, under names of which no two mean one file on any system.

    What a process printed is at the top, artifacts are in a folder; of a run of more than one
    attempt each has a folder of its own.
    """
    records = [one for one in records if one.output_id != ORDER]
    records.sort(key=lambda one: (one.attempt, one.output_id))
    apart = len({one.attempt for one in records}) > 1
    names = [_name(one, f"attempt-{one.attempt}/" if apart else "") for one in records]
    # What is a folder of one is no file of another.
    taken = {TOLD_IN}
    for name in names:
        parts = name.casefold().split("/")
        taken |= {"/".join(parts[:depth]) for depth in range(1, len(parts))}
    return [
        Member(_untaken(name, taken), record) for name, record in zip(names, records, strict=True)
    ]


def _name(record: OutputRecord, folder: str) -> str:
    if record.output_id in PROCESS_OUTPUTS:
        return f"{folder}{record.output_id}.txt"
    return f"{folder}artifacts/{member_name(record.name or record.output_id)}"


def member_name(name: str) -> str:
    """Return a path below a folder, made of whatever a program called its file: it never leads
    out of it, and every system can write it; `unnamed` where nothing is left."""
    parts = [_part(part) for part in name.replace("\\", "/").split("/")]
    return "/".join([part for part in parts if part][-MAX_PARTS:]) or "unnamed"


def zip_name(run: Run) -> str:
    """Return the name of a run's zip: job, args and id."""
    said = ".".join([run.job_id.replace("/", "-"), *run.args.values()])
    plain = _NO_WORD.sub("_", said)[:100]
    return f"{plain}.{run.run_id}.zip"


def _part(part: str) -> str:
    # Windows drops blanks and dots at the end; ".." goes with them.
    kept = _ODD.sub("_", part).strip().rstrip(". ")
    if len(kept) > MAX_PART:
        stem, dot, ending = kept.rpartition(".")
        ending = dot + ending if stem and len(ending) <= 12 else ""
        kept = kept[: MAX_PART - len(ending)] + ending
    return f"_{kept}" if _DEVICE.fullmatch(kept) else kept


def _untaken(name: str, taken: set[str]) -> str:
    """Return the name, with a number where another that differs at most in case has it, as a file
    or as a folder."""
    folder, slash, last = name.rpartition("/")
    stem, dot, ending = last.rpartition(".")
    if not stem:
        stem, dot, ending = last, "", ""
    number, found = 1, name
    while found.casefold() in taken:
        number += 1
        found = f"{folder}{slash}{stem} ({number}){dot}{ending}"
    taken.add(found.casefold())
    return found


ROUTES = [Route("GET", "/api/v2/runs/{run_id}/outputs.zip", get_zip)]
