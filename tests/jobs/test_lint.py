"""Warnings about jobs: what is allowed and yet may not be meant, and what will happen."""

from __future__ import annotations

from datetime import date

import pytest

from callsheet.jobs.calendars import FileCalendar
from callsheet.jobs.checks import check_jobs
from callsheet.jobs.checks_scheduled import check_dependencies_scheduled
from callsheet.jobs.clock_changes import clock_changes
from callsheet.jobs.lint import lint_jobs
from callsheet.jobs.parse import job_from_data
from callsheet.jobs.times import format_time, parse_time

NOW_US = parse_time("2026-01-15T00:00:00Z")
YEAR_US = 366 * 86_400 * 1_000_000
NEVER = {"type": "const", "value": False}


def jobs_of(**data):
    found = {}
    for name, fields in data.items():
        job_id = name.replace("__", "/")
        found[job_id] = job_from_data({"program": {"type": "no-op"}} | fields, job_id)
    return found


def warnings(calendars=None, **data):
    jobs = jobs_of(**data)
    assert check_jobs(jobs, calendars or {}, NOW_US) == []
    found = lint_jobs(jobs, calendars or {}, NOW_US)
    assert {problem.severity for problem in found} <= {"warning"}
    return [problem.sentence for problem in found]


def daily(daytime, tz="Europe/Berlin", **fields):
    return {"type": "daily", "tz": tz, "daytime": daytime} | fields


def test_an_arg_of_a_schedule_that_looks_like_a_template_is_told_of():
    args = {"date": "{{ date }}", "size": "large", "left": "{{ out }}"}
    schedule = daily("09:30:00", args=args)
    left, template = warnings(a={"params": ["date", "size"], "schedule": schedule})
    assert left == "schedule: args left: no params of the job: they are left out"
    assert template == (
        "schedule: args.date: '{{ date }}' is not filled in, each run gets just that: `date`, "
        "`time` and the other automatic args are there without it"
    )


def test_jobs_without_anything_odd_have_no_warnings():
    assert warnings(a={"params": ["date"], "schedule": daily("09:30:00")}) == []


@pytest.mark.parametrize(
    "name", ["a=b", "a b", "a-b", "a.b", "1a", "True", "none", "false", "not", "self"]
)
def test_a_param_that_no_template_can_name_is_told(name):
    said = f"params: {name!r}: no template can name it: expected another name"
    assert warnings(a={"params": ["date", name]}) == [said]


@pytest.mark.parametrize(
    "name", ["a_b", "_x", "x1", "and", "größe", "TRUE", "run_id", "Date", "format"]
)
def test_a_param_that_a_template_can_name_is_not(name):
    assert warnings(a={"params": [name]}) == []


# --- clocks -------------------------------------------------------------------------------------


def test_the_changes_of_a_zone_are_found_to_the_second():
    gap, fold = clock_changes("Europe/Berlin", NOW_US, NOW_US + YEAR_US)
    assert format_time(gap.at_us) == "2026-03-29T01:00:00+00:00"
    assert (str(gap.before), str(gap.after)) == ("2026-03-29 02:00:00", "2026-03-29 03:00:00")
    assert format_time(fold.at_us) == "2026-10-25T01:00:00+00:00"
    assert (fold.forward, str(fold.before.time()), str(fold.after.time())) == (
        False, "03:00:00", "02:00:00",
    )  # fmt: skip
    assert clock_changes("UTC", NOW_US, NOW_US + YEAR_US) == ()


def test_a_daily_time_that_the_clocks_leap_over_or_repeat_is_told_with_its_dates():
    gap, fold = warnings(a={"schedule": daily(["02:30:00", "12:00:00"])})
    assert gap == (
        "schedule: 02:30:00 Europe/Berlin does not exist on 2026-03-29 (the clocks leap from "
        "02:00:00 to 03:00:00): no run that day"
    )
    assert fold == (
        "schedule: 02:30:00 Europe/Berlin comes twice on 2026-10-25 (the clocks go back from "
        "03:00:00 to 02:00:00): it runs once, at 2026-10-25T00:30:00+00:00"
    )


