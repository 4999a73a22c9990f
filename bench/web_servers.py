"""Tornado beside Starlette on uvicorn: the same page of JSON and the same WebSocket broadcast.

For ADR 0010; no promise is measured, so `make bench` leaves it out. Needs `pip install
callsheet[bench]`. Every server is a process of its own, asked by this one over loopback, all of
them in turn, again and again: what is printed are medians of what it cost the server's process in
processor time, which other work on the machine changes least, and the ratios to Tornado's of the
same round.

    python bench/web_servers.py [ROUNDS]
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from figures import BenchError, benchmark, emit

CONNECTIONS, REQUESTS = 16, 4_000
LISTENERS, MESSAGES, MESSAGE_BYTES = 200, 200, 1_000
# tornado; uvicorn with its own Python parts, and with all that makes it fast.
SERVERS = ("tornado", "tornado_uvloop", "uvicorn", "uvicorn_standard")
NEEDED = ("starlette", "uvicorn", "uvloop", "httptools", "websockets")
PATIENCE_S = 120.0
RUN = {
    "job_id": "reports/daily sales",
    "args": {"date": "2026-11-24", "region": "eu"},
    "state": "success",
    "schedule_time": "2026-11-24T05:00:00.000Z",
    "times": {"running": "2026-11-24T05:00:00.012Z", "success": "2026-11-24T05:03:10.100Z"},
    "labels": ["nightly", "sales"],
    "elapsed": 190.1,
    "agent": "calc-01",
}
PAGE = {"runs": [{"run_id": f"r{n}", **RUN} for n in range(100)]}
MESSAGE = "x" * MESSAGE_BYTES


def used() -> dict[str, float]:
    """Return what this process has used: seconds of processor time, MiB of memory at most."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # `ru_maxrss` would be that of whoever started us, if that is more.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_kib = int(status.partition("VmHWM:")[2].split()[0])
    return {"cpu_s": usage.ru_utime + usage.ru_stime, "rss_mib": peak_kib / 1024}


# --- the servers ----------------------------------------------------------------------------------


async def serve_tornado(port: int) -> None:
    """Serve by Tornado until killed."""
    from tornado.web import Application, RequestHandler
    from tornado.websocket import WebSocketHandler

    listeners: set[WebSocketHandler] = set()

    class Json(RequestHandler):
        def initialize(self, value: Any) -> None:
            self.value = value

        def compute_etag(self) -> None:
            """Hash nothing: the other one does not either."""

        def get(self) -> None:
            self.set_header("Content-Type", "application/json")
            self.finish(msgspec.json.encode(self.value()))

    class Stream(WebSocketHandler):
        def open(self, *_: str) -> None:
            listeners.add(self)

        async def on_message(self, message: str | bytes) -> None:
            for _ in range(MESSAGES):
                await asyncio.gather(*(one.write_message(MESSAGE) for one in listeners))

    Application(
        [
            ("/page", Json, {"value": lambda: PAGE}),
            ("/used", Json, {"value": used}),
            ("/stream", Stream),
        ]
    ).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


