"""Who asks: found by a token, a log-in's cookie, or by where the request came in.

Each request is looked up in the store anew, so that a revoked token lets nobody in a moment later.
The secrets themselves are kept nowhere.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple

from ..messages.access import Access, ApiToken, Role, Session, User, secret_hash
from ..store.interface import Reader
from .listening import Listener
from .routing import Problem
from .security import SAFE_METHODS
from .services import Services

# With `__Host-` a browser takes it over TLS only, for this host and no path in particular.
SECURE_COOKIE = "__Host-callsheet"
PLAIN_COOKIE = "callsheet"
XSRF_HEADER = "X-XSRF-Token"
# A secret is 43 characters; what is longer is none.
MAX_SECRET = 200
# A proxy adds these: what it brings comes from elsewhere, whatever address it comes by.
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


class Guest(NamedTuple):
    """Who asks. `how` is `local`, `token` or `session`; `xsrf`: what a log-in's changes show."""

    name: str
    access: Access
    how: str
    until_us: int | None = None
    xsrf: str = ""


class Caller(NamedTuple):
    """A request, as far as it says who asks."""

    listener: Listener
    headers: Mapping[str, str]
    cookie: str
    source: str
    method: str


def cookie_name(listener: Listener) -> str:
    """Return the name of the cookie of a log-in at an address."""
    return SECURE_COOKIE if listener.tls else PLAIN_COOKIE


async def guest_of(services: Services, caller: Caller) -> Guest | None:
    """Return who asks, None when nothing says so.

    Raises:
        Problem: 401, a token or log-in that does not hold; 403, a change by a log-in that does not
            show that it comes from our own page.
    """
    given = caller.headers.get("Authorization")
    if given is not None:
        return await _by_token(services, caller, given)
    if caller.cookie:
        guest = await _by_session(services, caller)
        if guest is not None:
            return guest
    if is_open(services, caller):
        return Guest("local", Access(role=Role.ADMIN, source=caller.source), "local")
    return None


def is_open(services: Services, caller: Caller) -> bool:
    """Return whether who comes this way needs no log-in."""
    return (
        caller.listener.local
        and services.settings.loopback == "open"
        and not any(name in caller.headers for name in FORWARDED)
    )


async def still(services: Services, guest: Guest) -> bool:
    """Return whether a guest of a while ago would be let in as the same now."""
    kind, _, id_ = guest.access.credential.partition("/")
    now_us = services.now_us()

    def read(reader: Reader) -> bool:
        if kind == "token":
            token = next((one for one in reader.api_tokens() if one.token_id == id_), None)
            return token is not None and token.holds(now_us)
        session = reader.session(id_)
        user = None if session is None else reader.user(session.user)
        return (
            session is not None
            and user is not None
            and now_us < session.expires_us
            and (user.role, user.labels) == (guest.access.role, guest.access.labels)
        )

    return True if not kind else await services.read(read)


async def _by_token(services: Services, caller: Caller, given: str) -> Guest:
    scheme, _, secret = given.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not 0 < len(secret) <= MAX_SECRET:
        raise unknown("Authorization: expected a token: Bearer TOKEN")
    hashed = secret_hash(secret)
    token = await services.read(lambda reader: reader.api_token(hashed))
    if token is None or not hmac.compare_digest(token.secret_hash, hashed):
        raise unknown("the token is not known: expected one made here")
    if not token.holds(services.now_us()):
        what = "has expired" if token.revoked_us is None else "is revoked"
        raise unknown(f"the token {what}: expected another one")
    return _guest(f"token:{token.name}", token, f"token/{token.token_id}", caller)


async def _by_session(services: Services, caller: Caller) -> Guest | None:
    if len(caller.cookie) > MAX_SECRET:
        return None
    session_id = secret_hash(caller.cookie)

    def read(reader: Reader) -> tuple[Session, User] | None:
        session = reader.session(session_id)
        user = None if session is None else reader.user(session.user)
        return None if session is None or user is None else (session, user)

    found = await services.read(read)
    if found is None or found[0].expires_us <= services.now_us():
        return None
    session, user = found
    xsrf = xsrf_of(caller.cookie)
    if caller.method not in SAFE_METHODS:
        shown = caller.headers.get(XSRF_HEADER, "")
        if not hmac.compare_digest(shown.encode(), xsrf.encode()):
            raise Problem(403, f"{XSRF_HEADER}: expected that of this log-in, see /api/v2/me")
    guest = _guest(f"user:{user.name}", user, f"session/{session.session_id}", caller)
    return guest._replace(how="session", until_us=session.expires_us, xsrf=xsrf)


def _guest(name: str, record: ApiToken | User, credential: str, caller: Caller) -> Guest:
    access = Access(
        role=record.role, labels=record.labels, credential=credential, source=caller.source
    )
    until_us = record.expires_us if isinstance(record, ApiToken) else None
    return Guest(name, access, "token", until_us)


def xsrf_of(secret: str) -> str:
    """Return what a page shows with each change, made of what only its cookie holds."""
    return hashlib.sha256(f"xsrf {secret}".encode()).hexdigest()


def unknown(sentence: str) -> Problem:
    """Return the answer to somebody who is not let in."""
    return Problem(401, sentence, headers={"WWW-Authenticate": 'Bearer realm="callsheet"'})
