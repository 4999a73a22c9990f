"""Crontabs: every line becomes a job that runs the same, or is refused with a reason."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callsheet.jobs.binding import bind
from callsheet.jobs.crontab import Entry, Refusal, job_data, job_ids, read_crontab
from callsheet.jobs.parse import job_from_data


def one(text, **options):
    (found,) = read_crontab(text, "Europe/Berlin", **options)
    return found


def bound(entry):
    """The program of the entry's job, bound as for a run."""
    job = job_from_data(job_data(entry), "a")
    return bind(job, {}, "r1", {}.get, {}, schedule_us=0).program


def test_an_entry_has_its_times_its_command_and_the_zone():
    entry = one("*/5 2-4 * jan mon  /usr/local/bin/backup.sh --all")
    assert entry == Entry(
        line=1,
        text="*/5 2-4 * jan mon  /usr/local/bin/backup.sh --all",
        expression="*/5 2-4 * jan mon",
        command="/usr/local/bin/backup.sh --all",
        tz="Europe/Berlin",
    )
    assert job_data(entry) == {
        "metadata": {"labels": ["cron"]},
        "schedule": {"type": "cron", "expression": "*/5 2-4 * jan mon", "tz": "Europe/Berlin"},
        "program": {"type": "procstar-shell", "command": "/usr/local/bin/backup.sh --all"},
    }


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_names_of_times_are_known(name, fields):
    assert one(f"{name} x").expression == fields


def test_a_system_crontab_has_a_user_before_the_command():
    entry = one("17 * * * * root cd / && run-parts --report /etc/cron.hourly", system=True)
    assert (entry.user, entry.command) == ("root", "cd / && run-parts --report /etc/cron.hourly")
    assert job_data(entry)["program"]["sudo_user"] == "root"
    assert one("@daily bob tidy up", system=True).command == "tidy up"


def test_settings_hold_for_the_lines_after_them():
    text = """
SHELL=/bin/zsh
PATH="/usr/local/bin:/usr/bin"
'GREETING' = hello world
@daily first
CRON_TZ=America/New_York
PATH=/bin
@daily second
"""
    first, second = read_crontab(text, "UTC")
    assert (first.tz, first.shell) == ("UTC", "/bin/zsh")
    assert first.env == {"PATH": "/usr/local/bin:/usr/bin", "GREETING": "hello world"}
    assert (second.tz, second.env["PATH"]) == ("America/New_York", "/bin")
    assert job_data(first)["program"]["argv"] == ["/bin/zsh", "-c", "first"]


def test_a_zone_for_commands_is_none_of_the_times():
    (entry,) = read_crontab("TZ=America/New_York\n@daily date\n", "UTC")
    assert (entry.tz, entry.env) == ("UTC", {"TZ": "America/New_York"})


def test_a_zone_that_is_none_costs_the_entries_whose_times_are_of_it():
    text = "CRON_TZ=Mars/Olympus\n@daily there\n# here\nCRON_TZ=UTC\n@daily here\n"
    zone, there, here = read_crontab(text, "Europe/Berlin")
    assert "unknown time zone: Mars/Olympus" in zone.reason
    assert there.reason == "its times are of CRON_TZ=Mars/Olympus in line 1, which is no time zone"
    assert here.tz == "UTC"


def test_commands_begin_in_the_home_that_is_set():
    first, second, third = read_crontab("@daily a\nHOME=/srv/{{x\n@daily b\nHOME=\n@daily c", "UTC")
    assert "cwd" not in job_data(first)["program"]
    assert job_data(second)["program"]["cwd"] == "{% raw %}/srv/{{x{% endraw %}"
    assert "cwd" not in job_data(third)["program"]


def test_what_is_for_cron_alone_is_told_and_costs_no_entry():
    mail, entry = read_crontab("MAILTO=ops@example.com\n@daily x\n", "UTC")
    assert isinstance(mail, Refusal)
    assert (mail.line, mail.entry) == (1, False)
    assert "output is kept with each run" in mail.reason
    assert entry.env == {}


