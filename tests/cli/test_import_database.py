"""`callsheetctl import apsis-db`: an Apsis database, made as that makes them, is taken over."""

import json
import sqlite3
import zlib

import pytest

from callsheet.jobs.run_filter import RunFilter
from callsheet.jobs.states import State
from callsheet.store.apsis_rows import ApsisRun, BadRow, plain_output, run_of
from callsheet.store.outputs import OutputFiles
from callsheet.store.sqlite import SqliteReader

TABLES = """
CREATE TABLE clock (time FLOAT NOT NULL);
CREATE TABLE next_run_id (number INTEGER NOT NULL);
CREATE TABLE jobs (job_id VARCHAR NOT NULL, job VARCHAR NOT NULL);
CREATE TABLE runs (rowid INTEGER NOT NULL PRIMARY KEY, run_id VARCHAR NOT NULL,
    timestamp FLOAT NOT NULL, job_id VARCHAR NOT NULL, args VARCHAR NOT NULL,
    state VARCHAR NOT NULL, program VARCHAR, times VARCHAR NOT NULL, meta VARCHAR NOT NULL,
    message VARCHAR, run_state VARCHAR, rerun VARCHAR, expected BOOLEAN, conds VARCHAR,
    actions VARCHAR);
CREATE TABLE run_history (run_id VARCHAR NOT NULL, timestamp FLOAT NOT NULL,
    message VARCHAR NOT NULL);
CREATE TABLE output (run_id VARCHAR NOT NULL, output_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL, content_type VARCHAR NOT NULL, length INTEGER NOT NULL,
    compression VARCHAR, data BLOB NOT NULL);
"""
T0 = 1_767_225_600  # 2026-01-01T00:00:00Z
LIFE = ("waiting", "starting", "running")


def time_of(second):
    return f"2026-01-01T00:00:{second:02}+00:00"


