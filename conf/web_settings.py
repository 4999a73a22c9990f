"""The settings of who may speak to the server: addresses, certificate, log-in.

Called by `settings.py`. What an address needs before it may be listened on is judged where it is
listened on (`webui/listening.py`), since the command line may name addresses too.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..jobs.errors import UserError
from ..jobs.reading import At, Fields, Told, filled, flag, many, shown
from ..jobs.times import SECOND_US, parse_duration

DEFAULT_BIND = ("127.0.0.1:5000",)
SESSION_US = 12 * 3600 * SECOND_US
LONGEST_SESSION_US = 30 * 86_400 * SECOND_US


class WebAccess(msgspec.Struct, frozen=True, kw_only=True):
    """Who may speak to the server, and how.

    `certificate` and `key` are PEM files, None: nothing is encrypted. `loopback`: whether those who
    come by an address of this machine alone need no log-in. `session_us`: how long a log-in holds.
    `hosts`: further names by which browsers may call the server, besides those of this machine.
    `socket_mode`: of the files of Unix sockets, by which it is said who may connect. `ad_hoc`:
    whether jobs may come with a request, instead of from the folder.
    """

    bind: tuple[str, ...] = DEFAULT_BIND
    certificate: Path | None = None
    key: Path | None = None
    loopback: Literal["open", "login"] = "open"
    session_us: int = SESSION_US
    hosts: tuple[str, ...] = ()
    socket_mode: int = 0o600
    ad_hoc: bool = True


def take_web(fields: Fields, base: Path) -> WebAccess:
    """Return what the whole file says of it; paths are relative to `base`."""

    def absolute(value: Any, at: At) -> Path:
        return Path(os.path.normpath(base / os.path.expanduser(filled(value, at))))

    def tls(value: Any, at: At) -> tuple[Path | None, Path | None]:
        inner = Fields(value, at)
        certificate = inner.take("certificate", absolute, None)
        key = inner.take("key", absolute, None)
        inner.finish()
        if certificate is None or key is None:
            raise UserError("expected both certificate and key, the names of PEM files")
        return certificate, key

    def access(value: Any, at: At) -> WebAccess:
        inner = Fields(value, at)
        loopback = inner.take("loopback", _loopback, "open")
        session_us = inner.take("session", _session, SESSION_US)
        hosts = inner.take("hosts", many(filled), ())
        socket_mode = inner.take("socket_mode", _mode, 0o600)
        inner.finish()
        return WebAccess(
            loopback=loopback, session_us=session_us, hosts=hosts, socket_mode=socket_mode
        )

    def address(value: Any, at: At) -> str:
        found = filled(value, at)
        if found.startswith("unix:"):
            return f"unix:{absolute(found.removeprefix('unix:'), at)}"
        bare = found.removeprefix("https://").removeprefix("http://")
        host, colon, port = bare.rpartition(":")
        if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
            raise UserError(f"{shown(found)}: expected a form like 127.0.0.1:5000 or unix:/path")
        return found

    bind = fields.take("bind", many(address), DEFAULT_BIND)
    # After a problem, which is recorded, a value means nothing.
    certificate, key = fields.take("tls", tls, None) or (None, None)
    found = fields.take("access", access, None) or WebAccess()
    ad_hoc = fields.take("adhoc", _ad_hoc, True)
    return msgspec.structs.replace(
        found, bind=bind or DEFAULT_BIND, certificate=certificate, key=key, ad_hoc=ad_hoc
    )


def _ad_hoc(value: Any, at: At) -> bool:
    inner = Fields(value, at)
    found = inner.take("enabled", flag, True)
    inner.finish()
    return found


def _loopback(value: Any, _at: At) -> Literal["open", "login"]:
    if value not in ("open", "login"):
        raise UserError(f"{shown(value)}: expected open or login")
    return value  # type: ignore[no-any-return]


def _session(value: Any, at: At) -> int:
    found = parse_duration(value)
    if not 0 < found <= LONGEST_SESSION_US:
        at.problems.append((at.path, f"{shown(value)}: expected a duration up to 30 days"))
        raise Told
    return found


def _mode(value: Any, _at: At) -> int:
    """Read `0660`, with or without quotes: YAML takes it for a number without its first digit."""
    if re.fullmatch("0?[0-7]{3}", str(value)) is None or int(str(value), 8) & 0o111:
        raise UserError(f"{shown(value)}: expected a mode like 0660")
    return int(str(value), 8)
