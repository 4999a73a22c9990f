"""The checks of polled conditions: a file, a URL, a command, a query. Each blocks its thread.

Called by `prober.py` alone. A check keeps its own time as far as the system lets it, ends early
when it is cancelled, and says what it found in words that stay the same while that does; whatever
goes wrong is a finding, not an error of ours.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import select
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping

from ..jobs import registry
from ..jobs.polled import (
    BoundCommandCheck,
    BoundExtensionCheck,
    BoundFileCheck,
    BoundHttpCheck,
    BoundPolled,
    BoundSqlCheck,
)
from . import clock
from .deliver_limits import NotDelivered
from .deliver_process import ask_child

Found = tuple[bool, str]

# Of a body so much is looked at; what is asked for is to be within it.
BODY_BYTES = 1024 * 1024
REDIRECTS = 5
REDIRECTING = (301, 302, 303, 307, 308)
# SQLite asks whether to go on once in so many steps of its machine.
SQL_STEPS = 10_000
# What a command gets of the server's environment.
KEPT_ENVIRONMENT = ("HOME", "LANG", "LOGNAME", "PATH", "TZ", "USER")


class Cancel:
    """The end of a check: when its time is up, or when nobody waits for it any more."""

    def __init__(self, timeout_us: int) -> None:
        self._until_s = clock.monotonic_s() + timeout_us / 1e6
        self._lock = threading.Lock()
        self._undo: Callable[[], object] | None = None
        self._is_set = False

    def left_s(self) -> float:
        """Return the seconds left, 0 when the check is to end."""
        return 0.0 if self._is_set else max(0.0, self._until_s - clock.monotonic_s())

    @contextlib.contextmanager
    def undoing(self, undo: Callable[[], object]) -> Iterator[None]:
        """Have `undo` called, by another thread, if the check is cancelled within."""
        with self._lock:
            self._undo = undo
            if self._is_set:
                undo()
        try:
            yield
        finally:
            with self._lock:
                self._undo = None

    def set(self) -> None:
        """Cancel the check."""
        with self._lock:
            self._is_set = True
            if self._undo is not None:
                self._undo()


def look(cond: BoundPolled, databases: Mapping[str, str], cancel: Cancel) -> Found:
    """Make a check: return whether the condition holds, and what is so."""
    match cond:
        case BoundFileCheck():
            return look_at_file(cond)
        case BoundHttpCheck():
            return _Asking(cond, cancel).look()
        case BoundCommandCheck():
            return run_command(cond, cancel)
        case BoundSqlCheck():
            return query(cond, databases, cancel)
        case BoundExtensionCheck():
            return ask_extension(cond, cancel)


# --- file ---------------------------------------------------------------------------------------


def look_at_file(cond: BoundFileCheck) -> Found:
    """Look at a file; it may hang where its file system does."""
    try:
        found = os.stat(cond.path)
    except (FileNotFoundError, NotADirectoryError):
        said = f"{cond.path}: does not exist"
        return not cond.exists, said
    except OSError as error:
        return False, f"{cond.path}: {error.strerror}"
    if not cond.exists:
        return False, f"{cond.path}: exists: expected none"
    age_us = clock.now_us() - found.st_mtime_ns // 1_000
    if cond.min_bytes is not None and found.st_size < cond.min_bytes:
        return False, f"{cond.path}: is smaller than {cond.min_bytes} bytes"
    if cond.changed_within_us is not None and age_us > cond.changed_within_us:
        said = f"was not changed within {cond.changed_within_us / 1e6:g} s"
        return False, f"{cond.path}: {said}"
    if cond.older_than_us is not None and age_us <= cond.older_than_us:
        return False, f"{cond.path}: was changed less than {cond.older_than_us / 1e6:g} s ago"
    return True, f"{cond.path}: is there"


# --- http ---------------------------------------------------------------------------------------


class _Answer(Exception):
    """What is so, found somewhere on the way."""


class _Asking:
    """One question to a URL, its redirects followed as long as they stay on the host."""

    def __init__(self, cond: BoundHttpCheck, cancel: Cancel) -> None:
        self._cond, self._cancel = cond, cancel
        # Queries may hold what is not for logs.
        self._shown = cond.url.partition("?")[0]

    def look(self) -> Found:
        """Ask, and compare the answer with what is expected."""
        try:
            return self._look(self._cond.url, REDIRECTS)
        except _Answer as found:
            said = str(found)
        except TimeoutError:
            said = f"no answer within {self._cond.timeout_us / 1e6:g} s"
        except ssl.SSLCertVerificationError as error:
            said = f"certificate: {error.verify_message}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return False, f"{self._shown}: {said}"

    def _look(self, url: str, redirects: int) -> Found:
        parts = urllib.parse.urlsplit(url)
        connection = self._connect(parts)
        with contextlib.closing(connection), self._cancel.undoing(lambda: _shut(connection)):
            target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
            connection.request(self._cond.method, target, headers={"User-Agent": "callsheet"})
            answer = connection.getresponse()
            where = answer.headers.get("Location")
            expected = self._is_expected(answer.status)
            if not expected and answer.status in REDIRECTING and where and redirects:
                there = urllib.parse.urljoin(url, where)
                if self._cond.method != "POST" and self._may_follow(parts, there):
                    return self._look(there, redirects - 1)
            if not expected:
                wanted = "|".join(map(str, self._cond.status)) or "2xx"
                raise _Answer(f"status {answer.status}: expected {wanted}")
            return self._compare(answer)

    def _connect(self, parts: urllib.parse.SplitResult) -> http.client.HTTPConnection:
        host = parts.hostname or ""
        left_s = self._left_s()
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(
                host, parts.port, timeout=left_s, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=left_s)
        connection.connect()
        peer = connection.sock.getpeername()[0].partition("%")[0]
        if ipaddress.ip_address(peer).is_link_local:
            # Where clouds keep the credentials of their machines.
            connection.close()
            raise _Answer(f"address {peer} is link-local: expected another")
        connection.sock.settimeout(self._left_s())
        return connection

    def _is_expected(self, status: int) -> bool:
        return status in self._cond.status if self._cond.status else 200 <= status < 300

    def _may_follow(self, parts: urllib.parse.SplitResult, url: str) -> bool:
        there = urllib.parse.urlsplit(url)
        if there.scheme not in ("http", "https") or there.hostname != parts.hostname:
            raise _Answer(f"redirects to {there.hostname}: expected no other host")
        if parts.scheme == "https" and there.scheme != "https":
            raise _Answer("redirects from https to http: expected https")
        return True

    def _compare(self, answer: http.client.HTTPResponse) -> Found:
        said = f"{self._shown}: status {answer.status}"
        wanted = self._cond.contains
        if wanted is None:
            return True, said
        body = b""
        while len(body) < BODY_BYTES:
            self._left_s()
            piece = answer.read1(BODY_BYTES - len(body))
            if not piece:
                break
            body += piece
        if wanted.encode() in body:
            return True, f"{said}, contains {wanted!r}"
        return False, f"{said}: expected it to contain {wanted!r}"

    def _left_s(self) -> float:
        left_s = self._cancel.left_s()
        if not left_s:
            raise TimeoutError
        return left_s


def _shut(connection: http.client.HTTPConnection) -> None:
    sock = connection.sock
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


# --- command ------------------------------------------------------------------------------------


def run_command(cond: BoundCommandCheck, cancel: Cancel) -> Found:
    """Run a program in a session of its own; what it leaves behind there is killed."""
    shown = cond.argv[0]
    environment = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    try:
        process = subprocess.Popen(
            cond.argv,
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return False, f"{shown}: {error.strerror}"

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    ended = os.pidfd_open(process.pid)
    try:
        with cancel.undoing(kill):
            poller = select.poll()
            poller.register(ended, select.POLLIN)
            in_time = bool(poller.poll(cancel.left_s() * 1e3))
    finally:
        # Its leader is not reaped yet, so that the group is still its own.
        kill()
        os.close(ended)
        status = process.wait()
    if not in_time:
        return False, f"{shown}: did not end within {cond.timeout_us / 1e6:g} s"
    if status < 0:
        return False, f"{shown}: killed by {signal.Signals(-status).name}: expected exit status 0"
    return status == 0, f"{shown}: exit status {status}" + (": expected 0" if status else "")


# --- sql ----------------------------------------------------------------------------------------


def query(cond: BoundSqlCheck, databases: Mapping[str, str], cancel: Cancel) -> Found:
    """Ask a query of a database that is opened to be read only."""
    shown = cond.database
    path = databases.get(shown, shown).removeprefix("sqlite:///")
    address = f"file:{urllib.parse.quote(path)}?mode=ro"
    try:
        connection = sqlite3.connect(
            address, uri=True, timeout=cancel.left_s(), check_same_thread=False
        )
        with contextlib.closing(connection), cancel.undoing(connection.interrupt):
            connection.set_progress_handler(lambda: not cancel.left_s(), SQL_STEPS)
            connection.set_authorizer(_may_only_read)
            row = connection.execute(cond.query).fetchone()
    except sqlite3.OperationalError as error:
        late = f"no answer within {cond.timeout_us / 1e6:g} s"
        return False, f"{shown}: {late if not cancel.left_s() else error}"
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        return False, f"{shown}: {error}"
    if row is None:
        return False, f"{shown}: the query finds no row"
    met = row[0] not in (None, 0, "", b"")
    return met, f"{shown}: the query finds {'something true' if met else 'nothing true'}"


def _may_only_read(action: int, *_names: str | None) -> int:
    reading = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION)
    allowed = (*reading, sqlite3.SQLITE_RECURSIVE)
    return sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY


# --- extension ----------------------------------------------------------------------------------


def ask_extension(cond: BoundExtensionCheck, cancel: Cancel) -> Found:
    """Have a type of the settings' extensions make its check, in a process of its own."""
    kind = registry.kind_of("condition", cond.name)
    question = {"target": kind.target, "data": cond.data}
    try:
        answer = ask_child("extension_child", question, cancel.left_s(), cancel.undoing)
    except NotDelivered:
        return False, f"{kind.words}: no answer within {cond.timeout_us / 1e6:g} s"
    if "error" in answer:
        return False, f"{kind.words}: {answer['error']}"
    return answer["met"], f"{kind.words}: {answer['reason']}"
