"""The settings of the sanity checker: how often it looks, and what follows what it finds.

Called by `settings.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..jobs.actions import Action, ScheduleAction
from ..jobs.errors import UserError
from ..jobs.finding_texts import as_alert
from ..jobs.findings import SEVERITIES, Severity
from ..jobs.parse_actions import read_action
from ..jobs.reading import At, Fields, many, shown
from ..jobs.times import SECOND_US

INTERVAL_US = 30 * SECOND_US


class ChecksSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How often the checker looks at the server; what is done, once when a finding of `severity`
    or a graver one opens, and once when it closes."""

    interval_us: int = INTERVAL_US
    alerts: tuple[Action, ...] = ()
    severity: Severity = "warning"


def take_checks(fields: Fields, read_duration: Callable[[Any, At], int]) -> ChecksSettings:
    """Take the key `checks`.

    Args:
        read_duration: reads a duration of more than 0, in microseconds.
    Raises:
        Told: something is wrong, and recorded by now.
    """

    def read(value: Any, at: At) -> ChecksSettings:
        inner = Fields(value, at)
        interval_us: int = inner.take("interval", read_duration, INTERVAL_US)
        alerts: tuple[Action, ...] = inner.take("alert", many(_alert), ())
        severity: Severity = inner.take("severity", _severity, "warning")
        return ChecksSettings(interval_us=interval_us, alerts=alerts, severity=severity)

    found: ChecksSettings = fields.take("checks", read, ChecksSettings())
    return found


def _alert(value: Any, at: At) -> Action:
    action = read_action(value, at)
    if isinstance(action, ScheduleAction) or (isinstance(value, Mapping) and "if" in value):
        raise UserError("expected an action such as email, webhook or command, without `if`")
    return as_alert(action)


def _severity(value: Any, _at: At) -> Severity:
    if value not in SEVERITIES:
        raise UserError(f"{shown(value)}: expected one of {', '.join(SEVERITIES)}")
    return value  # type: ignore[no-any-return]
