"""In which zone and how exactly the command line shows times, and that its JSON never changes."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest

AT_US = 1_893_456_000_987_654  # 2030-01-01T00:00:00.987654Z; the API says milliseconds
DAILY = "schedule: {type: daily, tz: UTC, daytime: '22:30:00'}\nprogram: {type: no-op}\n"
SUMMER_DAY = ("--from", "2030-07-01", "--to", "2030-07-02")


@pytest.fixture(autouse=True)
def no_zone_of_the_environment(monkeypatch):
    monkeypatch.delenv("CALLSHEET_ZONE", raising=False)
    monkeypatch.delenv("CALLSHEET_PRECISION", raising=False)


@pytest.fixture
def run_id(stand):
    return stand.a_run("backup", schedule_us=AT_US)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "a.yaml").write_text(DAILY)
    return folder


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--zone", "UTC"], "2030-01-01 00:00:00"),
        (["--zone", "America/New_York"], "2029-12-31 19:00:00"),
        (["--zone", "Asia/Kathmandu", "--precision", "1"], "2030-01-01 05:45:00.9"),
        (["--zone", "UTC", "--precision", "3"], "2030-01-01 00:00:00.987"),
        (["--zone", "UTC", "--precision", "6"], "2030-01-01 00:00:00.987000"),
    ],
)
def test_times_are_shown_in_the_zone_and_with_the_digits_asked_for(
    callsheet, run_id, options, shown
):
    for words in (["runs"], ["run", run_id], ["why", run_id]):
        found = callsheet(*options, *words)
        assert (found.status, _times(found.out)) == (0, [shown]), words


def _times(out):
    """Return each time that is shown, in order."""
    return re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?", out)


def test_the_states_and_the_log_of_a_run_have_their_times_in_the_zone_too(callsheet, run_id):
    for words in (["runs", "--times"], ["run", "-v", run_id]):
        far, utc = (
            [datetime.fromisoformat(time) for time in _times(callsheet(*options, *words).out)]
            for options in (["--zone=Asia/Tokyo", "--precision=3"], ["--zone=UTC", "--precision=3"])
        )
        assert utc, words
        assert {a - b for a, b in zip(far, utc, strict=True)} == {timedelta(hours=9)}, words


def test_the_environment_may_say_both_and_the_options_prevail(callsheet, run_id, monkeypatch):
    monkeypatch.setenv("CALLSHEET_ZONE", "Asia/Tokyo")
    monkeypatch.setenv("CALLSHEET_PRECISION", "2")
    assert "2030-01-01 09:00:00.98  " in callsheet("runs").lines[1]
    assert "2030-01-01 00:00:00  " in callsheet("--zone=UTC", "--precision=0", "runs").lines[1]


def test_json_stays_in_utc_whatever_is_asked_for(callsheet, run_id):
    options = ("--zone", "Asia/Tokyo", "--precision", "0")
    for words in (["runs"], ["run", run_id], ["why", run_id]):
        plain = callsheet(*words, "--format", "json").out
        assert "2030-01-01T00:00:00.987+00:00" in plain, words
        assert callsheet(*options, *words, "--format", "json").out == plain, words


def test_a_forecast_follows_the_clocks_of_the_zone(command, folder):
    found = command(
        "people", "--zone", "Europe/Berlin", "forecast", "--jobs", str(folder), *SUMMER_DAY
    )
    assert [line.split()[:2] for line in found.lines[1:]] == [["2030-07-02", "00:30:00"]]


def test_a_plan_names_its_runs_in_the_zone(command, folder, tmp_path):
    old = tmp_path / "old"
    old.mkdir()

    def planned(zone):
        found = command(
            "people", "--zone", zone, "plan", "--jobs", str(folder), "--against", str(old)
        )
        assert found.status == 0
        return found.out

    assert " 22:30:00" in planned("UTC")
    assert " 04:15:00" in planned("Asia/Kathmandu")
    assert " 22:30:00" not in planned("Asia/Kathmandu")


@pytest.mark.parametrize("name", ["Europe/Atlantis", "Europe", "../UTC", "/etc/localtime"])
def test_an_unknown_zone_is_wrong_usage(command, name):
    found = command("people", "--zone", name, "runs")
    assert (found.status, found.out) == (2, "")
    assert found.err.splitlines()[-1] == (
        f"Error: Invalid value for '--zone': unknown time zone: {name}: "
        "expected an IANA name like Europe/Berlin"
    )


@pytest.mark.parametrize("digits", ["-1", "7", "ms"])
def test_a_precision_that_is_none_is_wrong_usage(command, digits):
    found = command("people", "--precision", digits, "runs")
    assert (found.status, found.out) == (2, "")
    assert "'--precision'" in found.err.splitlines()[-1]
