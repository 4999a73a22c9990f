"""Schedules mean what they mean in Apsis: the contract's section 2, statement by statement.

Section 1 is in `tests/jobs/test_contract_jobs.py` and the files that it names.
Each row is a statement in a few words, a schedule as a job file writes it, the window that is
looked at, and the runs it has to give: their times, or their args. Beyond these rows `tests/sweep`
compares all zones and changes of the clocks with an oracle, and `tests/actors` has what the
scheduler makes of it.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from callsheet.jobs.binding import schedule_args
from callsheet.jobs.calendars import find_calendar, parse_cal
from callsheet.jobs.errors import UserError
from callsheet.jobs.job import Job
from callsheet.jobs.jso import job_jso, schedule_jso
from callsheet.jobs.parse import BadJob, job_from_data
from callsheet.jobs.schedules import Fire, Schedule, fingerprint, fires, next_fire
from callsheet.jobs.times import format_time, parse_time

NY = "America/New_York"
CALENDARS = {"few": parse_cal("few", "START 2024-01-01\nSTOP 2024-02-01\n2024-01-09 a day\n\n")}


def a_job(schedule: Any, **more: Any) -> Job:
    return job_from_data({"program": {"type": "no-op"}, "schedule": schedule, **more}, "a")


def schedule_of(data: Any) -> Schedule:
    return a_job(data).schedules[0]


def runs(data: Any, first: str, last: str) -> list[Fire]:
    begin, end = (
        parse_time(text if "T" in text else f"{text}T00:00:00Z") for text in (first, last)
    )
    return list(fires(schedule_of(data), begin, end, CALENDARS))


def utc(fire: Fire) -> str:
    """Return a run's time without its zone, as short as it can be."""
    return format_time(fire.at_us).removesuffix("+00:00").removesuffix(":00")


def interval(**more: Any) -> dict[str, Any]:
    return {"type": "interval", "interval": "1h"} | more


def daily(**more: Any) -> dict[str, Any]:
    return {"type": "daily", "tz": "UTC", "daytime": "20:00:00"} | more


def within(**more: Any) -> dict[str, Any]:
    base = {"type": "daily-interval", "tz": "UTC", "start": "09:00:00", "stop": "11:00:00"}
    return base | {"interval": "1h"} | more


def explicit(*times: str, **more: Any) -> dict[str, Any]:
    return {"type": "explicit", "times": list(times)} | more


# --- times: statement, schedule, from, to, the times it gives -----------------------------------

