"""Calendars by rule, worked out to days."""

from __future__ import annotations

import re
from datetime import date

import pytest

from callsheet.jobs.calendar_rules import ORIGIN, Days, Holidays, read_rule
from callsheet.jobs.calendars import NoSuchCalendar
from callsheet.jobs.public_holidays import holiday_dates
from callsheet.jobs.reading import At, Told

SHORT = Days(
    date(2024, 2, 10).toordinal(),
    date(2024, 5, 10).toordinal(),
    1 << (date(2024, 3, 5).toordinal() - ORIGIN),
)


def named(name: str) -> Days:
    if name != "short":
        raise NoSuchCalendar(name)
    return SHORT


def work_out(data, holidays=holiday_dates) -> tuple[Days, list]:
    problems: list = []
    try:
        return read_rule(data, At((), problems), named, holidays), problems
    except Told:
        return Days(0, 0, 0), problems


def days(data, year: int = 2024, month: int | None = None) -> list[str]:
    found, problems = work_out(data)
    assert problems == []
    assert found.start < found.stop
    bits = found.within()
    return [
        day.isoformat()[5:]
        for day in map(
            date.fromordinal, range(date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal())
        )
        if (month is None or day.month == month) and bits >> (day.toordinal() - ORIGIN) & 1
    ]


@pytest.mark.parametrize(
    ("rule", "month", "expected"),
    [
        ("Sat", 2, ["02-03", "02-10", "02-17", "02-24"]),
        ({"weekdays": ["Fri", "saturday"], "except": "Fri"}, 2, "02-03 02-10 02-17 02-24"),
        ({"weekdays": "Sat-Sun", "except": "Sun"}, 2, ["02-03", "02-10", "02-17", "02-24"]),
        ({"weekdays": "Sat", "minus": ["2024-02-10", "2024-02-24"]}, 2, ["02-03", "02-17"]),
        ({"dates": ["2024-02-29", 20_240_201]}, 2, ["02-01", "02-29"]),
        ({"dates": "2024-02-29"}, None, ["02-29"]),
        ({"union": ["2024-02-01", {"dates": "2024-02-03"}]}, 2, ["02-01", "02-03"]),
        (["2024-02-01", "2024-02-03"], 2, ["02-01", "02-03"]),
        ({"intersect": ["Mon", {"nth": {"n": [1, 2, 3, 4, 5, 6, 7], "of": "all"}}]}, 2, ["02-05"]),
        # The third Friday, the last Monday, the first and last working day.
        ({"nth": {"n": 3, "of": "Fri"}}, 2, ["02-16"]),
        ({"nth": {"n": "last", "of": "Mon"}}, 2, ["02-26"]),
        ({"nth": {"n": [1, "last"], "of": "Mon-Fri"}}, 3, ["03-01", "03-29"]),
        ({"nth": {"n": -2, "of": "Mon-Fri"}}, 3, ["03-28"]),
        ({"nth": {"n": 5, "of": "Thu"}}, 2, ["02-29"]),
        ({"nth": {"n": 5, "of": "Fri"}}, 2, []),
        (
            {"nth": {"n": "last", "of": "Mon-Fri", "months": [3, "Jun", "september"]}},
            None,
            ["03-29", "06-28", "09-30"],
        ),
        (
            {"nth": {"n": 1, "of": {"weekdays": "Mon-Fri", "except": "2024-02-01"}}},
            2,
            ["02-02"],
        ),
        ({"holidays": {"market": "NYSE"}}, 7, ["07-04"]),
        ({"holidays": {"country": "DE", "subdiv": "BY"}}, 11, ["11-01"]),
        ({"holidays": {"country": "DE"}}, 11, []),
        ({"calendar": "short"}, None, ["03-05"]),
        ("none", None, []),
    ],
)
def test_a_rule_means_its_days(rule, month, expected) -> None:
    assert days(rule, month=month) == (expected.split() if isinstance(expected, str) else expected)


