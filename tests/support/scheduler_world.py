"""A world with ledger, scheduler, binder, waiter and runner, and a job folder to edit."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from typing import Any

from ledger_driver import LedgerDriver
from people import ADMIN
from planning_world import BAD, SECOND, START_US, PlanningWorld, WebNode, Wire, a_runner
from world import Killed

from callsheet.actors.bind_one import bind_one
from callsheet.actors.binder import Binder, Folder
from callsheet.actors.scheduler import Scheduler
from callsheet.actors.waiter import Waiter
from callsheet.actors.window import Window
from callsheet.jobs.calendar_days import CalendarDays
from callsheet.jobs.calendars import Calendar
from callsheet.jobs.job import Job
from callsheet.jobs.programs import NoOp
from callsheet.jobs.run import NewRun
from callsheet.jobs.schedules import Interval, Schedule, fires
from callsheet.messages.binding import BindOne, FolderProblem, LoadedJob
from callsheet.messages.codec import encode
from callsheet.messages.post import BINDER, FEED, SCHEDULER, WAITER, WEB, Post
from callsheet.messages.transitions import RunMoved
from callsheet.messages.wishes import Done, Refused, SchedulerWish

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


def a_job(job_id: str, *schedules: Schedule, **fields: Any) -> Job:
    return Job(**{"job_id": job_id, "schedules": schedules, "program": NoOp()} | fields)


def every(minutes: float, **fields: Any) -> Interval:
    return Interval(interval_us=int(minutes * MINUTE), **fields)


def hash_of(job: Job) -> str:
    return hashlib.sha256(encode(job)).hexdigest()


class SchedulerWorld(PlanningWorld):
    """`folder` maps id to job; `problems` are what the next load finds; `bombs` kill the binder."""

    def __init__(
        self,
        *jobs: Job,
        seed: int = 1,
        wire: Wire = BAD,
        since_us: int = 0,
        window: Window | None = None,
        lasts_us: int = SECOND,
        driver: LedgerDriver | None = None,
    ) -> None:
        super().__init__(seed, wire, since_us=since_us, driver=driver)
        self.folder = {job.job_id: job for job in jobs}
        self.problems: list[FolderProblem] = []
        self.calendars: list[CalendarDays] = []
        self.bombs: set[str] = set()
        self.lives = 0
        self.runner = a_runner(self, lasts_us)
        self.web = WebNode(self)
        self.add(self.web)
        self.core(WAITER, lambda now_us: Waiter(self.reader), FEED)
        self.binder = self.core(BINDER, self._binder)
        self.scheduler = self.core(
            SCHEDULER,
            lambda now_us: Scheduler(self.reader, "/jobs", window=window, began_us=now_us),
            FEED,
        )

    def _binder(self, now_us: int) -> Binder:
        self.lives += 1
        return Binder(self._load, self._bind, contextlib.nullcontext, incarnation=f"b{self.lives}")

    def _load(self, path: str, now_us: int) -> Folder:
        if self.problems:
            return Folder(jobs=[], problems=self.problems)
        jobs = [
            LoadedJob(job_id=job.job_id, hash=hash_of(job), job=job) for job in self.folder.values()
        ]
        return Folder(jobs=jobs, problems=[], calendars=self.calendars)

    def _bind(self, item: BindOne, calendars: Mapping[str, Calendar]) -> NewRun:
        if item.job.job_id in self.bombs:
            raise Killed
        return bind_one(item, calendars)

    # --- looking --------------------------------------------------------------------------------

    def ready(self) -> bool:
        return self.up(SCHEDULER) and self.scheduler.core.ready

    def settled(self) -> bool:
        """Whether the scheduler has nothing more to write for now."""
        return self.ready() and self.scheduler.core.idle(self.now_us)

    def nominal(self, job_id: str) -> list[int]:
        """The times of all runs of a job by its schedules, in order."""
        runs = [r for r in self.runs if r.job_id == job_id and r.fingerprint is not None]
        return sorted(run.schedule_us for run in runs)

    def assert_exact(self, job: Job, from_us: int, upto_us: int) -> None:
        """The job's runs in [from, upto) are its fires, each once."""
        expected = sorted(
            fire.at_us for schedule in job.schedules for fire in fires(schedule, from_us, upto_us)
        )
        found = [at_us for at_us in self.nominal(job.job_id) if from_us <= at_us < upto_us]
        assert found == expected

    def assert_ids_used_once(self) -> None:
        made = [
            event.run_id
            for event in self.ledger.driver.disk.tables.events
            if isinstance(event, RunMoved) and event.before is None
        ]
        assert len(made) == len(set(made))

    def wish(self, instruction: Any, command_id: str, **fields: Any) -> Done | Refused:
        """Wish until it is answered."""
        principal = fields.get("principal", "ann")
        wish = SchedulerWish(
            command_id=command_id, principal=principal, instruction=instruction, access=ADMIN
        )
        self.web.wish(Post(SCHEDULER, wish))
        self.wait_until(lambda: command_id in self.web.answers)
        return self.web.answers[command_id]

    def event_count(self) -> int:
        return len(self.ledger.driver.disk.tables.events)


__all__ = ["HOUR", "MINUTE", "SECOND", "START_US", "WEB", "SchedulerWorld"]
