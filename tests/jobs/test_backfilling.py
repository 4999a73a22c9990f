"""Which runs a backfill makes."""

import pytest

from callsheet.jobs.backfilling import backfill_listing
from callsheet.jobs.errors import UserError
from callsheet.jobs.forecast import TooManyRuns
from callsheet.jobs.job import Job
from callsheet.jobs.programs import NoOp
from callsheet.jobs.schedules import Daily, Interval
from callsheet.jobs.times import parse_time

HOUR = 3_600_000_000
BEGIN = parse_time("2026-01-05T00:00:00Z")


def a_job(*schedules, **fields):
    return Job(**{"job_id": "a", "program": NoOp(), "schedules": schedules} | fields)


def hourly(**fields):
    return Interval(interval_us=HOUR, **fields)


def listed(job, hours, **options):
    found = backfill_listing(job, BEGIN, BEGIN + hours * HOUR, {}, **({"limit": 100} | options))
    return [(one.at_us - BEGIN) // HOUR for one in found.runs], found.left_out


def test_all_that_the_schedules_name_is_listed_by_time():
    assert listed(a_job(hourly()), 3) == ([0, 1, 2], 0)
    assert listed(a_job(hourly()), 3, newest_first=True) == ([2, 1, 0], 0)
    two = a_job(hourly(), Interval(interval_us=HOUR // 2))
    assert listed(two, 1)[0] == [0, 0]
    assert len(backfill_listing(two, BEGIN, BEGIN + HOUR, {}, limit=9).runs) == 2


def test_what_is_there_is_left_out_by_args_and_time():
    job = a_job(hourly(args={"k": "1"}), hourly(args={"k": "2"}), params=("k",))
    there = {('{"k":"1"}', BEGIN), ('{"k":"2"}', BEGIN + 7 * HOUR)}
    assert listed(job, 2, there=there) == ([0, 1, 1], 1)
    assert listed(job, 2, args={"k": "2"}) == ([0, 1], 0)
    assert listed(job, 2, args={"k": "1"}, there=there) == ([1], 1)


def test_an_arg_that_is_none_of_the_job_is_told_instead_of_finding_no_runs():
    job = a_job(hourly(args={"k": "1"}), params=("k",))
    assert listed(job, 2, args={"k": "1"}) == ([0, 1], 0)
    with pytest.raises(UserError, match=r"extra args \(kk, l\) for job a"):
        listed(job, 2, args={"l": "1", "k": "1", "kk": "1"})


def test_days_that_a_calendar_leaves_out_are_not_listed():
    job = a_job(Daily(tz="UTC", daytimes_s=(0,), calendar="Mon,Wed"), params=("date",))
    found = backfill_listing(job, BEGIN, BEGIN + 7 * 24 * HOUR, {}, limit=9)
    assert [one.args["date"] for one in found.runs] == ["2026-01-05", "2026-01-07"]


def test_too_many_are_refused():
    assert listed(a_job(hourly()), 3, limit=3)[0] == [0, 1, 2]
    with pytest.raises(TooManyRuns):
        listed(a_job(hourly()), 4, limit=3)


def test_who_picks_a_needle_from_a_haystack_is_refused(monkeypatch):
    monkeypatch.setattr("callsheet.jobs.backfilling.MOST_LOOKED_AT", 5)
    job = a_job(hourly(args={"no": "2"}), params=("no",))
    assert listed(job, 5, args={"no": "1"}) == ([], 0)
    with pytest.raises(TooManyRuns):
        listed(job, 6, args={"no": "1"})


@pytest.mark.parametrize("schedules", [(), (hourly(enabled=False),)])
def test_a_job_that_nothing_schedules_has_nothing_to_make_up_for(schedules):
    with pytest.raises(UserError, match="job a: has no schedule that is enabled"):
        listed(a_job(*schedules), 1)
