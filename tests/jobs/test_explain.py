"""Why there is no run for a time: every reason, with what a person needs to go on."""

from __future__ import annotations

import pytest

from callsheet.jobs.calendars import FileCalendar
from callsheet.jobs.explain import (
    Known,
    Period,
    Skipped,
    Sought,
    Withdrawal,
    explain,
    schedule_line,
)
from callsheet.jobs.parse import job_from_data
from callsheet.jobs.times import parse_date, parse_time

S = 1_000_000
DAY = 86_400 * S
NOW_US = parse_time("2026-03-10T12:00:00Z")
DAILY = {"type": "daily", "tz": "UTC", "daytime": "09:00:00"}


def at(text):
    return parse_time(text)


def a_job(**fields):
    data = {"program": {"type": "no-op"}, "params": ["date"], "schedule": DAILY}
    return job_from_data(data | fields, "a")


def a_period(job=None, place=0, **fields):
    job = job or a_job()
    defaults = {
        "job": job,
        "schedule": job.schedules[place],
        "fingerprint": "f",
        "from_us": NOW_US - 30 * DAY,
        "to_us": None,
        "written_us": NOW_US + DAY,
    }
    return Period(**(defaults | fields))


def why(time, *periods, job=None, args=None, **known):
    job = job or a_job()
    sought = Sought(job_id="a", args=args or {}, at_us=at(time))
    return explain(sought, Known(job=job, periods=periods, now_us=NOW_US, **known))


def test_a_job_that_is_not_there_is_said_with_those_much_like_it():
    sought = Sought(job_id="reprots", args={}, at_us=0)
    found = explain(sought, Known(job=None, near=("reports", "report")))
    assert found.verdict == "unknown_job"
    assert found.lines == ("There is no job reprots: did you mean reports or report?",)


def test_a_job_that_is_gone_is_said_so_unless_a_schedule_of_its_named_the_time():
    gone = a_period(to_us=NOW_US - 5 * DAY)
    sought = Sought(job_id="a", args={}, at_us=at("2026-03-09T10:00:00Z"))
    found = explain(sought, Known(job=None, periods=(gone,), now_us=NOW_US))
    assert found.lines == ("There is no job a any more.",)


def test_args_that_the_job_does_not_take_are_said():
    found = why("2026-03-11T09:00:00Z", a_period(), args={"data": "x"})
    assert found.verdict == "args"
    assert found.lines == ("The job has no param data: its params are date.",)
    typed = a_job(params={"date": {"type": "date"}})
    found = why("2026-03-11T09:00:00Z", job=typed, args={"date": "soon"})
    assert (found.verdict, "date" in found.lines[0]) == ("args", True)


def test_a_time_beyond_what_is_written_ahead_will_be_made():
    found = why("2026-03-20T09:00:00Z", a_period())
    assert found.verdict == "horizon"
    assert found.lines[0] == "It will be made by all days at 09:00:00 UTC."
    assert "up to 2026-03-11T12:00:00+00:00" in found.lines[1]


def test_a_time_that_has_come_and_is_not_written_is_late():
    found = why("2026-03-10T09:00:00Z", a_period(written_us=NOW_US - DAY))
    assert found.verdict == "late"


def test_a_time_left_out_by_policy_is_said_with_its_record():
    span = Skipped(
        fingerprint="f", from_us=at("2026-03-01T09:00:00Z"), to_us=at("2026-03-05T09:00:00Z"),
        reason="older than schedule.max_age", at_us=at("2026-03-08T00:00:00Z"),
    )  # fmt: skip
    found = why("2026-03-03T09:00:00Z", a_period(), skipped=(span,))
    assert found.verdict == "skipped"
    assert found.lines[0] == "It was left out by policy: older than schedule.max_age."
    assert "recorded at 2026-03-08T00:00:00+00:00" in found.lines[1]
    assert why("2026-03-06T09:00:00Z", a_period(), skipped=(span,)).verdict == "missing"


def test_a_run_that_a_reload_took_away_is_said_with_the_reload():
    gone = a_period(to_us=at("2026-03-09T08:00:00Z"))
    change = Withdrawal(
        at_us=at("2026-03-09T08:00:01Z"), what="changed", jobs_version=7, run_id="r12",
        reason="jobs reloaded",
    )  # fmt: skip
    other = a_job(schedule={**DAILY, "daytime": "10:00:00"})
    found = why("2026-03-09T09:00:00Z", gone, job=other, withdrawn=change)
    assert found.verdict == "withdrawn"
    assert found.lines == (
        "The schedule that named it, all days at 09:00:00 UTC, went at 2026-03-09T08:00:00+00:00.",
        "The job was changed by the reload at 2026-03-09T08:00:01+00:00 (jobs version 7).",
        "The run r12 was withdrawn then: jobs reloaded.",
    )
    assert len(why("2026-03-09T09:00:00Z", gone, job=other).lines) == 1


