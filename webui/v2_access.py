"""Endpoints of `/api/v2` about who may come in: tokens and users, and who asks."""

from __future__ import annotations

import re
import secrets
from typing import Any

from ..jobs.errors import UserError
from ..jobs.times import format_time_ms, parse_duration
from ..messages.access import (
    NAME,
    ROLES,
    TOKEN_PREFIX,
    ApiToken,
    MakeApiToken,
    RevokeApiToken,
    Role,
    secret_hash,
)
from .routing import Problem, Request, Route

LONGEST_EXPIRY_US = 10 * 366 * 86_400 * 1_000_000


async def me(request: Request) -> Any:
    """Who asks, and what they may."""
    guest = request.guest
    assert guest is not None, "the table of rights lets nobody else here"
    return {
        "name": guest.name,
        "role": guest.access.role,
        "labels": list(guest.access.labels),
        "how": guest.how,
        "until": None if guest.until_us is None else format_time_ms(guest.until_us),
        "xsrf": guest.xsrf,
    }


async def list_tokens(request: Request) -> Any:
    """The tokens of programs, without their secrets."""
    services = request.services
    tokens = await services.read(lambda reader: reader.api_tokens())
    now_us = services.now_us()
    return {"tokens": [_token_jso(token, now_us) for token in tokens]}


async def make_token(request: Request) -> Any:
    """A token for programs; body `{"name", "role", "labels", "expires": duration or null}`. It is
    shown here and never again."""
    services = request.services
    body = request.json_object()
    expiry_us = _expiry(body.get("expires", "90d"))
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    wish = MakeApiToken(
        token_id=secrets.token_hex(6),
        secret_hash=secret_hash(secret),
        name=name_of(body),
        role=role_of(body.get("role")),
        labels=labels_of(body.get("labels", [])),
        expires_us=None if expiry_us is None else services.now_us() + expiry_us,
    )
    done = await services.wish(request, wish)
    if done.result.get("token_id") != wish.token_id:
        sentence = "the token of this Idempotency-Key was made before: it is shown once only"
        raise Problem(400, sentence)
    return {
        "token": secret,
        "token_id": wish.token_id,
        "name": wish.name,
        "role": wish.role,
        "labels": list(wish.labels),
        "expires": None if wish.expires_us is None else format_time_ms(wish.expires_us),
    }


async def revoke_token(request: Request) -> Any:
    """Never let the holder of a token in again."""
    token_id = request.params["token_id"]
    await request.services.wish(request, RevokeApiToken(token_id=token_id))
    return {"token_id": token_id, "state": "revoked"}


def name_of(body: dict[str, Any]) -> str:
    """Return the name in a body.

    Raises:
        Problem: 400, it is none.
    """
    name = body.get("name")
    if not isinstance(name, str) or re.fullmatch(NAME, name) is None:
        raise Problem(400, "name: expected 1 to 64 letters, digits or . _ @ -")
    return name


def role_of(value: Any) -> Role:
    """Return a role.

    Raises:
        Problem: 400, it is none.
    """
    try:
        return Role(value)
    except ValueError:
        raise Problem(400, f"role: expected one of {ROLES}") from None


def labels_of(value: Any) -> tuple[str, ...]:
    """Return labels.

    Raises:
        Problem: 400, they are not a list of texts.
    """
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise Problem(400, "labels: expected a list of labels")
    return tuple(dict.fromkeys(value))


def _token_jso(token: ApiToken, now_us: int) -> dict[str, Any]:
    state = "valid" if token.holds(now_us) else "expired"
    return {
        "token_id": token.token_id,
        "name": token.name,
        "role": token.role,
        "labels": list(token.labels),
        "state": "revoked" if token.revoked_us is not None else state,
        "made_by": token.made_by,
        "since": format_time_ms(token.since_us),
        "expires": None if token.expires_us is None else format_time_ms(token.expires_us),
    }


def _expiry(value: Any) -> int | None:
    if value is None:
        return None
    try:
        found = parse_duration(value)
    except UserError as error:
        raise Problem(400, f"expires: {error}") from None
    if not 0 < found <= LONGEST_EXPIRY_US:
        raise Problem(400, "expires: expected a duration up to 10 years, or null")
    return found


ROUTES = [
    Route("GET", "/api/v2/me", me),
    Route("GET", "/api/v2/tokens", list_tokens),
    Route("POST", "/api/v2/tokens", make_token),
    Route("POST", "/api/v2/tokens/{token_id}/revoke", revoke_token),
]
