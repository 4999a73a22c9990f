"""Signatures of webhooks, as the Standard Webhooks specification has them. Pure.

Called by the responder, which signs, and by the client, with which a receiver checks.
Source: https://www.standardwebhooks.com
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from .errors import UserError

# A secret written like this is the base64 of the key; any other text is the key itself.
KEY_MARK = "whsec_"


def signature(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the value of `webhook-signature` for a message.

    Raises:
        UserError: the secret is marked as base64 and is none.
    """
    signed = b".".join([message_id.encode(), str(timestamp_s).encode(), body])
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def is_signed(header: str, secret: str, message_id: str, timestamp_s: int, body: bytes) -> bool:
    """Whether one of the signatures in a header (parted by blanks) is the right one."""
    expected = signature(secret, message_id, timestamp_s, body).encode()
    return any(hmac.compare_digest(one.encode(), expected) for one in header.split(" "))


def _key(secret: str) -> bytes:
    if not secret.startswith(KEY_MARK):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(KEY_MARK), validate=True)
    except (binascii.Error, ValueError):
        raise UserError(f"secret: starts with {KEY_MARK}: expected base64 after it") from None
