"""What holds for the SQLite store alone: refusals at opening, faults of the disk, its log."""

import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading

import pytest
from store_records import T0_US, a_move, a_run, changes_of

from callsheet.jobs.states import State
from callsheet.store import reading as reading_module
from callsheet.store import sqlite as writer_module
from callsheet.store.interface import (
    Changes,
    RunQuery,
    StoreBroken,
    StoreError,
    StoreUnusable,
)
from callsheet.store.migrate import newest_version
from callsheet.store.rows import STATE_CODES, args_text
from callsheet.store.sqlite import SqliteReader, SqliteWriter, create_database, migrate_database
from callsheet.store.wal import wal_pages

OPENERS = {
    "writer": lambda path: SqliteWriter(path).open(0),
    "reader": SqliteReader,
    "migration": migrate_database,
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "callsheet.db"
    create_database(path, 0)
    return path


@pytest.fixture
def writer(path):
    writer = SqliteWriter(path, busy_ms=50)
    writer.open(0)
    yield writer
    writer.close()


def change_file(path, statement):
    """Change a database behind its back."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()


# --- creation and refusals ----------------------------------------------------------------------


def test_database_is_readable_by_its_owner_alone(path, writer):
    writer.commit(changes_of(a_run()))
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == [
        "callsheet.db",
        "callsheet.db-shm",
        "callsheet.db-wal",
        "callsheet.db.lock",
    ]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_creation_leaves_no_other_file(path):
    assert [file.name for file in path.parent.iterdir()] == ["callsheet.db"]


def test_creation_never_replaces_a_file(tmp_path):
    path = tmp_path / "there"
    path.write_bytes(b"precious")
    with pytest.raises(StoreUnusable, match="there is such a file"):
        create_database(path)
    assert path.read_bytes() == b"precious"
    assert [file.name for file in tmp_path.iterdir()] == ["there"]


def test_creation_in_no_folder_is_refused(tmp_path):
    with pytest.raises(StoreUnusable, match="cannot be made"):
        create_database(tmp_path / "nowhere" / "callsheet.db")


def test_database_made_without_a_time_begins_now(tmp_path):
    create_database(tmp_path / "now.db")
    writer = SqliteWriter(tmp_path / "now.db")
    assert writer.open(0).since_us > 1_700_000_000 * 1_000_000
    writer.close()


@pytest.mark.parametrize("opener", OPENERS)
def test_missing_file_is_refused_and_not_made(tmp_path, opener):
    path = tmp_path / "missing.db"
    with pytest.raises(StoreUnusable, match="there is no such file"):
        OPENERS[opener](path)
    assert not path.exists()


@pytest.mark.parametrize("opener", OPENERS)
def test_newer_schema_is_refused_untouched(path, opener):
    change_file(path, f"PRAGMA user_version = {newest_version() + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreUnusable, match="newer callsheet"):
        OPENERS[opener](path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("opener", ["writer", "reader"])
def test_older_schema_asks_for_a_migration(path, opener):
    change_file(path, "PRAGMA user_version = 0")
    with pytest.raises(StoreUnusable, match="callsheetctl migrate"):
        OPENERS[opener](path)


def test_migration_of_the_newest_does_nothing(path):
    assert migrate_database(path) == 0


def test_migration_waits_for_no_server(path, writer):
    with pytest.raises(StoreUnusable, match="in use"):
        migrate_database(path)


def test_failing_migration_changes_nothing(path):
    change_file(path, "PRAGMA user_version = 0")
    with pytest.raises(StoreUnusable, match="already exists"):
        migrate_database(path)
    change_file(path, f"PRAGMA user_version = {newest_version()}")
    writer = SqliteWriter(path)
    assert writer.open(0).epoch == 1
    writer.close()


@pytest.mark.parametrize("opener", OPENERS)
def test_another_programs_database_is_refused(tmp_path, opener):
    path = tmp_path / "other.db"
    change_file(path, "CREATE TABLE runs (n INTEGER)")
    before = path.read_bytes()
    with pytest.raises(StoreUnusable, match="another program's"):
        OPENERS[opener](path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(
    "content", [b"garbage " * 2000, b"", b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_garbage_is_refused_untouched(tmp_path, opener, content):
    path = tmp_path / "garbage.db"
    path.write_bytes(content)
    with pytest.raises(StoreUnusable) as refusal:
        OPENERS[opener](path)
    assert "\n" not in str(refusal.value)
    assert path.read_bytes() == content


def test_corrupt_pages_are_refused_by_the_writer(path):
    writer = SqliteWriter(path)
    writer.open(0)
    writer.commit(changes_of(*(a_run(n, labels=("x" * 50,)) for n in range(1, 500))))
    writer.close()
    data = bytearray(path.read_bytes())
    for page in range(40, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xa5" * 64
    path.write_bytes(data)
    with pytest.raises(StoreUnusable, match=r"^database .* corrupt: .* restore it from a backup"):
        SqliteWriter(path).open(0)


def test_a_database_cut_short_is_refused_as_it_is(path):
    writer = SqliteWriter(path)
    writer.open(0)
    writer.commit(changes_of(*(a_run(n, labels=("x" * 50,)) for n in range(1, 500))))
    writer.close()
    size = os.truncate(path, path.stat().st_size // 2) or path.stat().st_size
    with pytest.raises(StoreUnusable, match=r"^database .* corrupt.* restore it from a backup"):
        SqliteWriter(path).open(0)
    assert path.stat().st_size == size


def test_refused_opening_frees_the_lock(path):
    change_file(path, "PRAGMA user_version = 99")
    with pytest.raises(StoreUnusable):
        SqliteWriter(path).open(0)
    change_file(path, f"PRAGMA user_version = {newest_version()}")
    writer = SqliteWriter(path)
    assert writer.open(0).epoch == 1
    writer.close()


def test_refusal_names_the_holder_of_the_lock(path, writer):
    with pytest.raises(StoreUnusable, match=f"process {os.getpid()} has it in use"):
        SqliteWriter(path).open(0)


def test_stale_epoch_is_fenced(path, writer):
    writer.commit(changes_of(a_run(1)))
    change_file(path, "UPDATE meta SET epoch = epoch + 1")
    with pytest.raises(StoreBroken, match="epoch 1 is over"):
        writer.commit(changes_of(a_run(2)))
    assert SqliteReader(path).count(RunQuery()) == 1


# --- reading ------------------------------------------------------------------------------------


def test_reader_cannot_write(path):
    reader = SqliteReader(path)
    with pytest.raises(sqlite3.OperationalError):
        reader._connection.execute("DELETE FROM meta")
    reader.close()


def test_reader_works_while_no_server_runs(path):
    reader = SqliteReader(path)
    assert reader.head() == (0, 0)
    reader.close()


def test_slow_query_is_given_up_and_the_reader_goes_on(path, writer, monkeypatch):
    writer.commit(changes_of(*(a_run(n) for n in range(1, 3000))))
    monkeypatch.setattr(reading_module, "_STEPS", 100)
    reader = SqliteReader(path, limit_s=-1.0)
    with pytest.raises(StoreError, match="query took longer than"):
        reader.query(RunQuery(label="x"))
    reader._limit_s = 60.0
    assert reader.count(RunQuery()) == 2999
    reader.close()


def test_reader_may_be_made_in_one_thread_and_used_in_another(path, writer):
    writer.commit(changes_of(a_run()))
    reader = SqliteReader(path)
    found = []
    thread = threading.Thread(target=lambda: found.append(reader.run("r1")))
    thread.start()
    thread.join()
    assert found == [a_run()]
    reader.close()


def plan(path, statement, *values):
    connection = sqlite3.connect(path)
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    connection.close()
    return " / ".join(row[3] for row in rows)


def test_pages_are_read_from_indexes_without_sorting(path, monkeypatch):
    reader = SqliteReader(path)
    seen = []
    reader._connection.set_trace_callback(seen.append)
    queries = [
        RunQuery(),
        RunQuery(job_id="a"),
        RunQuery(job_id="a", states=(State.FAILURE,)),
        RunQuery(states=(State.FAILURE, State.ERROR)),
        RunQuery(before_number=1000, label="x"),
    ]
    for query in queries:
        reader.query(query)
    pages = [text for text in seen if text.startswith("SELECT n FROM")]
    assert len(pages) == 1 + len(State) + 1 + 2 + 1
    for text in pages:
        assert "TEMP B-TREE" not in plan(path, text), text
        assert "SEARCH" in plan(path, text), text
    reader.close()


# --- texts that rows are found by ---------------------------------------------------------------


def test_args_text_is_the_key_that_the_ledger_compares_by():
    for args in ({}, {"b": "1", "a": 'ø\n\x01\x7f"\\/'}, {chr(n): chr(n) for n in range(0x300)}):
        assert args_text(args) == a_run(args=args).args_key


def test_every_state_has_a_number_of_its_own():
    assert sorted(STATE_CODES) == sorted(State)
    assert sorted(STATE_CODES.values()) == list(range(len(State)))


# --- locked -------------------------------------------------------------------------------------


def test_locked_database_is_an_error_that_passes(path, writer):
    intruder = sqlite3.connect(path, isolation_level=None)
    intruder.execute("BEGIN IMMEDIATE")
    changes = Changes(events=[a_move(1)], runs={"r1": a_run()})
    with pytest.raises(StoreError, match="locked") as error:
        writer.commit(changes)
    assert not isinstance(error.value, StoreBroken)
    intruder.execute("ROLLBACK")
    intruder.close()
    writer.commit(changes)
    assert writer.reader.head() == (1, 1)


# --- the log ------------------------------------------------------------------------------------


def fill(writer, first, count):
    writer.commit(changes_of(*(a_run(n, message="m" * 1000) for n in range(first, first + count))))


def test_idle_moment_checkpoints_a_long_log_and_the_file_is_used_again(path, writer):
    fill(writer, 1, 10)
    writer.maintain(0)
    assert 0 < wal_pages(str(path), 4096) < 1000
    fill(writer, 100, 4000)
    before = wal_pages(str(path), 4096)
    assert before > 1000
    writer.maintain(0)
    fill(writer, 10_000, 1)
    assert 0 < wal_pages(str(path), 4096) < 100
    assert os.path.getsize(f"{path}-wal") > before * 4096


def test_log_pages_are_counted_as_sqlite_counts_them(path, writer):
    assert wal_pages(str(path.parent / "none"), 4096) == 0
    for first in (1, 100, 200):
        fill(writer, first, 50)
        pages = wal_pages(str(path), 4096)
        busy, log, _ = writer._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        assert (busy, log) == (0, pages)


def test_log_that_is_too_large_is_checkpointed_at_once(path, writer, monkeypatch):
    monkeypatch.setattr(writer_module, "CHECKPOINT_BYTES", 2**20)
    for first in range(1, 3000, 500):
        fill(writer, first, 500)
    assert wal_pages(str(path), 4096) * 4096 < 2 * 2**20
    assert writer.reader.count(RunQuery()) == 3000


def test_reader_that_holds_an_old_state_never_blocks_the_writer(path, writer, monkeypatch):
    monkeypatch.setattr(writer_module, "CHECKPOINT_BYTES", 2**18)
    fill(writer, 1, 10)
    reader = SqliteReader(path)
    with reader.snapshot():
        for first in range(100, 1100, 100):
            fill(writer, first, 100)
        writer.maintain(0)
        assert reader.count(RunQuery()) == 10
    assert reader.count(RunQuery()) == 1010
    reader.close()


# --- the disk -----------------------------------------------------------------------------------


def run_python(text, *args):
    """Run a script in a process of its own and return its output lines."""
    support = os.path.join(os.path.dirname(__file__), "..", "support")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text), *map(str, args)],
        env=os.environ | {"PYTHONPATH": support},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# Fills the disk, makes room, commits the same again. `limit` and `relieve` differ.
FILL = """
    import os, resource, signal, sys
    from callsheet.store.interface import Changes, RunQuery, StoreBroken, StoreError
    from callsheet.store.sqlite import SqliteReader, SqliteWriter
    from store_records import a_move, a_run

    path = sys.argv[1]
    writer = SqliteWriter(path)
    writer.open(0)
    limit()
    seq = 0
    while True:
        runs = {f"r{n}": a_run(n, message="m" * 1000) for n in range(seq + 1, seq + 51)}
        events = [a_move(n, f"r{n}") for n in range(seq + 1, seq + 51)]
        changes = Changes(events=events, runs=runs, next_run_number=seq + 51)
        try:
            writer.commit(changes)
        except StoreError as error:
            print(type(error).__name__, error)
            break
        seq += 50
    print(writer.reader.head()[1] == seq, SqliteReader(path).count(RunQuery()) == seq)
    try:
        writer.commit(changes)
    except StoreError as error:
        print(type(error).__name__)
    relieve()
    writer.commit(changes)
    print(writer.reader.head()[1] == seq + 50)
    print(writer._connection.execute("PRAGMA integrity_check").fetchone()[0])
    writer.close()
    reader = SqliteReader(path)
    print(reader.count(RunQuery()) == seq + 50, len(reader.events_after(0, 10**6)) == seq + 50)
"""


@pytest.mark.slow
def test_full_disk_refuses_the_commit_and_recovers(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        create_database(disk / "callsheet.db", 0)
        (disk / "ballast").write_bytes(b"\0" * 2**20)
        script = (
            "def limit(): pass\n"
            "def relieve(): os.unlink(os.path.join(os.path.dirname(path), 'ballast'))\n"
        )
        lines = run_python(script + textwrap.dedent(FILL), disk / "callsheet.db")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert lines[0].startswith("StoreError database")
    assert "the disk is full" in lines[0]
    assert lines[1:] == ["True True", "StoreError", "True", "ok", "True True"]


@pytest.mark.slow
def test_refused_writes_are_an_error_that_passes(path):
    script = (
        "def limit():\n"
        "    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))\n"
        "def relieve():\n"
        "    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
    )
    lines = run_python(script + textwrap.dedent(FILL), path)
    assert lines[0].startswith("StoreError database")
    assert lines[1:] == ["True True", "StoreError", "True", "ok", "True True"]


class FailingConnection:
    """A connection whose COMMIT fails as SQLite would name it."""

    def __init__(self, connection, name):
        self._connection, self._name = connection, name

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, text, *values):
        if text == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = self._name
            raise error
        return self._connection.execute(text, *values)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_IOERR_FSYNC", StoreBroken),
        ("SQLITE_IOERR_WRITE", StoreError),
        ("SQLITE_FULL", StoreError),
        ("SQLITE_BUSY_SNAPSHOT", StoreError),
        ("SQLITE_CORRUPT_INDEX", StoreBroken),
        ("SQLITE_NOMEM", StoreError),
    ],
)
def test_fault_at_the_commit_says_whether_to_go_on(writer, name, kind):
    sound = writer._connection
    writer._connection = FailingConnection(sound, name)
    with pytest.raises(StoreError) as error:
        writer.commit(Changes(events=[a_move(1)], runs={"r1": a_run()}))
    assert type(error.value) is kind
    writer._connection = sound
    assert writer.reader.head() == (1, 0)
    assert writer.reader.run("r1") is None


# --- killed -------------------------------------------------------------------------------------

# Commits without end and says after each commit what is durable.
COMMIT_ON = """
    import sys
    from callsheet.jobs.states import State
    from callsheet.store.interface import Changes
    from callsheet.store.sqlite import SqliteWriter
    from store_records import a_move, a_planned_run

    writer = SqliteWriter(sys.argv[1])
    seq = writer.open(0).seq
    while True:
        batch = range(seq + 1, seq + 21)
        runs = {f"r{n}": a_planned_run(n, schedule_us=n, version=n) for n in batch}
        events = [a_move(n, f"r{n}") for n in batch]
        writer.commit(Changes(events=events, runs=runs, next_run_number=seq + 21))
        seq += 20
        print(seq, flush=True)
        if seq % 200 == 0:
            writer.maintain(0)
"""


@pytest.mark.slow
def test_killed_writer_leaves_what_it_had_committed(path):
    support = os.path.join(os.path.dirname(__file__), "..", "support")
    for round_number in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(COMMIT_ON), str(path)],
            env=os.environ | {"PYTHONPATH": support},
            stdout=subprocess.PIPE,
        )
        with process:
            said = [int(process.stdout.readline()) for _ in range(5 + 7 * round_number)]
            process.kill()
            said += [int(line) for line in process.stdout if line.endswith(b"\n")]
        writer = SqliteWriter(path)
        opening = writer.open(0)
        assert opening.seq in (said[-1], said[-1] + 20)
        assert opening.next_run_number == opening.seq + 1
        assert opening.epoch == 2 * (round_number + 1)
        assert writer.reader.count(RunQuery()) == opening.seq
        events = writer.reader.events_after(0, 10**6)
        assert [event.seq for event in events] == list(range(1, opening.seq + 1))
        check = writer._connection.execute("PRAGMA integrity_check").fetchone()[0]
        assert check == "ok"
        writer.close()


def test_times_of_a_run_far_apart_are_found_by_its_block(path, writer):
    writer.commit(changes_of(a_run(1, schedule_us=5), a_run(5000, schedule_us=T0_US)))
    reader = SqliteReader(path)
    assert [run.number for run in reader.query(RunQuery(until_us=6))] == [1]
    assert [run.number for run in reader.query(RunQuery(since_us=6))] == [5000]
    reader.close()
