"""Output data over HTTP, of both APIs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta

from ..jobs.keeping import KEEP_AT_LEAST, PROCESS_OUTPUTS, STREAMS, Gap, mark
from ..messages.instructions import OutputRecord
from ..store.outputs import LiveOutput, shown_length
from ..store.streams import is_view
from .declared import Sends
from .routing import Problem, Reply, Request, Route
from .shapes import Span

# The body is read and sent in pieces of this size.
PIECE_BYTES = 2**20
# The most of an output that `/api/v2` gives in one answer.
MAX_SPAN_BYTES = 8 * 2**20
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Stream(Reply):
    """A reply whose body comes in pieces; `length` None: of unknown length."""

    def __init__(self, pieces: Any, *, length: int | None, **kwargs: Any) -> None:
        super().__init__(b"", **kwargs)
        self.pieces = pieces
        self.length = length


# An output is sent as what it is only where no browser takes that for a page.
SAFE_KINDS = ("application/octet-stream", "text/plain", "application/json")


class AttemptQuery(msgspec.Struct):
    """Of which attempt."""

    attempt: Annotated[
        int, Meta(ge=0, le=2**31, description="The number of an attempt; 0: the newest.")
    ] = 0


class SpanQuery(AttemptQuery, forbid_unknown_fields=True):
    """Which span of an output."""

    start: Annotated[
        int, Meta(ge=-(2**53), le=2**53, description="The first byte; negative: from the end.")
    ] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_SPAN_BYTES, description="At most so many bytes.")] = (
        2**18
    )


async def get_output(
    request: Request, query: AttemptQuery
) -> Annotated[Reply, Sends(kinds=SAFE_KINDS)]:
    """The whole of an output, or of a running run's what there is of it now. Parts of it cannot be
    asked for: so it is in Apsis."""
    return await _output(request, query.attempt or None, ranges=False)


async def get_raw(
    request: Request, query: AttemptQuery
) -> Annotated[Reply, Sends(kinds=SAFE_KINDS, statuses=(200, 206))]:
    """The bytes of an output, as an attachment, or the `Range` of them that is asked for."""
    return await _output(request, query.attempt or None, ranges=True)


async def _output(request: Request, attempt: int | None, *, ranges: bool) -> Reply:
    services = request.services
    run_id, output_id = request.params["run_id"], request.params["output_id"]
    run, record = await services.outputs.record(run_id, output_id, attempt)
    if record is None:
        if output_id in STREAMS and not run.finished:
            return Stream(
                _spans(request, run_id, output_id, run.attempt), length=None, **_plain({})
            )
        live = None if run.finished else await services.outputs.live(run, output_id)
        if live is None:
            raise Problem(404, f"no output {output_id[:100]} for {run_id}")
        # What is long may be shortened while it is sent.
        sure = live.length if live.length <= KEEP_AT_LEAST else None
        return Stream(_live_pieces(request, live), length=sure, **_plain({}))
    if is_view(record):
        pieces = _spans(request, run_id, output_id, record.attempt)
        return Stream(pieces, length=None, **_plain({}, record))
    headers: dict[str, str] = {}
    if record.truncated:
        headers["X-Left-Out"] = f"bytes {record.gap_at}-{record.gap.end - 1}"
    length = shown_length(record)
    if ranges:
        headers["Accept-Ranges"] = "bytes"
        etag = f'"{record.sha256}"' if record.sha256 else None
        if etag is not None:
            headers["ETag"] = etag
        part = _range(request.headers.get("Range", ""), length)
        if part is not None and request.headers.get("If-Range") in (None, etag):
            return _part(request, record, part, headers)
    if record.compression is not None:
        if not record.truncated and record.compression in accepted(
            request.headers.get("Accept-Encoding")
        ):
            headers["Content-Encoding"] = record.compression
            pieces = _pieces(services.outputs.raw, record, 0, None)
            return Stream(pieces, length=None, **_plain(headers, record))
        headers["Content-Encoding"] = "identity"
    pieces = _pieces(services.outputs.read, record, 0, length)
    return Stream(pieces, length=length, **_plain(headers, record))


def _part(
    request: Request, record: OutputRecord, part: tuple[int, int], headers: dict[str, str]
) -> Reply:
    """Return the part of an output from the first byte up to the second, 416 where it has none."""
    start, end = part
    length = shown_length(record)
    if start >= end:
        raise Problem(
            416,
            f"output {record.output_id} of {record.run_id}: has {length} bytes: expected a range "
            "of them",
            headers={"Content-Range": f"bytes */{length}"},
        )
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{length}"
    pieces = _pieces(request.services.outputs.read, record, start, end)
    return Stream(pieces, length=end - start, status=206, **_plain(headers, record))


def _range(header: str, length: int) -> tuple[int, int] | None:
    """Return what one range of bytes means for a length, None where it is to be ignored: another
    unit, several ranges, or no range at all."""
    found = _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return max(0, length - int(found[2])), length
    start = int(found[1])
    end = min(int(found[2]) + 1, length) if found[2] else length
    return None if found[2] and int(found[2]) < start else (start, end)


async def get_span(request: Request, query: SpanQuery) -> Span:
    """A span of an output, as text or base64."""
    import base64

    outputs = request.services.outputs
    run_id, output_id = request.params["run_id"], request.params["output_id"]
    span = await outputs.span(run_id, output_id, query.start, query.limit, query.attempt or None)
    value: Span = {
        "start": span.start,
        "length": span.length,
        "ended": span.ended,
        "attempt": span.attempt,
    }
    if span.left_out:
        value["left_out"] = span.left_out
    try:
        value["data"] = span.data.decode("utf-8")
    except UnicodeDecodeError:
        value["b64"] = base64.b64encode(span.data).decode("ascii")
    return value


def accepted(header: str | None) -> set[str]:
    """Return the encodings a client takes by name; one that says nothing takes none of ours."""
    found = set()
    for part in (header or "").split(","):
        name, _, params = part.partition(";")
        quality = params.replace(" ", "")
        if quality not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            found.add(name.strip().lower())
    return found


def _plain(headers: dict[str, str], record: OutputRecord | None = None) -> dict[str, Any]:
    """Return what keeps a browser from taking an output for a page of ours."""
    kind = "application/octet-stream" if record is None else record.content_type
    if not kind.isascii() or not kind.isprintable():
        kind = "application/octet-stream"
    shown = kind.partition(";")[0].strip().lower()
    safe = shown in SAFE_KINDS
    return {
        "content_type": kind if safe else "application/octet-stream",
        "headers": {**headers, "Content-Disposition": _attachment(record)},
    }


def _attachment(record: OutputRecord | None) -> str:
    """Return how a browser is to save an output; of an artifact under its own name."""
    if record is None or record.output_id in PROCESS_OUTPUTS:
        return "attachment"
    name = quote(record.name.rpartition("/")[2], safe="")
    return f"attachment; filename*=UTF-8''{name}"


async def _pieces(
    read: Any, record: OutputRecord, start: int, end: int | None
) -> AsyncIterator[bytes]:
    offset = start
    while end is None or offset < end:
        size = PIECE_BYTES if end is None else min(PIECE_BYTES, end - offset)
        piece = await read(record, offset, size)
        if not piece:
            return
        offset += len(piece)
        yield piece


def pieces_of(request: Request, record: OutputRecord) -> AsyncIterator[bytes]:
    """Yield the bytes of an output as it is shown, of a growing one what its record counts.

    Raises:
        Problem: 404, its file is gone.
    """
    if is_view(record):
        return _spans(request, record.run_id, record.output_id, record.attempt, record.length)
    return _pieces(request.services.outputs.read, record, 0, shown_length(record))


async def _live_pieces(request: Request, live: LiveOutput) -> Any:
    """Yield what there was of a growing output when it was asked for, as it is shown."""
    offset = 0
    while offset < live.length:
        size = min(PIECE_BYTES, live.length - offset)
        begin, piece = await request.services.pool.run(partial(live.span, offset, size))
        if begin > offset:
            yield mark(Gap(offset, begin))
        if not piece:
            return
        offset = begin + len(piece)
        yield piece


async def _spans(
    request: Request, run_id: str, output_id: str, attempt: int, length: int | None = None
) -> AsyncIterator[bytes]:
    """Yield what there is of an output that is read span by span: up to `length`, or of None what
    it has at the first of them."""
    offset = 0
    while length is None or offset < length:
        span = await request.services.outputs.span(run_id, output_id, offset, PIECE_BYTES, attempt)
        length = span.length if length is None else length
        if span.left_out:
            yield mark(Gap(offset, span.start))
        if not span.data:
            return
        offset = span.start + len(span.data)
        yield span.data


OUTPUT = "/runs/{run_id}/output/{output_id}"
ROUTES = [
    Route("GET", f"/api/v1{OUTPUT}", get_output),
    Route("GET", f"/api/v2{OUTPUT}", get_span),
    Route("GET", f"/api/v2{OUTPUT}/raw", get_raw, also=(416,)),
]
