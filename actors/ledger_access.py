"""Who may wish what: tokens, users and log-ins, and the judgement by them.

Part of the ledger's core, which is the only one to decide it: what the web server says about who
asks is looked up here again, so that what was revoked a moment ago is refused.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from ..messages.access import (
    NAME,
    Access,
    AddUser,
    ApiToken,
    AskLeave,
    ChangeUser,
    LogIn,
    LogOut,
    MakeApiToken,
    NoteRefusal,
    OfAccess,
    RemoveUser,
    RevokeApiToken,
    Role,
    Session,
    User,
    named,
)
from ..messages.backfills import AddBackfill
from ..messages.post import WEB
from ..messages.wishes import AddRuns, LedgerWish
from ..store.interface import Opening
from .ledger_book import Book, Unwilling
from .ledger_rights import PERSONAL, PIECEMEAL, SCOPED, needed

# At one time; a program that makes tokens or logs in for ever does not fill the memory.
TOKENS_AT_MOST = 10_000
USERS_AT_MOST = 10_000
SESSIONS_AT_MOST = 10_000
LABELS_AT_MOST = 100


class AccessBook:
    """See the module. `login_always`: also who comes by an address of this machine has to say who
    it is."""

    def __init__(self, opening: Opening, book: Book, *, login_always: bool = False) -> None:
        self._book = book
        self._login_always = login_always
        self._tokens = {token.token_id: token for token in opening.api_tokens}
        self._users = {user.name: user for user in opening.users}
        self._sessions = {session.session_id: session for session in opening.sessions}

    # --- judging --------------------------------------------------------------------------------

    def judge(self, sender: str, wish: LedgerWish, now_us: int) -> None:
        """Return when the wish may be carried out, as far as rights go.

        Raises:
            Unwilling: it may not; for a run out of the asker's reach as if there were none.
        """
        access = wish.access
        if access is None:
            if sender == WEB:
                raise Unwilling("forbidden", "the wish does not say whose it is")
            return
        role, labels = self._rights(access, wish, now_us)
        least = needed(wish.instruction)
        if least is None or not role.covers(least):
            expected = "nobody may" if least is None else f"expected {named(least)}"
            raise Unwilling("forbidden", f"{wish.principal} is {named(role)}: {expected}")
        if labels and not isinstance(wish.instruction, PERSONAL + PIECEMEAL):
            self._judge_reach(wish, labels)

    def _rights(self, access: Access, wish: LedgerWish, now_us: int) -> tuple[Role, set[str]]:
        """Return role and labels by the record of what the asker has shown, or by what the web
        server says when that is less."""
        kind, _, id_ = access.credential.partition("/")
        if not access.credential:
            open_to_all = isinstance(wish.instruction, LogIn | NoteRefusal)
            if self._login_always and not open_to_all:
                raise Unwilling("forbidden", "nobody may without a log-in or a token")
            return access.role, set(access.labels)
        found: ApiToken | User | None = None
        if kind == "token":
            token = self._tokens.get(id_)
            found = token if token is not None and token.holds(now_us) else None
        elif kind == "session":
            session = self._sessions.get(id_)
            if session is not None and now_us < session.expires_us:
                found = self._users.get(session.user)
        if found is None:
            raise Unwilling("forbidden", f"the {kind} does not hold any more")
        role = found.role if access.role.covers(found.role) else access.role
        return role, set(found.labels) | set(access.labels)

    def _judge_reach(self, wish: LedgerWish, labels: set[str]) -> None:
        """Refuse what concerns a run or job without any of the labels."""
        instruction = wish.instruction
        if isinstance(instruction, AddRuns):
            for new in instruction.runs:
                if labels.isdisjoint(new.labels):
                    raise Unwilling("not_found", f"unknown job {new.job_id}")
        elif isinstance(instruction, AddBackfill):
            if labels.isdisjoint(instruction.labels):
                raise Unwilling("not_found", f"unknown job {instruction.backfill.job_id}")
        elif isinstance(instruction, SCOPED):
            run = self._book.get(instruction.run_id)
            if run is None or labels.isdisjoint(run.labels):
                raise Unwilling("not_found", f"unknown run {instruction.run_id}")
        else:
            named = ", ".join(sorted(labels))
            sentence = f"{wish.principal} reaches only what has a label of: {named}"
            raise Unwilling("forbidden", sentence)

    # --- wishes ---------------------------------------------------------------------------------

    def carry_out(self, wish: OfAccess, by: LedgerWish, now_us: int) -> dict[str, Any]:
        """Do what is wished; return what the answer says of it.

        Raises:
            Unwilling: it is not to be done.
        """
        match wish:
            case MakeApiToken():
                return self._make_token(wish, by.principal, now_us)
            case RevokeApiToken():
                return self._revoke_token(wish.token_id, now_us)
            case AddUser():
                return self._add_user(wish, now_us)
            case ChangeUser():
                return self._change_user(wish)
            case RemoveUser():
                return self._remove_user(wish.name)
            case LogIn():
                return self._log_in(wish, by, now_us)
            case LogOut():
                return self._log_out(by)
            case AskLeave():
                return {"act": wish.act}
            case NoteRefusal():
                return {}

    def _make_token(self, wish: MakeApiToken, who: str, now_us: int) -> dict[str, Any]:
        _check_name("token", wish.name)
        _check_labels(wish.labels)
        if wish.expires_us is not None and wish.expires_us <= now_us:
            raise Unwilling("bad_request", "the token would have expired: expected a later time")
        if wish.token_id in self._tokens:
            raise Unwilling("wrong_state", f"there is a token {wish.token_id}: expected a new id")
        if sum(token.holds(now_us) for token in self._tokens.values()) >= TOKENS_AT_MOST:
            raise Unwilling("wrong_state", f"{TOKENS_AT_MOST} tokens hold: expected fewer")
        token = ApiToken(
            token_id=wish.token_id,
            secret_hash=wish.secret_hash,
            name=wish.name,
            role=wish.role,
            labels=wish.labels,
            made_by=who,
            since_us=now_us,
            expires_us=wish.expires_us,
        )
        self._keep_token(token)
        return {"token_id": token.token_id, "after": _said(token)}

    def _revoke_token(self, token_id: str, now_us: int) -> dict[str, Any]:
        token = self._tokens.get(token_id)
        if token is None:
            raise Unwilling("not_found", f"unknown token {token_id[:64]}")
        if token.revoked_us is None:
            self._keep_token(replace(token, revoked_us=now_us))
        return {"token_id": token_id, "name": token.name}

    def _add_user(self, wish: AddUser, now_us: int) -> dict[str, Any]:
        _check_name("user", wish.name)
        _check_labels(wish.labels)
        if wish.name in self._users:
            raise Unwilling("wrong_state", f"there is a user {wish.name}: expected a new name")
        if len(self._users) >= USERS_AT_MOST:
            raise Unwilling("wrong_state", f"there are {USERS_AT_MOST} users: expected fewer")
        user = User(
            name=wish.name,
            password=wish.password,
            role=wish.role,
            labels=wish.labels,
            since_us=now_us,
        )
        self._keep_user(user)
        return {"name": user.name, "after": _said(user)}

    def _change_user(self, wish: ChangeUser) -> dict[str, Any]:
        before = self._user(wish.name)
        fields: dict[str, Any] = {}
        if wish.password is not None:
            fields["password"] = wish.password
        if wish.role is not None:
            fields["role"] = wish.role
        if wish.labels is not None:
            _check_labels(wish.labels)
            fields["labels"] = wish.labels
        if not fields:
            raise Unwilling("bad_request", f"user {wish.name}: nothing to change")
        after = replace(before, **fields)
        self._keep_user(after)
        self._end_sessions(wish.name)
        said = {"name": wish.name, "before": _said(before), "after": _said(after)}
        return said | ({"password": "changed"} if wish.password is not None else {})

    def _remove_user(self, name: str) -> dict[str, Any]:
        before = self._user(name)
        del self._users[name]
        self._book.changes.users[name] = None
        self._end_sessions(name)
        return {"name": name, "before": _said(before)}

    def _log_in(self, wish: LogIn, by: LedgerWish, now_us: int) -> dict[str, Any]:
        user = self._users.get(wish.name)
        if user is None or user.password != wish.password:
            # It was changed or taken away since the web server looked.
            raise Unwilling("forbidden", "the name or the password is wrong")
        for session in list(self._sessions.values()):
            if session.expires_us <= now_us:
                self._end_session(session.session_id)
        if len(self._sessions) >= SESSIONS_AT_MOST:
            raise Unwilling("busy", f"{SESSIONS_AT_MOST} log-ins hold: expected fewer")
        session = Session(
            session_id=wish.session_id,
            user=wish.name,
            since_us=now_us,
            expires_us=wish.expires_us,
            source=by.access.source if by.access else "",
        )
        self._sessions[session.session_id] = session
        self._book.changes.sessions[session.session_id] = session
        return {"name": wish.name}

    def _log_out(self, by: LedgerWish) -> dict[str, Any]:
        kind, _, session_id = (by.access.credential if by.access else "").partition("/")
        if kind != "session" or session_id not in self._sessions:
            raise Unwilling("bad_request", "this is no log-in: expected one to end")
        self._end_session(session_id)
        return {}

    # --- inside ---------------------------------------------------------------------------------

    def _user(self, name: str) -> User:
        user = self._users.get(name)
        if user is None:
            raise Unwilling("not_found", f"unknown user {name[:64]}")
        return user

    def _keep_token(self, token: ApiToken) -> None:
        self._tokens[token.token_id] = token
        self._book.changes.api_tokens[token.token_id] = token

    def _keep_user(self, user: User) -> None:
        self._users[user.name] = user
        self._book.changes.users[user.name] = user

    def _end_sessions(self, name: str) -> None:
        for session in list(self._sessions.values()):
            if session.user == name:
                self._end_session(session.session_id)

    def _end_session(self, session_id: str) -> None:
        del self._sessions[session_id]
        self._book.changes.sessions[session_id] = None


def _said(record: ApiToken | User) -> dict[str, Any]:
    """Return what the record of who did what says of a token or user: no secret."""
    said: dict[str, Any] = {"role": record.role, "labels": list(record.labels)}
    if isinstance(record, ApiToken):
        said |= {"name": record.name, "expires_us": record.expires_us}
    return said


def _check_name(what: str, name: str) -> None:
    if re.fullmatch(NAME, name) is None:
        sentence = f"{what} {name[:64]!r}: expected 1 to 64 letters, digits or . _ @ -"
        raise Unwilling("bad_request", sentence)


def _check_labels(labels: tuple[str, ...]) -> None:
    if len(labels) > LABELS_AT_MOST or not all(0 < len(label) <= 200 for label in labels):
        sentence = f"labels: expected at most {LABELS_AT_MOST}, of 1 to 200 characters"
        raise Unwilling("bad_request", sentence)
