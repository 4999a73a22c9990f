"""A database with a bit of everything that a ledger writes: a row in every table at least."""

from __future__ import annotations

from ledger_driver import SECOND, START_US, LedgerDriver
from msgspec.structs import replace

from callsheet.actors.ledger import Ledger
from callsheet.jobs.actions import ScheduleAction
from callsheet.jobs.calendar_days import CalendarDays
from callsheet.jobs.deadlines import Due
from callsheet.jobs.findings import CheckRound, Finding
from callsheet.jobs.parse import definition_hash, job_from_data
from callsheet.jobs.programs import BoundNoOp, BoundProcess
from callsheet.jobs.retry import Retry
from callsheet.jobs.run import MovedFrom, NewRun
from callsheet.jobs.schedules import fingerprint, fires
from callsheet.jobs.states import State
from callsheet.jobs.streaks import End
from callsheet.messages.access import ApiToken, Role, Session, User
from callsheet.messages.backfills import Backfill
from callsheet.messages.codec import encode
from callsheet.messages.commands import OutboxItem
from callsheet.messages.hello import ScheduleRow
from callsheet.messages.instructions import (
    ActionSettled,
    AttemptEnded,
    AttemptStarted,
    ClearRun,
    Expectation,
    ExpectRuns,
    LeaseIds,
    OutputRecord,
    SkipSpan,
    StoredDefinition,
)
from callsheet.messages.operations import Deed, Operation, Part
from callsheet.messages.pauses import Pause
from callsheet.messages.registry import AgentRecord, AgentToken
from callsheet.messages.wishes import HoldRun, MarkRun, SkipRun
from callsheet.store.interface import Changes
from callsheet.store.sqlite import SqliteWriter, create_database

HOURLY = job_from_data(
    {
        "params": ["schedule_time"],
        "schedule": {"type": "interval", "interval": 3600},
        "program": {"type": "no-op"},
    },
    "hourly",
)
HOUR_US = 3600 * SECOND


class OnDisk(LedgerDriver):
    """A ledger over a real database."""

    def __init__(self, path):
        self.path = path
        create_database(path, START_US)
        super().__init__()

    def restart(self):
        if self.writer is not None:
            self.writer.close()
        self.writer = SqliteWriter(self.path)
        self.ledger = Ledger(self.writer.open(self.now_us))

    def expect_hours(self, hours, skipped=0):
        """Write the next hours of the schedule, the first ones left out by policy."""
        rows = self.writer.reader.schedules()
        row = next(row for row in rows if row.job_id == "hourly")
        from_us = row.written_upto_us
        upto_us = from_us + (skipped + hours) * HOUR_US
        times = [fire.at_us for fire in fires(HOURLY.schedules[0], from_us, upto_us)]
        first = self.tell(LeaseIds(count=len(times)))[0].first_id
        runs = [
            NewRun(
                run_id=f"r{first + i}",
                job_id="hourly",
                args={"schedule_time": str(at_us)},
                schedule_us=at_us,
                fingerprint=row.fingerprint,
                definition=row.definition,
                labels=("x",),
                program=BoundNoOp(),
            )
            for i, at_us in enumerate(times[skipped:])
        ]
        skips = []
        if skipped:
            late = times[:skipped]
            skips = [SkipSpan(from_us=late[0], to_us=late[-1], count=skipped, reason="late")]
        expectation = Expectation(
            job_id="hourly",
            fingerprint=row.fingerprint,
            from_us=from_us,
            upto_us=upto_us,
            runs=runs,
            skips=skips,
        )
        version = self.ledger.book.jobs_version
        self.tell(ExpectRuns(batch=1, jobs_version=version, expectations=[expectation]))
        return [run.run_id for run in runs]


