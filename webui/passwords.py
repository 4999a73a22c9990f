"""Passwords: hashed slowly and with salt by scrypt, compared in constant time.

One hash takes about 0.2 s and 32 MiB, by the parameters OWASP names for scrypt. Callers run it on a
thread made for it, one after the other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

# Cost (as a power of two), block size, parallelism.
LOG_N, BLOCK, PARALLEL = 15, 8, 3
KEY_BYTES = 32
SALT_BYTES = 16
MAX_MEMORY = 128 * 2**20
SHORTEST, LONGEST = 10, 1_000


def problem_of(password: str, name: str) -> str:
    """Return why a password may not be taken, empty when it may."""
    if not SHORTEST <= len(password) <= LONGEST:
        return f"password: expected {SHORTEST} to {LONGEST} characters"
    if len(set(password)) < 4 or password.casefold() == name.casefold():
        return "password: too easy to guess: expected one that is not the name, or all the same"
    return ""


def hashed(password: str) -> str:
    """Return what is kept of a password: parameters, salt and key."""
    salt = os.urandom(SALT_BYTES)
    key = _key(password, salt, LOG_N, BLOCK, PARALLEL)
    return f"scrypt${LOG_N}${BLOCK}${PARALLEL}${_text(salt)}${_text(key)}"


def matches(password: str, kept: str) -> bool:
    """Return whether this is the password that is kept; what is not understood matches nothing."""
    try:
        kind, log_n, block, parallel, salt, key = kept.split("$")
        if kind != "scrypt" or int(log_n) > 20:
            return False
        found = _key(password, base64.b64decode(salt), int(log_n), int(block), int(parallel))
        return hmac.compare_digest(found, base64.b64decode(key))
    except ValueError:
        return False


# Compared with when there is no such user, so that an answer takes as long.
NOBODY = f"scrypt${LOG_N}${BLOCK}${PARALLEL}${'A' * 22}==${'A' * 43}="


def _key(password: str, salt: bytes, log_n: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "replace"),
        salt=salt,
        n=2**log_n,
        r=block,
        p=parallel,
        maxmem=MAX_MEMORY,
        dklen=KEY_BYTES,
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
