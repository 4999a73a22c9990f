"""`verify` finds nothing in what a ledger wrote, and every row that another hand has touched."""

import random
import sqlite3
from pathlib import Path

import pytest
from ledger_driver import SECOND, START_US, LedgerDriver

from callsheet.actors.ledger import Ledger
from callsheet.jobs.actions import ScheduleAction
from callsheet.jobs.deadlines import Due
from callsheet.jobs.parse import definition_hash, job_from_data
from callsheet.jobs.programs import BoundNoOp, BoundProcess
from callsheet.jobs.retry import Retry
from callsheet.jobs.run import NewRun
from callsheet.jobs.schedules import fingerprint, fires
from callsheet.jobs.states import State
from callsheet.messages.codec import encode
from callsheet.messages.hello import ScheduleRow
from callsheet.messages.instructions import (
    AttemptEnded,
    AttemptStarted,
    Expectation,
    ExpectRuns,
    LeaseIds,
    OutputRecord,
    SkipSpan,
    StoredDefinition,
)
from callsheet.messages.wishes import HoldRun, MarkRun, SkipRun
from callsheet.store.interface import StoreUnusable
from callsheet.store.migrate import migrate_database
from callsheet.store.sqlite import SqliteWriter, create_database
from callsheet.store.verify import verify_database

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
            from callsheet.messages.instructions import ClearRun

            driver.tell(ClearRun(run_id=run.run_id), sender="waiter/0")
    driver.restart()
    driver.a_run(error="no such arg")
    driver.writer.close()


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    path = tmp_path_factory.mktemp("verify") / "callsheet.db"
    a_history(path)
    return path


@pytest.fixture
def copy(history, tmp_path):
    """A function that changes a copy by a statement and returns what is wrong with it."""
    count = 0

    def altered(statement, *values):
        nonlocal count
        count += 1
        path = tmp_path / f"{count}.db"
        source, target = sqlite3.connect(history), sqlite3.connect(path)
        source.backup(target)
        source.close()
        done = target.execute(statement, values)
        assert done.rowcount == 1, statement
        target.commit()
        target.execute("PRAGMA journal_mode = WAL")
        target.close()
        try:
            return verify_database(path).problems
        except StoreUnusable as error:
            return [str(error)]

    return altered


def test_what_a_ledger_wrote_is_right(history):
    found = verify_database(history)
    assert found.problems == []
    assert found.runs > 10
    assert found.events >= 30
    assert (found.schedules, found.outputs) == (1, 3)


# Rows that nothing depends on: where a search begins, and what was cut short by a later row.
SUPERFLUOUS = {"spans", "run_jobs", "sqlite_sequence"}
TABLES = (
    "meta", "runs", "events", "definitions", "jobs", "schedules", "skips", "outputs", "outbox",
    "answers", "deadlines", "run_jobs", "run_agents", "spans", "streaks",
)  # fmt: skip


def rows_of(path, table):
    with sqlite3.connect(path) as reader:
        key = "rowid"
        if table in ("definitions", "jobs", "schedules", "deadlines", "streaks", "run_jobs"):
            key = {"definitions": "hash", "run_jobs": "label || job_id"}.get(table, "job_id")
            key = {"deadlines": "n || kind"}.get(table, key)
        return key, [row[0] for row in reader.execute(f"SELECT {key} FROM {table}")]


# What `verify` cannot miss, but for these: an answer that nobody asks for again, a job whose file
# is read anew at the next start, an action or deadline that was about to be settled.
UNMISSED = {"answers", "jobs", "outbox", "deadlines", "outputs", "streaks"}


@pytest.mark.parametrize("table", [table for table in TABLES if table not in UNMISSED])
def test_a_row_that_was_taken_away_is_missed(history, copy, table):
    key, rows = rows_of(history, table)
    assert rows
    for row in rows:
        assert copy(f"DELETE FROM {table} WHERE {key} = ?", row) != [], (table, row)


ALTERED = {
    "runs": ["job_id", "args", "state", "held", "planned", "schedule_us", "changed_us", "labels"],
    "events": ["batch", "n"],
    "definitions": ["job_id", "git_commit"],
    "schedules": ["valid_from_us", "written_upto_us", "definition"],
    "skips": ["job_id", "fingerprint"],
    "answers": ["at_us"],
    "run_agents": ["agent_id"],
    "meta": ["seq", "next_run_number"],
}
BODIES = {
    "runs": "record", "events": "body", "definitions": "body", "schedules": "spec",
    "skips": "body", "outputs": "body", "outbox": "body", "answers": "body",
}  # fmt: skip


@pytest.mark.parametrize(("table", "column"), [(t, c) for t, cs in ALTERED.items() for c in cs])
def test_a_value_that_was_altered_is_found(history, copy, table, column):
    key, rows = rows_of(history, table)
    numbers = column in ("state", "held", "planned", "batch", "n", "seq", "next_run_number")
    numbers = numbers or column.endswith("_us")
    change = f"coalesce({column}, 0) - 1" if numbers else f"coalesce({column}, '') || 'x'"
    if column == "state":
        change = "(state + 1) % 10"
    elif column in ("held", "planned"):
        change = f"1 - {column}"
    found = [
        copy(f"UPDATE {table} SET {column} = {change} WHERE {key} = ?", row) for row in rows[:6]
    ]
    assert [] not in found


@pytest.mark.parametrize("table", BODIES)
def test_a_byte_that_was_altered_is_found(history, copy, table):
    draw = random.Random(3)
    key, rows = rows_of(history, table)
    column = BODIES[table]
    for row in rows[:8]:
        with sqlite3.connect(history) as reader:
            [(body,)] = reader.execute(f"SELECT {column} FROM {table} WHERE {key} = ?", (row,))
        place = draw.randrange(len(body))
        spoilt = body[:place] + bytes([body[place] ^ 1 << draw.randrange(8)]) + body[place + 1 :]
        problems = copy(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", spoilt, row)
        assert problems != [], (table, row, place)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO runs SELECT 99, job_id, args, 7, 0, 0, 0, 0, '', record, 7 FROM runs LIMIT 1",
        "INSERT INTO events SELECT seq + 100000, batch, n, body, sum FROM events LIMIT 1",
        "INSERT INTO skips SELECT seq + 1, job_id, fingerprint, body FROM skips",
        "INSERT INTO outputs SELECT n, attempt + 1, output_id, body, sum FROM outputs LIMIT 1",
        "INSERT INTO run_agents SELECT n + 1000, agent_id FROM run_agents LIMIT 1",
    ],
)
def test_a_row_that_was_doubled_is_found(copy, statement):
    assert copy(statement) != []


def test_a_database_of_the_first_version_is_right_when_it_is_migrated(tmp_path):
    script = Path(__file__).parents[1] / "system" / "first_version.sql"
    path = tmp_path / "callsheet.db"
    database = sqlite3.connect(path)
    database.executescript(script.read_text())
    database.execute("PRAGMA application_id = 1667329132")
    database.execute("PRAGMA user_version = 1")
    database.close()
    assert migrate_database(path) >= 6
    found = verify_database(path)
    assert (found.problems, found.runs) == ([], 5)
