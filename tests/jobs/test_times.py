"""Durations, daytimes, dates, times and zones in all forms that are read, and as they are shown."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from callsheet.jobs.errors import UserError
from callsheet.jobs.times import (
    EPOCH,
    FIRST_US,
    LAST_US,
    format_daytime,
    format_duration_s,
    format_time,
    format_time_ms,
    leap_us,
    occurrences,
    parse_date,
    parse_daytime,
    parse_duration,
    parse_time,
    zone,
)

SECOND = 1_000_000
AT_US = 1_704_164_645 * SECOND  # 2024-01-02T03:04:05Z


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (10, 10),
        (0.5, 0.5),
        ("10", 10),
        ("-10", -10),
        ("+1", 1),
        ("1.", 1),
        ("1e3", 1000),
        ("10s", 10),
        ("10 sec", 10),
        ("1 second", 1),
        ("2  seconds", 2),
        ("10m", 600),
        ("10 min", 600),
        ("1 minute", 60),
        ("5minutes", 300),
        ("2h", 7200),
        ("1 hour", 3600),
        ("1.5 hours", 5400),
        ("1d", 86_400),
        ("1 day", 86_400),
        ("3 days", 259_200),
        ("-2m", -120),
        ("1h30m", 5400),
        ("1d12h", 129_600),
    ],
)
def test_a_duration_is_read(given, seconds) -> None:
    assert parse_duration(given) == seconds * SECOND


@pytest.mark.parametrize(
    "given",
    [None, "", "forever", "2 eras", "10 MIN", "10ms", "1 week", "1h 30x", True, [], "1e99", "nan"],
)
def test_what_is_no_duration_is_refused_with_what_was_expected(given) -> None:
    with pytest.raises(UserError, match=r"duration .*: expected seconds, or a form like"):
        parse_duration(given)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("9:30:00", "09:30:00"),
        ("09:30:00", "09:30:00"),
        ("09:30", "09:30:00"),
        ("23:59:59.25", "23:59:59.25"),
        (34_200, "09:30:00"),
        (0, "00:00:00"),
    ],
)
def test_a_daytime_is_read_and_shown(given, shown) -> None:
    assert format_daytime(parse_daytime(given)) == shown


@pytest.mark.parametrize("given", ["24:00:00", "9", "9:60", "09:30:60", 86_400, -1, None, "noon"])
def test_what_is_no_daytime_is_refused(given) -> None:
    with pytest.raises(UserError, match=r"daytime .*: expected a form like 09:30:00 or 09:30"):
        parse_daytime(given)


@pytest.mark.parametrize("given", ["2024-01-06", "20240106", 20_240_106, date(2024, 1, 6)])
def test_a_date_is_read(given) -> None:
    assert parse_date(given) == date(2024, 1, 6)


@pytest.mark.parametrize("given", ["2024-02-30", "06.01.2024", "2024-1-6", 2024, None])
def test_what_is_no_date_is_refused(given) -> None:
    with pytest.raises(UserError, match="date "):
        parse_date(given)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05+00:00"),
        ("2024-01-02T03:04:05+00:00", "2024-01-02T03:04:05+00:00"),
        ("2024-01-01T22:04:05-05:00", "2024-01-02T03:04:05+00:00"),
        ("2024-01-02T08:34:05+05:30", "2024-01-02T03:04:05+00:00"),
        ("20240102T030405Z", "2024-01-02T03:04:05+00:00"),
        ("2024-01-02T03:04:05.123456Z", "2024-01-02T03:04:05.123456+00:00"),
        ("2024-01-02 03:04Z", "2024-01-02T03:04:00+00:00"),
        ("2024-01-03T03:03:05+23:59", "2024-01-02T03:04:05+00:00"),
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), "2024-01-02T03:04:05+00:00"),
    ],
)
def test_a_time_is_read_and_shown_in_utc(given, shown) -> None:
    assert format_time(parse_time(given)) == shown


@pytest.mark.parametrize(
    "given",
    [
        "2024-01-02T03:04:05",
        "2024-13-02T03:04:05Z",
        AT_US,
        None,
        "now",
        datetime.fromisoformat("2024-01-02"),
        "2024-01-02T03:04:05+24:00",
        "2024-01-02T03:04:05-00:60",
        "2024-01-02T03:04:05Z\0",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_a_time_without_a_zone_or_a_number_is_refused(given) -> None:
    with pytest.raises(UserError, match="time "):
        parse_time(given)


def test_durations_and_milliseconds_are_shown_as_apsis_shows_them() -> None:
    assert format_duration_s(3600 * SECOND) == "3600.0"
    assert format_time_ms(AT_US + 5_600) == "2024-01-02T03:04:05.005+00:00"


@pytest.mark.parametrize("name", ["America/New_York", "US/Eastern", "UTC", "EST"])
def test_a_zone_is_known_by_its_iana_name(name: str) -> None:
    assert zone(name).key == name


@pytest.mark.parametrize("name", ["Z", "+01:00", "Mars/Olympus", "", "../etc/passwd"])
def test_a_zone_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="unknown time zone"):
        zone(name)


@pytest.mark.parametrize(
    ("name", "wall", "shown"),
    [
        ("America/New_York", "2024-03-10T01:59", ["2024-03-10T06:59:00+00:00"]),
        ("America/New_York", "2024-03-10T02:30", []),
        ("America/New_York", "2024-03-10T03:00", ["2024-03-10T07:00:00+00:00"]),
        (
            "America/New_York",
            "2024-11-03T01:30",
            ["2024-11-03T05:30:00+00:00", "2024-11-03T06:30:00+00:00"],
        ),
        ("Pacific/Apia", "2011-12-30T12:00", []),
        (
            "Australia/Lord_Howe",
            "2024-04-07T01:45",
            ["2024-04-06T14:45:00+00:00", "2024-04-06T15:15:00+00:00"],
        ),
    ],
)
def test_a_wall_time_comes_once_twice_or_never(name, wall, shown) -> None:
    found = occurrences(datetime.fromisoformat(wall), zone(name))
    assert [format_time(at_us) for at_us in found] == shown


@pytest.mark.parametrize(
    ("name", "wall", "leap"),
    [
        ("America/New_York", "2024-03-10T02:00", "2024-03-10T07:00:00+00:00"),
        ("America/New_York", "2024-03-10T02:59:59.5", "2024-03-10T07:00:00+00:00"),
        ("America/Sao_Paulo", "2018-11-04T00:00", "2018-11-04T03:00:00+00:00"),
        ("Pacific/Apia", "2011-12-30T00:00", "2011-12-30T10:00:00+00:00"),
    ],
)
def test_the_leap_over_a_wall_time_is_found(name, wall, leap) -> None:
    assert format_time(leap_us(datetime.fromisoformat(wall), zone(name))) == leap


INSTANTS = some.integers(FIRST_US, LAST_US)


@given(INSTANTS | some.integers(FIRST_US // SECOND, LAST_US // SECOND).map(lambda s: s * SECOND))
def test_a_time_is_shown_as_the_standard_library_would(at_us):
    assert format_time(at_us) == (EPOCH + timedelta(microseconds=at_us)).isoformat()
