"""Who asks, and what they may: roles, tokens, users, log-ins, and the wishes about them.

The web server finds out who asks and says so with each wish (`Access`); the ledger, which keeps the
records of tokens, users and log-ins, decides by them. See docs/adr/0006.
"""

from __future__ import annotations

import enum
import hashlib

import msgspec

from .wish_base import Instruction

# Of users, tokens and labels.
NAME = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
TOKEN_PREFIX = "cst_"  # noqa: S105 - it makes tokens known in logs and to scanners


class Role(enum.StrEnum):
    """What somebody may do; each may what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, other: Role) -> bool:
        """Return whether this role may what `other` may."""
        return _RANKS[self] >= _RANKS[other]


_RANKS = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}
ROLES = ", ".join(Role)


class Access(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """By what somebody asks, as the web server found it.

    `credential` is `token/ID` or `session/ID`, by which the ledger finds the record that counts;
    empty for who came by an address of the server's machine alone, without a log-in. `role` and
    `labels` are what the web server took them for: the ledger grants no more than either says.
    `source` is the address they came from.
    """

    role: Role
    labels: tuple[str, ...] = ()
    credential: str = ""
    source: str = ""


# --- records --------------------------------------------------------------------------------------


class ApiToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token for programs. Its secret is kept nowhere, only its hash.

    `labels`: it reaches only jobs and runs with one of these; none: all. `expires_us` None: never.
    """

    token_id: str
    secret_hash: str
    name: str
    role: Role
    labels: tuple[str, ...] = ()
    made_by: str = ""
    since_us: int = 0
    expires_us: int | None = None
    revoked_us: int | None = None

    def holds(self, now_us: int) -> bool:
        """Return whether it lets its holder in at that instant."""
        return self.revoked_us is None and (self.expires_us is None or now_us < self.expires_us)


class User(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person who logs in by a password, of which only a slow, salted hash is kept."""

    name: str
    password: str
    role: Role
    labels: tuple[str, ...] = ()
    since_us: int = 0


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A log-in. `session_id` is the hash of what the browser holds."""

    session_id: str
    user: str
    since_us: int
    expires_us: int
    source: str = ""


# --- wishes ---------------------------------------------------------------------------------------


class MakeApiToken(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="MakeApiToken"):
    """Let programs in that know the secret of this hash; see `ApiToken`."""

    token_id: str
    secret_hash: str
    name: str
    role: Role
    labels: tuple[str, ...] = ()
    expires_us: int | None = None


class RevokeApiToken(Instruction, frozen=True, kw_only=True, tag="RevokeApiToken"):
    """Never let the holder of a token in again."""

    token_id: str


class AddUser(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="AddUser"):
    """Let a person log in."""

    name: str
    password: str
    role: Role
    labels: tuple[str, ...] = ()


class ChangeUser(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="ChangeUser"):
    """Change what is given of a user, and end all of the user's log-ins."""

    name: str
    password: str | None = None
    role: Role | None = None
    labels: tuple[str, ...] | None = None


class RemoveUser(Instruction, frozen=True, kw_only=True, tag="RemoveUser"):
    """Let a person log in no more, and end all log-ins."""

    name: str


class LogIn(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="LogIn"):
    """A person has shown the password of which `password` is the hash that was compared with."""

    session_id: str
    name: str
    password: str
    expires_us: int


class LogOut(Instruction, frozen=True, kw_only=True, tag="LogOut"):
    """End the log-in by which this is asked."""


class AskLeave(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="AskLeave"):
    """May I do this, which the ledger does not do itself? `act` is one of `LEAVES`."""

    act: str
    target: str = ""


class NoteRefusal(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="NoteRefusal"):
    """Put on record that the web server refused something itself: a log-in, or what the role does
    not allow."""

    act: str
    target: str = ""
    sentence: str = ""


# What `AskLeave` is about, and the role it takes.
LEAVES = {
    "reload_jobs": Role.OPERATOR,
    "shut_down": Role.ADMIN,
    "restart": Role.ADMIN,
}

OfAccess = (
    MakeApiToken
    | RevokeApiToken
    | AddUser
    | ChangeUser
    | RemoveUser
    | LogIn
    | LogOut
    | AskLeave
    | NoteRefusal
)


def secret_hash(secret: str) -> str:
    """Return what is kept of a secret of 256 random bits: for such, one hash will do."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def named(role: Role) -> str:
    """Return a role as a sentence has it: `an operator`."""
    return f"a {role}" if role is Role.VIEWER else f"an {role}"
