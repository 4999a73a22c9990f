"""The settings of blackouts, and folders whose jobs name them."""

import pytest
from click.testing import CliRunner

from callsheet.cli.folder_commands import check
from callsheet.conf.folder import load_folder
from callsheet.conf.settings import SettingsError, load_settings
from callsheet.jobs.times import format_time

ALL = """
blackouts:
  year-end: {from: 2026-12-24, to: "2027-01-02T06:00:00Z", tz: Europe/Berlin, labels: billing}
  backup: {tz: UTC, calendar: Mon-Fri, start: "02:00", end: "03:30", policy: after, all: true}
"""
JOB = "schedule: {type: interval, interval: 1h}\nprogram: {type: no-op}\n"


def settings(tmp_path, text):
    path = tmp_path / "callsheet.yaml"
    path.write_text(text)
    return load_settings(path)


def test_windows_are_read_with_whom_they_concern(tmp_path):
    found = settings(tmp_path, ALL).blackouts
    year_end, backup = found["year-end"], found["backup"]
    assert format_time(year_end.window.from_us) == "2026-12-23T23:00:00+00:00"
    assert format_time(year_end.window.to_us) == "2027-01-02T06:00:00+00:00"
    assert (year_end.labels, year_end.everything, year_end.window.after) == (
        ("billing",),
        False,
        False,
    )
    window = backup.window
    assert (window.calendar, window.start_s, window.end_s) == ("Mon-Fri", 7200, 12600)
    assert (window.after, backup.everything) == (True, True)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        ("{start: '01:00'}", "missing key: tz"),
        ("{tz: UTC, from: 2026-01-02}", "lacks a from or a to: expected both"),
        ("{tz: UTC, from: 2026-01-02, to: 2026-01-01}", "is no later than from"),
        ("{tz: UTC, from: soon, to: 2026-01-01}", "'soon': expected a date like 2026-12-24"),
        (
            "{tz: UTC, from: 2026-01-01, to: 2026-01-02, start: '01:00'}",
            "expected one or the other",
        ),
        ("{tz: UTC, policy: ignore}", "ignore is for jobs: expected skip or after"),
        ("{tz: UTC, policy: never}", "'never': expected one of skip, after, ignore"),
        ("{tz: Mars}", "Mars"),
        ("{tz: UTC, until: 3}", "until"),
    ],
)
def test_a_window_that_makes_no_sense_is_told_with_its_place(tmp_path, one, said):
    with pytest.raises(SettingsError) as told:
        settings(tmp_path, f"blackouts:\n  x: {one}\n")
    assert said in str(told.value)
    assert "callsheet.yaml:2:" in str(told.value)


def a_folder(tmp_path, **jobs):
    folder = tmp_path / "jobs"
    folder.mkdir()
    for name, text in jobs.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_a_folder_is_loaded_with_the_windows_of_the_settings(tmp_path):
    folder = a_folder(tmp_path, plain=JOB, named=f"{JOB}blackouts: {{year-end: skip}}\n")
    known = settings(tmp_path, ALL).blackouts
    bare, dark = load_folder(folder), load_folder(folder, None, known)
    assert bare.problems == dark.problems == []
    windows = {
        job_id: [one.name for one in job.schedules[0].options.blackouts]
        for job_id, job in dark.jobs.items()
    }
    assert windows == {"plain": ["backup"], "named": ["backup", "year-end"]}
    assert bare.hashes["plain"] != dark.hashes["plain"]


def test_an_unknown_window_is_told_by_check_at_its_place(tmp_path):
    folder = a_folder(tmp_path, a=f"{JOB}blackouts: [backup, freeze]\n")
    (tmp_path / "callsheet.yaml").write_text(ALL)
    config = ["--config", str(tmp_path / "callsheet.yaml")]
    found = CliRunner().invoke(check, [str(folder), *config])
    assert found.exit_code == 1
    assert "a.yaml:3:1: blackouts: 'freeze': there is no such blackout" in found.output
    assert CliRunner().invoke(check, [str(folder)]).exit_code == 0
