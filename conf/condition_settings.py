"""The settings of conditions: the pools. Called by `settings.py`."""

from __future__ import annotations

from typing import Any

import msgspec

from ..jobs.condition_rules import ConditionRules
from ..jobs.errors import UserError
from ..jobs.reading import At, Fields, filled, shown

MOST_IN_A_POOL = 1_000_000


class ConditionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is told to those who bind, judge and check conditions."""

    rules: ConditionRules = ConditionRules()


def take_conditions(fields: Fields) -> ConditionSettings:
    """Return what the whole file says of conditions (`pools`)."""
    pools = fields.take("pools", _pools, {})
    return ConditionSettings(rules=ConditionRules(pools=pools or {}))


def _pools(value: Any, at: At) -> dict[str, int]:
    fields = Fields(value, at)
    found: dict[str, int] = {}
    for name in list(fields.data):
        size = fields.take(name, _size)
        try:
            found[filled(name, at)] = size
        except UserError as error:
            at.fail(str(error), key=name)
    return found


def _size(value: Any, _at: At) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_IN_A_POOL:
        raise UserError(f"{shown(value)}: expected a whole number from 1 to {MOST_IN_A_POOL}")
    return value
