"""Forecasts: the nominal runs of jobs over any span."""

from __future__ import annotations

import pytest

from callsheet.jobs.errors import UserError
from callsheet.jobs.forecast import TooManyRuns, forecast, forecast_ahead
from callsheet.jobs.parse import job_from_data
from callsheet.jobs.times import format_time, parse_time

FROM_US = parse_time("2026-01-15T00:00:00Z")
DAY_US = 86_400 * 1_000_000


def jobs_of(**data):
    return {
        job_id: job_from_data({"program": {"type": "no-op"}} | fields, job_id)
        for job_id, fields in data.items()
    }


def rows(jobs, days=1, **options):
    found = forecast(jobs, FROM_US, FROM_US + days * DAY_US, {}, **options)
    return [(format_time(one.at_us)[5:16], one.job_id, one.args) for one in found]


HOURLY = {"type": "interval", "interval": 6 * 3600}
DAILY = {"type": "daily", "tz": "UTC", "daytime": "06:00:00"}


def test_runs_of_all_jobs_come_by_time_then_job():
    jobs = jobs_of(b={"schedule": HOURLY}, a={"params": ["date"], "schedule": DAILY})
    assert rows(jobs) == [
        ("01-15T00:00", "b", {}),
        ("01-15T06:00", "a", {"date": "2026-01-15"}),
        ("01-15T06:00", "b", {}),
        ("01-15T12:00", "b", {}),
        ("01-15T18:00", "b", {}),
    ]


def test_the_end_of_the_span_is_left_out_and_an_empty_span_is_empty():
    jobs = jobs_of(a={"schedule": DAILY})
    at_us = FROM_US + 6 * 3600 * 1_000_000
    assert forecast(jobs, at_us, at_us, {}) == []
    assert len(forecast(jobs, at_us, at_us + 1, {})) == 1
    assert forecast(jobs, FROM_US, at_us, {}) == []


def test_a_run_that_two_schedules_name_comes_once_and_disabled_ones_name_none():
    assert len(rows(jobs_of(a={"schedule": [HOURLY, DAILY]}))) == 4
    assert rows(jobs_of(a={"schedule": DAILY | {"enabled": False}})) == []


def test_only_what_is_wanted_is_kept():
    jobs = jobs_of(a={"schedule": HOURLY}, b={"schedule": HOURLY})
    found = rows(jobs, keep=lambda job, nominal: job.job_id == "b")
    assert {job_id for _, job_id, _ in found} == {"b"}


def test_more_runs_than_anybody_reads_are_refused():
    jobs = jobs_of(a={"schedule": {"type": "interval", "interval": 1}})
    with pytest.raises(TooManyRuns, match="more than 10 runs: expected a narrower query"):
        rows(jobs, limit=10)


def test_of_a_span_that_is_full_as_much_is_told_as_is_not():
    jobs = jobs_of(a={"schedule": {"type": "interval", "interval": 60}})
    day_us, minute_us = 86_400 * 1_000_000, 60 * 1_000_000
    found, upto_us = forecast_ahead(jobs, FROM_US, FROM_US + day_us, {}, limit=400)
    assert (len(found), upto_us) == (400, FROM_US + 400 * minute_us)
    assert forecast_ahead(jobs, FROM_US, FROM_US + minute_us, {}) == (
        forecast(jobs, FROM_US, FROM_US + minute_us, {}),
        FROM_US + minute_us,
    )
    with pytest.raises(TooManyRuns):
        forecast_ahead(jobs, FROM_US, FROM_US + day_us, {}, limit=400, whole=True)
    many = jobs_of(**{f"j{n}": {"schedule": DAILY} for n in range(11)})
    with pytest.raises(TooManyRuns):
        forecast_ahead(many, FROM_US, FROM_US + day_us, {}, limit=10)


def test_what_two_schedules_name_counts_once_and_runs_are_in_their_order():
    jobs = jobs_of(b={"schedule": [HOURLY, DAILY]}, a={"schedule": HOURLY})
    day_us = 86_400 * 1_000_000
    found, upto_us = forecast_ahead(jobs, FROM_US, FROM_US + day_us, {})
    assert (found, upto_us) == (forecast(jobs, FROM_US, FROM_US + day_us, {}), FROM_US + day_us)
    some, upto_us = forecast_ahead(jobs, FROM_US, FROM_US + day_us, {}, limit=5)
    assert some == [one for one in found if one.at_us < upto_us]
    assert len(some) == 4


def test_ahead_it_is_not_looked_for_ever(monkeypatch):
    monkeypatch.setattr("callsheet.jobs.forecast.MOST_LOOKED_AT", 100)
    jobs = jobs_of(a={"schedule": {"type": "interval", "interval": 1}})
    until_us = FROM_US + 86_400 * 1_000_000
    found, upto_us = forecast_ahead(jobs, FROM_US, until_us, {}, keep=lambda job, one: False)
    assert (found, upto_us) == ([], FROM_US + 100 * 1_000_000)


def test_a_query_that_matches_little_does_not_look_for_ever(monkeypatch):
    monkeypatch.setattr("callsheet.jobs.forecast.MOST_LOOKED_AT", 100)
    jobs = jobs_of(a={"schedule": {"type": "interval", "interval": 1}})
    with pytest.raises(TooManyRuns):
        rows(jobs, keep=lambda job, nominal: False)


def test_an_unknown_calendar_is_an_error_of_the_users():
    with pytest.raises(UserError, match="no such calendar: moon"):
        rows(jobs_of(a={"schedule": DAILY | {"calendar": "moon"}}))
