"""What the settings say of conditions: the pools there are, and what checks may be made.

The same rules go to whoever binds or checks a job. Pure; `conf/` reads them.
"""

from __future__ import annotations

import msgspec

from .conditions import Condition, Pool
from .errors import UserError
from .templates import is_template


class ConditionRules(msgspec.Struct, frozen=True, kw_only=True):
    """`pools` has the size of each pool, by name."""

    pools: dict[str, int] = {}

    def check(self, cond: Condition) -> None:
        """Raise UserError when a condition as written breaks the rules; templates are let pass."""
        match cond:
            case Pool() if not is_template(cond.name + cond.weight):
                self.check_pool(cond.name, int(cond.weight))

    def check_pool(self, name: str, weight: int) -> None:
        """Raise UserError unless a run of this weight can have a place in the pool."""
        size = self.pools.get(name)
        if size is None:
            known = ", ".join(sorted(self.pools)) or "none is there"
            raise UserError(f"unknown pool: {name}: expected one of the settings' pools ({known})")
        if weight > size:
            raise UserError(f"pool {name}: weight {weight}: expected at most its size, {size}")
