"""What all WebSockets have in common before they open: who may, how many, and errors in JSON."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import unquote

from tornado.websocket import WebSocketHandler

from . import security
from .gate import let_in
from .guests import Guest
from .handlers import Guarded
from .rights import need_of
from .routing import Problem
from .services import Services

log = logging.getLogger("callsheet.web")

# Sockets of the whole server.
MAX_SOCKETS = 1_000


class SocketHandler(Guarded, WebSocketHandler):
    """Checked before the upgrade; what fails is an ordinary answer with an error. Whether its guest
    would still be let in is asked again and again while it is open."""

    # The address, as the table of rights has it.
    PATH = ""

    def initialize(self, services: Services) -> None:
        """Take the services."""
        self.services = services
        self.guest: Guest | None = None

    def admitted(self) -> None:
        """Count a socket that has opened."""
        self.services.sockets += 1
        self.services.open_sockets.add(self)
        if self.guest is not None and self.guest.how != "local":
            self.services.visited.set()

    def gone(self) -> None:
        """Count it no more."""
        self.services.sockets -= 1
        self.services.open_sockets.discard(self)

    async def prepare(self) -> None:
        """Refuse foreign pages, who may not, plain requests and too many sockets."""
        try:
            self.check_sender()
            headers = self.request.headers
            security.check_origin(headers)
            if headers.get("Upgrade", "").lower() != "websocket":
                raise Problem(400, "not a WebSocket: expected an upgrade to one")
            params = {"run_id": unquote(self.path_args[0])} if self.path_args else {}
            need = need_of("GET", self.PATH)
            self.guest = await let_in(self.services, self.caller(), need, self.PATH, params)
            if self.guest is not None and self.guest.how == "session" and "Origin" not in headers:
                raise Problem(403, "a socket by a log-in: expected the Origin of our own page")
            if self.services.sockets >= MAX_SOCKETS:
                raise Problem(503, f"{MAX_SOCKETS} sockets are open: try again later")
        except Problem as problem:
            self.send_problem(problem)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log what failed once the socket was open: it is then closed without a word. Before that
        it is an answer, and `write_error` has logged what is to be logged."""
        if self.ws_connection is not None:
            log.error("socket %s", self.request.path, exc_info=(typ, value, tb))

    def check_origin(self, origin: str) -> bool:
        """`prepare` has looked at it, in the same way as for all requests."""
        return True

    def get_compression_options(self) -> dict[str, Any] | None:
        """None: frames are shared by many sockets and not worth compressing for each."""
        return None
