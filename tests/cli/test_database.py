"""Backup, restore and verify, by their commands, on a database that a ledger writes meanwhile."""

import shutil
import sqlite3

import pytest

from callsheet.store.sqlite import SqliteReader, SqliteWriter, create_database


@pytest.fixture
def files(stand, tmp_path):
    """The stand's database, and where a backup may go."""
    return stand.database, tmp_path / "backup.db"


def heads(path):
    with sqlite3.connect(path) as reader:
        return reader.execute("SELECT epoch, next_run_number, seq FROM meta").fetchone()


def test_a_backup_is_made_while_runs_go_on_and_restored_after(stand, callsheetctl, files, tmp_path):
    database, target = files
    kept = [stand.a_run("backup") for _ in range(3)]
    made = callsheetctl("backup", str(target), "--database", str(database))
    assert (made.status, "backup as of event" in made.out) == (0, True)
    forgotten = stand.a_run("backup")
    refused = callsheetctl("restore", str(target), "--database", str(database))
    assert (refused.status, "in use" in refused.err) == (1, True)
    epoch, number, _ = heads(database)
    stand.close()

    done = callsheetctl("restore", str(target), "--database", str(database))
    assert done.status == 0, done.err
    aside = next(database.parent.glob(f"{database.name}.replaced-*[0-9]"))
    assert heads(aside)[2] > heads(target)[2] == heads(database)[2]
    # Above all that was given out, so that nobody takes the next server for an old one.
    assert heads(database)[0] > epoch
    assert heads(database)[1] >= number
    writer = SqliteWriter(database)
    opening = writer.open(0)
    assert opening.epoch > epoch
    assert {run.run_id for run in writer.reader.runs([*kept, forgotten])} == set(kept)
    writer.close()
    checked = callsheetctl("verify", "--database", str(database))
    # The stand names its definitions as it likes; all else is right.
    assert [line for line in checked.lines[:-1] if not line.startswith("definition h-")] == []


def test_what_is_no_backup_or_anothers_is_refused(stand, callsheetctl, files, tmp_path):
    database, target = files
    callsheetctl("backup", str(target), "--database", str(database))
    own = tmp_path / "own.db"
    create_database(own)
    other = callsheetctl("restore", str(target), "--database", str(own))
    assert (other.status, "another installation" in other.err) == (1, True)
    assert (
        callsheetctl("restore", str(target), "--database", str(own), "--other-server").status == 0
    )
    with SqliteReader(own).snapshot():
        pass

    spoilt = tmp_path / "spoilt.db"
    body = bytearray(target.read_bytes())
    body[4096 * 3 : 4096 * 6] = bytes(4096 * 3)
    spoilt.write_bytes(body)
    text = tmp_path / "text.db"
    text.write_text("not a database, but long enough to be taken for one " * 100)
    for wrong in (spoilt, text, tmp_path / "none.db"):
        before = own.read_bytes()
        refused = callsheetctl("restore", str(wrong), "--database", str(own))
        assert (refused.status, str(wrong) in refused.err) == (1, True), refused
        assert "Traceback" not in refused.err
        assert own.read_bytes() == before
    same = callsheetctl("restore", str(own), "--database", str(own))
    assert (same.status, "is the database itself" in same.err) == (1, True)
    (tmp_path / f"{target.name}-wal").write_bytes(b"some")
    torn = callsheetctl("restore", str(target), "--database", str(own), "--other-server")
    assert (torn.status, f"the newest of it is in {target}-wal" in torn.err) == (1, True)
    (tmp_path / f"{target.name}-wal").unlink()
    # Nothing but a backup is written over.
    for there in (text, database):
        before = shutil.copy(there, tmp_path / "copy")
        refused = callsheetctl("backup", str(there), "--database", str(own))
        assert refused.status == 1
        assert there.read_bytes() == before.read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--job", "no/such"), "--job no/such: there is none on record: expected the whole id"),
        (("--from", "2027-01-02", "--to", "2027-01-01"), "--from: expected a time before that"),
        (("--from", "2199-01-01"), "--from: expected a time before that"),
    ],
)
def test_an_audit_of_nothing_is_told_from_one_without_faults(callsheetctl, files, options, said):
    database, _ = files
    found = callsheetctl("audit", "--database", str(database), *options)
    assert found.status != 0
    assert said in found.err


@pytest.mark.parametrize("words", [("backup", "b.db"), ("verify",), ("audit",)])
def test_where_nothing_names_a_database_it_says_what_would(words, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused = command("administrators", *words)
    assert refused.status == 1
    assert "there is no such file: expected --config FILE or --database PATH" in refused.err
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_is_not_there_is_called_one(command, tmp_path):
    refused = command("administrators", "verify", "--archive", str(tmp_path / "gone.db"))
    assert refused.status == 1
    said = f"archive {tmp_path}/gone.db: there is no such file: expected an archive of runs"
    assert said in refused.err


def test_verify_names_what_contradicts_what_and_exits_1(stand, callsheetctl, files):
    database, target = files
    run_id = stand.a_run("backup")
    callsheetctl("backup", str(target), "--database", str(database))
    with sqlite3.connect(target) as hand:
        hand.execute("DELETE FROM events WHERE n = ?", (int(run_id[1:]),))
    hand.close()
    found = callsheetctl("verify", "--database", str(target), "--no-outputs")
    assert found.status == 1
    assert f"run {run_id}: its log is not there" in found.lines
