"""The server's certificate: read at the start, and again when its files change.

Owned by the web server's loop. A certificate that was renewed is used from the next connection on;
one that cannot be used leaves the one before it in force, and is said once.
"""

from __future__ import annotations

import calendar
import logging
import os
import ssl
import stat
import time
from typing import NamedTuple

from ..jobs.errors import UserError

log = logging.getLogger("callsheet.web")

# How often the files are looked at.
LOOK_S = 5.0

# Tags of DER: the version of a certificate, and the shorter of two forms of a time.
_VERSION = 0xA0
_UTC_TIME = 0x17


class BadCertificate(UserError):
    """A certificate or its key cannot be used."""

    def __init__(self, setting: str, path: str, wrong: str, expected: str) -> None:
        super().__init__(f"tls.{setting}: {path}: {wrong}: expected {expected}")


class _Look(NamedTuple):
    """What tells one content of a file from another."""

    inode: int
    size: int
    changed_ns: int


class Certificate:
    """See the module. `context` is for connections to come."""

    def __init__(self, certificate: str, key: str) -> None:
        """Read both.

        Args:
            certificate: a PEM file with the chain, the server's own first.
            key: a PEM file with the secret key, which nobody else may read.
        Raises:
            BadCertificate: they cannot be used.
        """
        self._certificate, self._key = certificate, key
        self._seen = self._look()
        self.context = self._read()
        # Why the files as they are now cannot be used; empty when they are in use.
        self.problem = ""

    def renew(self) -> bool:
        """Use the files again if they have changed; return whether `context` is another now."""
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self.context = self._read()
        except BadCertificate as error:
            self.problem = str(error)
            log.error("%s; the certificate before it stays in use", error)
            return False
        self.problem = ""
        log.info("tls.certificate: %s: used as it is now", self._certificate)
        return True

    def _look(self) -> tuple[_Look | None, ...]:
        looks: list[_Look | None] = []
        for path in (self._certificate, self._key):
            try:
                found = os.stat(path)
            except OSError:
                looks.append(None)
            else:
                looks.append(_Look(found.st_ino, found.st_size, found.st_mtime_ns))
        return tuple(looks)

    def _read(self) -> ssl.SSLContext:
        _check_secret(self._key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        try:
            # The empty password keeps OpenSSL from asking for one on the terminal.
            context.load_cert_chain(self._certificate, self._key, password="")
        except FileNotFoundError:
            raise BadCertificate(
                "certificate", self._certificate, "there is no such file", "a PEM file"
            ) from None
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                wrong, expected = "it is not of this key", f"the certificate of {self._key}"
            else:
                wrong = "it or its key cannot be used"
                expected = "PEM files, and a key without a password"
            raise BadCertificate("certificate", self._certificate, wrong, expected) from None
        except OSError as error:
            wrong = f"it cannot be read: {error.strerror}"
            raise BadCertificate("certificate", self._certificate, wrong, "a PEM file") from None
        return context


def _check_secret(path: str) -> None:
    """Refuse a key that others may read or change.

    Raises:
        BadCertificate: it is missing, another user's, or open to others.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        wrong = f"it cannot be read: {error.strerror}"
        raise BadCertificate("key", path, wrong, "a PEM file") from None
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        wrong = f"its mode is {mode:04o}, so that others may read or change it"
        raise BadCertificate("key", path, wrong, "0600")
    if found.st_uid not in (os.geteuid(), 0):
        raise BadCertificate("key", path, f"it belongs to user {found.st_uid}", "a file of our own")


def expires_s(path: str | os.PathLike[str]) -> float:
    """Return until when the first certificate of a PEM file holds, in seconds since the epoch.

    Raises:
        BadCertificate: there is none that can be read.
    """
    name = os.fspath(path)
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read()
        start = text.index("-----BEGIN CERTIFICATE-----")
        end = text.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")
        return _not_after(ssl.PEM_cert_to_DER_cert(text[start:end] + "\n"))
    except OSError as error:
        wrong = f"it cannot be read: {error.strerror}"
        raise BadCertificate("certificate", name, wrong, "a PEM file") from None
    except (ValueError, IndexError):
        wrong = "it is no certificate"
        raise BadCertificate("certificate", name, wrong, "a PEM file") from None


def _not_after(der: bytes) -> float:
    """Return the end of a certificate's validity (X.509: RFC 5280, section 4.1).

    Raises:
        ValueError, IndexError: the bytes are no certificate.
    """
    whole, _ = _part(der, 0)
    parts = _parts(_part(whole, 0)[0])
    # The version, in brackets, may be left out; then serial, algorithm, issuer, validity.
    validity = parts[4] if parts[0][0] == _VERSION else parts[3]
    tag, value = _parts(validity[1])[1]
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return calendar.timegm(time.strptime(value.decode("ascii"), form))


def _part(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the content of the DER element at a place, and where the next one is."""
    length, at = data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, at = int.from_bytes(data[at : at + count], "big"), at + count
    if at + length > len(data):
        raise ValueError("an element is cut off")
    return data[at : at + length], at + length


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of each element of a sequence."""
    found, at = [], 0
    while at < len(data):
        tag = data[at]
        content, at = _part(data, at)
        found.append((tag, content))
    return found
