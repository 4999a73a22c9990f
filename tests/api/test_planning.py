"""Forecasts, plans and definitions over the API."""

from __future__ import annotations

import pytest
from web_stand import WebStand, a_job, now_us

from callsheet.jobs.calendar_days import days_of
from callsheet.jobs.calendars import FileCalendar
from callsheet.jobs.plan import set_digest
from callsheet.jobs.schedules import Daily, Interval
from callsheet.jobs.times import SECOND_US, format_time, parse_time
from callsheet.messages.codec import encode

HOUR_US = 3600 * SECOND_US
JOBS = (
    a_job("hourly", schedules=(Interval(interval_us=HOUR_US),), metadata={"labels": ["x"]}),
    a_job("team/dated", params=("date",), schedules=(Daily(tz="UTC", daytimes_s=(0.0,)),)),
    a_job("never"),
)


@pytest.fixture
def stand(tmp_path):
    stand = WebStand(tmp_path, jobs=JOBS)
    yield stand
    stand.close()


def forecast(stand, query):
    status, answer = stand.ask("GET", f"/api/v2/forecast?{query}")
    assert status == 200, answer
    return answer["forecast"]


def test_a_forecast_has_the_runs_that_schedules_name(stand):
    found = forecast(stand, "from=2030-01-01&to=2030-01-02")
    assert len(found) == 25
    assert found[0] == {
        "job_id": "hourly", "args": {}, "schedule_time": "2030-01-01T00:00:00+00:00",
    }  # fmt: skip
    assert found[1]["args"] == {"date": "2030-01-01"}


def test_a_forecast_takes_the_query_of_runs(stand):
    span = "from=2030-01-01&to=2030-01-02"
    assert {row["job_id"] for row in forecast(stand, f"{span}&q=label:x")} == {"hourly"}
    assert {row["job_id"] for row in forecast(stand, f"{span}&query=team")} == {"team/dated"}
    assert forecast(stand, f"{span}&q=date=2030-01-05") == []
    assert len(forecast(stand, f"{span}&job=hourly")) == 24


def test_a_forecast_begins_now_and_goes_on_for_a_day_unless_told_otherwise(stand):
    assert len(forecast(stand, "job=hourly")) == 24


@pytest.mark.parametrize("begin", ["9999-12-31", "0001-01-01", "%2B99999999999d"])
def test_a_forecast_of_times_that_no_calendar_tells_is_answered(stand, begin):
    status, _ = stand.ask("GET", f"/api/v2/forecast?from={begin}&whole=0")
    assert status == 200
    for page in ("runs", "runs-by-time", "runs-per-time"):
        assert stand.ask("GET", f"/api/v2/{page}?until={begin}")[0] == 200


def test_a_day_that_is_full_is_told_as_far_as_it_goes(stand):
    _, answer = stand.ask("GET", "/api/v2/forecast?job=hourly&limit=7")
    last_us = parse_time(answer["forecast"][-1]["schedule_time"])
    assert (len(answer["forecast"]), answer["complete"]) == (7, False)
    assert parse_time(answer["to"]) == last_us + HOUR_US
    _, answer = stand.ask("GET", "/api/v2/forecast?job=hourly&limit=7&to=%2B12h&whole=0")
    assert (len(answer["forecast"]), answer["complete"]) == (7, False)
    status, answer = stand.ask("GET", "/api/v2/forecast?job=hourly&limit=7&whole=1")
    assert (status, "more than 7 runs" in answer["error"]) == (400, True)
    _, answer = stand.ask("GET", "/api/v2/forecast?job=hourly")
    assert answer["complete"] is True


def test_a_forecast_from_a_later_time_on_is_of_a_day_from_then(stand):
    rows = forecast(stand, "job=hourly&from=2030-01-02")
    assert [rows[0]["schedule_time"], rows[-1]["schedule_time"]] == [
        "2030-01-02T00:00:00+00:00",
        "2030-01-02T23:00:00+00:00",
    ]


