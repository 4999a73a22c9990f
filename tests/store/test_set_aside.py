"""A row that cannot be read is left where it is and told; whatever else is there goes on."""

import shutil
import sqlite3
from contextlib import closing

import pytest
from ledger_driver import START_US, LedgerDriver
from whole_history import a_history

from callsheet.actors.check_server import drift, unread
from callsheet.actors.ledger import Ledger
from callsheet.jobs.states import State
from callsheet.messages.commands import DueTaken
from callsheet.messages.instructions import AskDigest, RunsDue
from callsheet.store.interface import StoreUnusable
from callsheet.store.reader import SqliteReader
from callsheet.store.sqlite import SqliteWriter
from callsheet.store.verify import verify_database

# What a ledger reads at its beginning, with the column of its records.
READ = {
    "runs": "record", "schedules": "spec", "outbox": "body", "agents": "body",
    "agent_tokens": "body", "api_tokens": "body", "users": "body", "sessions": "body",
    "pauses": "body", "backfills": "body", "findings": "body", "operations": "body",
    "streaks": "body", "calendars": "body", "deadlines": "at_us",
}  # fmt: skip
# What is read of the others when somebody asks.
LATER = {
    "events": lambda reader: [reader.log(f"r{n}") for n in range(20)],
    "definitions": lambda reader: reader.definition(reader.jobs()["hourly"]),
    "outputs": lambda reader: [reader.outputs(f"r{n}") for n in range(20)],
    "answers": lambda reader: reader.answer("c1"),
    "operation_parts": lambda reader: reader.operation_parts("o1", 0, 5),
    "check_rounds": lambda reader: reader.check_rounds(5),
    "skips": lambda reader: reader.skips("hourly", reader.schedules()[0].fingerprint),
}


class OnFile(LedgerDriver):
    """A ledger over a database that is there."""

    def __init__(self, path):
        self.path = path
        super().__init__(now_us=START_US + 10**10)
        # The answers to the first ones are kept.
        self.commands = 1_000

    def restart(self):
        self.writer = SqliteWriter(self.path)
        self.opening = self.writer.open(self.now_us)
        self.ledger = Ledger(self.opening)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "callsheet.db"
    a_history(path)
    return path


@pytest.fixture
def spoil(history, tmp_path):
    """Spoil every row of a table; return the database."""

    def spoil(table, column, value=b"\x91\xc1"):
        path = tmp_path / "callsheet.db"
        shutil.copy(history, path)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
        return path

    return spoil


@pytest.mark.parametrize("table", READ)
def test_a_ledger_begins_without_the_rows_that_it_cannot_read_and_goes_on(spoil, table):
    path = spoil(table, READ[table])
    ledger = OnFile(path)
    assert {name for name, _ in ledger.opening.set_aside} == {table}
    run = ledger.a_run()
    assert ledger.run(run.run_id).state is not State.ERROR
    digest = ledger.tell(AskDigest(request="1"), sender="checker/0")[0]
    found = unread(digest)
    assert {finding.evidence["table"] for finding in found} == {table}
    assert all(finding.remedy.startswith("Run `callsheetctl verify`") for finding in found)
    ledger.writer.close()
    with closing(SqliteReader(path)) as reader:
        assert [one for one in drift(reader, digest) or [] if table != "runs"] == []
    if table != "deadlines":
        told = [line for line in verify_database(path).problems if "cannot be read" in line]
        assert told


@pytest.mark.parametrize("table", LATER)
def test_what_is_read_later_is_left_out_too(spoil, table):
    path = spoil(table, "body")
    with closing(SqliteReader(path)) as reader:
        LATER[table](reader)
        assert {name for name, _ in reader.set_aside} == {table}
    with closing(SqliteReader(path, strict=True)) as reader, pytest.raises(ValueError):
        LATER[table](reader)


def test_a_run_that_cannot_be_read_is_no_run_to_those_who_name_it(history, tmp_path):
    path = tmp_path / "callsheet.db"
    shutil.copy(history, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        [(number, record)] = connection.execute(
            "SELECT n, record FROM runs WHERE state = 0 AND held = 0 LIMIT 1"
        )
        spoilt = record.replace(b"run_id\xa2r", b"run_id\xa2.")
        assert spoilt != record
        connection.execute("UPDATE runs SET record = ? WHERE n = ?", (spoilt, number))
    ledger = OnFile(path)
    run_id = f"r{number}"
    said = ledger.tell(RunsDue(run_ids=[run_id]))
    assert DueTaken(run_ids=[run_id]) in said
    assert [row.run_id for row in ledger.writer.reader.due(2**60, 100)] != []
    [one] = ledger.opening.set_aside.values()
    assert one.sentence.startswith(f"runs {run_id}: cannot be read, and is left out: ")
    ledger.writer.close()


def test_a_record_that_is_not_what_its_columns_say_is_none(spoil):
    path = spoil("runs", "state", 3)
    ledger = OnFile(path)
    assert ledger.opening.active == []
    assert all("its columns" in one.why for one in ledger.opening.set_aside.values())
    ledger.writer.close()


def test_a_database_whose_head_cannot_be_read_is_refused_with_a_sentence(spoil):
    path = spoil("meta", "seq", "x")
    with pytest.raises(StoreUnusable, match="its head cannot be read: restore it from a backup"):
        SqliteWriter(path).open(START_US)
