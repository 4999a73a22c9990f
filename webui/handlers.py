"""Tornado's handlers: one for the whole API, one for the console's files, one for its pages."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler, StaticFileHandler, stream_request_body

from . import security
from .declared import answer
from .document import Document
from .first_answers import first_answers
from .gate import let_in
from .guests import Caller, Guest, cookie_name
from .listening import Listener
from .output_api import Stream
from .rights import need_of
from .routing import Problem, Reply, Request, Table, encode
from .services import Services
from .unix_sockets import peer_of

log = logging.getLogger("callsheet.web")

# A request's body; job definitions are the largest thing anybody sends.
MAX_BODY_BYTES = 2**20
YEAR_S = 365 * 86400


class Guarded(RequestHandler):
    """Headers of every answer, and errors without anything of ours in them."""

    services: Services
    allow = "GET, HEAD"

    def set_default_headers(self) -> None:
        """Set what every answer has."""
        for name, value in security.HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    def data_received(self, chunk: bytes) -> None:
        """Drop a piece of the body, where it comes in pieces: nobody fills the memory by what is
        sent where nothing is taken."""

    @property
    def listener(self) -> Listener:
        """The address by which the request came in."""
        found: Listener = self.application.settings["listener"]
        return found

    @property
    def source(self) -> str:
        """The address it came from; by a Unix socket, the user of this machine."""
        if self.listener.path:
            connection: Any = self.request.connection
            return peer_of(connection.stream.socket)
        return self.request.remote_ip or ""

    def caller(self) -> Caller:
        """Return what the request says of who asks."""
        return Caller(
            self.listener,
            self.request.headers,
            self.get_cookie(cookie_name(self.listener)) or "",
            self.source,
            self.request.method or "",
        )

    def check_sender(self) -> None:
        """Refuse hosts and origins that are not ours.

        Raises:
            Problem: 403.
        """
        hosts = self.services.settings.allowed_hosts
        if self.listener.local or hosts:
            # Elsewhere TLS has shown to whom the browser speaks.
            security.check_host(self.request.host, hosts)
        if self.request.method not in security.SAFE_METHODS:
            security.check_origin(self.request.headers)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer in JSON; what is our fault is logged under the request's id."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        extra: dict[str, Any] = {}
        if isinstance(error, Problem):
            sentence, extra = error.sentence, error.extra
        elif isinstance(error, HTTPError) and status_code < 500:
            sentence = self._reason.lower()
        elif error is None and status_code == 500:
            # The request's task was cancelled: no fault of anybody.
            sentence = "the server is stopping"
        else:
            sentence = "internal error"
        if status_code == 405 and "Allow" not in self._headers:
            self.set_header("Allow", self.allow)
        request_id = secrets.token_hex(8)
        if status_code >= 500 and not isinstance(error, Problem) and error is not None:
            log.error(
                "request %s: %s %s",
                request_id,
                self.request.method,
                self.request.path,
                exc_info=kwargs.get("exc_info"),
            )
        self.set_header("Content-Type", "application/json")
        self.set_header("X-Request-Id", request_id)
        self.finish(encode({"error": sentence, "request_id": request_id, **extra}))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Nothing: `write_error` has logged what is to be logged."""

    def send_problem(self, problem: Problem) -> None:
        """Answer with a problem."""
        self.services.problems += 1
        self.clear()
        self.set_status(problem.status)
        for name, value in problem.headers.items():
            self.set_header(name, value)
        self.write_error(problem.status, exc_info=(Problem, problem, None))

    def document(self, page: Document, status: int, missing: Problem) -> bytes | None:
        """Return the console's document, to be sent with a status; None: why not has been
        answered, with `missing` where there is no console."""
        try:
            self.check_sender()
            document = page.read(self.request.path)
        except FileNotFoundError:
            self.send_problem(missing)
        except Problem as problem:
            self.send_problem(problem)
        else:
            self.set_status(status)
            self.set_header("Content-Type", "text/html; charset=utf-8")
            self.set_header("Cache-Control", "no-cache")
            return document
        return None

    def send_document(self, page: Document, status: int, missing: Problem) -> None:
        """Answer with the console's document; with `missing` where there is no console."""
        document = self.document(page, status, missing)
        if document is not None:
            self.finish(document)


