"""Thirty hours of a server's life on virtual time, with much that people and faults do to it.

Begins at noon UTC on the day before Europe puts its clocks forward, 2027-03-28.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from disk_world import DiskWorld
from scheduler_world import HOUR, MINUTE, SECOND

from callsheet.jobs.job import Job
from callsheet.jobs.parse import job_from_data
from callsheet.jobs.states import State
from callsheet.messages.post import LEDGER, SCHEDULER
from callsheet.messages.wishes import HoldRun, PauseRuns, ReloadJobs, ResumeRuns, SkipRun

BEGIN_US = int(datetime(2027, 3, 27, 12, tzinfo=UTC).timestamp()) * SECOND
HOURS = 30


def job_of(job_id: str, *schedules: dict[str, Any], **keys: Any) -> Job:
    """Return a job as a file would have it."""
    program = {"type": "no-op"}
    return job_from_data({"schedule": list(schedules), "program": program} | keys, job_id)


def every(minutes: int, **keys: Any) -> dict[str, Any]:
    """Return an interval schedule."""
    return {"type": "interval", "interval": minutes * 60} | keys


def daily(*daytimes: str, tz: str = "Europe/Paris", **keys: Any) -> dict[str, Any]:
    """Return a daily schedule."""
    times = [f"{daytime}:00" for daytime in daytimes]
    return {"type": "daily", "tz": tz, "calendar": "all", "daytime": times} | keys


NIGHT = job_of("night", daily("00:30", "02:30", "03:30", "12:00"), params=["date"])
JOBS = (
    NIGHT,
    job_of("often", every(20)),
    job_of("twice", every(60), every(120)),
    job_of("last", every(30, catch_up="last")),
    job_of("none", every(30, catch_up="none")),
    job_of("changes", every(60)),
    job_of("goes", every(60)),
    job_of("fails", every(180), params=["schedule_time"]),
)


class Day(DiskWorld):
    """The day; `live` lets it pass."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, *JOBS)
        self.jump(BEGIN_US - self.now_us)

    def hour(self, hours: float) -> None:
        """Let time pass until so many hours after the beginning."""
        self.run_until(BEGIN_US + round(hours * HOUR))

    def live(self) -> None:
        """Let the day pass."""
        self.wait_until(self.settled)
        self.hour(3.5)
        self.folder["changes"] = job_of("changes", every(45), metadata={"labels": ["new"]})
        del self.folder["goes"]
        self.wish(ReloadJobs(), "reload")
        self.hour(5.1)
        pause = PauseRuns(pause_kind="job", name="often", reason="moving", until_us=None)
        self.person(pause)
        self.hour(7.1)
        self.person(ResumeRuns(pause_kind="job", name="often"))
        skipped, held = self.next_of("twice"), self.next_of("fails")
        self.person(SkipRun(run_id=skipped, reason="not today"))
        self.person(HoldRun(run_id=held))
        self.hour(9.2)
        self.kill(SCHEDULER, 3 * HOUR)
        self.hour(14.5)
        self.kill(LEDGER, 10 * MINUTE)
        self.hour(HOURS)

    def person(self, instruction: Any) -> None:
        """Have a person's wish carried out by the ledger."""
        driver = self.ledger.driver
        driver.now_us = self.now_us
        assert type(driver.wish(instruction)).__name__ == "Done"
        self.send(LEDGER, driver.posts)

    def next_of(self, job_id: str) -> str:
        """Return the next scheduled run of a job."""
        runs = [r for r in self.runs if r.job_id == job_id and r.state is State.SCHEDULED]
        return min(runs, key=lambda run: run.schedule_us).run_id
