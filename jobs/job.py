"""The job: a template of runs, as read from one file."""

from __future__ import annotations

from typing import Any

import msgspec

from .actions import Action
from .conditions import Condition
from .programs import Program
from .schedules import Schedule


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job. `params` is sorted; `schedules` in file order; `metadata["labels"]` a list of str."""

    job_id: str
    params: tuple[str, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    program: Program
    conditions: tuple[Condition, ...] = ()
    actions: tuple[Action, ...] = ()
    metadata: dict[str, Any] = {}
    ad_hoc: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in file order."""
        return tuple(self.metadata.get("labels", ()))
