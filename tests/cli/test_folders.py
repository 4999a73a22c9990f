"""The commands that need no server: a database made, a folder of jobs checked."""

import json
import sqlite3

import pytest

GOOD = 'program:\n  type: no-op\n  duration: "1"\n'
BAD = "program:\n  type: no-op\n  lasts: 3\n"


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "jobs"
    path.mkdir()
    return path


@pytest.mark.parametrize("program", ["people", "administrators"])
def test_a_database_is_created_once(command, tmp_path, program):
    path = tmp_path / "new.db"
    assert command(program, "create", str(path)).status == 0
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()
    again = command(program, "create", str(path))
    assert again.status == 1
    assert str(path) in again.err
    assert "Traceback" not in again.err


def test_a_time_that_is_none_creates_no_database(command, tmp_path):
    found = command("people", "create", str(tmp_path / "new.db"), "--since", "yore")
    assert found.status == 1
    assert "yore" in found.err
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("name", ["check", "check-jobs"])
def test_a_folder_without_errors_passes(command, folder, name):
    (folder / "a.yaml").write_text(GOOD)
    found = command("administrators", name, str(folder))
    assert (found.status, found.err) == (0, "")


def test_every_error_of_a_folder_is_named_with_its_place(command, folder):
    (folder / "a.yaml").write_text(GOOD)
    (folder / "b.yaml").write_text(BAD)
    (folder / "c.yaml").write_text(BAD)
    found = command("people", "check", str(folder))
    assert found.status == 1
    assert [line.split(":")[0].rpartition("/")[2] for line in found.lines] == ["b.yaml", "c.yaml"]
    assert all("lasts" in line for line in found.lines)


def test_errors_can_be_had_as_json(command, folder):
    (folder / "b.yaml").write_text(BAD)
    found = command("people", "check", str(folder), "--json")
    (problem,) = json.loads(found.out)
    assert found.status == 1
    assert problem["job_id"] == "b"
    assert problem["line"] == 3
    assert "lasts" in problem["sentence"]


def test_a_folder_that_is_not_there_is_an_error(command, tmp_path):
    found = command("people", "check", str(tmp_path / "nowhere"))
    assert found.status == 1
    assert "nowhere" in found.out + found.err
    assert "Traceback" not in found.err


def test_the_doctor_names_what_the_installation_is_made_of(command):
    found = command("administrators", "doctor")
    assert {line.split()[0] for line in found.lines} >= {"callsheet", "python", "zeromq", "sqlite"}
