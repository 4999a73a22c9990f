"""What the settings say of conditions: the pools there are, and what checks may be made.

The same rules go to whoever binds, checks or carries out. Pure; `conf/` reads them.
"""

from __future__ import annotations

import msgspec

from . import registry
from .conditions import Condition, Pool
from .errors import UserError
from .polled import (
    BoundExtensionCheck,
    BoundPolled,
    BoundSqlCheck,
    CommandCheck,
    ExtensionCheck,
    FileCheck,
    HttpCheck,
    Polled,
    SqlCheck,
    kind_of,
)
from .templates import is_template

POLLED_KINDS = ("file", "http", "command", "sql")


class ConditionRules(msgspec.Struct, frozen=True, kw_only=True):
    """`pools` has the size of each pool, by name.

    `allow` names the kinds of checks that the server may make: a command runs as the server's user
    on the server's host, and a query reads any file of that user, so that neither is without
    someone's having said so. `databases` has the URL of each database that jobs may name.
    """

    pools: dict[str, int] = {}
    allow: tuple[str, ...] = ("file", "http")
    databases: dict[str, str] = {}

    def check(self, cond: Condition) -> None:
        """Raise UserError when a condition as written breaks the rules; templates are let pass."""
        match cond:
            case Pool() if not is_template(cond.name + cond.weight):
                self.check_pool(cond.name, int(cond.weight))
            case FileCheck() | HttpCheck() | CommandCheck() | SqlCheck() | ExtensionCheck():
                self.check_polled(cond)

    def check_pool(self, name: str, weight: int) -> None:
        """Raise UserError unless a run of this weight can have a place in the pool."""
        size = self.pools.get(name)
        if size is None:
            known = ", ".join(sorted(self.pools)) or "none is there"
            raise UserError(f"unknown pool: {name}: expected one of the settings' pools ({known})")
        if weight > size:
            raise UserError(f"pool {name}: weight {weight}: expected at most its size, {size}")

    def check_polled(self, cond: Polled | BoundPolled) -> None:
        """Raise UserError unless the server may make this check."""
        if isinstance(cond, ExtensionCheck | BoundExtensionCheck):
            # That the settings name it is what allows it.
            registry.kind_of("condition", cond.name)
            return
        kind = kind_of(cond)
        if kind not in self.allow:
            raise UserError(
                f"{kind} conditions are switched off on this server: expected {kind} to be among "
                "the settings' conditions.allow"
            )
        if isinstance(cond, SqlCheck | BoundSqlCheck) and not is_template(cond.database):
            name = cond.database
            if not name.startswith("/") and name not in self.databases:
                known = ", ".join(sorted(self.databases)) or "none is there"
                raise UserError(
                    f"unknown database: {name}: expected an absolute path, or one of the "
                    f"settings' conditions.databases ({known})"
                )
