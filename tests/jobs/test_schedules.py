"""Schedules: their times, their automatic args, and what they may say besides."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from callsheet.jobs.parse import BadJob, definition_hash, job_from_data, job_to_data
from callsheet.jobs.schedule_words import describe
from callsheet.jobs.schedules import Schedule, fingerprint, fires, next_fire
from callsheet.jobs.times import format_time, parse_time

SECOND = 1_000_000
NY = "America/New_York"


def a_schedule(data: dict[str, Any], job_id: str = "a/job") -> Schedule:
    return job_from_data({"schedule": data, "program": {"type": "no-op"}}, job_id).schedules[0]


def found(data: dict[str, Any], first: str, last: str) -> list[tuple[str, dict[str, str]]]:
    window = fires(a_schedule(data), parse_time(f"{first}Z"), parse_time(f"{last}Z"))
    return [(format_time(fire.at_us).removesuffix("+00:00"), fire.args) for fire in window]


def times(data: dict[str, Any], first: str, last: str) -> list[str]:
    return [time for time, _ in found(data, first, last)]


# --- types --------------------------------------------------------------------------------------


def test_an_interval_counts_from_the_epoch_in_utc() -> None:
    data = {"type": "interval", "interval": "1h", "phase": "10m"}
    [(time, args), *more] = found(data, "2020-11-05T22:11:00", "2020-11-06T01:00:00")
    assert time == "2020-11-05T23:10:00"
    assert args == {
        "time": "2020-11-05T23:10:00+00:00",
        "schedule_time": "2020-11-05T23:10:00+00:00",
        "date": "2020-11-05",
        "daytime": "23:10:00",
    }
    assert [time for time, _ in more] == ["2020-11-06T00:10:00"]


def test_a_window_is_half_open() -> None:
    data = {"type": "interval", "interval": "1h"}
    assert times(data, "2024-01-01T01:00:00", "2024-01-01T03:00:00") == [
        "2024-01-01T01:00:00",
        "2024-01-01T02:00:00",
    ]


def test_a_daily_schedule_has_sorted_daytimes_on_the_days_of_its_calendar() -> None:
    data = {"type": "daily", "tz": NY, "daytime": ["16:00:00", "9:30:00"], "calendar": "Mon-Fri"}
    [(first, args), *more] = found(data, "2024-01-05T00:00:00", "2024-01-08T23:00:00")
    assert [first, *[time for time, _ in more]] == [
        "2024-01-05T14:30:00",
        "2024-01-05T21:00:00",
        "2024-01-08T14:30:00",
        "2024-01-08T21:00:00",
    ]
    assert args == {
        "time": "2024-01-05T14:30:00+00:00",
        "schedule_time": "2024-01-05T14:30:00+00:00",
        "date": "2024-01-05",
        "daytime": "09:30:00",
        "calendar": "Mon-Fri",
        "tz": NY,
    }


def test_the_default_calendar_is_shown_as_all_days() -> None:
    [(_, args)] = found(
        {"type": "daily", "tz": "UTC", "daytime": "12:00"}, "2024-01-01T00:00", "2024-01-02T00:00"
    )
    assert args["calendar"] == "all days"


def test_a_date_shift_moves_the_run_and_not_its_date() -> None:
    data = {"type": "daily", "tz": "UTC", "daytime": "20:00", "calendar": "Mon", "date_shift": -1}
    [(time, args)] = found(data, "2020-11-07T00:00", "2020-11-12T00:00")
    assert (time, args["date"]) == ("2020-11-08T20:00:00", "2020-11-09")


def test_the_calendar_shift_comes_before_the_date_shift() -> None:
    data = {"type": "daily", "tz": "UTC", "daytime": "20:00", "calendar": "Mon-Fri"}
    shifted = found(
        data | {"cal_shift": 1, "date_shift": -1}, "2020-11-02T00:00", "2020-11-10T00:00"
    )
    assert [(time[:10], args["date"]) for time, args in shifted] == [
        ("2020-11-02", "2020-11-02"),
        ("2020-11-03", "2020-11-03"),
        ("2020-11-04", "2020-11-04"),
        ("2020-11-05", "2020-11-05"),
        ("2020-11-08", "2020-11-06"),
        ("2020-11-09", "2020-11-09"),
    ]


def test_a_daily_interval_steps_from_start_to_before_stop() -> None:
    data = {
        "type": "daily-interval",
        "tz": NY,
        "start": "09:30",
        "stop": "11:00",
        "interval": "30m",
    }
    window = found(data, "2024-01-05T00:00", "2024-01-06T00:00")
    assert [time[11:16] for time, _ in window] == ["14:30", "15:00", "15:30"]
    assert window[0][1] == {
        "time": "2024-01-05T14:30:00+00:00",
        "schedule_time": "2024-01-05T14:30:00+00:00",
        "date": "2024-01-05",
        "sched_date": "2024-01-05",
        "daytime": "09:30:00",
        "calendar": "all days",
        "tz": NY,
    }


def test_a_daily_interval_over_midnight_needs_a_shift_and_keeps_its_nominal_date() -> None:
    data = {"type": "daily-interval", "tz": "UTC", "start": "23:00", "interval": "1h"}
    over = data | {"stop": {"daytime": "02:00", "date_shift": 1}, "calendar": "Fri"}
    window = found(over, "2024-01-06T00:30", "2024-01-07T00:00")
    assert [(time[11:16], args["date"], args["sched_date"]) for time, args in window] == [
        ("01:00", "2024-01-05", "2024-01-06")
    ]
    assert times(data | {"stop": "02:00"}, "2024-01-06T00:00", "2024-01-08T00:00") == []


def test_explicit_times_are_sorted_and_come_once() -> None:
    data = {
        "type": "explicit",
        "times": ["2030-01-01T00:00:00Z", "2029-01-01T12:00:00+01:00", "2030-01-01T00:00:00Z"],
    }
    window = found(data, "2024-01-01T00:00", "2040-01-01T00:00")
    assert window == [
        (
            time,
            {"time": f"{time}+00:00", "schedule_time": f"{time}+00:00"},
        )
        for time in ("2029-01-01T11:00:00", "2030-01-01T00:00:00")
    ]


def test_args_override_all_automatic_ones_but_the_schedule_time() -> None:
    mine = {"time": "t", "date": "d", "schedule_time": "s", "color": 1}
    data = {"type": "interval", "interval": "1d", "args": mine}
    [(_, args)] = found(data, "2024-01-01T00:00", "2024-01-02T00:00")
    assert args == {
        "time": "t",
        "date": "d",
        "daytime": "00:00:00",
        "color": "1",
        "schedule_time": "2024-01-01T00:00:00+00:00",
    }


# --- stops --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "stop", "stopped"),
    [
        ("2024-01-05T10:00:00Z", {"type": "duration", "duration": "10m"}, "2024-01-05T10:10:00"),
        (
            "2024-01-05T10:00:00Z",
            {"type": "daytime", "daytime": "12:00", "tz": "UTC"},
            "2024-01-05T12:00:00",
        ),
        (
            "2024-01-05T12:00:00Z",
            {"type": "daytime", "daytime": "12:00", "tz": "UTC"},
            "2024-01-06T12:00:00",
        ),
        # Leapt over: at the leap. Twice: the next one that comes.
        (
            "2024-03-10T05:00:00Z",
            {"type": "daytime", "daytime": "02:30", "tz": NY},
            "2024-03-10T07:00:00",
        ),
        (
            "2024-11-03T04:00:00Z",
            {"type": "daytime", "daytime": "01:30", "tz": NY},
            "2024-11-03T05:30:00",
        ),
        (
            "2024-11-03T05:45:00Z",
            {"type": "daytime", "daytime": "01:30", "tz": NY},
            "2024-11-03T06:30:00",
        ),
    ],
)
def test_a_run_has_its_stop_time(start, stop, stopped) -> None:
    schedule = a_schedule({"start": {"type": "explicit", "times": start}, "stop": stop})
    fire = next_fire(schedule, 0, limit_us=2**60)
    assert fire is not None
    assert format_time(fire.stop_us) == f"{stopped}+00:00"


# --- clocks that change -------------------------------------------------------------------------

SPRING = ("2024-03-10T00:00", "2024-03-11T00:00")
AUTUMN = ("2024-11-03T00:00", "2024-11-04T00:00")


@pytest.mark.parametrize(
    ("window", "policy", "hours"),
    [
        (SPRING, {}, ["06:30:00", "07:30:00"]),
        (SPRING, {"on_gap": "skip"}, ["06:30:00", "07:30:00"]),
        (SPRING, {"on_gap": "before"}, ["06:30:00", "06:59:59", "07:30:00"]),
        (SPRING, {"on_gap": "after"}, ["06:30:00", "07:00:00", "07:30:00"]),
        (AUTUMN, {}, ["05:30:00", "07:30:00", "08:30:00"]),
        (AUTUMN, {"on_fold": "first"}, ["05:30:00", "07:30:00", "08:30:00"]),
        (AUTUMN, {"on_fold": "second"}, ["06:30:00", "07:30:00", "08:30:00"]),
        (AUTUMN, {"on_fold": "both"}, ["05:30:00", "06:30:00", "07:30:00", "08:30:00"]),
    ],
)
def test_daily_times_around_a_change_of_the_clocks(window, policy, hours) -> None:
    data = {"type": "daily", "tz": NY, "daytime": ["01:30", "02:30", "03:30"]} | policy
    assert [time[11:] for time in times(data, *window)] == hours


@pytest.mark.parametrize(
    ("window", "start", "stop", "policy", "hours"),
    [
        # Physical steps: the labels leap from 01:30 to 03:30.
        (SPRING, "00:30", "05:00", {}, ["05:30", "06:30", "07:30", "08:30"]),
        (SPRING, "02:30", "05:00", {}, []),
        (SPRING, "00:30", "02:30", {}, []),
        (SPRING, "02:30", "05:00", {"on_gap": "after"}, ["07:00", "08:00"]),
        (SPRING, "00:30", "02:30", {"on_gap": "before"}, ["05:30", "06:30"]),
        (AUTUMN, "01:30", "03:30", {}, ["05:30", "06:30", "07:30"]),
        (AUTUMN, "01:30", "03:30", {"on_fold": "second"}, ["06:30", "07:30"]),
        (AUTUMN, "00:30", "01:30", {}, ["04:30"]),
        (AUTUMN, "00:30", "01:30", {"on_fold": "both"}, ["04:30", "05:30"]),
    ],
)
def test_daily_intervals_around_a_change_of_the_clocks(window, start, stop, policy, hours) -> None:
    data = {"type": "daily-interval", "tz": NY, "start": start, "stop": stop, "interval": "1h"}
    assert [time[11:16] for time in times(data | policy, *window)] == hours


def test_repeated_labels_differ_by_their_time() -> None:
    data = {"type": "daily-interval", "tz": NY, "start": "01:30", "stop": "02:00", "interval": "1h"}
    labels = [(args["daytime"], args["time"][11:16]) for _, args in found(data, *AUTUMN)]
    assert labels == [("01:30:00", "05:30"), ("01:30:00", "06:30")]


def test_a_time_moved_out_of_a_gap_gives_way_to_one_at_home() -> None:
    data = {"type": "daily", "tz": NY, "daytime": ["02:30", "03:00"], "on_gap": "after"}
    [(time, args)] = found(data, *SPRING)
    assert (time[11:], args["daytime"]) == ("07:00:00", "03:00:00")


def test_the_day_that_samoa_left_out_has_no_runs_unless_they_are_moved() -> None:
    data = {"type": "daily", "tz": "Pacific/Apia", "daytime": "12:00"}
    window = ("2011-12-29T00:00", "2012-01-01T00:00")
    dates = [args["date"] for _, args in found(data, *window)]
    assert dates == ["2011-12-29", "2011-12-31", "2012-01-01"]
    moved = [(time, args["date"]) for time, args in found(data | {"on_gap": "after"}, *window)]
    assert ("2011-12-30T10:00:00", "2011-12-30") in moved


# --- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dates"),
    [
        (
            {"type": "daily", "tz": NY, "daytime": "23:30"},
            ["2024-01-03T04:30:00", "2024-01-04T04:30:00"],
        ),
        (
            {"type": "cron", "tz": NY, "expression": "30 23 * * *"},
            ["2024-01-03T04:30:00", "2024-01-04T04:30:00"],
        ),
        (
            {"type": "interval", "interval": "12h"},
            [f"2024-01-0{day}T{hour}:00:00" for day in (2, 3) for hour in ("00", "12")],
        ),
        (
            {"type": "interval", "interval": "12h", "tz": NY},
            [
                "2024-01-02T12:00:00",
                "2024-01-03T00:00:00",
                "2024-01-03T12:00:00",
                "2024-01-04T00:00:00",
            ],
        ),
        (
            {
                "type": "explicit",
                "times": [f"2024-01-0{n}T03:00:00Z" for n in range(1, 7)],
                "tz": NY,
            },
            ["2024-01-03T03:00:00", "2024-01-04T03:00:00"],
        ),
    ],
)
def test_the_first_and_last_dates_are_local_and_both_included(data, dates) -> None:
    data |= {"start_date": "2024-01-02", "end_date": "2024-01-03"}
    assert times(data, "2023-06-01T00:00", "2025-01-01T00:00") == dates


def test_a_schedule_that_begins_in_years_is_found_and_one_that_is_over_is_not() -> None:
    data = {"type": "interval", "interval": "1s", "start_date": "2029-01-01"}
    fire = next_fire(a_schedule(data), parse_time("2024-01-01T00:00Z"))
    assert fire is not None
    assert format_time(fire.at_us) == "2029-01-01T00:00:00+00:00"
    over = {"type": "interval", "interval": "1s", "end_date": "2023-01-01"}
    assert next_fire(a_schedule(over), parse_time("2024-01-01T00:00Z")) is None


JITTERED = [
    {"type": "interval", "interval": "1m", "jitter": "10m"},
    {"type": "daily", "tz": NY, "daytime": ["09:00", "09:01", "17:00"], "jitter": "30m"},
    {"type": "cron", "tz": NY, "expression": "*/7 * * * *", "jitter": "90s"},
]


@pytest.mark.parametrize("data", JITTERED)
def test_jitter_puts_off_by_less_than_itself_and_keeps_order_and_args(data) -> None:
    window = (parse_time("2024-01-05T00:00Z"), parse_time("2024-01-08T00:00Z"))
    plain = list(fires(a_schedule({k: v for k, v in data.items() if k != "jitter"}), *window))
    schedule = a_schedule(data)
    moved = list(fires(schedule, window[0], window[1] + 3600 * SECOND))[: len(plain)]
    assert [fire.args for fire in moved[:-1]] == [fire.args for fire in plain[:-1]]
    assert all(a.at_us < b.at_us for a, b in pairwise(moved))
    late_s = [(a.at_us - b.at_us) / SECOND for a, b in zip(moved, plain, strict=True)]
    assert all(0 <= late < schedule.options.jitter_us / SECOND for late in late_s)
    assert any(late_s)
    assert all(late == int(late) for late in late_s)


@pytest.mark.parametrize("data", JITTERED)
def test_jitter_is_the_same_whenever_it_is_computed_and_for_whatever_range(data) -> None:
    schedule = a_schedule(data)
    first, last = parse_time("2024-01-05T00:00Z"), parse_time("2024-01-06T00:00Z")
    whole = list(fires(schedule, first, last))
    for cut in range(first, last, 7_777 * SECOND):
        assert [*fires(schedule, first, cut), *fires(schedule, cut, last)] == whole


def test_jitter_differs_from_job_to_job() -> None:
    data = {"type": "daily", "tz": "UTC", "daytime": "00:00", "jitter": "1h"}
    at = {next_fire(a_schedule(data, f"job {n}"), 0).at_us for n in range(50)}
    assert len(at) > 40


def test_computed_times_are_whole_seconds() -> None:
    start_us = parse_time("2024-01-05T00:00:00.4Z")
    for data in (
        {"type": "interval", "interval": 0.5, "phase": 0.25},
        {"type": "interval", "interval": "1.5 s"},
        {"type": "daily", "tz": "UTC", "daytime": "00:00:07.75"},
        {"type": "daily-interval", "tz": "UTC", "start": "0:00", "stop": "1:00", "interval": 0.7},
    ):
        at = [f.at_us for f in fires(a_schedule(data), start_us, start_us + 20 * SECOND)]
        assert at
        assert all(at_us % SECOND == 0 and at_us >= start_us for at_us in at)
        assert all(a < b for a, b in pairwise(at))


def test_given_times_stay_as_they_are_given() -> None:
    data = {"type": "explicit", "times": "2030-01-01T00:00:00.5Z"}
    assert times(data, "2029-01-01T00:00", "2031-01-01T00:00") == ["2030-01-01T00:00:00.500000"]


OPTIONS = {
    "start_date": "2024-01-02",
    "end_date": "2024-12-31",
    "jitter": 30.0,
    "on_gap": "after",
    "on_fold": "both",
    "misfire_after": 5.0,
    "catch_up": "last",
    "max_age": 7200.0,
}


def test_options_are_written_back_as_they_were_read() -> None:
    data = {"type": "daily", "tz": NY, "daytime": "09:30"} | OPTIONS
    job = job_from_data({"schedule": data, "program": {"type": "no-op"}}, "a")
    written = job_to_data(job)
    assert {name: written["schedule"][0][name] for name in OPTIONS} == OPTIONS
    assert job_from_data(written, "a") == job
    assert describe(job.schedules[0]) == (
        "all days at 09:30:00 America/New_York, from 2024-01-02, until 2024-12-31, "
        "up to 30.0 s later"
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"start_date": "2024-13-01"}, "start_date: date"),
        (
            {"start_date": "2024-02-01", "end_date": "2024-01-31"},
            r"end_date: 2024-01-31: expected 2024-02-01 \(start_date\) or later",
        ),
        ({"jitter": "0.5 s"}, "jitter: .*expected from 1 s to a day"),
        ({"jitter": "2d"}, "jitter: .*expected from 1 s to a day"),
        ({"on_gap": "shift"}, "on_gap: 'shift': expected one of skip, before, after"),
        ({"on_fold": ["both"]}, "on_fold: a list: expected one of first, second, both"),
        ({"misfire_after": 0}, "misfire_after: .*expected at least 1 s"),
        ({"catch_up": "some"}, "catch_up: 'some': expected one of all, last, none"),
        ({"max_age": 0}, "max_age: "),
        ({"type": "interval", "interval": 60, "on_gap": "skip"}, "unexpected keys: on_gap"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_its_place(data, words) -> None:
    base = {} if "type" in data else {"type": "daily", "tz": "UTC", "daytime": "09:30"}
    with pytest.raises(BadJob, match=words):
        a_schedule(base | data)


# Of schedules without options, as they have always been: a change of these plans all anew.
FINGERPRINTS = {
    "cd1dde49e60d61b5c8b95cde": {
        "type": "interval",
        "interval": "1h",
        "phase": 60,
        "args": {"b": "1", "a": "2"},
    },
    "f25991a7f2afadd64b5d2932": {
        "type": "daily",
        "tz": NY,
        "daytime": ["09:30:00", "16:00"],
        "calendar": "Mon-Fri",
        "cal_shift": 1,
        "date_shift": -1,
        "args": {"color": "red"},
    },
    "9a803b45e24f4ba16d27247f": {
        "type": "daily-interval",
        "tz": "Europe/Berlin",
        "start": "09:00:00",
        "stop": {"daytime": "03:00:00", "date_shift": 1},
        "interval": "30m",
        "enabled": False,
    },
    "879c705a6617a00972a50a0e": {"type": "explicit", "times": ["2030-01-01T00:00:00Z"]},
}


@pytest.mark.parametrize("print_", FINGERPRINTS)
def test_a_schedule_without_options_keeps_its_fingerprint(print_: str) -> None:
    data = FINGERPRINTS[print_]
    assert fingerprint(a_schedule(data)) == print_
    assert fingerprint(a_schedule(data | {"catch_up": "none"})) != print_


def test_a_definition_without_options_keeps_its_hash() -> None:
    data = FINGERPRINTS["cd1dde49e60d61b5c8b95cde"]
    job = job_from_data({"schedule": data, "program": {"type": "no-op"}}, "j")
    assert definition_hash(job) == "99a02122de271f45019306e4240b6af9"