def a_history(path):
    """Write a bit of everything that a ledger writes."""
    driver = OnDisk(path)
    hash_ = definition_hash(HOURLY)
    row = ScheduleRow(
        job_id="hourly",
        fingerprint=fingerprint(HOURLY.schedules[0]),
        definition=hash_,
        valid_from_us=START_US,
        written_upto_us=START_US,
        spec={"every": 3600},
    )
    stored = StoredDefinition(hash=hash_, job_id="hourly", body=encode(HOURLY), commit="c0ffee")
    driver.apply(definitions=[stored], set_jobs={"hourly": hash_}, opened=[row], added=["hourly"])
    driver.expect_hours(4)
    *_, last = driver.expect_hours(3, skipped=2)
    driver.wish(SkipRun(run_id=last, reason="not today"))
    driver.wish(HoldRun(run_id=driver.a_run(schedule_us=driver.now_us + HOUR_US).run_id))
    process = BoundProcess(argv=("true",))
    for number, (state, code) in enumerate([(State.SUCCESS, 0), (State.FAILURE, 3)]):
        run = driver.a_run(
            program=process,
            labels=("a", "b"),
            actions=(ScheduleAction(job_id="b", states=(State.FAILURE,)),),
            due=Due(finish_by_us=driver.now_us + HOUR_US),
        )
        where = {"run_id": run.run_id, "attempt": 1, "agent_id": "one"}
        started = AttemptStarted(at_us=driver.now_us - 5, **where)
        driver.tell(started, sender="runner/0")
        output = OutputRecord(run_id=run.run_id, length=4, data=b"text")
        ended = AttemptEnded(
            at_us=driver.now_us + number, state=state, exit_code=code, outputs=[output], **where
        )
        driver.later(1)
        driver.tell(ended, sender="runner/0")
        driver.later(1)
        for item in driver.writer.reader.outbox(run.run_id):
            # Its log has more than the run: an action's end changes no run.
            done = ActionSettled(action_id=item.action_id, message="action scheduling b as r9")
            driver.tell(done, sender="responder/0")
        if state is State.SUCCESS:
            driver.wish(MarkRun(run_id=run.run_id, state=State.ERROR))
    again = driver.a_run(program=process, retry=Retry(attempts=2))
    for attempt in (1, 2):
        where = {"run_id": again.run_id, "attempt": attempt, "agent_id": "two"}
        driver.tell(AttemptStarted(at_us=driver.now_us, **where), sender="runner/0")
        ended = AttemptEnded(at_us=driver.now_us, state=State.FAILURE, exit_code=1, **where)
        driver.tell(ended, sender="runner/0")
        driver.later(600)
        run = driver.run(again.run_id)
        if run.state is State.WAITING:
            driver.tell(ClearRun(run_id=run.run_id), sender="waiter/0")
    driver.restart()
    driver.a_run(error="no such arg")
    run = driver.a_run(due=Due(start_by_us=driver.now_us + HOUR_US))
    run = driver.run(run.run_id)
    driver.writer.commit(of_everything_else(strange(run)))
    driver.writer.close()


def strange(run):
    """Return a run with all that other tables say of a run."""
    moved = MovedFrom(schedule_us=5, fingerprint="f")
    return replace(run, backfill=1, results={"rows": "7"}, moved_from=moved, rerun_root="r1")


def of_everything_else(run):
    """Return a row for each table that the history has not come to, or that it has emptied."""
    finding = Finding(key="k", check="disk", severity="error", sentence="s")
    owed = OutboxItem(
        action_id=f"{run.run_id}.9.0", run=run, action=ScheduleAction(job_id="b"), at_us=1
    )
    operation = Operation(
        operation_id="o1",
        command_id="o1",
        by="ann",
        deed=Deed(verb="skip", reason="x"),
        total=2,
        parts=1,
        begun_us=1,
    )
    token = AgentToken(token_id="t", secret_hash="h", expires_us=9, made_by="ann", group_id="g")
    return Changes(
        runs={run.run_id: run},
        operations={"o1": operation},
        operation_parts=[Part(operation_id="o1", number=0, targets=[])],
        ad_hoc_jobs={"adhoc": definition_hash(HOURLY)},
        agents={"one": AgentRecord(agent_id="one", public_key="k", group_id="g", since_us=5)},
        agent_tokens={"t": token},
        api_tokens={"a": ApiToken(token_id="a", secret_hash="h", name="ci", role=Role.VIEWER)},
        users={"ann": User(name="ann", password="p", role=Role.ADMIN)},
        sessions={"s": Session(session_id="s", user="ann", since_us=1, expires_us=2)},
        backfills={1: Backfill(number=1, job_id="a", from_us=1, to_us=2, at_us=3, by="ann")},
        calendars=[CalendarDays(name="c", start=7, stop=9, bits=b"x")],
        findings={"k": finding, "gone": replace(finding, key="gone", closed_us=9)},
        check_round=CheckRound(began_us=1, at_us=2, checks=["disk"]),
        pauses={("all", ""): Pause(kind="all", at_us=1, by="ann")},
        outbox={owed.action_id: owed},
        deadlines={(run.run_id, "start_by"): 5},
        streaks={("a", ""): (End("r1", State.FAILURE),)},
    )
