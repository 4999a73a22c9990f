"""Endpoints of `/api/v2` by which people log in and out, and who they are."""

from __future__ import annotations

import re
import secrets
from typing import Annotated, TypedDict

import msgspec

from ..jobs.times import format_time_ms
from ..messages.access import (
    NAME,
    Access,
    AddUser,
    ChangeUser,
    LogIn,
    LogOut,
    NoteRefusal,
    RemoveUser,
    Role,
    User,
    secret_hash,
)
from .declared import Sends
from .guests import cookie_name, unknown, xsrf_of
from .passwords import NOBODY, hashed, matches, problem_of
from .routing import Problem, Reply, Request, Route, encode
from .security import neighbourhood
from .shapes import Instant
from .v2_access import Labels, Me, Name, checked_name

WRONG = "the name or the password is wrong"


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """A person's name and password."""

    name: str
    password: str


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    """A person to be let in."""

    name: Name
    password: str
    role: Role
    labels: Labels = []


class UserChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is to change of a user."""

    password: str | None = None
    role: Role | None = None
    labels: Labels | None = None


class UserNamed(TypedDict):
    """A user."""

    name: str


class UserAdded(UserNamed):
    """A user, as added."""

    role: str
    labels: list[str]


class UserRecord(UserAdded):
    """A user, without the password."""

    since: Instant


class Users(TypedDict):
    """The users."""

    users: list[UserRecord]


class UserState(UserNamed):
    """What became of a user."""

    state: str


class Done(TypedDict):
    """Nothing more is to be said."""


async def log_in(request: Request, body: Credentials) -> Annotated[Reply, Sends(shape=Me)]:
    """Log in. The cookie is all that a browser needs to keep."""
    services = request.services
    name, password = body.name[:64], body.password
    source = neighbourhood(request.caller.source)
    wait_s = services.throttle.try_now(name, source, services.monotonic_s())
    if wait_s > 0:
        wait = str(int(wait_s) + 1)
        sentence = f"too many tries: expected the next one in {wait} s"
        raise Problem(429, sentence, headers={"Retry-After": wait})
    user = None
    if re.fullmatch(NAME, name) is not None:
        user = await services.read(lambda reader: reader.user(name))
    kept = NOBODY if user is None else user.password
    right = await services.hash(lambda: matches(password, kept))
    access = Access(role=Role.VIEWER, source=request.caller.source)
    if user is None or not right:
        wish = NoteRefusal(act="log_in", target=name, sentence=WRONG)
        services.note(f"user:{name}", access, wish)
        raise unknown(WRONG)
    services.throttle.succeeded(name, source)
    secret = secrets.token_urlsafe(32)
    until_us = services.now_us() + services.settings.session_us
    instruction = LogIn(
        session_id=secret_hash(secret), name=name, password=kept, expires_us=until_us
    )
    await services.hub.wish(instruction, principal=f"user:{name}", access=access)
    said: Me = {
        "name": f"user:{name}",
        "role": user.role,
        "labels": list(user.labels),
        "how": "session",
        "until": format_time_ms(until_us),
        "xsrf": xsrf_of(secret),
    }
    cookie = _cookie(request, secret, services.settings.session_us // 1_000_000)
    return Reply(encode(said), headers={"Set-Cookie": cookie})


async def log_out(request: Request) -> Annotated[Reply, Sends(shape=Done)]:
    """End the log-in by which this is asked."""
    await request.services.wish(request, LogOut())
    return Reply(encode({}), headers={"Set-Cookie": _cookie(request, "", 0)})


async def list_users(request: Request) -> Users:
    """The users, without their passwords."""
    users = await request.services.read(lambda reader: reader.users())
    return {"users": [_user_jso(user) for user in users]}


async def add_user(request: Request, body: NewUser) -> UserAdded:
    """Let a person log in."""
    name = checked_name(body.name)
    wish = AddUser(
        name=name,
        password=await _kept(request, body.password, name),
        role=body.role,
        labels=tuple(dict.fromkeys(body.labels)),
    )
    await request.services.wish(request, wish)
    return {"name": name, "role": wish.role, "labels": list(wish.labels)}


async def change_user(request: Request, body: UserChange) -> UserNamed:
    """Change what the body gives of a user, and end all of the user's log-ins."""
    name, password = request.params["name"], body.password
    wish = ChangeUser(
        name=name,
        password=None if password is None else await _kept(request, password, name),
        role=body.role,
        labels=None if body.labels is None else tuple(dict.fromkeys(body.labels)),
    )
    await request.services.wish(request, wish)
    return {"name": name}


async def remove_user(request: Request) -> UserState:
    """Let a person log in no more, and end all log-ins."""
    name = request.params["name"]
    await request.services.wish(request, RemoveUser(name=name))
    return {"name": name, "state": "removed"}


async def _kept(request: Request, password: str, name: str) -> str:
    """Return what is kept of a password.

    Raises:
        Problem: 400, it may not be taken.
    """
    problem = problem_of(password, name)
    if problem:
        raise Problem(400, problem)
    return await request.services.hash(lambda: hashed(password))


def _cookie(request: Request, secret: str, age_s: int) -> str:
    listener = request.caller.listener
    secure = "; Secure" if listener.tls else ""
    attributes = f"Path=/; HttpOnly; SameSite=Strict; Max-Age={age_s}{secure}"
    return f"{cookie_name(listener)}={secret}; {attributes}"


def _user_jso(user: User) -> UserRecord:
    return {
        "name": user.name,
        "role": user.role,
        "labels": list(user.labels),
        "since": format_time_ms(user.since_us),
    }


ROUTES = [
    Route("POST", "/api/v2/login", log_in, also=(401, 429)),
    Route("POST", "/api/v2/logout", log_out),
    Route("GET", "/api/v2/users", list_users),
    Route("POST", "/api/v2/users", add_user),
    Route("POST", "/api/v2/users/{name}/change", change_user),
    Route("POST", "/api/v2/users/{name}/remove", remove_user),
]
