"""Before a server starts: may it listen where it is to, and could anybody log in there?

And the same without a start (`serve --dry-run`), which a server does before it begins anew.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..jobs.errors import UserError
from ..messages.access import ApiToken, Role, User

if TYPE_CHECKING:
    from ..conf.settings import Settings
    from ..conf.web_settings import WebAccess
    from ..store.interface import Reader


class NobodyCould(UserError):
    """An address where a log-in is needed that nobody has."""

    def __init__(self, bind: str, why: str, database: str) -> None:
        super().__init__(
            f"bind: {bind}: {why}, and nobody could log in: expected a user or a token with the "
            f"role admin: callsheetctl user create NAME --role admin --database {database}"
        )


def check_access(web: WebAccess, database: str) -> list[str]:
    """Return when each address may be listened on, as far as settings and database say.

    Returns:
        What is for the log: where a server has been before, that nobody could log in is no more
        than that. A token that has expired, or an administrator who has left, must not keep its
        jobs from their times.

    Raises:
        UserError: an address is no address, needs a certificate or a log-in.
    """
    # Here, so that the roles, which are forked from this process, need not carry it.
    from ..webui.listening import parse_bind

    said: list[str] = []
    listeners = [parse_bind(bind, certificate=web.certificate is not None) for bind in web.bind]
    for listener in listeners:
        why = "" if listener.local else "others than this machine can reach it"
        if listener.local and web.loopback == "login":
            why = "access.loopback is login"
        # What is wrong with a database is said better by who opens it.
        if why and os.path.exists(database) and not _somebody(database):
            nobody = NobodyCould(listener.bind, why, database)
            if not _was_served(database):
                raise nobody
            said.append(str(nobody))
    return said


def tell_whether(settings: Settings, config: Path | None) -> int:
    """Say whether a server could begin by these settings; return the exit status.

    What is wrong goes to standard error. Another server may have the database: that is no matter.
    """
    from ..store.sqlite import SqliteReader
    from .config_commands import check_settings

    said = check_settings(settings)
    wrong = [sentence for severity, sentence in said if severity == "error"]
    database = str(settings.database.path)
    try:
        for sentence in check_access(settings.web, database):
            print(f"warning: {sentence}")
        SqliteReader(database).close()
    except UserError as error:
        if str(error) not in wrong:
            wrong.append(str(error))
    for sentence in wrong:
        print(f"callsheet: {sentence}", file=sys.stderr)
    if not wrong:
        print(f"{config or 'the settings'}: a server could begin")
    return 1 if wrong else 0


def _somebody(database: str) -> bool:
    from ..store.interface import StoreError, StoreUnusable
    from ..store.sqlite import SqliteReader

    try:
        reader = SqliteReader(database)
    except StoreUnusable:
        return True
    try:
        return _has_admin(reader)
    except StoreError:
        return True
    finally:
        reader.close()


def _has_admin(reader: Reader) -> bool:
    now_us = time.time_ns() // 1000
    # A user of a backup has no password until one is set.
    records: list[ApiToken | User] = [user for user in reader.users() if user.password]
    records += [token for token in reader.api_tokens() if token.holds(now_us)]
    return any(one.role is Role.ADMIN and not one.labels for one in records)


def _was_served(database: str) -> bool:
    """Whether a server has had this database before, and jobs: its log has events."""
    from ..store.interface import StoreError, StoreUnusable
    from ..store.sqlite import SqliteReader

    try:
        reader = SqliteReader(database)
    except StoreUnusable:
        return False
    try:
        return reader.head()[1] > 0
    except StoreError:
        return False
    finally:
        reader.close()
