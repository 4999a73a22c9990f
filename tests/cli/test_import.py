"""Crontabs and Apsis installations taken over by the command line."""

from __future__ import annotations

import json
import sqlite3

import pytest

from callsheet.conf.check import check_folder
from callsheet.conf.folder import load_folder
from callsheet.conf.settings import load_settings

CRONTAB = """\
MAILTO=ops@example.com
# Saves everything.
*/5 * * * * /usr/local/bin/backup.sh --all '{{x}}'
CRON_TZ=America/New_York
@daily cat%one
@reboot echo up
"""


def test_a_crontab_becomes_job_files_that_a_server_takes(command, tmp_path):
    file = tmp_path / "tab"
    file.write_text(CRONTAB)
    out = tmp_path / "jobs"
    found = command(
        "administrators", "import", "crontab", str(file), "--out", str(out), "--tz", "Asia/Tokyo"
    )
    assert found.status == 1, "an entry was refused"
    assert found.lines == [str(out / "backup.yaml"), str(out / "cat.yaml")]
    assert ":1: taken over without it: MAILTO" in found.err
    assert ":6: no job: @reboot names no times" in found.err
    assert check_folder(out, 0) == []
    jobs = load_folder(out).jobs
    assert {job_id: job.schedules[0].tz for job_id, job in jobs.items()} == {
        "backup": "Asia/Tokyo",
        "cat": "America/New_York",
    }
    text = (out / "backup.yaml").read_text()
    assert "#   */5 * * * * /usr/local/bin/backup.sh --all '{{x}}'\n" in text
    assert "description: Saves everything." in text


def test_a_crontab_is_never_written_over_what_is_there(command, tmp_path):
    file = tmp_path / "tab"
    file.write_text("@daily a\n@daily b\n")
    (tmp_path / "b.yaml").write_text("mine")
    found = command("administrators", "import", "crontab", str(file), "--out", str(tmp_path))
    assert found.status == 1
    assert "b.yaml: is there already" in found.err
    assert not (tmp_path / "a.yaml").exists()


def test_a_crontab_is_printed_where_no_folder_is_named(command, tmp_path):
    file = tmp_path / "tab"
    file.write_text("17 * * * * root run-parts /etc/cron.hourly\n")
    found = command("administrators", "import", "crontab", "--system", str(file), "--tz", "UTC")
    assert found.status == 0
    assert found.lines[0] == "# --- root/run-parts.yaml"
    assert "  sudo_user: root" in found.lines
    found = command("administrators", "import", "crontab", str(file), "--json")
    assert json.loads(found.out)["jobs"][0]["line"] == 1


def test_the_zone_of_the_machine_is_taken_where_none_is_named(command, tmp_path, monkeypatch):
    file = tmp_path / "tab"
    file.write_text("@daily x\n")
    monkeypatch.setenv("TZ", "Europe/Lisbon")
    assert "  tz: Europe/Lisbon" in command("administrators", "import", "crontab", str(file)).lines
    monkeypatch.delenv("TZ")
    assert "  tz: " in command("administrators", "import", "crontab", str(file)).out


@pytest.mark.parametrize("args", [("nowhere",), ("tab", "--tz", "Mars/Base"), ("binary",)])
def test_what_is_no_crontab_is_an_error(command, tmp_path, monkeypatch, args):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tab").write_text("@daily x\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    found = command("administrators", "import", "crontab", *args)
    assert (found.status, found.out) == (1, "")
    assert found.err.startswith("Error: ")


# --- Apsis --------------------------------------------------------------------------------------


@pytest.fixture
def installation(tmp_path):
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    (jobs / "new.yaml").write_text(
        "program: {type: procstar-shell, command: ls, group_id: east, sudo_user: bob}\n"
    )
    (jobs / "old.yaml").write_text("program: echo hello\n")
    (jobs / "older.yaml").write_text("program: {type: shell, command: ls}\n")
    (jobs / "far.yaml").write_text("program: {type: program, argv: [ls], host: h1}\n")
    config = tmp_path / "apsis.yaml"
    config.write_text(
        "smtp: {host: mail, auth: {username: u, password: p}}\n"
        "job_dir: jobs\ndatabase: {path: apsis.db, timeout: 10}\nruns_lookback: 3600\n"
        "schedule: {horizon: 2d}\nprocstar: {agent: {enable: true, run: {output_interval: 5}}}\n"
        "shedule: 3\n"
    )
    with sqlite3.connect(tmp_path / "apsis.db") as db:
        db.execute("CREATE TABLE runs (run_id TEXT)")
    db.close()
    return config


