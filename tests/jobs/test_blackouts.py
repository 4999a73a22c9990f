"""Blackouts: which times lie in a window, and what becomes of what schedules name there."""

from datetime import date

import pytest
from msgspec.structs import replace

from callsheet.jobs.backfilling import backfill_listing
from callsheet.jobs.blackout_rules import Concerned, with_blackouts
from callsheet.jobs.blackouts import window_end
from callsheet.jobs.calendar_days import calendars_by_name, pack_days
from callsheet.jobs.errors import UserError
from callsheet.jobs.forecast import nominal_runs
from callsheet.jobs.job import Job
from callsheet.jobs.named_calendars import calendars_of
from callsheet.jobs.parse import job_from_data, job_to_data
from callsheet.jobs.plan import make_plan
from callsheet.jobs.programs import NoOp
from callsheet.jobs.schedule_types import Blackout
from callsheet.jobs.schedules import Daily, Interval, Options, fingerprint, fires, next_fire
from callsheet.jobs.times import format_time, parse_time

HOUR = 3_600_000_000


def at(text):
    return parse_time(f"{text}:00Z")


def ends(window, *times, calendars=None):
    found = [window_end(window, at(text), calendars or {}) for text in times]
    return [None if end_us is None else format_time(end_us)[:16] for end_us in found]


SPAN = Blackout(name="freeze", from_us=at("2026-12-24T00:00"), to_us=at("2027-01-02T00:00"))
NIGHT = Blackout(name="night", tz="UTC", start_s=22 * 3600, end_s=4 * 3600, calendar="Mon-Fri")


def test_a_span_holds_its_first_instant_and_not_its_last():
    times = ("2026-12-23T23:59", "2026-12-24T00:00", "2027-01-01T23:59", "2027-01-02T00:00")
    assert ends(SPAN, *times) == [None, "2027-01-02T00:00", "2027-01-02T00:00", None]


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins():
    # 2026-01-02 is a Friday.
    times = ("2026-01-02T21:59", "2026-01-02T22:00", "2026-01-03T03:59", "2026-01-03T04:00")
    assert ends(NIGHT, *times) == [None, "2026-01-03T04:00", "2026-01-03T04:00", None]
    assert ends(NIGHT, "2026-01-03T22:30", "2026-01-05T01:00") == [None, None]


def test_a_window_without_daytimes_is_the_whole_day():
    weekend = Blackout(name="w", tz="UTC", calendar="Sat-Sun")
    times = ("2026-01-02T23:59", "2026-01-03T00:00", "2026-01-04T23:59", "2026-01-05T00:00")
    assert ends(weekend, *times) == [None, "2026-01-04T00:00", "2026-01-05T00:00", None]


def test_windows_are_of_local_time_when_the_clocks_change():
    # Berlin: 2026-03-29 02:00 becomes 03:00, 2026-10-25 03:00 becomes 02:00.
    leapt = Blackout(name="x", tz="Europe/Berlin", start_s=2.5 * 3600, end_s=4 * 3600)
    assert ends(leapt, "2026-03-29T01:29", "2026-03-29T01:30", "2026-03-29T02:00") == [
        None,
        "2026-03-29T02:00",
        None,
    ]
    twice = Blackout(name="x", tz="Europe/Berlin", start_s=1 * 3600, end_s=4 * 3600)
    times = ("2026-10-24T22:59", "2026-10-24T23:00", "2026-10-25T02:59", "2026-10-25T03:00")
    assert ends(twice, *times) == [None, "2026-10-25T03:00", "2026-10-25T03:00", None]


def test_days_may_be_those_of_a_calendar_that_is_a_file():
    first = date(2026, 1, 1).toordinal()
    known = calendars_by_name([pack_days("closing", first, first + 31, 1 << 4)])
    closing = Blackout(name="c", calendar="closing")
    times = ("2026-01-04T12:00", "2026-01-05T12:00", "2026-03-01T12:00")
    assert ends(closing, *times, calendars=known) == [None, "2026-01-06T00:00", None]
    job = shaded(a_job(hourly()), closing)
    assert calendars_of(job) == {"closing"}
    other = calendars_by_name([pack_days("closing", first, first + 31, 1 << 5)])
    [schedule] = job.schedules
    assert fingerprint(schedule, known) != fingerprint(schedule, other)


def a_job(*schedules, **fields):
    return Job(**{"job_id": "shop/load", "program": NoOp(), "schedules": schedules} | fields)


def hourly(**fields):
    return Interval(interval_us=HOUR, **fields)


def shaded(job, *windows, **concerned):
    known = {one.name: Concerned(window=one, everything=True, **concerned) for one in windows}
    return with_blackouts(job, known)


def named(job, begin, hours):
    begin_us = at(begin)
    found = nominal_runs(job, begin_us, begin_us + hours * HOUR, {})
    return [
        (
            format_time(one.at_us)[11:13],
            one.left_out,
            one.until_us and format_time(one.until_us)[11:16],
        )
        for one in found
    ]


MORNING = Blackout(name="morning", start_s=6 * 3600, end_s=8 * 3600)


