"""Which blackouts concern which jobs: windows of the settings, which job files may name. Pure.

Called when a folder is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from .errors import UserError
from .job import Job
from .reading import At, Fields, filled, many, shown
from .schedule_types import Blackout, Schedule, options_of

# What becomes of a nominal run in a window; `ignore`: the window is none for this job.
Policy = Literal["skip", "after", "ignore"]
POLICIES = ("skip", "after", "ignore")


class Concerned(msgspec.Struct, frozen=True, kw_only=True):
    """A window of the settings, and the jobs that it concerns though they do not name it."""

    window: Blackout
    everything: bool = False
    jobs: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def concerns(self, job: Job) -> bool:
        """Whether a job is concerned without naming the window."""
        return (
            self.everything
            or job.job_id in self.jobs
            or any(job.job_id.startswith(f"{folder}/") for folder in self.folders)
            or not set(self.labels).isdisjoint(job.labels)
        )


# All windows of the settings, by name.
Blackouts = Mapping[str, Concerned]


def with_blackouts(job: Job, known: Blackouts) -> Job:
    """Return a job whose schedules have the windows that it names and that concern it.

    Raises:
        UserError: it names one that there is not.
    """
    for name in job.blackouts:
        if name not in known:
            names = ", ".join(sorted(known)) or "none: the settings have no `blackouts`"
            raise UserError(f"{shown(name)}: there is no such blackout: expected one of: {names}")
    windows = []
    for name, one in sorted(known.items()):
        policy = job.blackouts.get(name, "" if one.concerns(job) else "ignore")
        if policy != "ignore":
            after = one.window.after if not policy else policy == "after"
            windows.append(replace(one.window, after=after))
    if not windows or not job.schedules:
        return job
    schedules = tuple(_shaded(schedule, tuple(windows)) for schedule in job.schedules)
    return replace(job, schedules=schedules)


def _shaded(schedule: Schedule, windows: tuple[Blackout, ...]) -> Schedule:
    return replace(schedule, options=replace(options_of(schedule), blackouts=windows))


def read_blackouts(value: Any, at: At) -> dict[str, str]:
    """Read the windows a job names: one, several, or a mapping of names to policies or nothing."""
    if not isinstance(value, Mapping):
        return dict.fromkeys(many(filled)(value, at), "")
    fields = Fields(value, at)
    found = {name: fields.take(name, read_policy, "") for name in sorted(value)}
    fields.finish()
    return {name: policy or "" for name, policy in found.items()}


def read_policy(value: Any, _at: At) -> str:
    """Read what becomes of runs in a window."""
    if value not in POLICIES:
        raise UserError(f"{shown(value)}: expected one of {', '.join(POLICIES)}")
    return str(value)


def blackouts_data(named: Mapping[str, str]) -> Any:
    """Return the windows a job names as job files have them."""
    if not any(named.values()):
        return list(named)
    return {name: policy or None for name, policy in named.items()}
