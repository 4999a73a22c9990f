"""The folder of calendars: what is found in it, and every mistake with its place."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from callsheet.conf.calendars import BUILT_IN, calendars_folder, calendars_place, load_calendars
from callsheet.conf.check import check_folder
from callsheet.jobs.calendar_days import calendar_of


def a_folder(root: Path, **files: str) -> Path:
    folder = root / "calendars"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def problems(folder: Path) -> list[str]:
    found = load_calendars(folder)
    return [problem.text for problem in found.problems]


def test_lists_and_rules_are_worked_out_whatever_their_order(tmp_path: Path) -> None:
    folder = a_folder(
        tmp_path,
        a__yaml="weekdays: Mon-Fri\nexcept: [z, 2026-12-24]\n",
        z__cal="START 2026-01-01\nSTOP 2027-01-01\n2026-12-25 Christmas\n",
        notes__txt="no calendar",
    )
    found = load_calendars(folder)
    assert found.problems == []
    assert [(days.name, days.source) for days in found.days] == [("a", "a.yaml"), ("z", "z.cal")]
    calendar = found.by_name["a"]
    assert calendar.shift(date(2026, 12, 23), 1) == date(2026, 12, 28)


def test_every_mistake_is_told_as_path_line_column_and_sentence(tmp_path: Path) -> None:
    folder = a_folder(
        tmp_path,
        a__cal="START 2026-01-01\nsoon\n",
        b__yaml="weekdays: Mon\nexcept:\n- Foo\n- 2026-13-01\n",
        c__yaml="weekdays: [Mon\n",
        d__yaml="union: [e]\n",
        e__yaml="union: [d]\n",
        f__yaml="union: [a]\n",
        all__yaml="weekdays: Mon\n",
        g__yaml="weekdays: Mon\n",
        g__cal="2026-01-01\n",
    )
    (folder / "Mon-Fri.cal").write_text("2026-01-01\n")
    found = [text.split(": ", 1) for text in problems(folder)]
    assert found == [
        ["calendars/Mon-Fri.cal:1:1", "calendar Mon-Fri: the name has a meaning of its own"],
        ["calendars/a.cal:2:1", "date 'soon': expected a form like 2024-01-06"],
        ["calendars/all.yaml:1:1", "calendar all: the name has a meaning of its own"],
        ["calendars/b.yaml:3:3", "except[0]: no such calendar: Foo"],
        ["calendars/b.yaml:4:3", "except[1]: date '2026-13-01': month must be in 1..12"],
        found[5],
        ["calendars/d.yaml:1:9", "union[0]: calendar e has mistakes"],
        ["calendars/e.yaml:1:9", "union[0]: calendar d is made of itself: d → e → d"],
        ["calendars/f.yaml:1:9", "union[0]: calendar a has mistakes"],
        ["calendars/g.yaml:1:1", "calendar g: comes twice: expected .cal or .yaml, not both"],
    ]
    assert found[5][0].startswith("calendars/c.yaml:")


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("a.cal", b"\xff", "is not UTF-8"),
        ("a.yaml", b"", "null: expected a mapping"),
        ("a.yaml", b"weekdays: !x Mon", "a.yaml:1:"),
        ("a.yaml", b"union: [b]\n", "no such calendar: b"),
    ],
)
def test_whatever_is_in_a_file_is_a_problem_and_no_traceback(tmp_path, name, raw, words) -> None:
    folder = a_folder(tmp_path)
    (folder / name).write_bytes(raw)
    [problem] = problems(folder)
    assert words in problem


def test_calendars_that_never_meet_are_a_mistake(tmp_path: Path) -> None:
    folder = a_folder(
        tmp_path,
        a__cal="2020-01-01\n",
        b__cal="2021-01-01\n",
        c__yaml="union: [a, b]\n",
    )
    assert problems(folder) == [
        "calendars/c.yaml:1:1: there is no day that all calendars in it know"
    ]


def test_a_folder_that_is_not_there_is_a_problem_when_it_was_named(tmp_path: Path) -> None:
    [problem] = problems(tmp_path / "none")
    assert "folder of calendars cannot be read: No such file" in problem


def test_the_folder_is_that_of_the_settings_or_the_environment_or_beside_the_jobs(tmp_path) -> None:
    jobs = tmp_path / "jobs"
    assert calendars_folder(jobs, None, {}) is None
    assert calendars_place(jobs, None, {}) == tmp_path / "calendars"
    beside = a_folder(tmp_path)
    assert calendars_folder(jobs, None, {}) == beside
    assert calendars_folder(jobs, None, {"ORA_CALENDARS": "/there"}) == Path("/there")
    assert calendars_folder(jobs, "/mine", {"ORA_CALENDARS": "/there"}) == Path("/mine")


# Federal holidays around New Year 2011, and what Apsis's own calendar has there.
BUSINESS_DAYS = [date(2010, 12, 30), date(2011, 1, 3), date(2011, 1, 4)]


def test_what_comes_with_the_package_is_worked_out_when_it_is_named(tmp_path: Path) -> None:
    assert load_calendars(None).days == []
    found = load_calendars(None, ["usa-federal-businessdays", "nobody"]).by_name
    assert set(found) == set(BUILT_IN)
    calendar = found["usa-federal-businessdays"]
    assert [calendar.shift(date(2010, 12, 29), n) for n in (1, 2, 3)] == BUSINESS_DAYS
    assert found["usa-federal-holidays"].contains(date(2010, 12, 24))
    mine = a_folder(tmp_path, **{"usa-federal-holidays__cal": "2024-05-05\n"})
    [days] = load_calendars(mine, ["usa-federal-holidays"]).days
    assert calendar_of(days).days == (date(2024, 5, 5),)


def test_the_source_of_holidays_names_the_version_of_the_package(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, h__yaml="holidays: {market: NYSE}\nyears: 2020-2021\n")
    [days] = load_calendars(folder).days
    assert days.source.startswith("h.yaml, holidays 0.")


@pytest.mark.slow
def test_the_holidays_package_is_loaded_only_when_a_calendar_names_holidays(tmp_path) -> None:
    folder = a_folder(tmp_path, a__yaml="weekdays: Mon\n")
    code = (
        "import sys; from callsheet.conf.calendars import load_calendars;"
        f"load_calendars({str(folder)!r}); print('holidays' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"


def test_a_job_folder_is_checked_by_the_calendars_beside_it(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    schedule = "{type: daily, tz: UTC, daytime: 12:00, calendar: mine}"
    (jobs / "a.yaml").write_text(f"schedule: {schedule}\nprogram: {{type: no-op}}\n")
    [problem] = check_folder(jobs, 0)
    assert problem.text == "a.yaml:1:50: schedule: no such calendar: mine"
    folder = a_folder(tmp_path, mine__yaml="weekdays: Mon\n")
    assert check_folder(jobs, 1_800_000_000_000_000) == []
    (folder / "mine.yaml").write_text("weekdays: Mo\n")
    [problem] = check_folder(jobs, 1_800_000_000_000_000)
    assert problem.text.startswith("calendars/mine.yaml:1:1: weekdays: 'Mo'")