def test_what_falls_into_a_window_is_left_out_with_its_name_or_put_off_to_its_end():
    job = a_job(hourly())
    assert named(shaded(job, MORNING), "2026-01-01T05:00", 4) == [
        ("05", "", None),
        ("06", "blackout morning", None),
        ("07", "blackout morning", None),
        ("08", "", None),
    ]
    after = shaded(job, replace(MORNING, after=True))
    assert named(after, "2026-01-01T05:00", 4) == [
        ("05", "", None),
        ("06", "", "08:00"),
        ("07", "", "08:00"),
        ("08", "", None),
    ]


def test_what_is_put_off_starts_when_all_windows_are_over_and_a_skip_wins():
    late = replace(MORNING, after=True)
    more = Blackout(name="more", start_s=8 * 3600, end_s=9.5 * 3600, after=True)
    assert named(shaded(a_job(hourly()), late, more), "2026-01-01T07:00", 1) == [
        ("07", "", "09:30")
    ]
    skip = Blackout(name="skip", start_s=7 * 3600, end_s=8 * 3600)
    job = shaded(a_job(hourly()), late, skip)
    assert [left_out for _, left_out, _ in named(job, "2026-01-01T06:00", 2)] == [
        "",
        "blackout skip",
    ]


def test_the_next_run_is_the_next_that_is_one():
    [schedule] = shaded(a_job(hourly()), MORNING).schedules
    assert format_time(next_fire(schedule, at("2026-01-01T05:30")).at_us)[11:16] == "08:00"
    [never] = shaded(a_job(hourly()), Blackout(name="always")).schedules
    assert next_fire(never, at("2026-01-01T05:30")) is None


def test_a_backfill_makes_nothing_up_that_is_left_out():
    begin = at("2026-01-01T05:00")
    job = shaded(a_job(hourly()), MORNING)
    found = backfill_listing(job, begin, begin + 4 * HOUR, {}, limit=9)
    assert [format_time(one.at_us)[11:13] for one in found.runs] == ["05", "08"]


def test_other_runs_stay_where_they_are_when_a_window_comes():
    jittered = hourly(options=Options(jitter_us=HOUR, jitter_key="x"))
    [plain], [dark] = a_job(jittered).schedules, shaded(a_job(jittered), MORNING).schedules
    span = (at("2026-01-01T00:00"), at("2026-01-02T00:00"))
    assert [one.at_us for one in fires(plain, *span)] == [one.at_us for one in fires(dark, *span)]
    assert fingerprint(plain) != fingerprint(dark)


def test_a_plan_shows_what_a_new_window_takes_away():
    old, new = a_job(hourly()), shaded(a_job(hourly()), MORNING)
    plan = make_plan("x", {"shop/load": old}, {"shop/load": new}, at("2026-01-01T05:30"), 1, {}, [])
    assert [(run.what, format_time(run.at_us)[11:13]) for run in plan.runs] == [
        ("vanishes", "06"),
        ("vanishes", "07"),
    ]


@pytest.mark.parametrize(
    ("concerned", "named_by_job", "policies"),
    [
        ({}, {}, []),
        ({"everything": True}, {}, [False]),
        ({"jobs": ("shop/load",)}, {}, [False]),
        ({"jobs": ("shop",)}, {}, []),
        ({"folders": ("shop",)}, {}, [False]),
        ({"folders": ("sho",)}, {}, []),
        ({"labels": ("eu",)}, {}, [False]),
        ({}, {"morning": ""}, [False]),
        ({}, {"morning": "after"}, [True]),
        ({"everything": True}, {"morning": "ignore"}, []),
        ({"everything": True}, {"morning": "after"}, [True]),
    ],
)
def test_whom_a_window_concerns(concerned, named_by_job, policies):
    job = a_job(hourly(), blackouts=named_by_job, metadata={"labels": ["eu"]})
    found = with_blackouts(job, {"morning": Concerned(window=MORNING, **concerned)})
    [schedule] = found.schedules
    options = schedule.options or Options()
    assert [one.after for one in options.blackouts] == policies if policies else found is job


def test_a_job_that_names_an_unknown_window_is_told():
    with pytest.raises(UserError, match=r"'x': there is no such blackout: expected one of: a"):
        with_blackouts(a_job(blackouts={"x": ""}), {"a": Concerned(window=MORNING)})


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("a", {"a": ""}),
        (["a", "b"], {"a": "", "b": ""}),
        ({"a": "after", "b": None, "c": "ignore"}, {"a": "after", "b": "", "c": "ignore"}),
    ],
)
def test_a_job_file_names_windows(data, found):
    job = job_from_data({"program": {"type": "no-op"}, "blackouts": data}, "a")
    assert job.blackouts == found
    assert job_from_data(job_to_data(job), "a") == job


def test_daily_times_of_a_zone_are_judged_by_the_windows_zone():
    daily = Daily(tz="Asia/Tokyo", daytimes_s=(9 * 3600,))
    window = Blackout(name="n", tz="UTC", start_s=0, end_s=1800)
    assert named(shaded(a_job(daily), window), "2026-01-01T00:00", 24) == [
        ("00", "blackout n", None)
    ]
