"""Lines of the server's log on their way to the web server: a datagram each, and lossy by design.

`LogSender` is a handler of `logging` in every process of the server; `LogSocket` is the web
server's end. Whoever logs never waits: what the web server does not take in time is left out here,
and how much is said by the next line that arrives. The whole log is where the settings say.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from typing import Any

import msgspec

from .log_lines import JsonFormatter

# What may wait for the web server, and the most of one line: message and traceback are cut at 64 Ki
# characters each.
RECEIVE_BYTES = 2**20
MOST_BYTES = 2**19
LEVELS = ("info", "warning", "error", "critical")


class LogLine(msgspec.Struct, frozen=True):
    """A line of the log: `fields` are those of `JsonFormatter`. `lost`: so many before it are
    missing."""

    lost: int
    level: str
    fields: dict[str, Any]
    size: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class LogSender(logging.Handler):
    """Sends each line to a path; used by whatever thread logs. `part`: the role that logs."""

    def __init__(self, path: str, part: str) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(JsonFormatter(part))
        self._path = path
        self._socket: socket.socket | None = None
        self._lost = 0

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - the base's name
        """Take no formatter but the own: lines travel as JSON, whatever is written elsewhere."""
        if isinstance(fmt, JsonFormatter):
            super().setFormatter(fmt)

    def emit(self, record: logging.LogRecord) -> None:
        """Send a line, or leave it out; raises nothing."""
        try:
            data = b"%d\n%b" % (self._lost, self.format(record).encode("utf-8", "replace"))
        except Exception:  # noqa: BLE001 - a line that cannot be made is no reason to fail
            self.handleError(record)
            return
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto(data, self._path)
            self._lost = 0
        except OSError:
            # The web server is not there yet, or has enough to do.
            self._lost += 1

    def close(self) -> None:
        """Close the socket; the next line would open it again."""
        with self.lock or contextlib.nullcontext():
            if self._socket is not None:
                self._socket.close()
                self._socket = None
        super().close()


class LogSocket:
    """Where the lines arrive."""

    def __init__(self, path: str) -> None:
        """Bind; what a web server before this one has left there is replaced.

        Raises:
            OSError: it cannot be.
        """
        self._path = path
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        self._socket.bind(path)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable."""
        return self._socket.fileno()

    def take(self, limit: int) -> list[LogLine]:
        """Return what has arrived, at most so many lines; what is no line is left out."""
        lines = []
        for _ in range(limit):
            try:
                data = self._socket.recv(MOST_BYTES)
            except BlockingIOError:
                break
            line = _read(data)
            if line is not None:
                lines.append(line)
        return lines

    def close(self) -> None:
        """Let nothing in any more."""
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)


def _read(data: bytes) -> LogLine | None:
    lost, _, text = data.partition(b"\n")
    try:
        fields = _decode(text)
        return LogLine(int(lost), str(fields["level"]), fields, len(data))
    except (ValueError, KeyError, msgspec.DecodeError):
        return None
