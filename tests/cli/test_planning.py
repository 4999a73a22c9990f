"""Forecasts and plans of folders, without a server; what the command line says of mistakes."""

from __future__ import annotations

import json

import pytest

DAILY = (
    "params: [date]\nschedule: {type: daily, tz: UTC, daytime: '09:00'}\nprogram: {type: no-op}\n"
)
SPAN = ("--from", "2030-01-01", "--to", "2030-01-03")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "jobs"
    (folder / "team").mkdir(parents=True)
    (folder / "team" / "a.yaml").write_text(DAILY + "metadata: {labels: x}\n")
    (folder / "b.yaml").write_text(DAILY)
    return folder


def test_a_folder_is_forecast_without_a_server(command, folder):
    found = command("people", "forecast", "--jobs", str(folder), *SPAN, "--format", "json")
    assert found.status == 0
    assert json.loads(found.out)[:2] == [
        {
            "job_id": job_id,
            "args": {"date": "2030-01-01"},
            "schedule_time": "2030-01-01T09:00:00+00:00",
        }
        for job_id in ("b", "team/a")
    ]
    found = command("people", "forecast", "label:x", "--jobs", str(folder), *SPAN)
    assert [line.split()[2:] for line in found.lines[1:]] == [
        ["team/a", "date=2030-01-01"],
        ["team/a", "date=2030-01-02"],
    ]


def test_without_an_end_a_forecast_is_of_a_day_and_says_how_far_it_goes(command, folder):
    found = command("people", "forecast", "--jobs", str(folder), "--from", "2030-01-01")
    assert len(found.lines) == 3
    assert found.err.startswith("2 runs to before 2030-01-0")


def test_a_folder_with_errors_has_no_forecast_and_says_why(command, folder):
    (folder / "b.yaml").write_text("program: 3\n")
    found = command("people", "forecast", "--jobs", str(folder))
    assert (found.status, found.out) == (1, "")
    assert "b.yaml:1:1: program: 3" in found.err


def test_the_server_is_asked_for_a_forecast_where_no_folder_is_named(callsheet):
    found = callsheet("forecast", "backup", "--format", "json")
    assert (found.status, json.loads(found.out)) == (0, [])
    assert callsheet("forecast", "--to", "later").status == 1


@pytest.fixture
def changed(folder):
    other = folder.parent / "new"
    other.mkdir()
    (other / "b.yaml").write_text(DAILY.replace("09:00", "10:00"))
    return other


def test_two_folders_are_compared_without_a_server(command, folder, changed):
    args = ("plan", "--jobs", str(changed), "--against", str(folder), "--days", "2")
    found = command("people", *args)
    assert found.status == 0
    assert found.lines[0].endswith(": 1 removed, 1 changed")
    assert found.lines[1:3] == ["~ b: schedule", "- team/a"]
    # Today's run has moved, or is over by its old time and not by its new one.
    assert sum(line.startswith("  > ") for line in found.lines) in (1, 2)
    markdown = command("people", *args, "--format", "markdown").out
    assert "| changed | `b` | schedule |" in markdown
    data = json.loads(command("people", *args, "--format", "json").out)
    assert data["id"].count("-") == 1
    assert {run["what"] for run in data["runs"]} >= {"moves", "vanishes"}


def test_a_folder_is_compared_with_what_a_server_has_in_force(callsheet, folder):
    found = callsheet("plan", "--jobs", str(folder), "--format", "json")
    assert found.status == 0, found.err
    what = {job["job_id"]: job["what"] for job in json.loads(found.out)["jobs"]}
    assert what == {
        "b": "added", "team/a": "added", "backup": "removed",
        "reports/daily sales": "removed", "reports/daily stock": "removed",
    }  # fmt: skip


def test_the_server_plans_its_own_folder(callsheet, stand):
    stand.reload |= {"removed": ["backup"], "plan": "p-q", "jobs": {}}
    found = callsheet("plan")
    assert (found.status, found.lines) == (0, ["plan p-q: 1 removed", "- backup"])
    stand.reload["jobs"] = None
    found = callsheet("plan")
    assert "too large for the server" in found.err


def test_wrong_usage_is_told(command, callsheet, folder):
    assert command("people", "plan", "--against", str(folder)).status == 2
    assert callsheet("apply").status == 2
    assert callsheet("apply", "x", "--plan", "y").status == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("{}", "expected what `plan --format json` printed"),
        ("[", "expected what `plan --format json` printed"),
        ('{"id": 3}', "id: expected the id of a plan"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(callsheet, tmp_path, text, said):
    file = tmp_path / "plan.json"
    if text is not None:
        file.write_text(text)
    found = callsheet("apply", str(file))
    assert found.status == 1
    assert said in found.err


def test_a_plan_is_carried_out(callsheet, stand, tmp_path):
    stand.reload["added"] = ["n"]
    file = tmp_path / "plan.json"
    file.write_text('{"id": "p-q"}')
    assert callsheet("apply", str(file)).out == "Jobs added:\n  n\n"
    found = callsheet("apply", "--plan", "p-q", "--format", "json")
    assert json.loads(found.out)["added"] == ["n"]