def test_a_comment_just_above_describes_the_job():
    text = "# of another thing\n\n# Saves all.\n#\n# Every night.\n@daily backup\n@daily other\n"
    first, second = read_crontab(text, "UTC")
    assert job_data(first)["metadata"]["description"] == "Saves all.\nEvery night."
    assert second.about == ""


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("@reboot /bin/true", "@reboot names no times"),
        ("* * * *", "is no entry: expected five time fields and a command"),
        ("* * * * *", "is no entry"),
        ("61 * * * * x", "cron expression '61 * * * *'"),
        ("0-59~3 * * * * x", "cron expression"),
        ("@fortnightly x", "names no times: expected one of"),
        ("CRON_TZ=Mars/Olympus", "unknown time zone: Mars/Olympus"),
        ("-*/5 * * * * x", "a minus before an entry"),
        ("nonsense", "is no entry"),
        ("* * * * * echo {{ x }}{% endraw %}", "write this job by hand"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_taken_over_is_refused_with_its_reason(line, reason):
    found = one(line)
    assert isinstance(found, Refusal)
    assert found.entry
    assert reason in found.reason


# --- what the command does ----------------------------------------------------------------------


def output_of(entry):
    program = bound(entry)
    found = subprocess.run(program.argv, capture_output=True, text=True, check=True, timeout=20)
    return found.stdout


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("echo hello", "hello\n"),
        (r"echo 100\%", "100%\n"),
        ("cat%one%two", "one\ntwo\n"),
        (r"cat%half\%%CRON_STDIN", "half%\nCRON_STDIN\n"),
        ("cat; echo end%in", "in\nend\n"),
        ("cat%one%%two%", "one\n\ntwo\n"),
        ("cat; echo end%", "end\n"),
        (r"cat; echo \\%in", "in\n\\\n"),
        ("echo '{{.Names}}' '{\\% x \\%}' ${#HOME}", None),
        ("printf '%s' x", ""),
    ],
)
def test_the_job_does_what_cron_would_do(command, output):
    found = output_of(one(f"* * * * * {command}")) if output != "" else None
    if output is None:
        assert found.startswith("{{.Names}} {% x %} ")
    elif output:
        assert found == output


def test_an_unescaped_percent_in_a_format_ends_the_command_as_it_does_in_cron():
    entry = one("* * * * * date +%F")
    assert (entry.command, entry.stdin) == ("date +", "F\n")


@settings(deadline=None)
@given(st.text(max_size=60).filter(lambda t: t.strip() and "\0" not in t))
def test_whatever_a_line_holds_it_is_an_entry_or_refused(text):
    for found in read_crontab(f"* * * * * {text}\n{text}\n", "UTC"):
        if isinstance(found, Entry):
            job_from_data(job_data(found), "a")


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "job_id"),
    [
        ("/usr/local/bin/backup.sh --all", "backup"),
        ("cd /srv/app && ./manage.py clearsessions", "manage"),
        ("LANG=C nice -n 10 /opt/tool/run-report -x", "run-report"),
        ("[ -x /usr/bin/certbot ] && certbot renew", "certbot"),
        ("flock -n /run/lock -c 'python3 /srv/etl.py'", "etl"),
        ("perl -w -e 'sleep int(rand(9)); exit' && certbot -q renew", "certbot"),
        ("python3 -m reports.daily", "reports.daily"),
        ("root", "root"),
        ("python3 -c 'import gc; gc.collect()'", "line-1"),
        ("*", "line-1"),
    ],
)
def test_a_job_is_called_by_what_its_command_is_about(command, job_id):
    assert job_ids([one(f"@daily {command}")]) == [job_id]


def test_names_are_used_once_and_users_have_folders():
    entries = read_crontab("@daily bob x\n@hourly bob x\n@daily eve x\n", "UTC", system=True)
    assert job_ids(entries) == ["bob/x", "bob/x-2", "eve/x"]
