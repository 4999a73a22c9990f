"""`callsheetctl config`, and databases of other versions."""

import json
import sqlite3

import pytest

from callsheet.store.migrate import newest_version
from callsheet.store.sqlite import create_database


@pytest.fixture
def ctl(command):
    return lambda *args: command("administrators", *map(str, args))


@pytest.fixture
def site(tmp_path):
    (tmp_path / "jobs").mkdir()
    path = tmp_path / "callsheet.yaml"
    path.write_text("job_dir: jobs\n")
    create_database(tmp_path / "callsheet.db")
    return path


def test_settings_are_shown_as_a_file_or_as_json(ctl, site):
    lines = ctl("config", "show", site).lines
    assert any(line.startswith("job_dir: jobs") and f"{site}:1:1" in line for line in lines)
    found = json.loads(ctl("config", "show", "--config", site, "--json", "-o", "bind=a:1").out)
    by_key = {one["key"]: one for one in found}
    assert by_key["bind"] == {"key": "bind", "value": "a:1", "from": "override"}
    changed = json.loads(ctl("config", "show", site, "--changed", "--json").out)
    assert [one["key"] for one in changed] == ["job_dir"]
    defaults = json.loads(ctl("config", "show", site, "--defaults", "--json").out)
    assert {one["from"] for one in defaults} == {"default"}


def test_settings_that_hold_are_said_to(ctl, site):
    found = ctl("config", "check", site)
    assert (found.status, found.out) == (0, f"{site}: nothing wrong\n")


def test_all_mistakes_are_told_at_once_with_their_places(ctl, site):
    site.write_text("schedule:\n  ahead: many\nlog: {format: xml}\n")
    found = ctl("config", "check", site)
    assert found.status == 1
    assert [line.removeprefix(str(site)).split(" ")[0] for line in found.lines] == [
        ":2:3:",
        ":3:7:",
    ]
    assert len(json.loads(ctl("config", "check", "--json", site).out)) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("job_dir: gone", "job_dir: "),
        ("calendars: gone", "calendars: "),
        ("tls: {certificate: a.crt, key: a.key}", "tls.key: "),
        ("bind: 0.0.0.0:5000", "others than this machine can reach it"),
        ("extensions: {mine: no_such_module:Type}", "extensions.mine"),
        ("templates: {functions: {f: no_such_module:f}}", "no_such_module"),
        ("database: gone/a.db", "expected a folder to write into"),
    ],
)
def test_what_settings_name_has_to_be_there(ctl, site, text, said):
    job_dir = "" if text.startswith("job_dir") else "job_dir: jobs\n"
    site.write_text(f"{job_dir}{text}\n")
    found = ctl("config", "check", site)
    assert found.status == 1
    assert said in found.out
    assert "Traceback" not in found.out + found.err


def test_folders_that_are_there_need_no_right_to_make_them(ctl, site, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    site.write_text(f"job_dir: jobs\nstate_dir: {mine}\nlog: {{folder: {mine}/a/b}}\n")
    assert "folder to write into" not in ctl("config", "check", site).out
    (mine / "file").write_text("")
    site.write_text(f"job_dir: jobs\nstate_dir: {mine}/file/state\n")
    assert (
        f"state_dir: {mine}/file: expected a folder to write into"
        in ctl("config", "check", site).out
    )


def test_an_unknown_key_is_a_warning_which_may_count(ctl, site):
    site.write_text("job_dir: jobs\nschedul: {}\n")
    found = ctl("config", "check", site)
    assert found.status == 0
    assert "unknown key schedul is ignored: did you mean schedule?" in found.out
    assert ctl("config", "check", "--strict", site).status == 1


def test_a_migration_can_be_looked_at_before_it_is_made(ctl, tmp_path):
    path = tmp_path / "a.db"
    create_database(path)
    assert ctl("migrate", "--dry-run", path).out == f"{path}: up to date already\n"


def test_a_database_of_a_newer_version_is_refused_with_what_to_do(ctl, tmp_path):
    path = tmp_path / "a.db"
    create_database(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {newest_version() + 1}")
    connection.close()
    for options in ([], ["--dry-run"]):
        found = ctl("migrate", *options, path)
        assert found.status == 1
        assert "install that one" in found.err
        assert "callsheetctl restore" in found.err
