"""Connections over SSH by fabric: host keys are always verified, and failures are sentences.

Called by `ssh_program.py`, and by the commands that install agents on other hosts. fabric is an
extra (`callsheet[ssh]`) and slow to import, so it is imported when somebody connects.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
from typing import Any

import msgspec

from ..jobs.errors import UserError

KEEPALIVE_S = 15
# A connection whose packets nobody answers for so long is over.
SILENT_MS = 60_000
USER_KNOWN_HOSTS, SYSTEM_KNOWN_HOSTS = "~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"
_TARGET = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<six>[^\]]+)\]|(?P<host>[^@:\[\]\s]+))(?::(?P<port>\d{1,5}))?\Z"
)


class NotConnected(UserError):
    """A host cannot be reached, or is not the one it should be, or does not let us in."""

    def __init__(self, target: Target, what: str, expected: str = "") -> None:
        super().__init__(
            f"ssh to {target}: {what}" + (f": expected {expected}" if expected else "")
        )


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to connect to, and how. What is None is as `~/.ssh/config` has it, or as ssh does it.

    `known_hosts`: the one file that host keys are looked for in.
    """

    host: str
    user: str | None = None
    port: int | None = None
    identity_file: str | None = None
    known_hosts: str | None = None
    timeout_s: float = 30.0

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            (f"{self.user}@" if self.user else "") + host + (f":{self.port}" if self.port else "")
        )


def read_target(text: str, **more: Any) -> Target:
    """Return the target that `[user@]host[:port]` names.

    Raises:
        UserError: it names none.
    """
    match = _TARGET.match(text)
    host = match and (match["six"] or match["host"])
    if not match or not host or text.startswith("-") or host.startswith("-"):
        raise UserError(f"host {text!r}: expected one like db1, batch@db1 or db1:2222")
    port = match["port"] and int(match["port"])
    if port and not port <= 65_535:
        raise UserError(f"host {text!r}: port {port}: expected one up to 65535")
    given = {"user": match["user"], "port": port or None}
    return Target(host=host, **{**more, **{name: value for name, value in given.items() if value}})


def connect(target: Target) -> Any:
    """Return an open connection of fabric, to be closed by the caller.

    Raises:
        NotConnected: there is none, and why.
    """
    try:
        import fabric
    except ImportError:
        sentence = "fabric is not installed here"
        raise NotConnected(target, sentence, "pip install 'callsheet[ssh]'") from None
    # What goes wrong is told in a sentence of ours.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    if target.identity_file and not os.access(_home(target.identity_file), os.R_OK):
        raise NotConnected(target, f"key file {target.identity_file} cannot be read")
    more: dict[str, Any] = {
        "banner_timeout": target.timeout_s,
        "auth_timeout": target.timeout_s,
        "transport_factory": _telling_transport(),
    }
    if target.identity_file:
        more |= {"key_filename": _home(target.identity_file), "look_for_keys": False}
    connection = fabric.Connection(
        target.host,
        user=target.user,
        port=target.port,
        connect_timeout=target.timeout_s,
        connect_kwargs=more,
    )
    try:
        _verify(connection, target)
        _open(connection, target)
    except NotConnected:
        # What failed on its way has a thread and a socket all the same.
        connection.client.close()
        raise
    _watch(connection.transport)
    return connection


def _open(connection: Any, target: Target) -> None:
    """Open a connection.

    Raises:
        NotConnected: it cannot be, and why.
    """
    import paramiko

    try:
        connection.open()
    except paramiko.BadHostKeyException:
        sentence = "it shows another host key than the one we know: somebody may pose as it"
        expected = f"the key in {target.known_hosts or USER_KNOWN_HOSTS}"
        raise NotConnected(target, sentence, expected) from None
    except paramiko.PasswordRequiredException:
        raise NotConnected(target, "the key has a passphrase", "one without, or an agent") from None
    except paramiko.AuthenticationException:
        sentence = f"user {connection.user} is not let in by the keys there are"
        raise NotConnected(target, sentence) from None
    except socket.gaierror:
        raise NotConnected(target, f"there is no host {connection.host}") from None
    except TimeoutError:
        raise NotConnected(target, f"no answer within {target.timeout_s:g} s") from None
    except paramiko.ssh_exception.NoValidConnectionsError as error:
        first = next(iter(error.errors.values()))
        raise NotConnected(target, f"cannot be reached: {first.strerror}") from None
    except (OSError, paramiko.SSHException, EOFError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        what = " ".join(str(said).split())
        transport = connection.client.get_transport()
        if isinstance(error, paramiko.SSHException) and not (
            transport is not None and transport.initial_kex_done
        ):
            expected = f"an SSH server that answers within {target.timeout_s:g} s"
            raise NotConnected(target, f"no handshake came about ({what})", expected) from None
        raise NotConnected(target, what) from None


def _home(path: str) -> str:
    return os.path.expanduser(path)


def _verify(connection: Any, target: Target) -> None:
    """Let a connection, and those it goes through, reach only hosts whose keys are known.

    Raises:
        NotConnected: the file of known hosts cannot be read.
    """
    import paramiko

    class Unknown(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
        def missing_host_key(self, _client: Any, hostname: str, _key: Any) -> None:
            sentence = f"the host key of {hostname} is not known"
            expected = f"a line in {target.known_hosts or USER_KNOWN_HOSTS}"
            raise NotConnected(target, sentence, expected)

    client = connection.client
    client.set_missing_host_key_policy(Unknown())
    if target.known_hosts is not None:
        try:
            client.load_system_host_keys(_home(target.known_hosts))
        except OSError as error:
            sentence = f"known hosts {target.known_hosts}: {error.strerror}"
            raise NotConnected(target, sentence) from None
    else:
        for path in (USER_KNOWN_HOSTS, SYSTEM_KNOWN_HOSTS):
            with contextlib.suppress(OSError):
                client.load_system_host_keys(_home(path))
    gateway = connection.gateway
    if gateway is not None and not isinstance(gateway, str):
        _verify(gateway, target)


def _watch(transport: Any) -> None:
    """Have a connection end when the other side is not heard of any more."""
    transport.set_keepalive(KEEPALIVE_S)
    # What goes through another host has no socket of its own.
    with contextlib.suppress(OSError, AttributeError):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_MS)


def _telling_transport() -> Any:
    """Return a class of transports whose channels know `exit_signal`, which paramiko ignores: the
    name of the signal that ended the process, without SIG."""
    import paramiko
    from paramiko.common import MSG_CHANNEL_REQUEST

    def request(channel: Any, message: Any) -> None:
        at = message.packet.tell()
        if message.get_text() == "exit-signal":
            message.get_boolean()
            channel.exit_signal = message.get_text()
            channel.status_event.set()
        else:
            message.packet.seek(at)
            paramiko.Channel._handle_request(channel, message)

    class Transport(paramiko.Transport):  # type: ignore[misc]
        # A table of paramiko's own, held to its word by tests/agentd/test_ssh.py.
        _channel_handler_table = {
            **paramiko.Transport._channel_handler_table,
            MSG_CHANNEL_REQUEST: request,
        }

    return Transport