def test_runs_that_are_written_already_are_named(stand):
    at_us = (now_us() // HOUR_US + 2) * HOUR_US
    run_id = stand.a_run("hourly", schedule_us=at_us, fingerprint="f")
    stand.a_run("hourly", schedule_us=at_us)  # by a person: no run of the schedule
    rows = {row["schedule_time"]: row for row in forecast(stand, "job=hourly")}
    assert rows[format_time(at_us)]["run_id"] == run_id
    assert rows[format_time(at_us)]["state"] == "scheduled"
    assert "run_id" not in rows[format_time(at_us + HOUR_US)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("to=%2B3650d", "more than 10000 runs: expected a narrower query or a shorter span"),
        ("to=%2B1d&limit=3", "more than 3 runs"),
        ("from=yesterday", "not a time: 'yesterday'"),
        ("from=2030-01-02&to=2030-01-01", "expected a span of at most 3660 days"),
        ("to=%2B9999d", "expected a span of at most 3660 days"),
        ("spam=1", "unknown parameters: spam"),
        ("q=spam:1", "spam: not a term"),
    ],
)
def test_a_forecast_that_cannot_be_made_is_refused_with_a_reason(stand, query, said):
    status, answer = stand.ask("GET", f"/api/v2/forecast?{query}")
    assert status == 400
    assert said in answer["error"]


def test_calendars_of_files_count(tmp_path):
    from datetime import date

    days = FileCalendar("days", date(2030, 1, 1), date(2031, 1, 1), (date(2030, 1, 3),))
    schedule = Daily(tz="UTC", daytimes_s=(0.0,), calendar="days")
    jobs = (a_job("a", schedules=(schedule,)),)
    stand = WebStand(tmp_path, jobs=jobs, calendars=[days_of(days)])
    try:
        found = forecast(stand, "from=2030-01-01&to=2030-02-01")
        assert [row["schedule_time"] for row in found] == ["2030-01-03T00:00:00+00:00"]
        for day, week, contains in (
            ("2030-01-03", 1, True),
            ("2030-12-30", 1, False),
            ("2031-01-05", 1, None),
            ("2032-12-31", 53, None),
        ):
            status, answer = stand.ask("GET", f"/api/v2/calendars?date={day}")
            assert (status, answer["date"], answer["week"]) == (200, day, week)
            assert [(one["name"], one["contains"]) for one in answer["calendars"]] == [
                ("days", contains)
            ]
        status, answer = stand.ask("GET", "/api/v2/calendars?date=soon")
        assert status == 400
        assert "date: " in answer["error"]
    finally:
        stand.close()


# --- plans --------------------------------------------------------------------------------------


def test_a_plan_says_what_loading_the_folder_would_change(stand):
    changed = a_job("hourly", schedules=(Interval(interval_us=2 * HOUR_US),))
    stand.reload |= {
        "changed": ["hourly"],
        "removed": ["never"],
        "plan": "p-q",
        "jobs": {"hourly": encode(changed)},
    }

    status, plan = stand.ask("GET", "/api/v2/plan?days=1")
    assert (status, plan["id"], plan["complete"]) == (200, "p-q", True)
    assert {job["job_id"]: job["what"] for job in plan["jobs"]} == {
        "hourly": "changed",
        "never": "removed",
    }
    assert len(plan["runs"]) == 12
    assert {run["what"] for run in plan["runs"]} == {"vanishes"}


def test_a_plan_of_very_many_jobs_has_only_the_jobs(stand):
    stand.reload |= {"added": ["b", "a"], "plan": "p-q", "jobs": None}
    status, plan = stand.ask("GET", "/api/v2/plan")
    assert (status, plan["complete"], plan["runs"]) == (200, False, [])
    assert [job["job_id"] for job in plan["jobs"]] == ["a", "b"]


def test_a_plan_of_a_broken_folder_names_the_mistakes(stand):
    stand.reload_errors = [["a", "a.yaml:1:1: unexpected keys: x"]]
    status, answer = stand.ask("GET", "/api/v2/plan")
    assert (status, answer["job_errors"]) == (400, stand.reload_errors)


def test_a_reload_may_name_its_plan(stand):
    stand.reload["plan"] = "p-q"
    status, answer = stand.ask("POST", "/api/v2/reload", {"plan": "p-q"})
    assert (status, answer["plan"]) == (200, "p-q")
    status, answer = stand.ask("POST", "/api/v2/reload", {"plan": 3})
    assert (status, answer["error"]) == (400, "plan: is a whole number: expected a text")


def test_definitions_are_given_by_hash(stand):
    status, answer = stand.ask("GET", "/api/v2/definitions")
    hashes = {job.job_id: f"h-{job.job_id}" for job in JOBS}
    assert (status, answer["jobs"], answer["waiting"]) == (200, hashes, [])
    assert answer["digest"] == set_digest(hashes)
    status, answer = stand.ask("GET", "/api/v2/definitions?hash=h-never&hash=h-hourly&hash=none")
    assert set(answer["definitions"]) == {"h-never", "h-hourly"}
    assert answer["definitions"]["h-hourly"]["schedules"][0]["interval_us"] == HOUR_US
