"""`verify` finds nothing in what a ledger wrote, and every row that another hand has touched."""

import random
import sqlite3
from pathlib import Path

import pytest
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
    AttemptEnded,
    AttemptStarted,
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
from callsheet.store.backup import backup_database, restore_database
from callsheet.store.interface import Changes, StoreUnusable
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


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    path = tmp_path_factory.mktemp("verify") / "callsheet.db"
    a_history(path)
    return path


def test_what_a_ledger_wrote_is_right(history):
    found = verify_database(history)
    assert found.problems == []
    assert found.runs > 10
    assert found.events >= 30
    assert (found.schedules, found.outputs) == (1, 3)


# Every table of the schema; `test_no_table_is_left_out` holds it against the database.
TABLES = (
    "ad_hoc_jobs", "agent_tokens", "agents", "answers", "api_tokens", "audit", "backfill_runs",
    "backfills", "calendar_versions", "calendars", "check_rounds", "deadlines", "definitions",
    "events", "findings", "jobs", "meta", "moved", "operation_parts", "operations", "outbox",
    "outputs", "pauses", "reruns", "results", "run_agents", "run_jobs", "runs", "schedules",
    "sessions", "skips", "spans", "streaks", "tallies", "users",
)  # fmt: skip
ROWS_A_TABLE = 3


def columns_of(database, table):
    """Return the columns of a table, and those of its key."""
    found = database.execute(f"PRAGMA table_info({table})").fetchall()
    names = [column[1] for column in found]
    return names, [column[1] for column in found if column[5]] or ["rowid"]


def another(value, draw):
    """Return a value of the same type that differs a little."""
    if isinstance(value, bytes):
        place = draw.randrange(len(value))
        return value[:place] + bytes([value[place] ^ 1 << draw.randrange(8)]) + value[place + 1 :]
    return f"{value or ''}x" if isinstance(value, str) else (value or 0) + 1_000_003


def harms(database, table):
    """Yield statements that delete, alter or double one row of a table, with their values."""
    draw = random.Random(table)
    names, key = columns_of(database, table)
    chosen = list(dict.fromkeys([*key, *names]))
    rows = database.execute(f"SELECT {', '.join(chosen)} FROM {table}").fetchall()
    where = " AND ".join(f"{name} IS ?" for name in key)
    for row in draw.sample(rows, min(ROWS_A_TABLE, len(rows))):
        values = dict(zip(chosen, row, strict=True))
        named = [values[name] for name in key]
        yield f"DELETE FROM {table} WHERE {where}", named
        for name in names:
            changed = another(values[name], draw)
            yield f"UPDATE {table} SET {name} = ? WHERE {where}", [changed, *named]
        twin = [another(values[n], draw) if n == key[-1] else values[n] for n in names]
        marks = ", ".join("?" * len(names))
        yield f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", twin


def test_no_table_is_left_out(history):
    with sqlite3.connect(history) as database:
        text = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        assert sorted(row[0] for row in database.execute(text)) == sorted(TABLES)
        counts = {t: database.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in TABLES}
    assert 0 not in counts.values(), counts


def test_a_backup_and_what_is_restored_from_it_are_right(history, tmp_path):
    copy, here = tmp_path / "copy.db", tmp_path / "here.db"
    backup_database(str(history), str(copy))
    assert verify_database(copy).problems == []
    backup_database(str(history), str(here), passwords=True)
    restore_database(str(copy), str(here))
    assert verify_database(here).problems == []


@pytest.mark.parametrize("table", TABLES)
def test_any_row_that_was_deleted_altered_or_doubled_is_found(history, tmp_path, table):
    path = tmp_path / "copy.db"
    with sqlite3.connect(history) as database:
        plain = database.serialize()
        statements = list(harms(database, table))
    done = 0
    for statement, values in statements:
        path.write_bytes(plain)
        database = sqlite3.connect(path)
        # Whoever does this is not stopped by them.
        database.execute("DROP TRIGGER audit_is_not_changed")
        database.execute("DROP TRIGGER audit_is_not_cut")
        try:
            assert database.execute(statement, values).rowcount == 1, statement
        except sqlite3.IntegrityError:
            continue  # The schema does not have it.
        finally:
            database.commit()
            database.close()
        done += 1
        try:
            problems = verify_database(path).problems
        except StoreUnusable as error:
            problems = [str(error)]
        assert problems != [], (statement, values)
    assert done > len(statements) // 2


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
