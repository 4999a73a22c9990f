"""The web server: Tornado's loop on the calling thread, the core on its stage's thread.

`cli/` builds it and says how a stage is started:

    server = WebServer(settings)          # binds; raises UserError when it cannot
    server.run(start_stage)               # until server.stop(), from any thread

`start_stage(core)` starts a stage that hosts the core given and returns a function that tells that
stage a local message (`ref.tell`). The core hands its news over by one `call_soon_threadsafe` per
batch. Nothing here imports `actors`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import Callable
from typing import Any

from tornado.netutil import bind_sockets
from tornado.web import Application

from ..jobs.errors import UserError
from ..store.interface import Reader
from ..wire.log_lines import about
from . import (
    connections,
    output_api,
    output_zip,
    unix_sockets,
    v1_jobs,
    v1_runs,
    v2_access,
    v2_agents,
    v2_audit,
    v2_backfills,
    v2_by_time,
    v2_calendars,
    v2_checks,
    v2_day,
    v2_definitions,
    v2_graph,
    v2_login,
    v2_metrics,
    v2_operations,
    v2_pauses,
    v2_planning,
    v2_runs,
    v2_server,
    v2_why,
)
from .bridge import BridgedCore
from .certificate import LOOK_S, Certificate
from .connections import LimitedServer, Sparing
from .core import WebCore
from .document import Document
from .figures import Board
from .handlers import ApiHandler, EditionHandler, NotFoundHandler, PageHandler, StaticHandler
from .hub import Hub
from .listening import Listener, parse_bind
from .outputs import Outputs
from .pool import ReaderPool
from .routing import Table
from .seam import FromCore, ToCore
from .server_topics import make_looks
from .services import Services, WebSettings
from .sockets_v1 import OutputSocket, RunSocket, SummarySocket
from .stream import StreamSocket

log = logging.getLogger("callsheet.web")
# A line for each request; silent unless the settings name `requests`.
requests = logging.getLogger("callsheet.requests")

SOCKET_MESSAGE_BYTES = 64 * 2**10
PING_S = 30.0

Tell = Callable[[Any], None]
StartStage = Callable[[BridgedCore], Tell]

TABLE = Table(
    [
        *v1_runs.ROUTES,
        *output_api.ROUTES,
        *output_zip.ROUTES,
        *v1_jobs.ROUTES,
        *v2_runs.ROUTES,
        *v2_by_time.ROUTES,
        *v2_server.ROUTES,
        *v2_calendars.ROUTES,
        *v2_checks.ROUTES,
        *v2_metrics.ROUTES,
        *v2_agents.ROUTES,
        *v2_backfills.ROUTES,
        *v2_pauses.ROUTES,
        *v2_operations.ROUTES,
        *v2_planning.ROUTES,
        *v2_day.ROUTES,
        *v2_graph.ROUTES,
        *v2_why.ROUTES,
        *v2_definitions.ROUTES,
        *v2_access.ROUTES,
        *v2_login.ROUTES,
        *v2_audit.ROUTES,
    ]
)
# The console's own addresses; the document finds its page by itself.
PAGES = (
    r"/(?:(?:day|runs|jobs|job|agents|checks|control|timeline|calendar|graph|adhoc|reference|why|login)"
    r"(?:/.*)?)?"
)


class CannotListen(UserError):
    """An address that is taken or not ours."""

    def __init__(self, bind: str, error: OSError) -> None:
        super().__init__(f"bind: {bind}: {error.strerror or error}: expected a free address")


def make_app(services: Services, listener: Listener) -> Application:
    """Return the application: API, sockets, console."""
    static = services.settings.static
    page = Document(static)
    with_services = {"services": services}
    run = r"/api/v1/runs/([^/]+)"
    return Application(
        [
            (r"/api/v1/summary", SummarySocket, with_services),
            (rf"{run}/updates", RunSocket, with_services),
            (rf"{run}/output/([^/]+)/updates", OutputSocket, with_services),
            (r"/api/v2/stream", StreamSocket, with_services),
            (r"/api/.*|/healthz(?:/.*)?|/metrics", ApiHandler, {**with_services, "table": TABLE}),
            (r"/static/([0-9a-f]{16})/(.+)", EditionHandler, {**with_services, "page": page}),
            (r"/static/(.*)", StaticHandler, {**with_services, "path": str(static)}),
            (PAGES, PageHandler, {**with_services, "page": page, "table": TABLE}),
        ],
        listener=listener,
        default_handler_class=NotFoundHandler,
        default_handler_args={**with_services, "page": page},
        log_function=_log_request,
        websocket_max_message_size=SOCKET_MESSAGE_BYTES,
        websocket_ping_interval=PING_S,
        websocket_ping_timeout=PING_S,
        serve_traceback=False,
        compress_response=False,
    )


class WebServer:
    """See the module."""

    def __init__(
        self, settings: WebSettings, open_reader: Callable[[], Reader] | None = None
    ) -> None:
        """Bind the addresses.

        Raises:
            UserError: one of them is not allowed, not understood, or taken.
        """
        self.settings = settings
        self._open_reader = open_reader or self._open_sqlite
        self._certificate: Certificate | None = None
        if settings.certificate is not None and settings.key is not None:
            self._certificate = Certificate(settings.certificate, settings.key)
        self.services: Services | None = None
        self._sockets: list[tuple[Listener, list[socket.socket]]] = []
        self.figures = Board()
        self.addresses: list[str] = []
        self.urls: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._stopped = False
        for bind in settings.bind:
            self._bind(bind)

    def rest(self) -> None:
        """Give back what was taken to be quick; from any thread."""
        if self.services is not None:
            self.services.pool.rest()

    def run(self, start_stage: StartStage) -> None:
        """Serve until `stop` is called."""
        asyncio.run(self.serve(start_stage))

    def stop(self) -> None:
        """End `run`; from any thread, any number of times."""
        self._stopped = True
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)

    async def serve(self, start_stage: StartStage) -> None:
        """Serve until `stop` is called, on the running loop."""
        loop = self._loop = asyncio.get_running_loop()
        stop = self._stop = asyncio.Event()
        told: list[Tell] = []

        def tell(message: ToCore) -> None:
            told[0](message)

        hub = Hub(tell)

        def deliver(batch: list[FromCore]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(hub.take, batch)

        pool = ReaderPool(self._open_reader)
        services = self.services = Services(self.settings, hub, pool)
        services.figures = self.figures
        hub.is_stalled = lambda: self.figures.stalled
        services.looks = make_looks(services)
        hub.pauses_changed = services.looks["pauses"].again
        services.outputs = Outputs(services, self.settings.outputs_root)
        told.append(start_stage(BridgedCore(WebCore(secrets.token_hex(8)), deliver)))
        logging.getLogger("tornado.general").addFilter(Sparing())
        if self.settings.log_socket:
            services.log.open(self.settings.log_socket)
        servers = [self._listen(services, *one) for one in self._sockets]
        log.info("web: listening on %s", ", ".join(self.urls))
        beside = [loop.create_task(services.show_out())]
        if self._certificate is not None:
            beside.append(loop.create_task(self._renew(servers)))
        try:
            if not self._stopped:
                await stop.wait()
        finally:
            for task in beside:
                task.cancel()
            for server in servers:
                server.stop()
            if not await connections.drained(servers, lambda: services.under_way):
                log.warning("web: answers under way were cut off")
            for listener, _ in self._sockets:
                if listener.path:
                    unix_sockets.forget(listener.path)
            closed = asyncio.gather(*(server.close_all_connections() for server in servers))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closed, connections.CLOSE_S)
            services.close()
            services.log.close()
            pool.close()

    def _listen(
        self, services: Services, listener: Listener, sockets: list[socket.socket]
    ) -> LimitedServer:
        """Begin to take connections of one address."""
        certificate = self._certificate
        server = LimitedServer(
            make_app(services, listener),
            ssl_options=certificate.context if certificate and listener.tls else None,
            xheaders=False,
            max_header_size=connections.MAX_HEADER_BYTES,
            max_body_size=connections.MAX_SENT_BYTES,
            idle_connection_timeout=connections.HEAD_S,
            body_timeout=connections.BODY_S,
        )
        server.connections = connections.Connections(
            local=listener.local, most=connections.make_room()
        )
        server.add_sockets(sockets)
        return server

    async def _renew(self, servers: list[LimitedServer]) -> None:
        """Look now and then whether the certificate was renewed."""
        assert self._certificate is not None
        while True:
            await asyncio.sleep(LOOK_S)
            if self._certificate.renew():
                for server in servers:
                    if server.ssl_options is not None:
                        server.ssl_options = self._certificate.context

    def _bind(self, bind: str) -> None:
        listener = parse_bind(bind, certificate=self._certificate is not None)
        if listener.path:
            try:
                opened = unix_sockets.listen(listener.path, self.settings.socket_mode)
            except OSError as error:
                raise CannotListen(bind, error) from None
            self._sockets.append((listener, [opened]))
            self.addresses.append(bind)
            self.urls.append(bind)
            return
        host, port = listener.host, listener.port
        # `localhost` is bound as IPv4 only: two families would get two different free ports.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            found = bind_sockets(port, host, family)
        except OSError as error:
            raise CannotListen(bind, error) from None
        self._sockets.append((listener, found))
        shown = f"[{host}]" if ":" in host else host
        addresses = [f"{shown}:{one.getsockname()[1]}" for one in found]
        self.addresses += addresses
        self.urls += [f"http{'s' if listener.tls else ''}://{one}/" for one in addresses]

    def _open_sqlite(self) -> Reader:
        from ..store.reader import SqliteReader

        return SqliteReader(self.settings.database)


def run_web(
    settings: WebSettings,
    start_stage: StartStage,
    started: Callable[[WebServer], None] | None = None,
) -> None:
    """Bind, say so, and serve until stopped.

    Args:
        settings: addresses, database, folders.
        start_stage: starts a stage that hosts the core given; returns its `tell`.
        started: called with the server once it is bound, before the stage starts.

    Raises:
        UserError: an address is not allowed, not understood, or taken; or the certificate cannot
            be used.
    """
    server = WebServer(settings)
    if started is not None:
        started(server)
    server.run(start_stage)


def _log_request(handler: Any) -> None:
    """Log a request for those who want to see each; errors of ours are logged with their id."""
    if requests.isEnabledFor(logging.INFO):
        request = handler.request
        fields = {
            "status": handler.get_status(),
            "method": request.method,
            "path": request.path,
            "source": request.remote_ip,
            "seconds": round(request.request_time(), 6),
        }
        line = (fields["status"], fields["method"], fields["path"])
        requests.info("%d %s %s", *line, extra=about(**fields))
