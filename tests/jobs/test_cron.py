"""Cron expressions: what is read, when it fires across changes of the clocks, what is refused."""

from __future__ import annotations

import pytest

from callsheet.jobs.cron import read_cron
from callsheet.jobs.errors import UserError
from callsheet.jobs.parse import job_from_data
from callsheet.jobs.schedules import fires
from callsheet.jobs.times import format_time, parse_time


def times(data: dict, first: str, last: str) -> list[str]:
    job = job_from_data(
        {"schedule": {"type": "cron"} | data, "program": {"type": "no-op"}}, "a/job"
    )
    found = fires(job.schedules[0], parse_time(f"{first}Z"), parse_time(f"{last}Z"))
    return [format_time(fire.at_us).removesuffix(":00+00:00") for fire in found]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("*/5 * * * *", "*/5 * * * *"),
        ("  0   9  *  * MON-FRI ", "0 9 * * MON-FRI"),
        ("0 0 1 jan *", "0 0 1 jan *"),
        ("0 0 L * *", "0 0 L * *"),
        ("0 0 * * 5#2", "0 0 * * 5#2"),
        ("@hourly", "0 * * * *"),
        ("@Daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_an_expression_is_read(text: str, read: str) -> None:
    assert read_cron(text) == read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("* * * *", "4 fields: expected minute, hour, day of month, month, day of week"),
        ("0 0 9 * * *", "6 fields: expected minute, hour"),
        ("60 * * * *", "minute '60': expected 0-59"),
        ("* 24 * * *", "hour '24': expected 0-23"),
        ("0 22-2 * * *", "hour '22-2': expected 0-23"),
        ("0 0 32 * *", "day of month '32': expected 1-31"),
        ("0 0 30,31 2 *", "day of month '30,31': no month 2 has it"),
        ("0 0 ² 2 *", "day of month '²': expected 1-31"),
        ("0 0 * 13 *", "month '13': expected 1-12 or JAN-DEC"),
        ("0 0 * * FUN", "day of week 'FUN': expected 0-7 or SUN-SAT"),
        ("*/0 * * * *", r"minute '\*/0': expected"),
        ("0 0 ? * *", r"day of month '\?': expected \* where any will do"),
        ("H H * * *", "minute 'H': expected 0-59"),
        ("@reboot", "names no times: expected one of @yearly"),
        ("@often", "names no times: expected one of @yearly"),
    ],
)
def test_what_is_refused_says_which_field_and_why(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_cron(text)


def test_day_of_month_and_day_of_week_are_alternatives_unless_one_is_open() -> None:
    both = {"expression": "0 12 15 * MON", "tz": "UTC"}
    assert times(both, "2024-01-08T00:00", "2024-01-23T00:00") == [
        "2024-01-08T12:00",
        "2024-01-15T12:00",
        "2024-01-22T12:00",
    ]
    open_day = {"expression": "0 12 */2 * MON", "tz": "UTC"}
    assert times(open_day, "2024-01-01T00:00", "2024-01-23T00:00") == [
        "2024-01-01T12:00",
        "2024-01-15T12:00",
    ]


SPRING = ("2024-03-10T05:00", "2024-03-10T09:00")
AUTUMN = ("2024-11-03T04:00", "2024-11-03T08:00")


@pytest.mark.parametrize(
    ("expression", "policy", "hours"),
    [
        ("30 2 * * *", {}, []),
        ("30 2 * * *", {"on_gap": "skip"}, []),
        ("30 2 * * *", {"on_gap": "after"}, ["07:00"]),
        ("30 2 * * *", {"on_gap": "before"}, ["06:59:59"]),
        ("*/30 2 * * *", {"on_gap": "after"}, ["07:00"]),
        ("0 * * * *", {}, ["05:00", "06:00", "07:00", "08:00"]),
    ],
)
def test_a_time_the_clocks_leap_over(expression, policy, hours) -> None:
    found = times({"expression": expression, "tz": "America/New_York"} | policy, *SPRING)
    assert [time[11:].removesuffix("+00:00") for time in found] == hours


@pytest.mark.parametrize(
    ("expression", "policy", "hours"),
    [
        ("30 1 * * *", {}, ["05:30"]),
        ("30 1 * * *", {"on_fold": "first"}, ["05:30"]),
        ("30 1 * * *", {"on_fold": "second"}, ["06:30"]),
        ("30 1 * * *", {"on_fold": "both"}, ["05:30", "06:30"]),
        ("30 * * * *", {}, ["04:30", "05:30", "06:30", "07:30"]),
        ("30 * * * *", {"on_fold": "first"}, ["04:30", "05:30", "07:30"]),
        ("15,45 1 * * *", {"on_fold": "both"}, ["05:15", "05:45", "06:15", "06:45"]),
    ],
)
def test_a_time_that_comes_twice(expression, policy, hours) -> None:
    found = times({"expression": expression, "tz": "America/New_York"} | policy, *AUTUMN)
    assert [time[11:] for time in found] == hours


def test_a_midnight_is_never_missed_after_the_clocks_went_forward() -> None:
    found = times(
        {"expression": "0 0 * * *", "tz": "America/New_York"},
        "2024-03-09T00:00",
        "2024-03-13T00:00",
    )
    assert found == ["2024-03-09T05:00", "2024-03-10T05:00", "2024-03-11T04:00", "2024-03-12T04:00"]


def test_a_second_pass_is_found_from_the_middle_of_the_first() -> None:
    data = {"expression": "0 * * * *", "tz": "America/New_York"}
    assert times(data, "2024-11-03T05:10", "2024-11-03T06:30") == ["2024-11-03T06:00"]
