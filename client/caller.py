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
    from typing import Any, Self

DEFAULT_TIMEOUT_S = 30.0


class Caller:
    """A connection to one server; for one thread at a time."""

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

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The server's address as a URL."""
        if self._connection.path:
            return self._connection.address
        return f"http{'s' if self._connection.tls else ''}://{self._connection.address}"

    # --- requests ---------------------------------------------------------------------------------

    def get(
        self,
        path: str,
        *,
        query: Mapping[str, str | list[str]] | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Return the JSON of a GET; a parameter with a list is given once for each item."""
        return _json(self._ask("GET", path, query=query, timeout_s=timeout_s).body)

    def post(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Return the JSON of a POST."""
        answer = self._ask("POST", path, query=query, body=body, timeout_s=timeout_s)
        return _json(answer.body)

    def put(self, path: str) -> Any:
        """Return the JSON of a PUT."""
        return _json(self._ask("PUT", path).body)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | list[str]] | None = None,
        body: Any = None,
        timeout_s: float | None = None,
    ) -> Answer:
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
        answer = self._connection.ask(
            method, target, body=data, headers=headers, timeout_s=timeout_s
        )
        if not 200 <= answer.status < 300:
            raise _error(answer)
        return answer


def _json(body: bytes) -> Any:
    import json

    return json.loads(body)


def _error(answer: Answer) -> APIError:
    try:
        found = _json(answer.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return APIError(answer.status, "unknown error", None)
    return APIError(answer.status, str(found.get("error", "unknown error")), found)