@pytest.mark.parametrize(
    ("policy", "gap", "fold"),
    [
        ({"on_gap": "before"}, "it runs at 2026-03-29T00:59:59+00:00", "once, at 2026-10-25T00:30"),
        ({"on_gap": "after"}, "it runs at 2026-03-29T01:00:00+00:00", "once, at 2026-10-25T00:30"),
        ({"on_fold": "second"}, "no run that day", "once, at 2026-10-25T01:30:00+00:00"),
        ({"on_fold": "both"}, "no run that day", "twice, at 2026-10-25T00:30:00+00:00 and 2026-10"),
    ],
)
def test_the_policy_of_a_schedule_says_what_happens(policy, gap, fold):
    told = warnings(a={"schedule": daily("02:30:00", **policy)})
    assert gap in told[0]
    assert fold in told[1]


def test_the_days_of_the_calendar_decide_whether_a_change_matters():
    assert warnings(a={"schedule": daily("02:30:00", calendar="Mon-Fri")}) == []
    shifted = daily("02:30:00", calendar="Mon", date_shift=-1)
    assert len(warnings(a={"schedule": shifted})) == 2


def test_a_cron_time_is_told_unless_its_hours_are_open():
    def cron(expression):
        return {"type": "cron", "expression": expression, "tz": "America/New_York"}

    gap, fold = warnings(a={"schedule": cron("15 2 * * *")}, b={"schedule": cron("15 1 * * *")})
    assert "02:15:00 America/New_York does not exist on 2026-03-08" in gap
    assert "01:15:00 America/New_York comes twice on 2026-11-01" in fold
    assert warnings(a={"schedule": cron("15 * * * *")}) == []


def test_a_window_that_begins_in_the_gap_is_told():
    window = {"type": "daily-interval", "tz": "Europe/Berlin", "interval": 600}
    found = warnings(a={"schedule": window | {"start": "02:15:00", "stop": "05:00:00"}})
    assert "02:15:00 Europe/Berlin does not exist on 2026-03-29" in found[0]


def test_a_half_hour_change_is_found_too():
    found = warnings(a={"schedule": daily("02:15:00", tz="Australia/Lord_Howe")})
    assert any("2026-10-04" in sentence and "does not exist" in sentence for sentence in found)


def test_disabled_schedules_are_left_aside():
    assert warnings(a={"schedule": daily("02:30:00", enabled=False)}) == []


# --- calendars ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        (date(2026, 2, 1), "2026-02-01, in 17 days; no run is made after that: renew it now"),
        (date(2026, 12, 1), "2026-12-01, in 320 days; no run is made after that"),
        (date(2027, 6, 1), None),
    ],
)
def test_a_calendar_that_ends_in_the_coming_year_is_told(stop, said):
    calendar = FileCalendar("days", date(2026, 1, 1), stop, (date(2026, 1, 20),))
    found = warnings({"days": calendar}, a={"schedule": daily("09:00:00", calendar="days")})
    told = [sentence for sentence in found if "ends on" in sentence]
    assert told == ([f"schedule: calendar days ends on {said}"] if said else [])


def test_a_calendar_that_has_ended_is_told():
    calendar = FileCalendar("days", date(2020, 1, 1), date(2021, 1, 1), (date(2020, 2, 2),))
    assert warnings({"days": calendar}, a={"schedule": daily("09:00:00", calendar="days")}) == [
        "schedule: calendar days ended on 2021-01-01: no more runs are made"
    ]


def test_a_schedule_that_never_fires_is_told():
    assert warnings(a={"schedule": daily("09:00:00", calendar="none")}) == [
        "schedule: makes no run in the coming ten years"
    ]


# --- runs and args ------------------------------------------------------------------------------


def test_two_schedules_that_make_the_same_run_are_told_once():
    hourly = {"type": "interval", "interval": 3600}
    half = {"type": "interval", "interval": 1800}
    assert warnings(a={"schedule": [hourly, half]}) == [
        "schedule[0] and schedule[1] both make the run of 2026-01-15T00:00:00+00:00: it runs once"
    ]


