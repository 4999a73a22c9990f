"""Schedules held against runs: quiet jobs are passed over, and nothing is passed over for it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from store_records import T0_US, a_run, a_schedule

from callsheet.actors import check_plans
from callsheet.actors.check_plans import Plans
from callsheet.jobs.calendar_days import CalendarDays
from callsheet.jobs.job import Job
from callsheet.jobs.programs import NoOp
from callsheet.jobs.schedules import Interval, fingerprint
from callsheet.jobs.times import SECOND_US
from callsheet.messages.codec import encode
from callsheet.messages.instructions import StoredDefinition
from callsheet.store.interface import Changes
from callsheet.store.memory import MemoryDisk, MemoryReader, MemoryWriter

MINUTE_US = 60 * SECOND_US
HOURLY = Interval(interval_us=60 * MINUTE_US)
MARK = fingerprint(HOURLY)
# Twenty minutes after an hour.
NOW_US = T0_US // (60 * MINUTE_US) * 60 * MINUTE_US + 20 * MINUTE_US


class CountingReader(MemoryReader):
    """Counts how often a job was looked at."""

    looks = 0

    def schedule_history(self, job_id: str) -> Any:
        self.looks += 1
        return super().schedule_history(job_id)


class Hourly:
    """A job of each hour in a store; `find` looks at it and returns (check, minutes from now)."""

    def __init__(self) -> None:
        disk = MemoryDisk(T0_US)
        self.writer, self.reader = MemoryWriter(disk), CountingReader(disk)
        self.writer.open(NOW_US)
        self.plans = Plans([])
        job = Job(job_id="a", params=(), schedules=(HOURLY,), program=NoOp())
        self.row = a_schedule(
            fingerprint=MARK,
            spec=msgspec.to_builtins(HOURLY),
            valid_from_us=NOW_US - 600 * MINUTE_US,
            written_upto_us=NOW_US + 600 * MINUTE_US,
        )
        definition = StoredDefinition(hash="d", job_id="a", body=encode(job))
        self.write(definitions=[definition], jobs={"a": "d"}, schedules=[self.row])

    def write(self, **changes: Any) -> None:
        self.writer.commit(Changes(**changes))

    def find(self, minutes: float) -> list[tuple[str, float]]:
        now_us = NOW_US + int(minutes * MINUTE_US)
        found = self.plans.look(self.reader, now_us)
        return [(one.check, (one.evidence["at_us"] - NOW_US) / MINUTE_US) for one in found]

    def rests(self) -> None:
        """Look until it is quiet."""
        assert self.find(0) == []
        assert self.find(1) == []
        self.reader.looks = 0


@pytest.fixture
def hourly() -> Hourly:
    found = Hourly()
    found.rests()
    return found


def test_of_many_jobs_some_are_looked_at_for_the_first_time_in_a_round_back_to_the_begin(
    hourly: Hourly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of them after so long that it lies before what others are looked back."""
    monkeypatch.setattr(check_plans, "FIRST_A_ROUND", 1)
    rounds = 60
    ids = [f"b{n:02}" for n in range(rounds)]
    rows = [replace(hourly.row, job_id=job_id) for job_id in ids]
    hourly.write(jobs=dict.fromkeys(["a", *ids], "d"), schedules=rows)
    due_us = NOW_US + 40 * MINUTE_US
    a = a_run(fingerprint=MARK, schedule_us=due_us)
    hourly.write(runs={"r1": a})
    found = [hourly.find(2 + minute) for minute in range(rounds)]
    # One in each round, and again each in which the time of all is missing.
    assert hourly.reader.looks >= rounds
    for missing in found:
        late = [at for check, at in missing if check == "missing"]
        assert late == [40] * len(late)
    assert len(found[-1]) == rounds


def test_a_quiet_job_is_passed_over(hourly: Hourly) -> None:
    for minute in range(2, 40):
        assert hourly.find(minute) == []
    assert hourly.reader.looks == 0


def test_a_time_without_its_run_is_found_though_the_job_was_quiet(hourly: Hourly) -> None:
    for minute in range(2, 40):
        hourly.find(minute)
    assert hourly.find(42) == [("missing", 40)]
    run = a_run(fingerprint=MARK, schedule_us=NOW_US + 40 * MINUTE_US)
    hourly.write(runs={"r1": run})
    assert hourly.find(43) == []


def test_a_run_that_no_schedule_names_is_found_though_the_job_was_quiet(hourly: Hourly) -> None:
    run = a_run(fingerprint=MARK, schedule_us=NOW_US + 2 * MINUTE_US)
    hourly.write(runs={"r1": run})
    assert hourly.find(3) == [("unscheduled", 2)]


def test_another_schedule_is_looked_at(hourly: Hourly) -> None:
    hourly.write(schedules=[replace(hourly.row, valid_to_us=NOW_US)])
    hourly.find(2)
    assert hourly.reader.looks == 1


def test_other_calendars_have_all_looked_at(hourly: Hourly) -> None:
    days = CalendarDays(name="bank", start=739_000, stop=739_100, bits=b"\x01")
    hourly.write(calendars=[days])
    hourly.find(2)
    assert hourly.reader.looks == 1


def test_a_clock_that_is_set_back_has_the_job_looked_at(hourly: Hourly) -> None:
    hourly.find(0.5)
    assert hourly.reader.looks == 1