def put_run(database, number, state, *, lives=LIFE, lines=(), **fields):
    times = {"schedule": time_of(0)} | {name: time_of(n) for n, name in enumerate(lives, 1)}
    if state in ("success", "failure", "error", "skipped"):
        times[state] = time_of(9)
    row = {
        "rowid": number,
        "run_id": f"r{number}",
        "timestamp": T0 + 9.0,
        "job_id": "load/orders",
        "args": '{"date":"2026-01-01"}',
        "state": state,
        "program": '{"type":"no-op"}',
        "times": json.dumps(times),
        "meta": '{"job":{"labels":["nightly"]},"elapsed":7.5}',
        "run_state": "null",
        "expected": 0,
    } | fields
    marks = ", ".join("?" * len(row))
    database.execute(f"INSERT INTO runs ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
    for second, text in lines:
        database.execute(
            "INSERT INTO run_history VALUES (?, ?, ?)", (f"r{number}", T0 + second, text)
        )


def put_output(database, run_id, data, compression=None):
    row = (run_id, "output", "combined stdout & stderr", "text/plain", len(data), compression, data)
    database.execute("INSERT INTO output VALUES (?, ?, ?, ?, ?, ?, ?)", row)


LINES = ((0, "scheduled: now"), (1, "waiting"), (1.5, "waiting until: x"), (2, "starting"),
         (3, "running"), (9, "failure: exit status 3"))  # fmt: skip


@pytest.fixture
def apsis(tmp_path):
    database = sqlite3.connect(tmp_path / "apsis.db")
    database.executescript(TABLES)
    database.execute("INSERT INTO clock VALUES (?)", (T0 + 100.0,))
    put_run(database, 1, "success", lives=("starting", "running"))
    put_run(database, 2, "failure", lines=LINES)
    put_run(database, 5, "running")
    put_run(database, 7, "error", lives=(), job_id="adhoc-ABC", args="{}")
    put_output(database, "r1", b"hello\n")
    put_output(database, "r2", b"x" * 50_000)
    database.commit()
    yield database
    database.close()


@pytest.fixture
def taken(tmp_path, apsis, command):
    config = tmp_path / "callsheet.yaml"
    config.write_text("database: callsheet.db\nstate_dir: state\n")

    def run(*options):
        apsis.commit()
        file = str(tmp_path / "apsis.db")
        return command(
            "administrators", "import", "apsis-db", file, "--config", str(config), *options
        )

    return run


def test_runs_logs_and_outputs_are_there_and_found_and_verify_finds_nothing(
    taken, tmp_path, command
):
    found = taken()
    assert (found.status, found.err) == (0, "")
    assert "3 runs and 2 outputs taken over" in found.out
    assert "0 were there; 1 are not over and stay in Apsis" in found.out
    reader = SqliteReader(tmp_path / "callsheet.db")
    failed = reader.find(RunFilter(states=frozenset({State.FAILURE})), before=None, limit=9).runs
    assert [run.run_id for run in failed] == ["r2"]
    wanted = RunFilter(labels=(("nightly",),), words=("ord",), run_ids=frozenset({"r2"}))
    [run] = reader.find(wanted, before=None, limit=9).runs
    assert (run.args, run.message) == ({"date": "2026-01-01"}, "exit status 3")
    assert run.meta["apsis"]["program"] == {"type": "no-op"}
    assert [event.message for event in reader.log("r2")] == [text for _, text in LINES]
    files = OutputFiles(str(tmp_path / "state" / "outputs"))
    data = {
        run_id: files.read(record, 0, 100_000)
        for run_id in ("r1", "r2")
        for record in reader.outputs(run_id)
    }
    assert data == {"r1": b"hello\n", "r2": b"x" * 50_000}
    reader.close()
    verified = command("administrators", "verify", "--config", str(tmp_path / "callsheet.yaml"))
    assert verified.status == 0, verified.out + verified.err


def test_an_import_may_be_repeated_and_takes_what_has_come_since(taken, tmp_path, apsis):
    taken()
    apsis.execute("UPDATE runs SET state = 'success' WHERE rowid = 5")
    put_output(apsis, "r7", b"late")
    found = taken("--json")
    assert json.loads(found.out) == {
        "runs": 1,
        "jobs": 0,
        "there": 3,
        "unfinished": 0,
        "outputs": 1,
        "problems": 0,
        "clock": "2026-01-01T00:01:40+00:00",
    }
    reader = SqliteReader(tmp_path / "callsheet.db")
    assert reader.run("r5").state is State.SUCCESS
    reader.close()


def test_what_cannot_be_taken_over_is_told_and_the_rest_is(taken, apsis):
    put_run(apsis, 8, "success", times="{")
    put_run(apsis, 9, "success", run_id="x9")
    put_output(apsis, "r7", b"\0\0", "br")
    put_output(apsis, "r5", b"not of a run that is over")
    found = taken()
    assert found.status == 1
    assert "3 runs and 2 outputs" in found.out
    lines = found.err.splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == ["run r7", "run r8"]
    assert "run 'x9': expected an id like r17" in lines[2]


def test_another_run_in_its_place_is_left_alone(taken, apsis):
    taken()
    apsis.execute("UPDATE runs SET job_id = 'other' WHERE rowid = 1")
    found = taken()
    assert (found.status, "run r1: another run has its id here" in found.err) == (1, True)


def test_what_is_no_apsis_database_is_told(tmp_path, command):
    (tmp_path / "x.db").write_bytes(b"nothing" * 1_000)
    for name, said in (("none.db", "there is no such file"), ("x.db", "x.db: ")):
        found = command("administrators", "import", "apsis-db", str(tmp_path / name))
        assert (found.status, said in found.err) == (1, True)


def test_states_that_old_rows_lack_are_put_between():
    row = ApsisRun(
        run_id="r3", timestamp=T0 + 9.0, job_id="a", args="{}", state="success",
        times=json.dumps({"schedule": time_of(0), "success": time_of(9)}), meta="{}",
    )  # fmt: skip
    run, events = run_of(row, 10)
    assert [event.after for event in events] == [
        State.SCHEDULED, State.STARTING, State.RUNNING, State.SUCCESS,
    ]  # fmt: skip
    assert [event.seq for event in events] == [11, 12, 13, 14]
    assert run.version == 14


def test_outputs_are_decompressed():
    gz = zlib.compressobj(wbits=31)
    data = gz.compress(b"abc") + gz.flush()
    assert plain_output(data, "gz", None) == b"abc"
    assert plain_output(b"xyz", "br", lambda data: data[::-1]) == b"zyx"
    for compression, said in (
        ("br", "expected the package brotli"),
        ("lz", "'lz'"),
        ("gz", "gzip"),
    ):
        with pytest.raises(BadRow, match=said):
            plain_output(b"?", compression, None)


def test_ad_hoc_jobs_come_along_so_that_their_runs_can_be_run_again(
    taken, tmp_path, apsis, command
):
    job = {
        "job_id": "adhoc-ABC",
        "params": ["weird name"],
        "schedule": [{"type": "daily", "calendar": "all days", "str": "daily"}],
        "program": {"type": "procstar-shell", "command": "echo {{ run_id }}", "str": "echo"},
        "condition": [{"type": "max_running", "count": "1", "str": "fewer"}],
        "action": [],
        "metadata": {"labels": [], "str": "kept"},
        "ad_hoc": True,
    }
    apsis.execute("INSERT INTO jobs VALUES (?, ?)", ("adhoc-ABC", json.dumps(job)))
    apsis.execute('INSERT INTO jobs VALUES (\'adhoc-BAD\', \'{"program": {"type": "mine.Own"}}\')')
    apsis.execute("INSERT INTO jobs VALUES ('adhoc-ODD', '[')")
    found = taken()
    assert (found.status, "1 ad hoc jobs, without their schedules" in found.out) == (1, True)
    assert "ad hoc job adhoc-BAD: program: unknown program type: 'mine.Own'" in found.err
    assert "ad hoc job adhoc-ODD: its JSON cannot be read" in found.err
    reader = SqliteReader(tmp_path / "callsheet.db")
    kept = reader.definition(reader.ad_hoc_job("adhoc-ABC"))
    assert (kept.ad_hoc, kept.params, kept.schedules) == (True, ("weird name",), ())
    assert kept.program.command == "echo {{ run_id }}"
    assert kept.metadata == {"labels": [], "str": "kept"}
    assert reader.ad_hoc_job("adhoc-BAD") is None
    reader.close()
    verified = command("administrators", "verify", "--config", str(tmp_path / "callsheet.yaml"))
    assert verified.status == 0, verified.out + verified.err
    assert json.loads(taken("--json").out)["jobs"] == 0
