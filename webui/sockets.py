"""What all WebSockets have in common before they open: who may, how many, and errors in JSON."""

from __future__ import annotations

from typing import Any

from tornado.websocket import WebSocketHandler

from . import security
from .handlers import Guarded
from .routing import Problem
from .services import Services

# Sockets of the whole server.
MAX_SOCKETS = 1_000


class SocketHandler(Guarded, WebSocketHandler):
    """Checked before the upgrade; what fails is an ordinary answer with an error."""

    def initialize(self, services: Services) -> None:
        """Take the services."""
        self.services = services

    def prepare(self) -> None:
        """Refuse foreign pages, plain requests and too many sockets."""
        try:
            self.check_sender()
            headers = self.request.headers
            security.check_origin(headers)
            if headers.get("Upgrade", "").lower() != "websocket":
                raise Problem(400, "not a WebSocket: expected an upgrade to one")
            if self.services.sockets >= MAX_SOCKETS:
                raise Problem(503, f"{MAX_SOCKETS} sockets are open: try again later")
        except Problem as problem:
            self.send_problem(problem)

    def check_origin(self, origin: str) -> bool:
        """`prepare` has looked at it, in the same way as for all requests."""
        return True

    def get_compression_options(self) -> dict[str, Any] | None:
        """None: frames are shared by many sockets and not worth compressing for each."""
        return None
