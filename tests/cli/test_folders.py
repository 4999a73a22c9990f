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


def test_a_database_remembers_since_when_to_schedule(command, tmp_path):
    path = tmp_path / "new.db"
    made = command("administrators", "create", str(path), "--since", "2024-01-02T03:04:05Z")
    assert made.status == 0
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT since_us FROM meta").fetchone() == (1_704_164_645_000_000,)
    db.close()


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


def test_a_folder_without_job_files_is_warned_of(command, folder):
    (folder / "README.txt").write_text("nothing here")
    found = command("people", "check", str(folder))
    assert (found.status, found.lines) == (
        0,
        [f"{folder}:1:1: warning: no job files: expected some that end in .yaml"],
    )
    assert command("people", "check", "--strict", str(folder)).status == 1


def test_files_that_are_called_nearly_as_job_files_are_warned_of(command, folder):
    (folder / "sub").mkdir()
    for name in ("a.yaml", "sub/b.yml", "c.YAML", ".d.yml", "e.yaml~", "f.txt"):
        (folder / name).write_text(GOOD)
    said = "1:1: warning: is not read: the name of a job file ends in .yaml"
    found = command("people", "check", str(folder))
    assert (found.status, found.lines) == (0, [f"c.YAML:{said}", f"sub/b.yml:{said}"])
    (folder / "a.yaml").unlink()
    found = command("people", "check", str(folder))
    assert found.lines[0].endswith("no job files: expected some that end in .yaml")
    assert found.lines[1:] == [f"c.YAML:{said}", f"sub/b.yml:{said}"]


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


LEAPT = "schedule: {type: daily, tz: Europe/Berlin, daytime: '02:30:00'}\nprogram: {type: no-op}\n"


def test_warnings_are_told_and_fail_only_when_strict(command, folder):
    (folder / "a.yaml").write_text(LEAPT)
    found = command("administrators", "check", str(folder))
    assert found.status == 0
    assert found.lines[0].startswith("a.yaml:1:1: warning: schedule: 02:30:00 Europe/Berlin ")
    assert command("administrators", "check", str(folder), "--strict").status == 1
    problems = json.loads(command("administrators", "check", str(folder), "--json").out)
    assert {problem["severity"] for problem in problems} == {"warning"}


def test_dependencies_that_are_not_scheduled_are_errors_when_asked_for(command, folder):
    waits = "condition: {type: dependency, job_id: b}\n"
    (folder / "a.yaml").write_text(f"schedule: {{type: interval, interval: 1h}}\n{waits}{GOOD}")
    (folder / "b.yaml").write_text(GOOD)
    assert command("administrators", "check-jobs", str(folder)).status == 0
    found = command("administrators", "check-jobs", "--check-dependencies-scheduled", str(folder))
    assert found.status == 1
    assert "a.yaml:2:1: scheduled run a(): dependency b() not scheduled" in found.lines


def test_the_folder_of_the_settings_is_checked_when_none_is_named(command, folder):
    (folder / "b.yaml").write_text(BAD)
    config = folder.parent / "callsheet.yaml"
    config.write_text("job_dir: jobs\n")
    found = command("administrators", "check", "--config", str(config))
    assert (found.status, found.lines[0].split(":")[0]) == (1, "b.yaml")
    assert command("administrators", "check").status == 2


def test_a_folder_that_is_not_there_is_an_error(command, tmp_path):
    found = command("people", "check", str(tmp_path / "nowhere"))
    assert found.status == 1
    assert "nowhere" in found.out + found.err
    assert "Traceback" not in found.err


def test_the_doctor_names_what_the_installation_is_made_of(command):
    found = command("administrators", "doctor")
    assert {line.split()[0] for line in found.lines} >= {
        *("callsheet", "python", "zeromq", "sqlite", "user", "sudo"),
    }
