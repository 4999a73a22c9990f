"""Users of this host that jobs may run as: an allow-list of the host's own, and how to become one.

A job file says `sudo_user`; whether that may be is said here, on the agent's host. The list is a
file with one user name a line (`#` begins a comment), which nobody but root or the agent's own
user may write. It is read when it is needed, so that a change needs no restart. Without a list
there is nobody but the agent's own user; with one, that user too has to be in it if it is root.
Called by `launch.py`.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
from collections.abc import Sequence
from typing import NamedTuple

from ..jobs.errors import UserError

SUDO = ("/usr/bin/sudo", "--preserve-env", "--set-home")
SETPRIV = "/usr/bin/setpriv"
PATH = "/usr/local/bin:/usr/bin:/bin"
# In the environment of every process of an attempt: tells them from all others of the host, those
# of other agents and servers with runs of the same ids among them.
COOKIE = "CALLSHEET_CLAIM"
# Carries the whole environment through sudo, which changes it as its own settings say.
PACKED = "CALLSHEET_ENV"
# What is about the agent's own user, and of no use or none of the business of another.
_PERSONAL = re.compile(
    r"(DBUS_SESSION_BUS_ADDRESS|GPG_AGENT_INFO|KRB5CCNAME|MAIL|OLDPWD|XAUTHORITY|DISPLAY"
    r"|(SSH|SUDO|XDG|WAYLAND)_.*)\Z"
)
# No option and no number: sudo takes `#0` for root.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,254}\$?\Z")
_PRESERVING = re.compile(r"--preserve-env\Z|-[A-Za-z]*E[A-Za-z]*\Z")
LIST_BYTES = 1_000_000
ROOT = "root"


class NotAllowed(UserError):
    """A job may not run as a user on this host; `user` None: it asks for none."""

    def __init__(self, user: str | None, why: str) -> None:
        super().__init__(f"no sudo_user: {why}" if user is None else f"sudo_user {user!r}: {why}")


class User(NamedTuple):
    """A user of this host; `is_self`: the agent's own."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    is_self: bool

    @property
    def env(self) -> dict[str, str]:
        """The variables that say who somebody is."""
        return {
            "HOME": self.home,
            "USER": self.name,
            "LOGNAME": self.name,
            "SHELL": self.shell,
            "PATH": PATH,
        }


def own_user() -> User:
    """Return the agent's own user; one without an entry has the number for a name."""
    uid = os.geteuid()
    try:
        return _user(pwd.getpwuid(uid))
    except KeyError:
        return User(str(uid), uid, os.getegid(), "/", "/bin/sh", is_self=True)


def user_of(name: str | None, allow: str | None) -> User | None:
    """Return the user that a job asks for, None when it asks for none.

    Args:
        name: as the job says it.
        allow: path of the list, None for no list.
    Raises:
        NotAllowed: there is no such user, or this host does not allow it.
    """
    if name is None:
        user = None
    elif not _NAME.match(name):
        raise NotAllowed(name, "expected the name of a user, not an option or a number")
    else:
        try:
            user = _user(pwd.getpwnam(name))
        except KeyError:
            raise NotAllowed(name, "there is no such user on this host") from None
    if user is None or user.is_self:
        # Where root gives a list, it is not meant to run everything else itself.
        if allow is not None and os.geteuid() == 0 and ROOT not in _allowed(name, allow):
            raise NotAllowed(name, f"this agent is root, and {allow} does not allow {ROOT}")
    elif user.name not in _allowed(name, allow):
        expected = f"expected one of those in {allow}" if allow else "see the option --sudo-allow"
        raise NotAllowed(name, f"this agent's host does not allow it: {expected}")
    return user


def is_personal(name: str) -> bool:
    """Whether a variable of the agent's says something of its own user only."""
    return _PERSONAL.match(name) is not None


def becoming(user: User, sudo: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments that go before a command to run it as a user; none for our own.

    Args:
        sudo: how sudo is called, by the settings.
    Raises:
        NotAllowed: there is no such program, and the agent cannot do without.
    """
    if user.is_self:
        return ()
    is_there = shutil.which(sudo[0]) is not None
    if not is_there and os.geteuid() != 0:
        expected = "expected sudo on this host, or an agent that is root"
        raise NotAllowed(user.name, f"{sudo[0]} cannot be executed: {expected}")
    if not is_there:
        ids = ("--reuid", str(user.uid), "--regid", str(user.gid), "--init-groups")
        return (SETPRIV, *ids, "--")
    argv = tuple(sudo)
    if not any(_PRESERVING.match(word) for word in argv):
        argv += (f"--preserve-env={PACKED},{COOKIE}",)
    return (*argv, "--non-interactive", "--user", user.name, "--")


def _user(entry: pwd.struct_passwd) -> User:
    return User(
        entry.pw_name,
        entry.pw_uid,
        entry.pw_gid,
        entry.pw_dir or "/",
        entry.pw_shell or "/bin/sh",
        is_self=entry.pw_uid == os.geteuid(),
    )


def _allowed(name: str | None, path: str | None) -> frozenset[str]:
    """Return the names of the list.

    Raises:
        NotAllowed: the list cannot be read, or others may write it.
    """
    if path is None:
        return frozenset()
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            made = os.fstat(file.fileno())
            if made.st_uid not in (0, os.geteuid()) or made.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise NotAllowed(name, f"{path} may be written by others: expected root's or ours")
            text = file.read(LIST_BYTES)
    except OSError as error:
        raise NotAllowed(name, f"{path} cannot be read: {error.strerror}") from None
    return frozenset(line.partition("#")[0].strip() for line in text.splitlines())
