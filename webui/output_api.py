"""Output data over HTTP, of both APIs."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..messages.instructions import OutputRecord
from ..store.outputs import LiveOutput
from .routing import Problem, Reply, Request, Route

# The body is read and sent in pieces of this size.
PIECE_BYTES = 2**20
# The most of an output that `/api/v2` gives in one answer.
MAX_SPAN_BYTES = 8 * 2**20


class Stream(Reply):
    """A reply whose body comes in pieces; `length` None: of unknown length."""

    def __init__(self, pieces: Any, *, length: int | None, **kwargs: Any) -> None:
        super().__init__(b"", **kwargs)
        self.pieces = pieces
        self.length = length


async def get_output(request: Request) -> Any:
    """The whole of an output, or of a running run's what there is of it now."""
    services = request.services
    run_id, output_id = request.params["run_id"], request.params["output_id"]
    run, record = await services.outputs.record(run_id, output_id, _attempt(request))
    if record is None:
        live = None if run.finished else await services.outputs.live(run, output_id)
        if live is None:
            raise Problem(404, f"no output {output_id[:100]} for {run_id}")
        return Stream(_live_pieces(request, live), length=live.length, **_plain({}))
    headers = {"Content-Encoding": "identity"}
    if record.compression is None:
        headers = {}
    elif record.compression in accepted(request.headers.get("Accept-Encoding")):
        headers = {"Content-Encoding": record.compression}
        pieces = _pieces(services.outputs.raw, record, None)
        return Stream(pieces, length=None, **_plain(headers, record))
    pieces = _pieces(services.outputs.read, record, record.length)
    return Stream(pieces, length=record.length, **_plain(headers, record))


async def get_span(request: Request) -> Any:
    """A span of an output: `start` (negative: from the end), `limit`, `attempt`; JSON with text or
    base64."""
    import base64

    start = request.number("start", 0, -(2**53), 2**53)
    limit = request.number("limit", 2**18, 1, MAX_SPAN_BYTES)
    outputs = request.services.outputs
    run_id, output_id = request.params["run_id"], request.params["output_id"]
    span = await outputs.span(run_id, output_id, start, limit, _attempt(request))
    value: dict[str, Any] = {
        "start": span.start,
        "length": span.length,
        "ended": span.ended,
        "attempt": span.attempt,
    }
    try:
        value["data"] = span.data.decode("utf-8")
    except UnicodeDecodeError:
        value["b64"] = base64.b64encode(span.data).decode("ascii")
    return value


def _attempt(request: Request) -> int | None:
    """Return the attempt that is asked for by its number, None when it is the newest."""
    return request.number("attempt", 0, 0, 2**31) or None


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
    safe = shown in ("application/octet-stream", "text/plain", "application/json")
    return {
        "content_type": kind if safe else "application/octet-stream",
        "headers": {**headers, "Content-Disposition": "attachment"},
    }


async def _pieces(read: Any, record: OutputRecord, length: int | None) -> Any:
    offset = 0
    while length is None or offset < length:
        piece = await read(record, offset, PIECE_BYTES)
        if not piece:
            return
        offset += len(piece)
        yield piece


async def _live_pieces(request: Request, live: LiveOutput) -> Any:
    offset = 0
    while offset < live.length:
        size = min(PIECE_BYTES, live.length - offset)
        piece = await request.services.pool.run(partial(live.read, offset, size))
        if not piece:
            return
        offset += len(piece)
        yield piece


OUTPUT = "/runs/{run_id}/output/{output_id}"
ROUTES = [
    Route("GET", f"/api/v1{OUTPUT}", get_output),
    Route("GET", f"/api/v2{OUTPUT}", get_span),
    Route("GET", f"/api/v2{OUTPUT}/raw", get_output),
]
