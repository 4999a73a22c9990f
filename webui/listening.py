"""Where the server listens, and what an address needs before it may.

An address of this machine alone (loopback) needs nothing: whoever is on this machine may speak
plain HTTP. Any other needs TLS, and somebody who could log in. Who would listen without is refused
with a sentence that names the settings.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

from ..jobs.errors import UserError

UNIX = "unix:"


class Listener(NamedTuple):
    """One address. `local`: only this machine can reach it. `path`: of a Unix socket, or empty."""

    bind: str
    host: str
    port: int
    tls: bool
    local: bool
    path: str = ""


class BadBind(UserError):
    """An address that cannot be understood."""

    def __init__(self, bind: str) -> None:
        super().__init__(f"bind: {bind!r}: not an address: expected host:port or unix:/path")


class Unsafe(UserError):
    """An address the server may not listen on as things are."""

    def __init__(self, bind: str, expected: str) -> None:
        super().__init__(f"bind: {bind}: others than this machine can reach it: {expected}")


class NoCertificate(UserError):
    """TLS is asked for, and there is nothing to do it with."""

    def __init__(self, bind: str) -> None:
        sentence = "expected the settings tls.certificate and tls.key"
        super().__init__(f"bind: {bind}: TLS without a certificate: {sentence}")


def parse_bind(bind: str, *, certificate: bool) -> Listener:
    """Return what `127.0.0.1:5000`, `[::1]:5000`, `https://0.0.0.0:5443` or `unix:/path` means.

    Args:
        certificate: whether there is one. Without `http://` or `https://` before it an address of
            this machine is plain, and any other speaks TLS.
    Raises:
        BadBind: it is no address.
        Unsafe: others could reach it, and what they say would not be encrypted.
        NoCertificate: it is to speak TLS, and there is no certificate.
    """
    if bind.startswith(UNIX):
        path = bind.removeprefix(UNIX)
        if not path.startswith("/") or "\0" in path:
            raise BadBind(bind)
        return Listener(bind, "", 0, tls=False, local=True, path=path)
    scheme, mark, rest = bind.rpartition("://")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadBind(bind) from None
    wrong = not host or port is None or parts.path or parts.username is not None
    if wrong or (mark and scheme not in ("http", "https")):
        raise BadBind(bind)
    assert host is not None
    assert port is not None
    local = is_loopback(host)
    tls = scheme == "https" if mark else not local
    if not local and not (tls and certificate):
        expected = "expected TLS, by the settings tls.certificate and tls.key"
        if mark and not tls:
            expected = "expected https:// and " + expected.removeprefix("expected ")
        raise Unsafe(bind, f"{expected}, or an address like 127.0.0.1")
    if tls and not certificate:
        raise NoCertificate(bind)
    return Listener(bind, host, port, tls, local)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