def test_schedules_of_other_args_make_other_runs():
    schedules = [
        {"type": "interval", "interval": 3600, "args": {"color": color}}
        for color in ("red", "blue")
    ]
    assert warnings(a={"params": ["color"], "schedule": schedules}) == []


def test_args_of_a_schedule_that_are_no_params_are_told():
    schedule = {"type": "interval", "interval": 3600, "args": {"colour": "red"}}
    assert warnings(a={"params": ["color"], "schedule": schedule | {"args": {"color": "x"}}}) == []
    assert warnings(a={"schedule": schedule}) == [
        "schedule: args colour: no params of the job: they are left out"
    ]


def test_a_dependency_that_nothing_makes_runs_of_is_told():
    depends = {
        "schedule": {"type": "interval", "interval": 3600},
        "condition": {"type": "dependency", "job_id": "b"},
    }
    assert warnings(a=depends, b={}) == [
        "dependency b is never scheduled: it has no schedule, and no action makes a run of it"
    ]
    assert warnings(a=depends, b={}, c={"successors": "b"}) == []
    assert warnings(a=depends, b={"schedule": {"type": "interval", "interval": 60}}) == []


def test_dependencies_inside_of_others_are_looked_at_too():
    inner = {"type": "all", "conditions": [{"type": "dependency", "job_id": "b"}]}
    depends = {"schedule": {"type": "interval", "interval": 3600}, "condition": inner}
    (told,) = warnings(a=depends, b={})
    assert "dependency b is never scheduled" in told
    assert unscheduled(a=depends, b={}) == ["scheduled run a(): dependency b() not scheduled"]
    either = {"type": "any", "conditions": [{"type": "dependency", "job_id": "b"}, NEVER]}
    assert unscheduled(a=depends | {"condition": either}, b={}) == []


def test_args_that_a_dependency_does_not_take_are_told():
    depends = {
        "schedule": {"type": "interval", "interval": 3600},
        "condition": {"type": "dependency", "job_id": "b", "args": {"x": "1"}},
    }
    assert warnings(a=depends, b={"schedule": {"type": "interval", "interval": 3600}}) == [
        "dependency b: args x: no params of that job"
    ]


# --- dependencies on schedule -------------------------------------------------------------------


def unscheduled(**data):
    found = check_dependencies_scheduled(jobs_of(**data), {}, NOW_US)
    assert {problem.severity for problem in found} <= {"error"}
    return [problem.sentence for problem in found]


def test_a_scheduled_run_whose_dependency_is_not_scheduled_is_told_in_apsis_words():
    def labelled(*labels):
        return [daily("12:00:00", tz="UTC", args={"label": label}) for label in labels]

    waits = {"type": "dependency", "job_id": "dependency"}
    assert unscheduled(
        dependent={
            "params": ["label"],
            "schedule": labelled("foo", "bar"),
            "condition": waits,
        },
        dependency={"params": ["label"], "schedule": labelled("bar")},
    ) == ["scheduled run dependent(label=foo): dependency dependency(label=foo) not scheduled"]


def test_disabled_and_satisfied_dependencies_are_fine():
    schedule = daily("12:00:00", tz="UTC")
    waits = {"type": "dependency", "job_id": "b"}
    assert unscheduled(a={"schedule": schedule, "condition": waits}, b={"schedule": schedule}) == []
    off = waits | {"enabled": False}
    assert unscheduled(a={"schedule": schedule, "condition": off}, b={}) == []


def test_only_the_coming_day_and_the_days_around_count():
    waits = {"type": "dependency", "job_id": "b"}
    late = {"type": "explicit", "times": "2026-01-16T12:00:00Z"}
    soon = {"type": "explicit", "times": "2026-01-15T12:00:00Z"}
    past = {"type": "explicit", "times": "2026-01-14T12:00:00Z"}
    older = {"type": "explicit", "times": "2026-01-13T12:00:00Z"}
    assert unscheduled(a={"schedule": late, "condition": waits}, b={}) == []
    assert unscheduled(a={"schedule": soon, "condition": waits}, b={"schedule": past}) == []
    assert len(unscheduled(a={"schedule": soon, "condition": waits}, b={"schedule": older})) == 1
