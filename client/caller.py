"""One server to ask: the requests that all methods of the client are made of."""

from __future__ import annotations

import os

from .access import default_address, find_token, parse_address, verification
from .http import Answer, APIError, Connection
from .paths import quote

# As type checkers read it; `typing` itself would cost half of this module's import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self, TypeVar

    from .endpoint import Ask

    T = TypeVar("T")

DEFAULT_TIMEOUT_S = 30.0
# Between two looks whether a server is there.
AGAIN_S = 0.05


class Server:
    """Where a server is, and what is shown to it."""

    def __init__(
        self,
        address: str | tuple[str, int | None] | None = None,
        port: int | None = None,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        token: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        """Take the address, as a host, `host:port`, `https://host:port`, `unix:/path`, or a pair;
        None: from the environment.

        Args:
            token: shown to the server; None: as the environment says (see `access`).
            ca_file: the authorities by which the server is verified; None: as the environment
                says, else those of this system.
        Raises:
            BadAccess: address, token or file cannot be used.
        """
        host, named = address if isinstance(address, tuple) else (address, None)
        found = parse_address(host) if host else default_address()
        found.port = port or named or found.port
        token = find_token(token, found)
        self._connection = Connection(
            found.host,
            found.port,
            timeout_s,
            tls=verification(ca_file) if found.tls else None,
            path=found.path,
            headers={} if token is None else {"Authorization": f"Bearer {token}"},
        )

    @property
    def url(self) -> str:
        """The server's address as a URL."""
        if self._connection.path:
            return self._connection.address
        return f"http{'s' if self._connection.tls else ''}://{self._connection.address}"


class Caller(Server):
    """A connection to one server; for one thread at a time."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    # --- requests ---------------------------------------------------------------------------------

    def get(
        self,
        path: str,
        *,
        query: Mapping[str, str | list[str]] | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Return the JSON of a GET; a parameter with a list is given once for each item."""
        return json_of(self._ask("GET", path, query=query, timeout_s=timeout_s).body)

    def post(
        self,
        path: str,
        *,
        query: Mapping[str, str | list[str]] | None = None,
        body: Any = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Return the JSON of a POST."""
        answer = self._ask("POST", path, query=query, body=body, timeout_s=timeout_s)
        return json_of(answer.body)

    def put(self, path: str) -> Any:
        """Return the JSON of a PUT."""
        return json_of(self._ask("PUT", path).body)

    def carry_out(self, ask: Ask[T]) -> T:
        """Return what a method of the surface asks for."""
        answer = self._ask(
            ask.method, ask.path, query=ask.query, body=ask.body, timeout_s=ask.timeout_s
        )
        return ask.made_of(answer.body)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | list[str]] | None = None,
        body: Any = None,
        timeout_s: float | None = None,
    ) -> Answer:
        target, headers, data = request_of(method, path, query, body)
        answer = self._connection.ask(
            method, target, body=data, headers=headers, timeout_s=timeout_s
        )
        if not 200 <= answer.status < 300:
            raise error_of(answer)
        return answer


def request_of(
    method: str, path: str, query: Mapping[str, str | list[str]] | None, body: Any
) -> tuple[str, dict[str, str], bytes | None]:
    """Return target, headers and body of a request; `body` is sent as JSON, None: not at all."""
    headers = {"Accept": "*/*"}
    data = None
    if body is not None:
        import json

        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    if method != "GET":
        # Sent again over a new connection, the wish is still the same.
        headers["Idempotency-Key"] = os.urandom(16).hex()
    target = path
    if query:
        pairs = [
            f"{quote(name)}={quote(value)}" if value else quote(name)
            for name, given in query.items()
            for value in ([given] if isinstance(given, str) else given)
        ]
        target = f"{path}?{'&'.join(pairs)}"
    return target, headers, data


def json_of(body: bytes) -> Any:
    """Return the JSON of an answer."""
    import json

    return json.loads(body)


def error_of(answer: Answer) -> APIError:
    """Return the error that an answer is."""
    try:
        found = json_of(answer.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return APIError(answer.status, "unknown error", None)
    return APIError(answer.status, str(found.get("error", "unknown error")), found)
