"""The settings of actions: what may be done, by which servers, and with which secrets.

Called by `settings.py`. Secrets are held by name, so that no job file and no database has them;
those in files are read when they are used, so that they can be changed while the server runs.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..jobs.errors import UserError
from ..jobs.masking import remember
from ..jobs.reading import At, Fields, filled, is_plain, many, shown

# Commands run as the server's user, so they have to be allowed by whoever runs the server.
KINDS = ("email", "webhook", "notify", "command")
ALLOWED = ("email", "webhook", "notify")
ATTEMPTS = 12
MOST_ATTEMPTS = 30
SECRET_BYTES = 64 * 2**10
# By kind of connection: plain, TLS from the start, TLS after a greeting.
SMTP_PORTS = {"off": 25, "tls": 465, "starttls": 587}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Absolute = Callable[[Any, At], Path]

_HOST = re.compile(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?")


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret, given in the settings or in a file that only its owner can read."""

    text: str = ""
    path: Path | None = None

    def __repr__(self) -> str:
        """Say where it is, never what it is."""
        return "Secret(***)" if self.path is None else f"Secret({str(self.path)!r})"

    def read(self) -> str:
        """Return the secret; of a file without the newline at its end. Logs mask it from now on.

        Raises:
            UserError: the file cannot be read, or others than its owner can.
        """
        if self.path is None:
            remember(self.text)
            return self.text
        try:
            with open(self.path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(SECRET_BYTES + 1)
        except OSError as error:
            raise UserError(f"secret file {self.path}: cannot be read: {error.strerror}") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UserError(f"secret file {self.path}: others can read it: expected mode 0600")
        try:
            text = data.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            text = ""
        if not text or len(data) > SECRET_BYTES:
            raise UserError(
                f"secret file {self.path}: expected a text of at most {SECRET_BYTES} bytes"
            )
        remember(text)
        return text


class SmtpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The server that takes mail. `sender` is who writes where an action does not say."""

    host: str = "localhost"
    port: int = 25
    tls: Literal["off", "tls", "starttls"] = "off"
    username: str | None = None
    password: Secret | None = None
    sender: str | None = None


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where webhooks may lead though it is not a public address."""

    allow_hosts: frozenset[str] = frozenset()
    allow_networks: tuple[Network, ...] = ()


class ActionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What actions may do. `secrets` sign webhooks, `services` are notification URLs, by name."""

    allow: tuple[str, ...] = ALLOWED
    attempts: int = ATTEMPTS
    smtp: SmtpSettings | None = None
    webhooks: WebhookSettings = WebhookSettings()
    secrets: dict[str, Secret] = {}
    services: dict[str, Secret] = {}


def read_action_settings(fields: Fields, absolute: Absolute) -> ActionSettings:
    """Take the keys `actions`, `smtp`, `webhooks`, `secrets` and `notify` of the settings.

    Args:
        absolute: reads a path, relative to the settings' folder.
    Raises:
        Told: something is wrong, and recorded by now.
    """

    def secret(value: Any, at: At) -> Secret:
        return _secret(value, at, absolute)

    def smtp(value: Any, at: At) -> SmtpSettings:
        return _smtp(value, at, absolute)

    default = (ALLOWED, ATTEMPTS)
    taken: tuple[tuple[str, ...], int] | None = fields.take("actions", _actions, default)
    allow, attempts = taken or default
    return ActionSettings(
        allow=allow,
        attempts=attempts,
        smtp=fields.take("smtp", smtp, None),
        webhooks=fields.take("webhooks", _webhooks, WebhookSettings()),
        secrets=fields.take("secrets", _named(secret), {}),
        services=fields.take("notify", _named(secret), {}),
    )


def _actions(value: Any, at: At) -> tuple[tuple[str, ...], int]:
    fields = Fields(value, at)
    allow = fields.take("allow", many(_kind), ALLOWED)
    attempts = fields.take("attempts", _attempts, ATTEMPTS)
    fields.finish()
    return tuple(dict.fromkeys(allow)), attempts


def _kind(value: Any, _at: At) -> str:
    if not isinstance(value, str) or value not in KINDS:
        raise UserError(f"{shown(value)}: expected some of {', '.join(KINDS)}")
    return value


def _attempts(value: Any, _at: At) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_ATTEMPTS:
        raise UserError(f"{shown(value)}: expected a whole number from 1 to {MOST_ATTEMPTS}")
    return value


def _smtp(value: Any, at: At, absolute: Absolute) -> SmtpSettings:
    fields = Fields(value, at)
    host = fields.take("host", filled, "localhost")
    port: int | None = fields.take("port", _port, 0)
    tls: Any = fields.take("ssl", _tls, False) or "off"
    taken: tuple[str | None, Secret | None] | None = fields.take(
        "auth", lambda data, place: _auth(data, place, absolute), _NOBODY
    )
    username, password = taken or _NOBODY
    sender = fields.take("from", filled, None)
    fields.finish()
    return SmtpSettings(
        host=host,
        port=port or SMTP_PORTS[tls],
        tls=tls,
        username=username,
        password=password,
        sender=sender,
    )


_NOBODY: tuple[str | None, Secret | None] = (None, None)


def _auth(value: Any, at: At, absolute: Absolute) -> tuple[str | None, Secret | None]:
    fields = Fields(value, at)
    username = fields.take("username", filled)
    password = fields.take("password", _hidden, None)
    path = fields.take("password_file", absolute, None)
    if ("password" in fields.data) == ("password_file" in fields.data):
        at.fail("expected exactly one of password, password_file")
    fields.finish()
    return username, _checked(Secret(text=password or "", path=path))


def _secret(value: Any, at: At, absolute: Absolute) -> Secret:
    """Read a secret: a text, or `{file: path}`."""
    if isinstance(value, str):
        return Secret(text=_hidden(value, at))
    if not isinstance(value, dict):
        hint = ": write it in quotes" if is_plain(value) else ""
        raise UserError(f"expected a text, or {{file: path}}{hint}")
    fields = Fields(value, at)
    path = fields.take("file", absolute)
    fields.finish()
    return _checked(Secret(path=path))


def _checked(secret: Secret) -> Secret:
    """Raise UserError now rather than when it is needed."""
    secret.read()
    return secret


def _hidden(value: Any, _at: At) -> str:
    """Read a secret text; whatever is wrong with it, it is not shown."""
    if not isinstance(value, str) or not value:
        hint = ": write it in quotes" if is_plain(value) else ""
        raise UserError(f"expected a text that is not empty{hint}")
    return value


def _named(read: Callable[[Any, At], Secret]) -> Callable[[Any, At], dict[str, Secret]]:
    def read_named(value: Any, at: At) -> dict[str, Secret]:
        fields = Fields(value, at)
        found = {filled(name, at): fields.take(name, read) for name in list(fields.data)}
        fields.finish()
        return found

    return read_named


def _port(value: Any, _at: At) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65_535:
        raise UserError(f"{shown(value)}: expected a port, or 0 for the usual one")
    return value


def _tls(value: Any, _at: At) -> str:
    if value == "starttls":
        return "starttls"
    if not isinstance(value, bool):
        raise UserError(f"{shown(value)}: expected false, true or starttls")
    return "tls" if value else "off"


def _webhooks(value: Any, at: At) -> WebhookSettings:
    fields = Fields(value, at)
    hosts = fields.take("allow_hosts", many(_host), ())
    networks = fields.take("allow_networks", many(_network), ())
    fields.finish()
    return WebhookSettings(allow_hosts=frozenset(hosts), allow_networks=networks)


def _host(value: Any, at: At) -> str:
    found = filled(value, at)
    if not _HOST.fullmatch(found):
        raise UserError(f"{shown(found)}: expected the name of a host, without port or path")
    return found.strip("[]").lower()


def _network(value: Any, _at: At) -> Network:
    try:
        return ipaddress.ip_network(value if isinstance(value, str) else "")
    except ValueError:
        raise UserError(f"{shown(value)}: expected a network like 10.1.0.0/16") from None