def test_an_installation_is_checked_and_told_what_differs(command, installation):
    found = command("administrators", "import", "apsis", str(installation))
    assert found.status == 0
    assert found.lines[0] == "4 jobs can be read as they are"
    assert found.lines[1] == (
        "the same here: job_dir, runs_lookback, database.timeout, schedule.horizon, smtp"
    )
    for said in (
        "apsis.db is Apsis's own and stays as it is",
        "procstar.agent.run: output and progress are always live",
        "shedule: is not known and ignored: did you mean schedule?",
        "adhoc.enabled: is not given: newer versions of Apsis take no ad hoc jobs then",
        "jobs: 1 run on agents of group east",
        "jobs: 1 run on agents of group h1: start callsheet agents of it",
        "jobs: 1 run as other users (bob)",
        "jobs: 1 programs of type shell",
        "jobs: 1 programs written as a string or a list",
    ):
        assert said in found.out


def test_settings_are_written_that_a_server_takes(command, installation):
    installation.chmod(0o640)
    out = installation.parent / "callsheet.yaml"
    found = command("administrators", "import", "apsis", str(installation), "--out", str(out))
    assert found.status == 0
    settings = load_settings(out)
    assert settings.acting.smtp.host == "mail"
    assert out.stat().st_mode & 0o137 == 0
    assert settings.job_dir == installation.parent / "jobs"
    assert settings.database.path == installation.parent / "callsheet.db"
    assert settings.database.timeout_us == 10_000_000
    assert settings.runs.lookback_us == 3_600_000_000
    assert settings.schedule.horizon_us == 2 * 86_400 * 1_000_000
    assert settings.unknown == ()
    assert settings.web.ad_hoc is True
    again = command("administrators", "import", "apsis", str(installation), "--out", str(out))
    assert "is there already" in again.err


def test_jobs_with_errors_fail_the_check(command, installation):
    (installation.parent / "jobs" / "bad.yaml").write_text("program: [\n")
    (installation.parent / "jobs" / "own.yaml").write_text("program: {type: mine.Program}\n")
    found = command("administrators", "import", "apsis", str(installation), "--json")
    assert found.status == 1
    report = json.loads(found.out)
    assert [one["text"].split(":")[0] for one in report["problems"]] == ["bad.yaml", "own.yaml"]
    assert {one["severity"] for one in report["problems"]} == {"error"}


def test_a_configuration_that_is_wrong_is_told_by_its_place(command, tmp_path):
    config = tmp_path / "apsis.yaml"
    config.write_text("database: {timeout: -30s}\n")
    found = command("administrators", "import", "apsis", str(config))
    assert found.status == 1
    assert "apsis.yaml:1:12: database.timeout has negative duration: -30s" in found.err


def test_that_ad_hoc_jobs_are_disabled_is_taken_over(command, installation):
    text = installation.read_text().replace("shedule: 3\n", "adhoc: {enabled: false}\n")
    installation.write_text(text)
    out = installation.parent / "callsheet.yaml"
    found = command("administrators", "import", "apsis", str(installation), "--out", str(out))
    assert "adhoc.enabled" in found.lines[1]
    assert "adhoc.enabled: is not given" not in found.out
    assert load_settings(out).web.ad_hoc is False


def test_what_is_said_of_agents_is_taken_over_where_it_means_the_same(command, installation):
    agents = (
        "procstar: {agent: {connection: {start_timeout: 5 min, reconnect_timeout: 5 sec}, "
        "sudo: {argv: [/usr/bin/sudo, -E]}}}\n"
    )
    lines = [line for line in installation.read_text().splitlines(True) if "procstar" not in line]
    installation.write_text("".join(lines) + agents)
    out = installation.parent / "callsheet.yaml"
    found = command("administrators", "import", "apsis", str(installation), "--out", str(out))
    assert "procstar.agent.connection.reconnect_timeout: a silent agent's runs" in found.out
    settings = load_settings(out)
    assert settings.unknown == ()
    assert settings.agents.start_timeout_us == 300 * 10**6
    assert settings.agents.sudo_argv == ("/usr/bin/sudo", "-E")
