"""Whom a client speaks to, and as whom: addresses, verification, tokens.

Everything comes from arguments or the environment: `CALLSHEET_HOST`, `CALLSHEET_CA_FILE`,
`CALLSHEET_TOKEN`, `CALLSHEET_TOKEN_FILE`. There is no way to leave the server unverified.
"""

from __future__ import annotations

import os

from ..jobs.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

DEFAULT_PORT = 5000
HTTPS_PORT = 443
# A token is far shorter; anything longer is another file.
MAX_TOKEN_BYTES = 4_096


class Address:
    """A server; `tls` says whether it is spoken to encrypted. `path` is that of a Unix socket."""

    def __init__(self, host: str, port: int, *, tls: bool, path: str = "") -> None:
        self.host = host
        self.port = port
        self.tls = tls
        self.path = path


class BadAccess(UserError):
    """What should let this client in cannot be used."""

    def __init__(self, what: str, wrong: str, expected: str) -> None:
        super().__init__(f"{what}: {wrong}: expected {expected}")


def default_address() -> Address:
    """Return the address of `CALLSHEET_HOST` or `APSIS_HOST`, else this machine's."""
    text = os.environ.get("CALLSHEET_HOST") or os.environ.get("APSIS_HOST") or "localhost"
    return parse_address(text)


def parse_address(text: str) -> Address:
    """Return what `host`, `host:port`, `[::1]:port`, `https://host` or `unix:/path` means.

    Raises:
        BadAccess: it is no address.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path:
            raise BadAccess(text, "not an address", "a form like unix:/path")
        return Address("localhost", 0, tls=False, path=os.path.abspath(path))
    scheme, mark, rest = text.rstrip("/").rpartition("://")
    if mark and scheme not in ("http", "https"):
        raise BadAccess(text, "not an address", "a form like host:port or https://host:port")
    tls = scheme == "https"
    host, colon, port = rest.rpartition(":")
    if rest.count(":") > 1 and "]" not in rest:
        # An address of IPv6, which has its brackets only beside a port.
        host, colon, port = rest, "", ""
    if not colon or "]" in port:
        return Address(rest.strip("[]"), HTTPS_PORT if tls else DEFAULT_PORT, tls=tls)
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise BadAccess(text, "not an address", "a form like host:port or https://host:port")
    return Address(host.strip("[]"), int(port), tls=tls)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself."""
    return host in ("localhost", "::1") or (host.startswith("127.") and host.count(".") == 3)


def verification(ca_file: str | None) -> ssl.SSLContext:
    """Return how servers are verified: by the authorities of this system, or of a PEM file.

    Raises:
        BadAccess: the file cannot be used.
    """
    import ssl

    path = ca_file or os.environ.get("CALLSHEET_CA_FILE") or None
    try:
        context = ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        wrong = f"it cannot be read: {getattr(error, 'strerror', None) or 'no PEM certificates'}"
        raise BadAccess(str(path), wrong, "a PEM file of authorities") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def find_token(token: str | None, address: Address) -> str | None:
    """Return the token to be shown to a server, None for none.

    Args:
        token: None: that of `CALLSHEET_TOKEN`, or of the file that `CALLSHEET_TOKEN_FILE` names.
    Raises:
        BadAccess: the file can be read by others or not at all, it is no token, or it would go
            over the network for all to read.
    """
    where, found = "the token", token
    if found is None and os.environ.get("CALLSHEET_TOKEN"):
        where, found = "CALLSHEET_TOKEN", os.environ["CALLSHEET_TOKEN"].strip()
    elif found is None and os.environ.get("CALLSHEET_TOKEN_FILE"):
        where = os.environ["CALLSHEET_TOKEN_FILE"]
        found = _read_token(where)
    if not found:
        return None
    if not found.isascii() or not found.isprintable() or " " in found:
        raise BadAccess(where, "not a token", "one line, as `callsheetctl token create` shows it")
    if not address.tls and not is_loopback(address.host):
        wrong = f"it would go to {address.host} unencrypted"
        host = f"[{address.host}]" if ":" in address.host else address.host
        raise BadAccess(where, wrong, f"an address like https://{host}:{address.port}")
    return found


def _read_token(path: str) -> str:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            if mode & 0o077:
                wrong = f"its mode is {mode:04o}, so that others may read or change it"
                raise BadAccess(path, wrong, "0600")
            found = file.read(MAX_TOKEN_BYTES).decode("ascii", "replace").strip()
    except OSError as error:
        wrong = f"it cannot be read: {error.strerror}"
        raise BadAccess(path, wrong, "a file with a token") from None
    if not found:
        raise BadAccess(path, "it is empty", "a file with a token")
    return found