TIMES = [
    ("2 [from, to) is half open", interval(), "2024-01-01T01:00:00Z", "2024-01-01T03:00:00Z",
     ["2024-01-01T01:00", "2024-01-01T02:00"]),
    ("2.1 times are epoch + phase + n·interval", interval(interval=5400, phase=600),
     "1970-01-01", "1970-01-01T05:00:00Z",
     ["1970-01-01T00:10", "1970-01-01T01:40", "1970-01-01T03:10", "1970-01-01T04:40"]),
    ("2.1 the first time is the smallest not before the start", interval(phase="10m"),
     "2020-11-05T23:10:00Z", "2020-11-06T00:20:00Z", ["2020-11-05T23:10", "2020-11-06T00:10"]),
    ("2.1 an interval that does not divide the day goes on over midnight", interval(interval="7h"),
     "1970-01-01", "1970-01-02T05:00:00Z",
     ["1970-01-01T00:00", "1970-01-01T07:00", "1970-01-01T14:00", "1970-01-01T21:00",
      "1970-01-02T04:00"]),
    ("2.1 clocks that change do not matter", interval(interval="6h"),
     "2024-03-10", "2024-03-11",
     [f"2024-03-10T{hour}:00" for hour in ("00", "06", "12", "18")]),
    ("2.2 one daytime is as good as a list", daily(daytime="09:30:00"), "2024-01-01", "2024-01-02",
     ["2024-01-01T09:30"]),
    ("2.2 daytimes are sorted", daily(daytime=["16:00:00", "09:30:00"]), "2024-01-01", "2024-01-02",
     ["2024-01-01T09:30", "2024-01-01T16:00"]),
    ("2.2 the calendar is all days by default", daily(), "2024-01-05", "2024-01-08",
     ["2024-01-05T20:00", "2024-01-06T20:00", "2024-01-07T20:00"]),
    ("2.2 only days of the calendar", daily(calendar="Mon-Fri"), "2024-01-05", "2024-01-09",
     ["2024-01-05T20:00", "2024-01-08T20:00"]),
    ("2.2 local times follow the zone", daily(tz=NY, daytime="09:30:00"),
     "2024-03-09", "2024-03-12",
     ["2024-03-09T14:30", "2024-03-10T13:30", "2024-03-11T13:30"]),
    ("2.2 date_shift moves by days", daily(calendar="Mon", date_shift=-1),
     "2020-11-07", "2020-11-12", ["2020-11-08T20:00"]),
    ("2.2 Fri shifted by a calendar day and back by one runs on Sun",
     daily(calendar="Mon-Fri", cal_shift=1, date_shift=-1), "2020-11-06T00:00:00Z", "2020-11-10",
     ["2020-11-08T20:00", "2020-11-09T20:00"]),
    ("2.2 cal_shift counts days of the calendar", daily(calendar="Mon-Fri", cal_shift=2),
     "2024-01-08", "2024-01-10", ["2024-01-08T20:00", "2024-01-09T20:00"]),
    ("2.2 cal_shift may be back", daily(calendar="Mon-Fri", cal_shift=-1),
     "2024-01-05", "2024-01-08", ["2024-01-05T20:00"]),
    ("2.2 a calendar of a file", daily(calendar="few"), "2024-01-02", "2024-01-20",
     ["2024-01-09T20:00"]),
    ("2.3 from start to before stop", within(), "2024-01-01", "2024-01-02",
     ["2024-01-01T09:00", "2024-01-01T10:00"]),
    ("2.3 steps begin at start", within(start="09:10:00", interval="45m"),
     "2024-01-01", "2024-01-02",
     ["2024-01-01T09:10", "2024-01-01T09:55", "2024-01-01T10:40"]),
    ("2.3 stop at start is nothing", within(stop="09:00:00"), "2024-01-01", "2024-01-03", []),
    ("2.3 stop before start is nothing", within(stop="01:00:00"), "2024-01-01", "2024-01-03", []),
    ("2.3 a window over midnight needs a date_shift",
     within(start="23:00:00", stop={"daytime": "01:00:00", "date_shift": 1}),
     "2024-01-01T12:00:00Z", "2024-01-02T12:00:00Z", ["2024-01-01T23:00", "2024-01-02T00:00"]),
    ("2.3 dates shifted across the start are considered, times before it left out",
     within(start="23:00:00", stop={"daytime": "02:00:00", "date_shift": 1}, calendar="Fri"),
     "2024-01-06T00:30:00Z", "2024-01-07", ["2024-01-06T01:00"]),
    ("2.3 ends may be shifted by days of the calendar",
     within(start={"daytime": "22:00:00"}, stop={"daytime": "01:00:00", "cal_shift": 1},
            calendar="Fri,Sat", interval="90m"),
     "2024-01-05", "2024-01-06T12:00:00Z", ["2024-01-05T22:00", "2024-01-05T23:30"]),
    ("2.4 given times, sorted", explicit("2030-01-01T00:00:00Z", "2029-01-01T12:00:00+01:00"),
     "2024-01-01", "2040-01-01", ["2029-01-01T11:00", "2030-01-01T00:00"]),
    ("2.4 one time is as good as a list", {"type": "explicit", "times": "2030-01-01T00:00:00Z"},
     "2024-01-01", "2040-01-01", ["2030-01-01T00:00"]),
    ("2.6 a daily time that does not exist is left out that one day",
     daily(tz=NY, daytime="02:30:00"), "2024-03-09", "2024-03-12",
     ["2024-03-09T07:30", "2024-03-11T06:30"]),
    ("2.6 others of that day are not", daily(tz=NY, daytime=["02:30:00", "12:00:00"]),
     "2024-03-10", "2024-03-11", ["2024-03-10T16:00"]),
    ("2.6 the whole date goes if the start does not exist",
     within(tz=NY, start="02:30:00", stop="05:00:00"), "2024-03-10", "2024-03-11", []),
    ("2.6 the whole date goes if the stop does not exist",
     within(tz=NY, start="00:30:00", stop="02:30:00"), "2024-03-10", "2024-03-11", []),
    ("2.6 a time that comes twice is its first occurrence, once",
     daily(tz=NY, daytime="01:30:00"), "2024-11-03", "2024-11-04", ["2024-11-03T05:30"]),
    ("2.6 steps are of physical seconds across the spring",
     within(tz=NY, start="00:30:00", stop="04:30:00"), "2024-03-10", "2024-03-11",
     ["2024-03-10T05:30", "2024-03-10T06:30", "2024-03-10T07:30"]),
    ("2.6 and across the autumn", within(tz=NY, start="00:30:00", stop="02:30:00"),
     "2024-11-03", "2024-11-04", ["2024-11-03T04:30", "2024-11-03T05:30", "2024-11-03T06:30"]),
    ("2.7 none has no days", daily(calendar="none"), "2024-01-01", "2024-03-01", []),
    ("2.7 a calendar that ends, ends the schedule", daily(calendar="few"),
     "2023-12-01", "2024-06-01", ["2024-01-09T20:00"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "first", "last", "expected"), [row[1:] for row in TIMES], ids=[row[0] for row in TIMES]
)
def test_times_are_those_of_the_contract(data, first, last, expected):
    assert [utc(fire) for fire in runs(data, first, last)] == expected


# --- args: statement, schedule, from, all args of the first run ---------------------------------

AT = "2020-11-05T23:10:00+00:00"
ARGS = [
    ("2.1 time, date and daytime in UTC", interval(phase="10m"), "2020-11-05T23:00:00Z",
     {"time": AT, "schedule_time": AT, "date": "2020-11-05", "daytime": "23:10:00"}),
    ("2.2 date is the nominal one, not the shifted",
     daily(calendar="Mon", date_shift=-1), "2020-11-08",
     {"date": "2020-11-09", "daytime": "20:00:00", "calendar": "Mon", "tz": "UTC",
      "time": "2020-11-08T20:00:00+00:00", "schedule_time": "2020-11-08T20:00:00+00:00"}),
    ("2.2 the default calendar reads all days", daily(), "2024-01-01",
     {"date": "2024-01-01", "daytime": "20:00:00", "calendar": "all days", "tz": "UTC",
      "time": "2024-01-01T20:00:00+00:00", "schedule_time": "2024-01-01T20:00:00+00:00"}),
    ("2.2 so does all when it is given", daily(calendar="all"), "2024-01-01",
     {"date": "2024-01-01", "daytime": "20:00:00", "calendar": "all days", "tz": "UTC",
      "time": "2024-01-01T20:00:00+00:00", "schedule_time": "2024-01-01T20:00:00+00:00"}),
    ("2.2 daytime is local and time is UTC", daily(tz=NY, daytime="09:30:00", calendar="Mon-Fri"),
     "2024-01-05",
     {"date": "2024-01-05", "daytime": "09:30:00", "calendar": "Mon-Fri", "tz": NY,
      "time": "2024-01-05T14:30:00+00:00", "schedule_time": "2024-01-05T14:30:00+00:00"}),
    ("2.3 date is nominal and sched_date is that of the time",
     within(start={"daytime": "00:30:00", "date_shift": 1}, stop={"daytime": "2:00:00",
            "date_shift": 1}, calendar="Fri", tz=NY), "2024-01-06",
     {"date": "2024-01-05", "sched_date": "2024-01-06", "daytime": "00:30:00", "calendar": "Fri",
      "tz": NY, "time": "2024-01-06T05:30:00+00:00", "schedule_time": "2024-01-06T05:30:00+00:00"}),
    ("2.4 explicit has time alone", explicit("2030-01-01T00:00:00Z"), "2024-01-01",
     {"time": "2030-01-01T00:00:00+00:00", "schedule_time": "2030-01-01T00:00:00+00:00"}),
    ("2 args override all but schedule_time, as texts",
     interval(args={"time": "t", "date": 1, "daytime": True, "schedule_time": "s", "x": 1.5}),
     "2024-01-01",
     {"time": "t", "date": "1", "daytime": "True", "x": "1.5",
      "schedule_time": "2024-01-01T00:00:00+00:00"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "first", "expected"), [row[1:] for row in ARGS], ids=[row[0] for row in ARGS]
)
def test_automatic_args_are_those_of_the_contract(data, first, expected):
    assert runs(data, first, "2040-01-01")[0].args == expected


def test_2_3_labels_leap_in_spring_and_repeat_in_autumn_with_different_times():
    spring = runs(within(tz=NY, start="01:30:00", stop="04:30:00"), "2024-03-10", "2024-03-11")
    assert [fire.args["daytime"] for fire in spring] == ["01:30:00", "03:30:00"]
    autumn = runs(within(tz=NY, start="01:30:00", stop="02:00:00"), "2024-11-03", "2024-11-04")
    assert [fire.args["daytime"] for fire in autumn] == ["01:30:00", "01:30:00"]
    assert len({fire.args["time"] for fire in autumn}) == 2


def test_2_a_param_that_is_called_schedule_time_is_given():
    job = a_job(interval(), params=["schedule_time"])
    fire = next_fire(job.schedules[0], 0)
    assert schedule_args(job, fire) == {"schedule_time": "1970-01-01T00:00:00+00:00"}


def test_2_a_schedule_is_enabled_unless_it_says_otherwise():
    given = [interval(), interval(enabled=True), interval(enabled=False)]
    assert [schedule_of(data).enabled for data in given] == [True, True, False]


# --- stops: statement, schedule, stop, when the first run of 2024-03-10 stops --------------------

STOPS = [
    ("2.5 a duration after the schedule time", interval(), {"type": "duration", "duration": "10m"},
     "2024-03-10T00:10"),
    ("2.5 of seconds", interval(), {"type": "duration", "duration": 90}, "2024-03-10T00:01:30"),
    ("2.5 a later daytime of the same date", daily(daytime="10:00:00"),
     {"type": "daytime", "daytime": "12:00:00", "tz": "UTC"}, "2024-03-10T12:00"),
    ("2.5 an earlier one is that of the next date", daily(daytime="10:00:00"),
     {"type": "daytime", "daytime": "09:00:00", "tz": "UTC"}, "2024-03-11T09:00"),
    ("2.5 strictly after the schedule time", daily(daytime="10:00:00"),
     {"type": "daytime", "daytime": "10:00:00", "tz": "UTC"}, "2024-03-11T10:00"),
    ("2.5 by the local date of the stop's own zone", daily(daytime="03:00:00"),
     {"type": "daytime", "daytime": "23:00:00", "tz": NY}, "2024-03-10T04:00"),
    ("2.6 a stop that does not exist comes at the leap", daily(daytime="05:30:00"),
     {"type": "daytime", "daytime": "02:30:00", "tz": NY}, "2024-03-10T07:00"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("start", "stop", "expected"), [row[1:] for row in STOPS], ids=[row[0] for row in STOPS]
)
def test_a_run_is_stopped_when_the_contract_says(start, stop, expected):
    fire = runs({"start": start, "stop": stop}, "2024-03-10", "2024-03-12")[0]
    assert format_time(fire.stop_us).removesuffix("+00:00").removesuffix(":00") == expected


def test_2_5_a_schedule_that_differs_in_its_stop_alone_is_another():
    stop = {"type": "duration", "duration": 60}
    one, other = (
        schedule_of({"start": interval(), "stop": stop | more}) for more in ({}, {"duration": 61})
    )
    assert one != other
    assert fingerprint(one) != fingerprint(other)
    assert schedule_of({"start": interval()}) == schedule_of(interval())


# --- JSON: statement, schedule, what the API shows ----------------------------------------------

JSON = [
    ("2.1 interval", interval(phase=60, args={"x": 1}),
     {"type": "interval", "enabled": True, "interval": 3600.0, "phase": 60.0, "args": {"x": "1"}}),
    ("2.2 daily", daily(tz=NY, daytime=["16:00:00", "09:30:00"], calendar="Mon-Fri",
                        args={"color": "red"}),
     {"type": "daily", "enabled": True, "tz": NY, "calendar": "Mon-Fri",
      "daytime": ["09:30:00", "16:00:00"], "date_shift": 0, "cal_shift": 0,
      "args": {"color": "red"},
      "str": f"(color=red) Mon-Fri at 09:30:00, 16:00:00 {NY}"}),
    ("2.2 shifts in words", daily(calendar="Mon-Fri", cal_shift=1, date_shift=-1),
     {"str": "Mon-Fri at 20:00:00 UTC +1 cal days -1 days", "date_shift": -1, "cal_shift": 1}),
    ("2.2 the default calendar by its long name", daily(),
     {"calendar": "all days", "str": "all days at 20:00:00 UTC"}),
    ("2.3 daily-interval", within(calendar="Mon-Fri"),
     {"type": "daily-interval", "tz": "UTC", "calendar": "Mon-Fri", "interval": 3600.0,
      "args": {}}),
    ("2.4 explicit", explicit("2030-01-01T00:00:00Z"),
     {"type": "explicit", "enabled": True, "times": ["2030-01-01T00:00:00+00:00"], "args": {}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "expected"), [row[1:] for row in JSON], ids=[row[0] for row in JSON]
)
def test_schedules_are_shown_as_the_contract_shows_them(data, expected):
    [shown] = job_jso(a_job(data))["schedule"]
    assert {key: shown[key] for key in expected} == expected


def test_2_1_an_interval_in_words():
    assert schedule_jso(schedule_of(interval()))["str"] == "every 3600.0 sec"


def test_2_5_a_schedule_with_a_stop_is_shown_as_two():
    stop = {"type": "duration", "duration": "10m"}
    [shown] = job_jso(a_job({"start": interval(), "stop": stop}))["schedule"]
    assert shown["start"]["type"] == "interval"
    assert shown["stop"] == {"type": "duration", "duration": 600.0}
    assert shown["str"].endswith(", stop 600.0 s after schedule time")
    assert shown["enabled"] is True


# --- what is refused: statement, schedule, words ------------------------------------------------

REFUSED = [
    # In Apsis any text is true, `no` too. Whoever writes it means the opposite.
    ("2 enabled is no text", interval(enabled="no"), "'no': expected true or false"),
    ("2 no type", {"interval": 5}, "missing type"),
    ("2 there is no key shift", daily(shift=1), "unexpected keys: shift"),
    ("2 start and stop are the only keys beside each other",
     {"start": interval(), "stop": {"type": "duration", "duration": 5}, "args": {}}, "type"),
    ("2.1 an interval is required", {"type": "interval"}, "missing key: interval"),
    ("2.1 the interval is a duration", interval(interval="forever"), "duration"),
    ("2.1 the phase is not below 0", interval(phase=-1), "expected from 0 to less than"),
    ("2.1 the phase is less than the interval", interval(phase="1h"), "expected from 0 to less"),
    ("2.1 there is no calendar", interval(calendar="all"), "unexpected keys: calendar"),
    ("2.2 tz is required", {"type": "daily", "daytime": "09:00:00"}, "missing key: tz"),
    ("2.2 daytime is required", {"type": "daily", "tz": "UTC"}, "missing key: daytime"),
    ("2.2 the zone is known", daily(tz="Mars/Olympus"), "Mars"),
    ("2.2 shifts are whole numbers", daily(date_shift=1.5), "date_shift"),
    ("2.3 start is required", {"type": "daily-interval", "tz": "UTC", "stop": "1:00:00",
                               "interval": 5}, "missing key: start"),
    ("2.3 the interval is less than a day", within(interval="1d"), "less than a day"),
    ("2.3 the interval is more than 0", within(interval=0), "interval"),
    ("2.4 times are required", {"type": "explicit"}, "missing key: times"),
    ("2.4 times are times", explicit("soon"), "time 'soon'"),
    ("2.5 a stop has a type", {"start": interval(), "stop": {"duration": 5}}, "missing type"),
    ("2.5 a daytime has a zone",
     {"start": interval(), "stop": {"type": "daytime", "daytime": "9:00:00"}}, "missing key: tz"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_the_contract_refuses_is_refused(data, words):
    with pytest.raises(BadJob) as caught:
        a_job(data)
    assert words in str(caught.value)


# --- 2.7 calendars: statement, name, the days of the week of 2024-01-01 that are in it -----------

WEEK = [date(2024, 1, day) for day in range(1, 8)]
CALENDAR_NAMES = [
    ("all", "all", "1234567"),
    ("none", "none", ""),
    ("a weekday", "Mon", "1"),
    ("weekdays", "Mon,Wed,Fri", "135"),
    ("a range", "Mon-Fri", "12345"),
    ("a range that wraps", "Sat-Mon", "167"),
    ("ranges and weekdays", "Mon-Wed,Fri", "1235"),
    ("a range of one", "Tue-Tue", "2"),
]


@pytest.mark.parametrize(
    ("name", "days"), [row[1:] for row in CALENDAR_NAMES], ids=[row[0] for row in CALENDAR_NAMES]
)
def test_2_7_calendars_are_named(name, days):
    calendar = find_calendar(name)
    assert "".join(str(day.day) for day in WEEK if calendar.contains(day)) == days


@pytest.mark.parametrize("name", ["MWF", "few", "Mon-Fri-Sun", "Mo", ""])
def test_2_7_what_is_no_calendar_is_told_by_its_name(name):
    with pytest.raises(UserError, match=f"no such calendar: {name}"):
        find_calendar(name)


def test_2_7_a_file_has_a_half_open_range_and_a_date_a_line_with_comments():
    calendar = CALENDARS["few"]
    assert (calendar.start, calendar.stop) == (date(2024, 1, 1), date(2024, 2, 1))
    assert [day for day in range(1, 32) if calendar.contains(date(2024, 1, day))] == [9]
    for outside in (date(2023, 12, 31), date(2024, 2, 1)):
        with pytest.raises(UserError, match=r"calendar few: .*: expected a date within its range"):
            calendar.contains(outside)
