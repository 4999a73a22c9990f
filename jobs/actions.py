"""Actions as values: what follows when a run enters a state."""

from __future__ import annotations

import msgspec

from .states import State


class ScheduleAction(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="schedule"):
    """Schedule a run of `job_id` for now. `args` are templates over the run's args.

    `states` None: on every transition.
    """

    job_id: str
    args: dict[str, str] = {}
    states: tuple[State, ...] | None = None


Action = ScheduleAction