def test_a_time_before_the_schedule_came_into_force_is_said():
    found = why("2026-01-01T09:00:00Z", a_period())
    assert found.verdict == "before"
    assert "came into force only at 2026-02-08T12:00:00+00:00" in found.lines[0]


def test_the_period_in_force_at_the_time_decides():
    old = a_period(from_us=NOW_US - 9 * DAY, to_us=NOW_US - 3 * DAY, written_us=NOW_US)
    new = a_period(from_us=NOW_US - 3 * DAY)
    assert why("2026-03-05T09:00:00Z", old, new).verdict == "missing"
    assert why("2026-03-09T09:00:00Z", old, new).verdict == "missing"
    assert why("2026-03-20T09:00:00Z", old, new).verdict == "horizon"


def test_a_disabled_schedule_is_named():
    off = a_job(schedule={**DAILY, "enabled": False})
    found = why("2026-03-09T09:00:00Z", job=off)
    assert found.lines == ("The schedule that names it is disabled: all days at 09:00:00 UTC.",)
    found = why("2026-03-09T09:30:00Z", job=off)
    assert (found.verdict, "Its schedules are disabled" in found.lines[0]) == ("disabled", True)


def test_a_job_without_schedule_is_run_by_others_only():
    found = why("2026-03-09T09:00:00Z", job=a_job(schedule=None))
    assert found.verdict == "no_schedule"


def test_a_time_that_no_schedule_names_is_said_with_the_nearest_ones():
    found = why("2026-03-09T09:00:01Z", a_period())
    assert found.verdict == "not_scheduled"
    assert found.lines == (
        "No schedule of a names 2026-03-09T09:00:01+00:00.",
        (
            "all days at 09:00:00 UTC: the last before is 2026-03-09T09:00:00+00:00, "
            "the next after is 2026-03-10T09:00:00+00:00."
        ),
    )


def test_a_time_of_other_args_is_said_so():
    found = why("2026-03-09T09:00:00Z", a_period(), args={"date": "2026-03-08"})
    assert found.verdict == "args"
    assert "names this time for other args: a(date=2026-03-09)" in found.lines[1]


def test_a_day_that_the_calendar_leaves_out_is_said():
    weekdays = a_job(schedule={**DAILY, "calendar": "Mon-Fri"})
    found = why("2026-03-08T09:00:00Z", a_period(weekdays), job=weekdays)
    assert found.verdict == "calendar"
    assert (
        "2026-03-08 is not in the calendar Mon-Fri; the last before is 2026-03-06"
        in (found.lines[1])
    )
    filed = a_job(schedule={**DAILY, "calendar": "days"})
    calendar = FileCalendar(
        "days", parse_date("2026-01-01"), parse_date("2027-01-01"), (parse_date("2026-03-03"),)
    )
    found = why("2026-03-04T09:00:00Z", job=filed, calendars={"days": calendar})
    assert found.verdict == "calendar"
    assert "the last before is 2026-03-03T09:00:00+00:00." in found.lines[1]


def test_a_day_outside_the_dates_of_a_schedule_is_said():
    bounded = a_job(schedule={**DAILY, "end_date": "2026-03-01"})
    found = why("2026-03-08T09:00:00Z", job=bounded)
    assert found.verdict == "dates"
    assert (
        "outside its dates, from ever to 2026-03-01; the last before is 2026-03-01"
        in (found.lines[1])
    )


def test_a_time_that_the_clocks_leapt_over_is_said():
    leapt = a_job(schedule={"type": "daily", "tz": "Europe/Berlin", "daytime": "02:30:00"})
    found = why("2026-03-29T01:30:00Z", job=leapt)
    assert "the clocks leap over 2026-03-29 02:30:00; the last before is" in found.lines[1]


@pytest.mark.parametrize("calendar", ["moon", "none"])
def test_a_schedule_that_names_nothing_is_said(calendar):
    job = a_job(schedule={**DAILY, "calendar": calendar})
    found = why("2026-03-08T09:00:00Z", job=job)
    assert found.lines[1].endswith(
        {"moon": "no such calendar: moon."}.get(calendar, "it names no time at all.")
    )


def test_a_schedule_is_said_in_words():
    assert schedule_line(a_period()) == (
        "Its schedule is all days at 09:00:00 UTC, in force since 2026-02-08T12:00:00+00:00."
    )
