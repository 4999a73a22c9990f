"""Whom requests come from, as far as their headers tell, and the headers of answers.

What a browser is tricked into sending is refused by its `Host`, `Origin` and `Sec-Fetch-Site`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from .listening import is_loopback
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


def neighbourhood(address: str) -> str:
    """Return by what somebody far away is counted: an IPv4 address, or the /64 of an IPv6 one, of
    which one host has as many as it likes."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


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
