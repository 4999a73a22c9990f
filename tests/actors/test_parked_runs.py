"""What the ledger keeps of runs that wait."""

from __future__ import annotations

from base64 import b85encode
from hashlib import sha256

import pytest
from msgspec.structs import replace

from callsheet.actors.ledger_active import ActiveRuns
from callsheet.actors.parked_runs import JOBS_SEEN, ParkedRuns
from callsheet.jobs.programs import BoundProcess
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.store.rows import encode

AT_US = 1_800_000_000_000_000
WORDS = tuple(f"--option-{number}=ä{number * 7919}" for number in range(20))


def a_run(number: int, job_id: str = "a", words: tuple[str, ...] = WORDS) -> Run:
    return Run(
        run_id=f"r{number}",
        job_id=job_id,
        args={"date": f"2026-01-{number % 28 + 1:02d}"},
        state=State.WAITING,
        schedule_us=AT_US + number * 7,
        version=number * 3,
        definition=f"{len(job_id):064x}",
        times={"scheduled": AT_US, "waiting": AT_US + number},
        meta={"job": {"labels": []}},
        program=BoundProcess(argv=words),
    )


def test_runs_of_a_job_are_kept_as_what_differs() -> None:
    parked = ParkedRuns()
    runs = [a_run(number) for number in range(1, 501)]
    kept = [parked.keep(run) for run in runs]
    assert [*map(parked.read, kept)] == runs
    assert kept[0] == encode(runs[0])
    assert sum(map(len, kept[1:])) < sum(len(encode(run)) for run in runs[1:]) / 5


def test_a_job_with_one_run_that_waits_has_no_model() -> None:
    parked = ParkedRuns()
    runs = [a_run(number, f"job{number}") for number in range(1, 300)]
    kept = [parked.keep(run) for run in runs]
    assert kept == [*map(encode, runs)]
    assert [*map(parked.read, kept)] == runs
    assert (len(parked), parked.seen) == (0, JOBS_SEEN)


def test_a_job_that_has_changed_gets_another_model_and_the_old_one_goes_with_its_last_run() -> None:
    parked = ParkedRuns()
    other = tuple(b85encode(sha256(b"%d" % number).digest()).decode() for number in range(50))
    old = [a_run(number) for number in range(1, 4)]
    new = [a_run(number, words=other) for number in range(4, 8)]
    kept = [parked.keep(run) for run in [*old, *new]]
    assert [*map(parked.read, kept)] == [*old, *new]
    assert len(parked) == 2
    for one in kept[:3]:
        parked.drop(one)
    assert len(parked) == 1
    assert [*map(parked.read, kept[3:])] == new
    for one in kept[3:]:
        parked.drop(one)
    assert len(parked) == 0
    assert parked.read(parked.keep(a_run(9))) == a_run(9)


@pytest.mark.parametrize("bytes_", [10, 3_000, 40_000])
def test_a_record_of_any_size_comes_back_as_it_was(bytes_: int) -> None:
    parked = ParkedRuns()
    runs = [a_run(number, words=("x", "é" * bytes_, f"{number}")) for number in range(1, 6)]
    kept = [parked.keep(run) for run in runs]
    assert [*map(parked.read, kept)] == runs


def test_what_is_kept_of_runs_that_move_is_let_go() -> None:
    active = ActiveRuns([a_run(number) for number in range(1, 101)])
    for number in range(1, 101):
        run = active[f"r{number}"]
        assert run == a_run(number)
        active[run.run_id] = replace(run, message="waiting for all")
        active.park(run.run_id)
        assert active.state_of(run.run_id) is State.WAITING
    assert active["r7"].message == "waiting for all"
    active["r7"] = replace(active["r7"], state=State.STARTING)
    assert [run.run_id for run in active.started()] == ["r7"]
    for number in range(1, 101):
        del active[f"r{number}"]
    assert (len(active), active.models) == (0, 0)
