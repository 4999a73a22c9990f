"""The tests of the example extension, by the conformance kit: what an author's own would be."""

import json
from datetime import UTC, date, datetime

import pytest
from office_types import FreeSpace, Journal, Monthly, QuarterEnds, Rsync, fiscal_quarter

from callsheet.actors.extension_kit import (
    check_action,
    check_calendar,
    check_condition,
    check_program,
    check_schedule,
    refusal,
)

THIRD_FRIDAYS = {"day": "3rd fri", "daytime": "18:30:00", "tz": "Europe/Zurich"}


def us(*parts):
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.slow
def test_third_fridays_come_at_the_local_time():
    times = check_schedule(Monthly, THIRD_FRIDAYS)
    assert times[:3] == [us(2024, 1, 19, 17, 30), us(2024, 2, 16, 17, 30), us(2024, 3, 15, 17, 30)]
    assert us(2024, 4, 19, 16, 30) in times
    assert len(times) == 72


@pytest.mark.slow
@pytest.mark.parametrize("daytime", ["00:00:00", "01:30:00", "02:00:00", "02:30:00", "03:00:00"])
def test_no_change_of_the_clocks_loses_or_repeats_a_day(daytime):
    data = {"day": "last sun", "daytime": daytime, "tz": "Europe/Zurich"}
    assert len(check_schedule(Monthly, data)) == 72


def test_what_is_wrong_with_a_schedule_is_said_in_a_sentence():
    said = refusal("schedule", Monthly, THIRD_FRIDAYS | {"day": "9th fri"})
    assert "9th fri" in said
    said = refusal("schedule", Monthly, THIRD_FRIDAYS | {"daytime": "noon"})
    assert "schedule.daytime: 'noon': invalid RFC3339" in said
    assert "missing key: day" in refusal("schedule", Monthly, {"tz": "UTC"})


@pytest.mark.slow
def test_free_space_is_found_or_not():
    assert check_condition(FreeSpace, {"path": "/", "at_least_gb": 0}).met
    found = check_condition(FreeSpace, {"path": "/", "at_least_gb": 1e9})
    assert (found.met, found.reason) == (False, "/ has less than 1e+09 GB free")
    with pytest.raises(AssertionError, match="FileNotFoundError"):
        check_condition(FreeSpace, {"path": "/no/such/folder", "at_least_gb": 1})


@pytest.mark.slow
def test_a_line_is_written_once_however_often_it_is_tried(tmp_path):
    path = tmp_path / "journal"
    data = {"path": str(path), "text": "done"}
    assert check_action(Journal, data) == f"wrote to {path}"
    assert check_action(Journal, data) == f"was in {path} already"
    [line] = path.read_text().splitlines()
    assert json.loads(line)["text"] == "done"
    with pytest.raises(AssertionError, match="is a folder"):
        check_action(Journal, {"path": str(tmp_path), "text": "done"})


def test_a_copy_becomes_a_process():
    data = {"source": "/a/", "target": "/b/{{ who }}/", "exclude": ["*.tmp"], "cwd": "/srv"}
    bound = check_program(Rsync, data, {"who": "me"})
    assert bound.argv == ("rsync", "--archive", "--exclude=*.tmp", "--", "/a/", "/b/me/")
    assert (bound.cwd, bound.env) == ("/srv", {"LC_ALL": "C"})


def test_quarters_end_on_weekdays():
    days = check_calendar(QuarterEnds).days
    assert [day for day in days if day.year == 2024] == [
        date(2024, 3, 29),
        date(2024, 6, 28),
        date(2024, 9, 30),
        date(2024, 12, 31),
    ]


def test_a_day_has_a_quarter():
    assert fiscal_quarter("2024-09-30") == "2024Q3"
