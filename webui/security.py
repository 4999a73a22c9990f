"""Who may speak to the web at all: addresses to bind, hosts, origins, and the headers of answers.

There is no log-in yet, so the only safe place to listen is this machine: any other address is
refused. What a browser on this machine is tricked into sending is refused by its `Host`, `Origin`
and `Sec-Fetch-Site`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from ..jobs.errors import UserError
from .routing import Problem

# Sent with every answer. The console needs nothing that these forbid.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; font-src 'self'; manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Unsafe(UserError):
    """An address the server may not listen on."""

    def __init__(self, bind: str) -> None:
        super().__init__(
            f"web.bind: {bind}: not an address of this machine alone: expected 127.0.0.1, ::1 or "
            "localhost, as there is neither TLS nor log-in; put a proxy that has both before it"
        )


class BadBind(UserError):
    """An address that cannot be understood."""

    def __init__(self, bind: str) -> None:
        super().__init__(f"web.bind: {bind!r}: not an address: expected host:port")


def parse_bind(bind: str) -> tuple[str, int]:
    """Return host and port of `127.0.0.1:5000`, `[::1]:5000` or `localhost:5000`.

    Raises:
        BadBind: it is none of these.
        Unsafe: others than this machine could reach it.
    """
    try:
        parts = urlsplit(f"//{bind}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadBind(bind) from None
    if not host or port is None or parts.path or parts.username is not None:
        raise BadBind(bind)
    if not is_loopback(host):
        raise Unsafe(bind)
    return host, port


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_host(host: str, allowed: Iterable[str]) -> None:
    """Refuse a `Host` that is not ours: a name of somebody else's that leads to this machine.

    Raises:
        Problem: 403.
    """
    name = _host_of(host)
    if name is None or not (is_loopback(name) or name in allowed):
        raise Problem(403, f"host {host[:200]!r}: not a name of this server")


def check_origin(headers: Mapping[str, str]) -> None:
    """Refuse what a page of another origin sends (no `Origin`: it is no browser, or our page).

    Raises:
        Problem: 403.
    """
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise Problem(403, "a request from another site's page is refused")
    origin = headers.get("Origin")
    if origin is not None and not is_same_origin(origin, headers.get("Host", "")):
        raise Problem(403, f"origin {origin[:200]!r}: not this server's own: refused")


def is_same_origin(origin: str, host: str) -> bool:
    """Return whether an `Origin` names exactly the host and port of a `Host`."""
    try:
        parts = urlsplit(origin)
        wanted = urlsplit(f"//{host}")
        default = _PORTS.get(parts.scheme)
        return (
            parts.scheme in ("http", "https")
            and not parts.path.strip("/")
            and parts.username is None
            and parts.hostname is not None
            and parts.hostname == wanted.hostname
            and (parts.port or default) == (wanted.port or default)
        )
    except ValueError:
        return False


def _host_of(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
