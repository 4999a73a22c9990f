"""The settings of conditions: pools, and the checks that are allowed. Called by `settings.py`."""

from __future__ import annotations

from typing import Any

import msgspec

from ..jobs.condition_rules import POLLED_KINDS, ConditionRules
from ..jobs.errors import UserError
from ..jobs.reading import At, Fields, Told, filled, many, shown, words

MOST_IN_A_POOL = 1_000_000
# An absolute path follows.
SQLITE_URL = "sqlite:////"


class ConditionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is told to those who bind, judge and check conditions."""

    rules: ConditionRules = ConditionRules()


def take_conditions(fields: Fields) -> ConditionSettings:
    """Return what the whole file says of conditions (`pools` and `conditions`)."""
    pools = fields.take("pools", _pools, {})
    # None where something is wrong, which was recorded.
    rules: ConditionRules | None = fields.take("conditions", _rules, ConditionRules())
    if rules is None:
        return ConditionSettings()
    return ConditionSettings(rules=msgspec.structs.replace(rules, pools=pools))


def _rules(value: Any, at: At) -> ConditionRules:
    fields = Fields(value, at)
    allow = fields.take("allow", many(_kind), ConditionRules().allow)
    databases = fields.take("databases", _databases, {})
    fields.finish()
    return ConditionRules(allow=allow, databases=databases)


def _kind(value: Any, _at: At) -> str:
    if value not in POLLED_KINDS:
        raise UserError(f"{shown(value)}: expected one of {', '.join(POLLED_KINDS)}")
    return str(value)


def _databases(value: Any, at: At) -> dict[str, str]:
    found = words(value, at)
    for name, url in found.items():
        if not url.startswith(SQLITE_URL) or name.startswith("/"):
            at.key(name).fail(f"{shown(url)}: expected a URL like {SQLITE_URL}path/file.db")
            raise Told
    return found


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
