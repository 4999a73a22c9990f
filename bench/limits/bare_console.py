"""The limit of the console: its list of runs as a finished page, from a bare Tornado.

The document is the markup that the console had made when its first rows were painted, with the
same style sheet and without any script: what is left is the browser's. Another query's rows are one
fetch of the bytes that the server would have answered, and copies of a row that take the place of
those that were there. A move is a message of a bare WebSocket, and a copy of a row put before the
others at once.

Alone it prints how long a page of a hundred plain rows takes until they are painted.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import threading
from pathlib import Path
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).parents[1]))

from chromium import answer, chromium, opened
from figures import emit
from playwright.sync_api import Page
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

TIMES = 15
# The page as it is, without what makes it.
MARKUP = """
() => {
    const all = document.documentElement.cloneNode(true);
    for (const one of all.querySelectorAll("script, link")) one.remove();
    all.querySelector("head").insertAdjacentHTML("beforeend",
        '<link rel="stylesheet" href="/all.css">');
    return `<!doctype html>${all.outerHTML}`;
}
"""
STYLE = "() => document.querySelector('link[rel=stylesheet]').href"
# A copy of a row, made another run's.
COPY = """
    const copied = (row, run) => {
        const copy = row.cloneNode(true);
        copy.dataset.run = copy.querySelector("a.rid").textContent = run.run_id;
        copy.dataset.state = run.state;
        copy.querySelector("a").textContent = run.job_id;
        return copy;
    };
"""
FETCHED = f"""
async () => {{
    {COPY}
    const rows = [...document.querySelectorAll("tr[data-run]")];
    const begun = performance.now();
    const {{ runs }} = await (await fetch("/rows")).json();
    rows.forEach((row, n) => row.replaceWith(copied(row, runs[n])));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - begun;
}}
"""
LISTENING = f"""
() => new Promise((done) => {{
    {COPY}
    const socket = new WebSocket(`ws://${{location.host}}/moves`);
    socket.onopen = done;
    socket.onmessage = (event) => {{
        const rows = document.querySelectorAll("tr[data-run]");
        rows[0].before(copied(rows[0], JSON.parse(event.data)));
        rows[rows.length - 1].remove();
    }};
}})
"""


class _File(RequestHandler):
    """Answers with bytes."""

    def initialize(self, content: bytes, kind: str) -> None:
        self._content, self._kind = content, kind

    def get(self) -> None:
        self.set_header("Content-Type", self._kind)
        self.finish(self._content)


class _Moves(WebSocketHandler):
    """Hears what is said to all."""

    def initialize(self, listeners: set[WebSocketHandler]) -> None:
        self._listeners = listeners

    def open(self, *_: str) -> None:
        self._listeners.add(self)

    def on_close(self) -> None:
        self._listeners.discard(self)

    def on_message(self, message: str | bytes) -> None:
        """Nothing is asked here."""


class BareConsole:
    """A server with one page, on a thread of its own; use with `with`."""

    def __init__(self, document: str, style: bytes = b"", rows: bytes = b"{}") -> None:
        """`rows`: what is answered to the one who asks for another query's rows."""
        self._files = [
            ("/", document.encode(), "text/html; charset=utf-8"),
            ("/all.css", style, "text/css"),
            ("/rows", rows, "application/json"),
        ]
        self._listeners: set[WebSocketHandler] = set()
        self._sockets = bind_sockets(0, "127.0.0.1")
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._serve)
        self.address = f"127.0.0.1:{self._sockets[0].getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def say(self, text: str) -> None:
        """Send a message to each that listens."""
        for one in list(self._listeners):
            self._loop.call_soon_threadsafe(one.write_message, text)

    def _serve(self) -> None:
        async def until_the_end() -> None:
            files = [(path, _File, {"content": c, "kind": k}) for path, c, k in self._files]
            moves = ("/moves", _Moves, {"listeners": self._listeners})
            server = HTTPServer(Application([*files, moves], log_function=lambda _: None))
            server.add_sockets(self._sockets)
            await self._end.wait()
            server.stop()
            await server.close_all_connections()

        self._loop.run_until_complete(until_the_end())
        self._loop.close()


def markup_of(page: Page) -> str:
    """Return the document that a page of the console has become, without its scripts."""
    return str(answer(page, MARKUP))


def style_of(page: Page) -> bytes:
    """Return the style sheet of a page of the console."""
    return page.request.get(str(answer(page, STYLE))).body()


def fetched_ms(page: Page) -> float:
    """Return how long other rows took from the wish to the frame with them."""
    return float(answer(page, FETCHED))


def listen(page: Page) -> None:
    """Have a page put what is said from now on before its rows."""
    answer(page, LISTENING)


def main() -> None:
    """Print how long plain rows take."""
    cells = "".join(f"<td>cell {n}</td>" for n in range(8))
    rows = "".join(f"<tr data-run=r{n}>{cells}</tr>" for n in range(100))
    times: list[Any] = []
    with BareConsole(f"<!doctype html><table>{rows}</table>") as bare, chromium() as browser:
        for _ in range(TIMES):
            page, took_ms = opened(browser, bare.address)
            page.context.close()
            times.append(took_ms)
    emit("limit_bare_page", statistics.median(times), "ms")


if __name__ == "__main__":
    main()
