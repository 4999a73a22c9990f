"""HTTP/1.1 over a socket, plain or with TLS: just what the API needs.

The standard library's client takes longer to import than a whole command of the command line may
take. Used by `client` only. It never follows redirects, and retries only where nothing was lost: a
kept connection that turns out to be closed before any answer.
"""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Any

# An answer's headers and the size of a line in them.
MAX_HEADER_BYTES = 64 * 2**10
READ_BYTES = 2**16


class APIError(RuntimeError):
    """The server answered with an error: `status`, `error` (its sentence), `jso` (all it said)."""

    def __init__(self, status: int, error: str, jso: dict[str, Any] | None = None) -> None:
        self.status = status
        self.error = error
        self.jso = jso or {}
        super().__init__(f"{error} [API status: {status}]")


class NoServer(ConnectionError):
    """Nobody answers at the address."""

    def __init__(self, address: str, error: object) -> None:
        super().__init__(f"{address}: no answer: {error}: expected a running callsheet server")


class NotTrusted(NoServer):
    """Somebody answers at the address who cannot show that he is the server, or speaks no TLS."""

    def __init__(self, address: str, error: ssl.SSLError) -> None:
        verify_message = getattr(error, "verify_message", "")
        why = verify_message or error.reason or str(error)
        sentence = (
            f"{address}: not trusted: {why}: expected a certificate of this name, by an authority "
            "that is known here or in the file that CALLSHEET_CA_FILE names"
        )
        if not verify_message:
            sentence = f"{address}: no TLS: {why}: expected a server that speaks TLS there"
        ConnectionError.__init__(self, sentence)


class _Closed(Exception):
    """The connection ended before anything of the answer came."""


class Answer:
    """What came back. `headers` have names in lower case."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Connection:
    """One connection, kept and opened again as needed; for one thread at a time.

    `tls`: how the server is to be verified; None: plain. `headers` go with every request. `path`:
    of a Unix socket, by which it is reached instead of host and port.
    """

    def __init__(
        self,
        host: str,
        port: int,
        timeout_s: float | None,
        *,
        tls: ssl.SSLContext | None = None,
        headers: dict[str, str] | None = None,
        path: str = "",
    ) -> None:
        self.path = path
        self.host = host
        self.port = port
        self.timeout_s = timeout_s
        self.tls = tls
        self.headers = headers or {}
        self._socket: socket.socket | None = None

    @property
    def address(self) -> str:
        """Host and port as they stand in a URL, or the path of the Unix socket, for people."""
        return f"unix:{self.path}" if self.path else self.authority

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL and are said to the server."""
        if self.path:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def ask(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send a request and return the answer, whatever its status.

        Raises:
            NoServer: nobody listens, or the connection broke.
            TimeoutError: there was no answer in time.
        """
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.authority}"]
        lines += [f"{name}: {value}" for name, value in (self.headers | (headers or {})).items()]
        if body is not None or method != "GET":
            lines.append(f"Content-Length: {len(body or b'')}")
        request = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")
        wait_s = self.timeout_s if timeout_s is None else timeout_s
        kept = self._socket is not None
        try:
            return self._exchange(request, method, wait_s)
        except _Closed:
            if not kept:
                raise NoServer(self.address, "the connection was closed") from None
        except (TimeoutError, APIError, NotTrusted):
            self.close()
            raise
        except OSError as error:
            self.close()
            if not kept:
                raise NoServer(self.address, error) from None
        # The server had closed the kept connection in the meantime: it saw nothing of this.
        self.close()
        try:
            return self._exchange(request, method, wait_s)
        except (TimeoutError, NotTrusted):
            self.close()
            raise
        except (_Closed, OSError) as error:
            self.close()
            raise NoServer(self.address, error) from None

    def close(self) -> None:
        """Close the connection; the next request opens one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, request: bytes, method: str, wait_s: float | None) -> Answer:
        if self._socket is None:
            self._socket = self._open(wait_s)
        self._socket.settimeout(wait_s)
        self._socket.sendall(request)
        reading = _Reading(self._socket)
        answer = reading.answer(method)
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    def _open(self, wait_s: float | None) -> socket.socket:
        if self.path:
            return self._open_path(wait_s)
        opened = socket.create_connection((self.host, self.port), wait_s)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is None:
            return opened
        from ssl import SSLError

        try:
            return self.tls.wrap_socket(opened, server_hostname=self.host)
        except SSLError as error:
            opened.close()
            raise NotTrusted(self.address, error) from None
        except OSError:
            opened.close()
            raise

    def _open_path(self, wait_s: float | None) -> socket.socket:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            opened.settimeout(wait_s)
            opened.connect(self.path)
        except OSError:
            opened.close()
            raise
        return opened


class _Reading:
    """Reads one answer."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._data = b""

    def answer(self, method: str) -> Answer:
        while True:
            status, headers = self._head()
            # 100 (Continue) and its like come before the answer.
            if status >= 200:
                break
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunks()
        elif "content-length" in headers:
            body = self._exactly(int(headers["content-length"]))
        else:
            headers["connection"] = "close"
            body = self._rest()
        return Answer(status, headers, body)

    def _head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self._data:
            if len(self._data) > MAX_HEADER_BYTES:
                raise OSError("the answer's headers are too long")
            self._more()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
            raise OSError("the answer is not HTTP")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(rest[:3]), headers

    def _more(self) -> None:
        data = self._source.recv(READ_BYTES)
        if not data:
            if not self._data:
                raise _Closed
            raise OSError("the connection was closed in the middle of the answer")
        self._data += data

    def _exactly(self, size: int) -> bytes:
        parts, have = [self._data], len(self._data)
        while have < size:
            data = self._source.recv(min(READ_BYTES, size - have))
            if not data:
                raise OSError("the connection was closed in the middle of the answer")
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self._data = whole[size:]
        return whole[:size]

    def _rest(self) -> bytes:
        parts = [self._data]
        while data := self._source.recv(READ_BYTES):
            parts.append(data)
        return b"".join(parts)

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        while True:
            while b"\r\n" not in self._data:
                self._more()
            line, _, self._data = self._data.partition(b"\r\n")
            size = int(line.split(b";")[0], 16)
            part = self._exactly(size + 2)[:-2]
            if size == 0:
                return b"".join(parts)
            parts.append(part)
