"""The job: a template of runs, as read from one file."""

from __future__ import annotations

from typing import Any

import msgspec

from .actions import Action
from .conditions import Condition
from .deadlines import Deadline
from .params import ParamSpec
from .programs import Program
from .retry import Retry
from .schedules import Schedule


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job. `params` is sorted; `schedules` in file order; `metadata["labels"]` a list of str.

    `param_specs` has what some params take, by name; the others take any text.
    Of runs that wait for the same place those of a higher `priority` go first. `waiting_max_us`:
    how long its runs may wait, None: as the settings say. `results` are those its runs have to give
    back, by name, sorted. `blackouts`: the windows it names, and for each what becomes of runs in
    it, empty: what the settings say.
    """

    job_id: str
    params: tuple[str, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    program: Program
    conditions: tuple[Condition, ...] = ()
    actions: tuple[Action, ...] = ()
    metadata: dict[str, Any] = {}
    ad_hoc: bool = False
    param_specs: dict[str, ParamSpec] = {}
    priority: int = 0
    waiting_max_us: int | None = None
    deadline: Deadline | None = None
    retry: Retry | None = None
    results: dict[str, ParamSpec] = {}
    blackouts: dict[str, str] = {}

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in file order."""
        return tuple(self.metadata.get("labels", ()))

    @property
    def owner(self) -> str:
        """Who it belongs to, by its metadata; empty when they name nobody by a text."""
        owner = self.metadata.get("owner")
        return owner.strip() if isinstance(owner, str) else ""

    def default_of(self, param: str) -> str | None:
        """Return what a param is when it is not given, None when it has to be."""
        spec = self.param_specs.get(param)
        return None if spec is None else spec.default
