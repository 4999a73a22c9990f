"""Before a server starts: may it listen where it is to, and could anybody log in there?"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ..jobs.errors import UserError
from ..messages.access import ApiToken, Role, User

if TYPE_CHECKING:
    from ..conf.web_settings import WebAccess
    from ..store.interface import Reader


class NobodyCould(UserError):
    """An address where a log-in is needed that nobody has."""

    def __init__(self, bind: str, why: str, database: str) -> None:
        super().__init__(
            f"bind: {bind}: {why}, and nobody could log in: expected a user or a token with the "
            f"role admin: callsheetctl user create NAME --role admin --database {database}"
        )


def check_access(web: WebAccess, database: str) -> None:
    """Return when each address may be listened on, as far as settings and database say.

    Raises:
        UserError: an address is no address, needs a certificate or a log-in.
    """
    # Here, so that the roles, which are forked from this process, need not carry it.
    from ..webui.listening import parse_bind

    listeners = [parse_bind(bind, certificate=web.certificate is not None) for bind in web.bind]
    for listener in listeners:
        why = "" if listener.local else "others than this machine can reach it"
        if listener.local and web.loopback == "login":
            why = "access.loopback is login"
        # What is wrong with a database is said better by who opens it.
        if why and os.path.exists(database) and not _somebody(database):
            raise NobodyCould(listener.bind, why, database)


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
