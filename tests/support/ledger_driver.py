"""Drives a ledger core against the in-memory store, as its stage does, on virtual time."""

from __future__ import annotations

from typing import Any

from people import ADMIN

from callsheet.actors.ledger import Ledger
from callsheet.actors.ledger_findings import NO_ALERTS, Alerts
from callsheet.actors.ledger_needs import find
from callsheet.jobs.programs import BoundNoOp
from callsheet.jobs.run import NewRun, Run
from callsheet.messages.access import Access
from callsheet.messages.hello import ScheduleRow
from callsheet.messages.instructions import ApplyJobs, Expectation, ExpectRuns, LeaseIds
from callsheet.messages.post import RUNNER, SCHEDULER, WEB, Post
from callsheet.messages.wishes import AddRuns, Done, LedgerWish, Refused
from callsheet.store.memory import MemoryDisk, MemoryWriter

SECOND = 1_000_000
START_US = 1_800_000_000 * SECOND


class LedgerDriver:
    """A ledger with its store; `tell` gives it a batch and returns the posts."""

    def __init__(
        self,
        disk: MemoryDisk | None = None,
        now_us: int = START_US,
        alerts: Alerts = NO_ALERTS,
    ) -> None:
        self.disk = disk or MemoryDisk()
        self.now_us = now_us
        self.posts: list[Post] = []
        self.commands = 0
        self.writer: Any = None
        self.alerts = alerts
        self.restart()

    def restart(self) -> None:
        """Open the store again, as a new ledger process does."""
        if self.writer is not None:
            self.writer.close()
        self.writer = MemoryWriter(self.disk)
        self.ledger = Ledger(self.writer.open(self.now_us), alerts=self.alerts)

    def tell(self, *messages: Any, sender: str = SCHEDULER) -> list[Any]:
        """Give one batch to the ledger; return the messages it sent, the feed's left out."""
        batch = [(sender, message) for message in messages]
        needs = self.ledger.needs(batch, self.now_us)
        self.ledger.admit(find(needs, self.writer, self.now_us, self.ledger.epoch))
        for who, message in batch:
            assert self.ledger.receive(who, message, self.now_us) == []
        posts = self.ledger.settle(self.now_us)
        changes = self.ledger.take_changes()
        if changes:
            self.writer.commit(changes)
        self.posts = posts
        return [post.message for post in posts if post.to != "feed"]

    def later(self, seconds: float) -> list[Any]:
        """Let time pass and wake the ledger; return what it sends."""
        self.now_us += int(seconds * SECOND)
        return self.tell()

    def wish(
        self,
        instruction: Any,
        command_id: str | None = None,
        access: Access | None = ADMIN,
        who: str = "ann",
    ) -> Any:
        """Wish for something as a person does, or without `access` as the runner; return the
        answer."""
        self.commands += 1
        message = LedgerWish(
            command_id=command_id or f"c{self.commands}",
            principal=who,
            instruction=instruction,
            access=access,
        )
        self.tell(message, sender=RUNNER if access is None else WEB)
        answers = (post.message for post in self.posts if isinstance(post.message, Done | Refused))
        return next((one for one in answers if one.command_id == message.command_id), None)

    def a_run(self, **fields: Any) -> Run:
        """Have a run made, for now unless `schedule_us` says otherwise, and return it."""
        first = self.tell(LeaseIds(count=1))[0].first_id
        fields = {
            "run_id": f"r{first}",
            "job_id": "a",
            "args": {},
            "schedule_us": self.now_us,
            "program": BoundNoOp(),
        } | fields
        answer = self.wish(AddRuns(runs=[NewRun(**fields)]))
        return answer.runs[0]

    def run(self, run_id: str) -> Run:
        """Return a run as it is stored."""
        run = self.writer.reader.run(run_id)
        assert run is not None
        return run

    def apply(self, **fields: Any) -> list[Any]:
        """Put a set of jobs in force."""
        fields.setdefault("based_on", self.ledger.book.jobs_version)
        return self.tell(ApplyJobs(at_us=self.now_us, **fields))

    def open_schedule(self, job_id: str = "a", fingerprint: str = "f1") -> None:
        """Put a job with one schedule in force, its horizon at now."""
        row = ScheduleRow(
            job_id=job_id,
            fingerprint=fingerprint,
            definition="d1",
            valid_from_us=self.now_us,
            written_upto_us=self.now_us,
        )
        self.apply(set_jobs={job_id: "d1"}, opened=[row], added=[job_id])

    def expect(self, from_us: int, upto_us: int, times: list[int], **fields: Any) -> Any:
        """Write expected runs of job a's schedule; return the acknowledgement."""
        first = self.tell(LeaseIds(count=max(1, len(times))))[0].first_id
        runs = [
            NewRun(
                run_id=f"r{first + index}",
                job_id="a",
                schedule_us=time,
                fingerprint="f1",
                definition="d1",
                **{"args": {"time": str(time)}, "program": BoundNoOp(), **fields},
            )
            for index, time in enumerate(times)
        ]
        expectation = Expectation(
            job_id="a", fingerprint="f1", from_us=from_us, upto_us=upto_us, runs=runs
        )
        message = ExpectRuns(
            batch=1, jobs_version=self.ledger.book.jobs_version, expectations=[expectation]
        )
        return self.tell(message)[0]
