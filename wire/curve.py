"""CURVE keys: made, kept in files, read back, and put into sockets.

Called by those who open sockets, on both sides. A secret key is in a file of its owner's alone and
nowhere else; a public key is text without signs that a shell would mind, so that people can copy it
(URL-safe base64 of its 32 bytes). Nothing here is ever logged.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import stat
import struct
from pathlib import Path

import msgspec
import zmq
from zmq.utils import z85

from ..jobs.errors import UserError

PUBLIC_LENGTH = 43
KEY_BYTES = 32
# A stranger who has connected must be through with the handshake by then.
HANDSHAKE_MS = 10_000


class BadKey(UserError):
    """A key or its file cannot be used."""

    def __init__(self, where: str, what: str, expected: str) -> None:
        super().__init__(f"{where}: {what}: expected {expected}")


class KeyPair(msgspec.Struct, frozen=True):
    """A key pair, as ZeroMQ takes it (z85). Its text never shows the secret."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"KeyPair({public_text(self.public)})"

    __str__ = __repr__


class ServerSide(msgspec.Struct, frozen=True, kw_only=True):
    """What a bound socket needs: its key, and the domain by which the gate knows it."""

    keys: KeyPair
    domain: str


class ClientSide(msgspec.Struct, frozen=True, kw_only=True):
    """What a connecting socket needs: its own key, and the server's public one as text.

    `reconnect_ms` and `reconnect_max_ms` should differ from agent to agent, so that not all of them
    come back at the same instant.
    """

    keys: KeyPair
    server: str
    reconnect_ms: int = 500
    reconnect_max_ms: int = 3_000


def new_keys() -> KeyPair:
    """Make a key pair."""
    if not zmq.has("curve"):
        sentence = "this build of ZeroMQ cannot encrypt"
        raise BadKey("ZeroMQ", sentence, "one with CURVE, as in pyzmq's own wheels")
    return KeyPair(*zmq.curve_keypair())


def own_keys(path: Path) -> KeyPair:
    """Return the key pair whose secret is in a file; make it at the first need.

    Its public key stands beside it as text, in `<name>.pub`.

    Raises:
        BadKey: the file is readable by others, not ours, no file, or holds no key.
    """
    if not path.name or path.is_dir():
        raise BadKey(str(path), "is a folder", "the path of a file")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        _write(path, new_keys().secret + b"\n", 0o600)
    secret = read_secret(path).strip()
    try:
        if len(z85.decode(secret)) != KEY_BYTES:
            raise ValueError
        keys = KeyPair(zmq.curve_public(secret), secret)
    except (ValueError, LookupError, struct.error, zmq.ZMQError):
        raise BadKey(str(path), "it holds no key", "40 characters of z85") from None
    beside = path.with_suffix(".pub")
    text = public_text(keys.public)
    if not beside.exists() or beside.read_text().strip() != text:
        beside.write_text(text + "\n")
    return keys


def read_secret(path: Path, at_most: int = 4_096) -> bytes:
    """Return the content of a file that holds a secret, no more than `at_most` bytes of it.

    Raises:
        BadKey: it is missing, another user's, or others may read it.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_uid not in (os.geteuid(), 0):
                raise BadKey(str(path), f"it belongs to user {found.st_uid}", "a file of our own")
            mode = stat.S_IMODE(found.st_mode)
            if mode & 0o077:
                what = f"its mode is {mode:04o}, so that others may read or change it"
                raise BadKey(str(path), what, "0600")
            return file.read(at_most)
    except OSError as error:
        raise BadKey(str(path), f"it cannot be read: {error.strerror}", "a secret") from None


def public_text(public: bytes) -> str:
    """Return a public key (z85) as text."""
    return _text(z85.decode(public))


def raw_text(raw: bytes) -> str:
    """Return the 32 bytes of a public key as text."""
    return _text(raw)


def public_bytes(text: str, where: str) -> bytes:
    """Return a public key, given as text, as ZeroMQ takes it.

    Raises:
        BadKey: it is none; `where` says what should have been one.
    """
    expected = f"{PUBLIC_LENGTH} letters, digits or - _, as `callsheetctl agent token` shows it"
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=")
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != KEY_BYTES or _text(raw) != text:
        raise BadKey(where, f"{text[:60]!r} is no public key", expected)
    return z85.encode(raw)


def guard(socket: zmq.Socket[bytes], side: ServerSide) -> None:
    """Have a socket that is not bound yet let in only whom the gate admits.

    Without `ZAP_ENFORCE_DOMAIN` everybody would be let in while no gate is there.
    """
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, side.keys.secret)
    socket.setsockopt(zmq.ZAP_DOMAIN, side.domain.encode())
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)


def introduce(socket: zmq.Socket[bytes], side: ClientSide) -> None:
    """Have a socket that is not connected yet show its key, and accept only the server's."""
    socket.setsockopt(zmq.CURVE_SERVERKEY, public_bytes(side.server, "the server's key"))
    socket.setsockopt(zmq.CURVE_PUBLICKEY, side.keys.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, side.keys.secret)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not be there yet, whole or not at all."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            os.fsync(file.fileno())
        os.link(made, path)
    finally:
        made.unlink()
