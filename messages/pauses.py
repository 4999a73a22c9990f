"""Pauses: for what no schedule makes runs start, since when, why, and until when."""

from __future__ import annotations

from typing import Literal

import msgspec

PauseKind = Literal["all", "folder", "label", "job"]


class Pause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Runs that schedules make for a time from `at_us` until `until_us` (None: until somebody
    resumes) are skipped when they are due, not started. `name` is the job's id, the folder or the
    label that is meant, empty for all. `by` has paused it."""

    kind: PauseKind
    at_us: int
    by: str
    name: str = ""
    reason: str = ""
    until_us: int | None = None

    @property
    def key(self) -> tuple[PauseKind, str]:
        """By what it is known: there is one pause of a kind and a name."""
        return self.kind, self.name

    def covers(self, job_id: str, labels: tuple[str, ...], at_us: int) -> bool:
        """Return whether a run of this job for this time is not to start."""
        if at_us < self.at_us or (self.until_us is not None and at_us >= self.until_us):
            return False
        match self.kind:
            case "all":
                return True
            case "folder":
                return job_id.startswith(f"{self.name}/")
            case "label":
                return self.name in labels
            case "job":
                return job_id == self.name

    def is_over(self, now_us: int) -> bool:
        """Return whether its time is over."""
        return self.until_us is not None and now_us >= self.until_us

    @property
    def sentence(self) -> str:
        """What is paused by whom, and why."""
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.words} is paused by {self.by}{reason}"

    @property
    def words(self) -> str:
        """What is paused, in words."""
        return "everything" if self.kind == "all" else f"{self.kind} {self.name}"
