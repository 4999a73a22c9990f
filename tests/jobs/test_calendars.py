"""Calendars: names, files of days, and what they answer."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from callsheet.jobs.calendar_days import CalendarDays, calendar_of, calendars_by_name, days_of
from callsheet.jobs.calendars import (
    BadCalendarFile,
    BeyondCalendar,
    NoSuchCalendar,
    find_calendar,
    parse_cal,
    parse_weekdays,
)
from callsheet.jobs.job import Job
from callsheet.jobs.named_calendars import (
    ANY,
    calendars_of,
    in_templates,
    named_calendars,
)
from callsheet.jobs.programs import Shell
from callsheet.jobs.schedules import Daily, fingerprint, fires

SATURDAY = date(2024, 1, 6)
DAY_US = 86_400_000_000


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("Mon", "0"),
        ("Mon,Wed,Fri", "024"),
        ("Mon-Fri", "01234"),
        ("Sat-Mon", "560"),
        ("Mon-Wed,Fri", "0124"),
        ("Monday", "0"),
        ("monday - friday", "01234"),
        ("Mon, Wed", "02"),
        ("SAT ,sun", "56"),
        ("Mon-Mon", "0"),
    ],
)
def test_weekdays_are_read_in_any_case_with_blanks_and_full_names(text: str, days: str) -> None:
    assert parse_weekdays(text) == frozenset(map(int, days))


@pytest.mark.parametrize("text", ["MWF", "", "Mo", "Mon-", "Mon--Fri", "Mon-Wed-Fri", "Mon,", "x"])
def test_what_is_no_weekday_expression_is_none(text: str) -> None:
    assert parse_weekdays(text) is None


def test_names_are_looked_up_in_order() -> None:
    mine = calendars_by_name([days_of(parse_cal("Mon", "2024-01-02")), a_calendar("mine")])
    assert find_calendar("all").name == "all days"
    assert find_calendar("none").name == "no days"
    assert find_calendar("Mon", mine).contains(date(2024, 1, 1))
    assert find_calendar("mine", mine).name == "mine"
    with pytest.raises(NoSuchCalendar, match="no such calendar: MWF"):
        find_calendar("MWF", mine)


def a_calendar(name: str) -> CalendarDays:
    text = "START 2024-01-01\nSTOP 2024-02-01\n2024-01-06  a Saturday\n\n2024-01-20 another\n"
    return days_of(parse_cal(name, text), f"{name}.cal")


def test_before_and_after_include_the_day_itself_and_shift_does_not() -> None:
    for calendar in (find_calendar("Sat"), calendar_of(a_calendar("c"))):
        assert calendar.before(SATURDAY) == calendar.after(SATURDAY) == SATURDAY
        assert calendar.after(SATURDAY + timedelta(1)) > SATURDAY
        assert calendar.shift(SATURDAY, 0) == SATURDAY
        assert calendar.shift(date(2024, 1, 3), 0) == date(2024, 1, 3)
        assert calendar.shift(date(2024, 1, 3), 1) == SATURDAY
        assert calendar.shift(date(2024, 1, 10), -1) == SATURDAY
        assert calendar.shift(SATURDAY, 1) > SATURDAY


def test_outside_its_range_a_calendar_of_a_file_knows_nothing() -> None:
    calendar = calendar_of(a_calendar("c"))
    assert not calendar.contains(date(2024, 1, 31))
    for ask in (
        lambda: calendar.contains(date(2024, 2, 1)),
        lambda: calendar.before(date(2023, 12, 31)),
        lambda: calendar.after(date(2024, 1, 21)),
        lambda: calendar.shift(SATURDAY, -1),
    ):
        with pytest.raises(BeyondCalendar, match=r"calendar c: .*: expected a date within"):
            ask()


def test_a_calendar_without_days_ends_a_search() -> None:
    with pytest.raises(BeyondCalendar):
        find_calendar("none").after(SATURDAY)
    with pytest.raises(BeyondCalendar):
        find_calendar("all").shift(date.max, 1)


def test_a_file_without_its_ends_has_those_of_its_days() -> None:
    calendar = parse_cal("c", "# days\n20240120\n2024-01-06\n2024-01-06\n")
    assert (calendar.start, calendar.stop) == (SATURDAY, date(2024, 1, 21))
    assert calendar.days == (SATURDAY, date(2024, 1, 20))
    assert parse_cal("c", "").days == ()


def test_every_mistake_of_a_file_is_told_with_its_line() -> None:
    text = "START 2024-01-01\nSTOP\n  soon\nSTART 2025-01-01\n2023-05-05\n"
    with pytest.raises(BadCalendarFile) as caught:
        parse_cal("c", text)
    assert [problem[:2] for problem in caught.value.problems] == [(2, 1), (3, 3), (4, 1), (5, 1)]
    assert str(caught.value).startswith("line 2: STOP has no date: expected a form like STOP 2024")


def test_a_calendar_as_data_is_the_same_calendar_again() -> None:
    calendar = parse_cal("c", "START 2024-01-01\nSTOP 2034-01-01\n2024-01-01\n2033-12-31\n")
    days = days_of(calendar, "c.cal")
    again = calendar_of(days)
    assert (again.start, again.stop, again.days) == (calendar.start, calendar.stop, calendar.days)
    assert days_of(again, "c.cal") == days
    assert calendar_of(days_of(parse_cal("e", ""))).days == ()


def test_a_fingerprint_is_of_the_days_and_not_of_the_name_alone() -> None:
    schedule = Daily(tz="UTC", daytimes_s=(0.0,), calendar="c")
    one, same = (calendars_by_name([a_calendar("c")]) for _ in range(2))
    other = calendars_by_name([days_of(parse_cal("c", "2024-01-06"))])
    assert fingerprint(schedule, one) == fingerprint(schedule, same)
    assert len({fingerprint(schedule, found) for found in (one, other, {})}) == 3


def test_a_calendar_that_ends_ends_its_schedule() -> None:
    known = calendars_by_name([a_calendar("c")])
    from_us = 1_704_067_200_000_000  # 2024-01-01
    for shifts, days in (
        ({}, ["2024-01-06", "2024-01-20"]),
        ({"cal_shift": 1}, ["2024-01-06"]),
        ({"cal_shift": -1}, ["2024-01-20"]),
        ({"date_shift": 40}, ["2024-01-06", "2024-01-20"]),
    ):
        schedule = Daily(tz="UTC", daytimes_s=(0.0,), calendar="c", **shifts)
        found = fires(schedule, from_us - 400 * DAY_US, from_us + 400 * DAY_US, known)
        assert [fire.args["date"] for fire in found] == days
        assert list(fires(schedule, from_us + 100 * DAY_US, from_us + 900 * DAY_US, known)) == []


def test_a_job_says_which_calendars_it_uses() -> None:
    def a_job(command: str) -> Job:
        schedule = Daily(tz="UTC", daytimes_s=(0.0,), calendar="mine")
        return Job(job_id="a", program=Shell(command=command), schedules=(schedule,))

    assert calendars_of(a_job("true")) == {"mine"}
    named = a_job("{{ get_calendar('x').after(date) }} {{ get_calendar( \"y\" ).before(date) }}")
    assert calendars_of(named) == {"mine", "x", "y"}
    assert calendars_of(a_job("{{ get_calendar(cal).after(date) }}")) == {"mine", ANY}
    known = ["mine", "x", "z"]
    assert named_calendars([a_job("true"), named], known) == {"mine", "x"}
    assert named_calendars([a_job("{{ get_calendar(cal) }}")], known) == set(known)
    assert in_templates(named)
    assert not in_templates(a_job("true"))
