"""Changing who may come in while no server runs: the ledger's own core over its own store.

For the first administrator of a server that only answers who logs in. What is done is put on record
like everything else.
"""

from __future__ import annotations

import getpass
import secrets
import time
from typing import Any

from ..actors.ledger import Ledger
from ..actors.ledger_needs import Found, find
from ..jobs.errors import UserError
from ..messages.access import Access, OfAccess, Role
from ..messages.post import WEB
from ..messages.wishes import Done, LedgerWish, Refused
from ..store.sqlite import SqliteWriter


class NotDone(UserError):
    """The ledger refuses."""


def carry_out(database: str, instruction: OfAccess) -> Done:
    """Carry a wish out on a database that no server has in use.

    Raises:
        UserError: a server has it, it cannot be opened, or the wish is refused.
    """
    now_us = time.time_ns() // 1000
    writer: Any = SqliteWriter(database)
    ledger = Ledger(writer.open(now_us))
    try:
        wish = LedgerWish(
            command_id=secrets.token_hex(16),
            principal=f"local:{_who()}",
            instruction=instruction,
            access=Access(role=Role.ADMIN, source="command line"),
        )
        batch = [(WEB, wish)]
        needs = ledger.needs(batch, now_us)
        ledger.admit(find(needs, writer, now_us, ledger.epoch) if needs else Found())
        ledger.receive(WEB, wish, now_us)
        posts = ledger.settle(now_us)
        writer.commit(ledger.take_changes())
    finally:
        writer.close()
    answer = next(post.message for post in posts if isinstance(post.message, Done | Refused))
    if isinstance(answer, Refused):
        raise NotDone(answer.sentence)
    return answer


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
