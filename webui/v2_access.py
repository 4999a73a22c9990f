"""Endpoints of `/api/v2` about who may come in: tokens and users, and who asks."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import Annotated, TypedDict

import msgspec
from msgspec import Meta

from ..jobs.errors import UserError
from ..jobs.times import format_time_ms, parse_duration
from ..messages.access import (
    NAME,
    TOKEN_PREFIX,
    ApiToken,
    MakeApiToken,
    RevokeApiToken,
    Role,
    secret_hash,
)
from .routing import Problem, Request, Route
from .shapes import Instant

LONGEST_EXPIRY = timedelta(days=10 * 366)

Name = Annotated[str, Meta(description="1 to 64 letters, digits or . _ @ -")]
Label = Annotated[str, Meta(min_length=1)]
Labels = Annotated[
    list[Label], Meta(description="Reaches only what has one of these; none: everything.")
]
Duration = Annotated[
    str | int | float | None, Meta(description="As 90d, or seconds; null: it does not end.")
]


class Me(TypedDict):
    """Who asks. `how` is local, token or session; `until`: when that ends; `xsrf` is shown as
    `X-XSRF-Token` by changes that come with a cookie."""

    name: str
    role: str
    labels: list[str]
    how: str
    until: Instant | None
    xsrf: str


class TokenRecord(TypedDict):
    """A token, without its secret; `state` is valid, expired or revoked."""

    token_id: str
    name: str
    role: str
    labels: list[str]
    state: str
    made_by: str
    since: Instant
    expires: Instant | None


class Tokens(TypedDict):
    """The tokens of programs."""

    tokens: list[TokenRecord]


class TokenBody(msgspec.Struct, forbid_unknown_fields=True):
    """A token to be made."""

    name: Name
    role: Role
    labels: Labels = []
    expires: Duration = "90d"


class NewToken(TypedDict):
    """A token, shown once."""

    token: str
    token_id: str
    name: str
    role: str
    labels: list[str]
    expires: Instant | None


class TokenState(TypedDict):
    """What became of a token."""

    token_id: str
    state: str


async def me(request: Request) -> Me:
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


async def list_tokens(request: Request) -> Tokens:
    """The tokens of programs, without their secrets."""
    services = request.services
    tokens = await services.read(lambda reader: reader.api_tokens())
    now_us = services.now_us()
    return {"tokens": [_token_jso(token, now_us) for token in tokens]}


async def make_token(request: Request, body: TokenBody) -> NewToken:
    """Make a token for programs. It is shown here and never again."""
    services = request.services
    expiry_us = checked_expiry(body.expires, LONGEST_EXPIRY, "up to 10 years, or null")
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    wish = MakeApiToken(
        token_id=secrets.token_hex(6),
        secret_hash=secret_hash(secret),
        name=checked_name(body.name),
        role=body.role,
        labels=tuple(dict.fromkeys(body.labels)),
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


async def revoke_token(request: Request) -> TokenState:
    """Never let the holder of a token in again."""
    token_id = request.params["token_id"]
    await request.services.wish(request, RevokeApiToken(token_id=token_id))
    return {"token_id": token_id, "state": "revoked"}


def checked_name(name: str) -> str:
    """Return a name.

    Raises:
        Problem: 400, it is none.
    """
    if re.fullmatch(NAME, name) is None:
        raise Problem(400, "name: expected 1 to 64 letters, digits or . _ @ -")
    return name


def checked_expiry(value: str | float | None, longest: timedelta, expected: str) -> int | None:
    """Return for how long a token holds, in microseconds; None: no end was asked for.

    Raises:
        Problem: 400, it is no duration, or none that is `expected`: a sentence's end.
    """
    if value is None:
        return None
    try:
        found = parse_duration(value)
    except UserError as error:
        raise Problem(400, f"expires: {error}") from None
    if not 0 < found <= longest // timedelta(microseconds=1):
        raise Problem(400, f"expires: expected a duration {expected}")
    return found


def _token_jso(token: ApiToken, now_us: int) -> TokenRecord:
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


ROUTES = [
    Route("GET", "/api/v2/me", me),
    Route("GET", "/api/v2/tokens", list_tokens),
    Route("POST", "/api/v2/tokens", make_token),
    Route("POST", "/api/v2/tokens/{token_id}/revoke", revoke_token),
]