@stream_request_body
class ApiHandler(Guarded):
    """Every path of the API: looks up its endpoint, calls it, writes what it returns."""

    SUPPORTED_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
    allow = "GET, HEAD, POST, PUT"

    def initialize(self, services: Services, table: Table) -> None:
        """Take what the application has."""
        self.services = services
        self._table = table
        self._body = bytearray()
        self._guest: Guest | None = None

    async def prepare(self) -> None:
        """Refuse early what needs no body to be refused."""
        self.services.requests += 1
        try:
            self.check_sender()
            if _is_too_long(self.request.headers.get("Content-Length", "0")):
                raise _too_large()
            encoding = self.request.headers.get("Content-Encoding", "identity")
            if encoding.strip().lower() != "identity":
                sentence = f"request body: encoded as {encoding[:50]!r}: expected plain JSON"
                raise Problem(415, sentence, headers={"Accept-Encoding": "identity"})
            method = self.request.method or ""
            self._found = route, params = self._table.find(method, self.request.path)
            need = need_of("GET" if method == "HEAD" else method, route.path)
            self._guest = await let_in(self.services, self.caller(), need, route.path, params)
        except Problem as problem:
            self.send_problem(problem)

    def data_received(self, chunk: bytes) -> None:
        """Gather the body, up to the limit."""
        if len(self._body) <= MAX_BODY_BYTES:
            self._body += chunk

    async def _answer(self) -> None:
        """Answer a request that was let in."""
        try:
            if len(self._body) > MAX_BODY_BYTES:
                raise _too_large()
            route, params = self._found
            request = Request(
                self.request.method or "",
                self.request.uri or "",
                headers=self.request.headers,
                body=bytes(self._body),
                services=self.services,
                caller=self.caller(),
                guest=self._guest,
            )
            request.params = params
            found = await answer(route, request)
            await self._write(found if isinstance(found, Reply) else Reply(encode(found)))
        except Problem as problem:
            self.send_problem(problem)

    async def _write(self, reply: Reply) -> None:
        self.set_status(reply.status)
        self.set_header("Content-Type", reply.content_type)
        self.set_header("Cache-Control", "no-store")
        for name, value in reply.headers.items():
            self.set_header(name, value)
        length = reply.length if isinstance(reply, Stream) else len(reply.body)
        if length is not None:
            self.set_header("Content-Length", str(length))
        if self.request.method == "HEAD":
            self.finish()
            return
        try:
            if isinstance(reply, Stream):
                await self._write_pieces(reply)
            else:
                self.write(reply.body)
            self.finish()
        except StreamClosedError:
            return

    async def _write_pieces(self, reply: Stream) -> None:
        """Send piece after piece, each once the one before it is with the network."""
        sent = 0
        try:
            async for piece in reply.pieces:
                sent += len(piece)
                self.write(piece)
                await self.flush()
        except Problem:
            if sent == 0:
                raise
        if reply.length is not None and sent != reply.length:
            # Headers are out: a cut connection is the only way left to say that some is missing.
            assert isinstance(self.request.connection, HTTP1Connection)
            self.request.connection.close()
            raise StreamClosedError

    get = head = post = put = delete = patch = options = _answer

    def compute_etag(self) -> str | None:
        """No tags: answers are not kept by clients."""
        return None


@stream_request_body
class StaticHandler(StaticFileHandler, Guarded):
    """The console's files."""

    def initialize(self, services: Services, path: str) -> None:  # type: ignore[override]
        """Take the services and the folder."""
        self.services = services
        StaticFileHandler.initialize(self, path)

    def prepare(self) -> None:
        """Refuse hosts that are not ours."""
        try:
            self.check_sender()
        except Problem as problem:
            self.send_problem(problem)

    def set_extra_headers(self, path: str) -> None:
        """Have the browser ask whether a file is still the same."""
        self.set_header("Cache-Control", "no-cache")


@stream_request_body
class EditionHandler(Guarded):
    """The console's files under the name of their edition: what is kept of one is good for ever."""

    SUPPORTED_METHODS = ("GET", "HEAD")

    def initialize(self, services: Services, page: Document) -> None:
        """Take the services and the document that names the files."""
        self.services = services
        self._page = page

    def get(self, edition: str, name: str) -> None:
        """Send a file."""
        try:
            self.check_sender()
            content, content_type = self._page.file(edition, name)
        except FileNotFoundError:
            self.send_problem(Problem(404, f"no such file of this console: {name[:200]}"))
        except Problem as problem:
            self.send_problem(problem)
        else:
            self.set_header("Content-Type", content_type)
            self.set_header("Cache-Control", f"public, max-age={YEAR_S}, immutable")
            self.finish(content)

    def head(self, edition: str, name: str) -> None:
        """Send a file's headers."""
        self.get(edition, name)


@stream_request_body
class PageHandler(Guarded):
    """The pages of the console: all of them are the one document, which reads the address."""

    SUPPORTED_METHODS = ("GET", "HEAD")

    def initialize(self, services: Services, page: Document, table: Table) -> None:
        """Take the services, the document, and what it is to be asked."""
        self.services = services
        self._page = page
        self._table = table

    async def get(self, *args: str) -> None:
        """Send the document: its text at once, and at its end the page's first answers."""
        document = self._own_document()
        if document is None:
            return
        text, end, rest = document.partition(b"</body>")
        path, query = self.request.path, self.request.query
        try:
            self.write(text)
            await self.flush()
            self.write(await first_answers(self.services, self._table, self.caller(), path, query))
            self.finish(end + rest)
        except StreamClosedError:
            return

    def head(self, *args: str) -> None:
        """Send the document's headers."""
        document = self._own_document()
        if document is not None:
            self.finish(document)

    def _own_document(self) -> bytes | None:
        found = self.document(self._page, 200, Problem(404, "the console is not installed here"))
        if found is not None:
            # What will be in it is somebody's, and of this moment.
            self.set_header("Cache-Control", "no-store")
        return found


@stream_request_body
class NotFoundHandler(Guarded):
    """Whatever else is asked for: people find the console, which says what is not there."""

    SUPPORTED_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")

    def initialize(self, services: Services, page: Document) -> None:
        """Take the services and the console's document."""
        self.services = services
        self._page = page

    def prepare(self) -> None:
        """There is nothing here."""
        problem = Problem(404, f"no such path: {self.request.path[:200]}")
        asks_for_a_page = "text/html" in self.request.headers.get("Accept", "")
        if self.request.method == "GET" and asks_for_a_page:
            self.send_document(self._page, 404, problem)
        else:
            self.send_problem(problem)


def _is_too_long(length: str) -> bool:
    """Whether a body's length, as its sender says, is beyond the limit. What is no number Tornado
    refuses, after us."""
    digits = length.strip().lstrip("0")
    if not digits.isascii() or not digits.isdigit():
        return False
    return len(digits) > len(str(MAX_BODY_BYTES)) or int(digits) > MAX_BODY_BYTES


def _too_large() -> Problem:
    return Problem(413, f"request body: expected at most {MAX_BODY_BYTES} bytes")
