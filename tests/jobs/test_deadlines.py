"""Deadlines: how they are written, to which instants they come, and who has met them."""

from __future__ import annotations

from typing import Any

import pytest

from callsheet.jobs.deadlines import Deadline, Due, due_of, missed_words, open_deadlines
from callsheet.jobs.job import Job
from callsheet.jobs.jso import job_jso
from callsheet.jobs.parse import BadJob, job_from_data, job_to_data
from callsheet.jobs.schedule_types import StopAfter, StopAt
from callsheet.jobs.states import State
from callsheet.jobs.times import parse_time

S = State
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
T0 = 1_800_000_000 * SECOND


def a_job(deadline: Any) -> Job:
    return job_from_data({"program": {"type": "no-op"}, "deadline": deadline}, "a")


FORMS = [
    ({"start_by": "30m"}, Deadline(start_by=StopAfter(duration_us=30 * MINUTE))),
    (
        {"finish_by": "06:00", "tz": "Europe/Berlin"},
        Deadline(finish_by=StopAt(daytime_s=6 * 3600, tz="Europe/Berlin")),
    ),
    (
        {"finish_by": {"daytime": "06:00:00", "tz": "UTC"}},
        Deadline(finish_by=StopAt(daytime_s=6 * 3600, tz="UTC")),
    ),
    ({"finish_by": 90}, Deadline(finish_by=StopAfter(duration_us=90 * SECOND))),
    ({"max_duration": "2h"}, Deadline(max_duration_us=2 * HOUR)),
]


@pytest.mark.parametrize(("data", "deadline"), FORMS)
def test_deadlines_are_read_and_written_without_loss(data, deadline):
    job = a_job(data)
    assert job.deadline == deadline
    assert job_from_data(job_to_data(job), "a") == job
    assert job_jso(job)["deadline"]["str"]


MISTAKES = [
    ({}, "expected at least one of start_by"),
    ({"tz": "UTC"}, "expected at least one of start_by"),
    ({"start_by": 0}, "more than 0"),
    ({"max_duration": "-1h"}, "more than 0"),
    ({"finish_by": "06:00"}, "expected tz beside it"),
    ({"finish_by": "26:00", "tz": "UTC"}, "expected a form like 09:30"),
    ({"finish_by": "06:00", "tz": "Mars/Dome"}, "unknown time zone"),
    ({"finish_by": None}, "expected at least one of"),
    ({"finishby": "1h"}, "did you mean finish_by?"),
    ("1h", "expected a mapping"),
]


@pytest.mark.parametrize(("data", "words"), MISTAKES)
def test_a_mistake_in_deadlines_is_told(data, words):
    with pytest.raises(BadJob) as caught:
        a_job(data)
    assert words in str(caught.value)


def test_a_daytime_is_the_next_one_after_the_schedule_time_across_a_change_of_clocks():
    deadline = Deadline(finish_by=StopAt(daytime_s=6 * 3600, tz="Europe/Berlin"))
    due = due_of(deadline, parse_time("2026-10-24T23:00:00+02:00"))
    assert due == Due(finish_by_us=parse_time("2026-10-25T06:00:00+01:00"))
    due = due_of(deadline, parse_time("2026-10-25T06:00:00+01:00"))
    assert due == Due(finish_by_us=parse_time("2026-10-26T06:00:00+01:00"))


def test_a_job_without_deadlines_has_none():
    assert due_of(None, T0) is None


DUE = Due(start_by_us=T0 + HOUR, finish_by_us=T0 + 3 * HOUR, max_duration_us=HOUR)
ALL = {"start_by", "finish_by"}
OPEN = [
    (S.SCHEDULED, {}, ALL),
    (S.WAITING, {"waiting": T0}, ALL),
    (S.STARTING, {"starting": T0}, ALL),
    (S.ERROR, {"error": T0}, ALL),
    (S.SKIPPED, {"skipped": T0}, ALL),
    (S.RUNNING, {"running": T0 + HOUR}, {"finish_by", "max_duration"}),
    (S.RUNNING, {"running": T0 + HOUR + 1}, {"start_by", "finish_by", "max_duration"}),
    (S.SUCCESS, {"running": T0, "success": T0 + HOUR}, set()),
    (S.FAILURE, {"running": T0, "failure": T0 + HOUR}, set()),
    (S.LOST, {"running": T0, "lost": T0 + HOUR}, {"finish_by"}),
    (S.SUCCESS, {"running": T0, "success": T0 + HOUR + 1}, {"max_duration"}),
    (S.SUCCESS, {"running": T0 + HOUR, "success": T0 + 4 * HOUR}, {"finish_by", "max_duration"}),
]


@pytest.mark.parametrize(("state", "times", "expected"), OPEN)
def test_only_a_run_that_came_in_time_has_met_a_deadline(state, times, expected):
    assert set(open_deadlines(DUE, state, times, frozenset())) == expected


def test_what_is_on_record_as_missed_is_not_open_any_more():
    found = open_deadlines(DUE, S.SCHEDULED, {}, frozenset({"start_by"}))
    assert found == {"finish_by": T0 + 3 * HOUR}


def test_a_missed_deadline_is_a_line_of_the_log():
    assert missed_words("max_duration", T0, DUE) == "deadline missed: max_duration 3600.0 s"
    assert (
        missed_words("start_by", T0, DUE) == "deadline missed: start_by 2027-01-15T08:00:00+00:00"
    )
