"""The moments of a schedule whose type is an extension's: its code is asked, and held to its word.

Called by `schedules.py`. Whatever the code does, what comes out of here is in order and in range,
or a sentence; it is asked at most once for each second.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import registry
from .errors import UserError
from .instants import Moment
from .registry import Kind
from .schedule_types import ExtensionSchedule
from .times import SECOND_US


def extension_moments(schedule: ExtensionSchedule, from_us: int, to_us: int) -> Iterator[Moment]:
    """Yield the moments in [from_us, to_us), strictly increasing.

    Raises:
        UserError: the type is unknown here, its code failed, or said what cannot be.
    """
    kind = registry.kind_of("schedule", schedule.name)
    record = registry.record_of(kind, schedule.data)
    while from_us < to_us:
        at_us = registry.call(kind, lambda: record.next_fire(from_us))  # noqa: B023 - called here
        if at_us is None:
            return
        _check(kind, at_us, from_us)
        if at_us >= to_us:
            return
        yield Moment(at_us)
        from_us = (at_us // SECOND_US + 1) * SECOND_US


def _check(kind: Kind, at_us: object, from_us: int) -> None:
    if not isinstance(at_us, int) or isinstance(at_us, bool):
        raise UserError(f"{kind.words}: next_fire gave {at_us!r}: expected an int or None")
    if at_us < from_us:
        raise UserError(f"{kind.words}: next_fire gave {at_us}: expected {from_us} or later")
