"""Which runs go into an archive, and that it is a database to be searched."""

import contextlib
import sqlite3

import pytest
from store_records import HOUR_US, T0_US, a_move, a_run

from callsheet.jobs.run_filter import RunFilter
from callsheet.jobs.states import State
from callsheet.messages.instructions import OutputRecord
from callsheet.store.archive import Chunk, copy_chunk, outputs_of
from callsheet.store.interface import Changes, StoreError, StoreUnusable
from callsheet.store.reader import SqliteReader
from callsheet.store.sqlite import SqliteWriter, create_database

LATER_US = T0_US + 100 * HOUR_US


@pytest.fixture
def database(tmp_path):
    """Twelve runs of three jobs in turn, an hour apart; the last but one still runs."""
    path = str(tmp_path / "callsheet.db")
    create_database(path, 0)
    writer = SqliteWriter(path)
    writer.open(0)
    (tmp_path / "outputs" / "01" / "r1").mkdir(parents=True)
    (tmp_path / "outputs" / "01" / "r1" / "1.output").write_bytes(b"hello")
    for n in range(1, 13):
        run = a_run(
            n,
            job_id=("a", "a/b", "c")[n % 3],
            state=State.RUNNING if n == 11 else State.SUCCESS,
            labels=("even",) if n % 2 == 0 else (),
            schedule_us=T0_US + n * HOUR_US,
        )
        outputs = [OutputRecord(run_id="r1", length=5, path="01/r1/1.output")] if n == 1 else []
        move = a_move(n, run.run_id, run.state, at_us=run.schedule_us)
        writer.commit(Changes(runs={run.run_id: run}, events=[move], outputs=outputs))
    yield path
    writer.close()


def chosen(database, archive=None, **fields):
    chunk = Chunk(**({"before_us": LATER_US, "limit": 100} | fields))
    outputs = database.replace("callsheet.db", "outputs")
    found = copy_chunk(database, archive, outputs, chunk)
    return [int(run_id[1:]) for run_id in found.runs], found.remaining


FINISHED = [*range(1, 11), 12]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, FINISHED),
        ({"before_us": T0_US + 4 * HOUR_US}, [1, 2, 3]),
        ({"after": 5}, [6, 7, 8, 9, 10, 12]),
        ({"limit": 2}, [1, 2]),
        ({"without": (1, 3)}, [2, *range(4, 11), 12]),
        ({"jobs": ("a",)}, [1, 3, 4, 6, 7, 9, 10, 12]),
        ({"jobs": ("a/b", "c")}, [1, 2, 4, 5, 7, 8, 10]),
        ({"labels": ("even",)}, [2, 4, 6, 8, 10, 12]),
        ({"labels": ("none",)}, []),
        # Of job c the eleventh still runs, and does not count.
        ({"keep": 3}, [1, 3]),
        ({"keep": 1, "jobs": ("a/",), "labels": ("even",)}, [4, 6]),
    ],
)
def test_the_runs_that_are_meant_go(database, fields, expected):
    assert chosen(database, **fields)[0] == expected


def test_those_beyond_the_limit_are_counted_when_that_is_asked(database):
    assert chosen(database, limit=4, counting=True) == ([1, 2, 3, 4], 7)
    assert chosen(database, limit=4, counting=True, labels=("even",)) == ([2, 4, 6, 8], 2)


def test_an_archive_holds_all_of_a_run_and_is_searched(database, tmp_path):
    archive = str(tmp_path / "kept.db")
    assert chosen(database, archive, limit=3)[0] == [1, 2, 3]
    # Once more, since a server may die before it takes them out; and then the next ones.
    assert chosen(database, archive, limit=4)[0] == [1, 2, 3, 4]
    reader = SqliteReader(archive, archive=True)
    page = reader.find(RunFilter(labels=(("even",),)), before=None, limit=10)
    assert [run.run_id for run in page.runs] == ["r4", "r2"]
    assert [event.seq for event in reader.log("r3")] == [3]
    [output] = reader.outputs("r1")
    kept = tmp_path / "kept.db.outputs" / output.path
    assert (kept.read_bytes(), outputs_of(archive)) == (b"hello", f"{archive}.outputs")
    reader.close()
    with pytest.raises(StoreUnusable, match="is an archive: expected the database of a server"):
        SqliteReader(archive)
    with pytest.raises(StoreUnusable, match="is the database of a server: expected an archive"):
        SqliteReader(database, archive=True)


@pytest.mark.parametrize(
    ("table", "column"), [("runs", "record"), ("events", "body"), ("outputs", "body")]
)
def test_a_run_that_cannot_be_read_stays_and_the_others_go(database, tmp_path, table, column):
    with contextlib.closing(sqlite3.connect(database)) as spoiler, spoiler:
        spoiler.execute(f"UPDATE {table} SET {column} = x'c1' WHERE n = 1")
    archive = str(tmp_path / "kept.db")
    for kept in (None, archive):
        assert chosen(database, kept, limit=3, counting=True) == ([2, 3, 4], 7)
    with contextlib.closing(sqlite3.connect(archive)) as connection:
        numbers = [n for (n,) in connection.execute("SELECT n FROM runs ORDER BY n")]
        assert numbers == [2, 3, 4]
    assert not (tmp_path / "kept.db.outputs").exists()


def test_an_archive_of_another_database_is_refused(database, tmp_path):
    other = str(tmp_path / "other.db")
    create_database(other, 0)
    archive = str(tmp_path / "kept.db")
    chosen(database, archive, limit=1)
    with pytest.raises(StoreError, match="another installation"):
        chosen(other, archive)
    with pytest.raises(StoreError, match="is the database itself"):
        chosen(database, database)