def serve_uvicorn(port: int, options: dict[str, str]) -> None:
    """Serve by Starlette on uvicorn until killed."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route, WebSocketRoute
    from starlette.websockets import WebSocket, WebSocketDisconnect

    listeners: set[WebSocket] = set()

    async def page(_: Request) -> Response:
        return Response(msgspec.json.encode(PAGE), media_type="application/json")

    async def usage(_: Request) -> Response:
        return Response(msgspec.json.encode(used()), media_type="application/json")

    async def stream(one: WebSocket) -> None:
        await one.accept()
        listeners.add(one)
        try:
            await one.receive_text()
        except WebSocketDisconnect:
            return
        for _ in range(MESSAGES):
            await asyncio.gather(*(other.send_text(MESSAGE) for other in listeners))
        await asyncio.Event().wait()

    routes = [Route("/page", page), Route("/used", usage), WebSocketRoute("/stream", stream)]
    more: dict[str, Any] = dict(options)
    uvicorn.run(
        Starlette(routes=routes), host="127.0.0.1", port=port, log_level="error", access_log=False,
        ws_ping_interval=None, **more,
    )  # fmt: skip


def serve(name: str, port: int) -> None:
    """Be the server of a name."""
    match name:
        case "tornado":
            asyncio.run(serve_tornado(port))
        case "tornado_uvloop":
            import uvloop

            uvloop.run(serve_tornado(port))
        case "uvicorn":
            serve_uvicorn(port, {"loop": "asyncio", "http": "h11", "ws": "websockets-sansio"})
        case _:
            serve_uvicorn(port, {"loop": "uvloop", "http": "httptools", "ws": "websockets-sansio"})


# --- who asks -------------------------------------------------------------------------------------


async def ask(port: int, path: str, times: int = 1) -> bytes:
    """Ask for a path on one connection, again and again; return the last body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    body = b""
    for _ in range(times):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
    writer.close()
    return body


async def usage_of(port: int) -> dict[str, float]:
    """Return what the server has used."""
    found: dict[str, float] = json.loads(await ask(port, "/used"))
    return found


async def listen(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a WebSocket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    writer.write(
        b"GET /stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def measure(port: int) -> dict[str, float]:
    """Return what a page and a message cost the server, in µs, and how fast they came."""
    await asyncio.gather(*(ask(port, "/page", 20) for _ in range(CONNECTIONS)))
    before, begun_s = await usage_of(port), time.monotonic()
    each = REQUESTS // CONNECTIONS
    await asyncio.gather(*(ask(port, "/page", each) for _ in range(CONNECTIONS)))
    pages_s = time.monotonic() - begun_s
    between = await usage_of(port)
    lines = [await listen(port) for _ in range(LISTENERS)]
    opened, begun_s = await usage_of(port), time.monotonic()
    # A text frame of a client: one byte under a mask of zeros.
    lines[0][1].write(b"\x81\x81\0\0\0\0g")
    # Two bytes of head and two of length before each message.
    whole = MESSAGES * (MESSAGE_BYTES + 4)
    await asyncio.gather(*(reader.readexactly(whole) for reader, _ in lines))
    messages_s = time.monotonic() - begun_s
    after = await usage_of(port)
    for _, writer in lines:
        writer.close()
    deliveries = LISTENERS * MESSAGES
    return {
        "page_cpu": (between["cpu_s"] - before["cpu_s"]) / REQUESTS * 1e6,
        "message_cpu": (after["cpu_s"] - opened["cpu_s"]) / deliveries * 1e6,
        "pages": REQUESTS / pages_s,
        "messages": deliveries / messages_s,
        "rss": after["rss_mib"],
    }


def with_server(name: str) -> dict[str, float]:
    """Start a server, measure it, end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, os.path.abspath(__file__), "serve", name, str(port)]
    process = subprocess.Popen(command)
    try:
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise BenchError(f"{name}: does not listen: expected a server")
            time.sleep(0.05)
        return asyncio.run(measure(port))
    finally:
        process.kill()
        process.wait()


UNITS = {"page_cpu": "us", "message_cpu": "us", "pages": "1/s", "messages": "1/s", "rss": "MiB"}


def main() -> None:
    """Measure all of them, and print medians."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise BenchError(f"{', '.join(missing)}: not installed: expected callsheet[bench]")
    rounds = [
        {name: with_server(name) for name in SERVERS}
        for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
    ]
    for figure, unit in UNITS.items():
        for name in SERVERS:
            values = [one[name][figure] for one in rounds]
            emit(f"{name}_{figure}", statistics.median(values), unit)
    for figure in ("page_cpu", "message_cpu"):
        for name in SERVERS[1:]:
            ratios = [one[name][figure] / one["tornado"][figure] for one in rounds]
            emit(f"{name}_{figure}_to_tornado", statistics.median(ratios), "ratio")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        benchmark(main)