def test_all_days_are_all_days_of_the_years() -> None:
    found, _ = work_out({"calendar": "all", "years": "2023-2024"})
    assert (found.start, found.stop) == (date(2023, 1, 1).toordinal(), date(2025, 1, 1).toordinal())
    assert found.within().bit_count() == 365 + 366


def test_what_is_made_of_a_calendar_that_ends_ends_with_it() -> None:
    for rule in (
        ["Sat", "short"],
        {"weekdays": "Mon-Fri", "except": "short"},
        {"intersect": ["short", "all"]},
    ):
        found, _ = work_out(rule)
        assert (found.start, found.stop) == (SHORT.start, SHORT.stop)
        assert found.within() == found.bits & (1 << SHORT.stop - ORIGIN) - (
            1 << SHORT.start - ORIGIN
        )


def test_of_months_that_are_not_known_whole_no_nth_day_is_known() -> None:
    found, _ = work_out({"nth": {"n": 1, "of": {"union": ["short", "Mon"]}}})
    assert date.fromordinal(found.start) == date(2024, 3, 1)
    assert date.fromordinal(found.stop) == date(2024, 5, 1)


def test_observed_holidays_may_be_left_out() -> None:
    observed = {"holidays": {"country": "US"}}
    plain = {"holidays": {"country": "US", "observed": False}}
    assert "07-05" in days(observed, 2010)
    assert "07-05" not in days(plain, 2010)


@pytest.mark.parametrize(
    ("rule", "path", "words"),
    [
        ({"weekdays": "Foo"}, ("weekdays",), "'Foo': expected weekdays, like Mon-Fri"),
        ({"union": ["Mon", "nix"]}, ("union",), r"union\[1\]: no such calendar: nix"),
        ({"union": []}, ("union",), "is empty: expected at least one rule"),
        ({"weekdays": "Mon", "dates": []}, (), "has weekdays and dates: expected one of"),
        ({"description": "x"}, (), "names no days: expected one of weekdays"),
        ({"weekdays": "Mon", "exept": "Tue"}, ("exept",), "unexpected keys: exept: did you mean"),
        ({"dates": "2051-01-01"}, ("dates",), "expected one in the calendar's years, 2000 to 2049"),
        ({"dates": "soon"}, ("dates",), "date 'soon'"),
        ({"weekdays": "Mon", "years": "2040-2030"}, ("years",), "expected years like 2015-2040"),
        ({"nth": {"n": 0, "of": "Mon"}}, ("nth", "n"), "0: expected 1 to 31"),
        ({"nth": {"of": "Mon"}}, ("nth",), "missing key: n"),
        ({"nth": {"n": 1, "of": "Mon", "months": 13}}, ("nth", "months"), "13: expected a month"),
        ({"holidays": {"country": "XX"}}, ("holidays",), "unknown country: XX"),
        ({"holidays": {"country": "DE", "subdiv": "ZZ"}}, ("holidays",), "unknown subdiv of DE"),
        ({"holidays": {"market": "NYS"}}, ("holidays",), "unknown market: NYS: .*NYSE"),
        ({"holidays": {}}, ("holidays",), "expected either country or market"),
        ({"holidays": {"market": "NYSE", "subdiv": "x"}}, ("holidays",), "a market has no subdiv"),
    ],
)
def test_a_mistake_in_a_rule_is_told_with_its_place(rule, path, words) -> None:
    _, problems = work_out(rule)
    [(found_path, sentence), *_] = problems
    assert found_path[: len(path)] == path
    assert re.search(words, sentence)


def test_holidays_are_asked_for_only_by_who_names_them() -> None:
    asked = []

    def remember(what: Holidays, years: range) -> list[date]:
        asked.append((what, years))
        return []

    work_out("Mon", remember)
    assert asked == []
    work_out({"holidays": {"market": "NYSE"}, "years": "2020-2021"}, remember)
    assert asked == [(Holidays(None, None, "NYSE", True), range(2020, 2022))]
