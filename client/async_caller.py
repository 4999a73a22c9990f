"""One server to ask, from an event loop."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Self, TypeVar

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.simple_httpclient import HTTPTimeoutError, SimpleAsyncHTTPClient

from .caller import Server, error_of, json_of, request_of
from .endpoint import Ask
from .http import Answer, NoServer, NotTrusted
from .sockets import ToPath

# Requests that are under way at once; more wait for their turn.
AT_ONCE = 10
# An output is read whole, and may be as large as it is kept.
MOST_BYTES = 2**36

T = TypeVar("T")


class AsyncCaller(Server):
    """A server; for one event loop, and any number of tasks. Each request has a connection."""

    _http: SimpleAsyncHTTPClient | None = None

    async def aclose(self) -> None:
        """Close what is open."""
        if self._http is not None:
            self._http.close()
            self._http = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *args: object) -> None:
        await self.aclose()

    # --- requests ---------------------------------------------------------------------------------

    async def get(
        self,
        path: str,
        *,
        query: Mapping[str, str | list[str]] | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Return the JSON of a GET; a parameter with a list is given once for each item."""
        return json_of((await self._ask("GET", path, query=query, timeout_s=timeout_s)).body)

    async def post(
        self,
        path: str,
        *,
        query: Mapping[str, str | list[str]] | None = None,
        body: Any = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Return the JSON of a POST."""
        answer = await self._ask("POST", path, query=query, body=body, timeout_s=timeout_s)
        return json_of(answer.body)

    async def put(self, path: str) -> Any:
        """Return the JSON of a PUT."""
        return json_of((await self._ask("PUT", path)).body)

    async def carry_out(self, ask: Ask[T]) -> T:
        """Return what a method of the surface asks for."""
        answer = await self._ask(
            ask.method, ask.path, query=ask.query, body=ask.body, timeout_s=ask.timeout_s
        )
        return ask.made_of(answer.body)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | list[str]] | None = None,
        body: Any = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send a request and return the answer.

        Raises:
            APIError: it is an error.
            NoServer: nobody listens, or the connection broke.
            TimeoutError: there was no answer in time.
        """
        server = self._connection
        target, headers, data = request_of(method, path, query, body)
        wait_s = server.timeout_s if timeout_s is None else timeout_s
        request = HTTPRequest(
            f"http{'s' if server.tls else ''}://{server.authority}{target}",
            method,
            headers=server.headers | headers,
            body=data if data is not None or method == "GET" else b"",
            connect_timeout=wait_s or 0,
            request_timeout=wait_s or 0,
            follow_redirects=False,
            decompress_response=False,
            ssl_options=server.tls,
        )
        try:
            answer = await self._client().fetch(request, raise_error=False)
        except HTTPTimeoutError:
            raise TimeoutError(f"{self.url}: no answer in {wait_s} s") from None
        except ssl.SSLError as error:
            raise NotTrusted(server.address, error) from None
        except (HTTPClientError, OSError) as error:
            raise NoServer(server.address, error) from None
        found = Answer(answer.code, {}, answer.body)
        if not 200 <= answer.code < 300:
            raise error_of(found)
        return found

    def _client(self) -> SimpleAsyncHTTPClient:
        if self._http is None:
            path = self._connection.path
            self._http = SimpleAsyncHTTPClient(
                force_instance=True,
                max_clients=AT_ONCE,
                max_body_size=MOST_BYTES,
                max_buffer_size=MOST_BYTES,
                resolver=ToPath(path) if path else None,
            )
        return self._http
