"""Reload: what changes in the job folder changes those jobs' runs, durably, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from scheduler_world import HOUR, MINUTE, SECOND, SchedulerWorld, a_job, every

from callsheet.jobs.programs import NoOp
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.binding import FolderProblem
from callsheet.messages.post import BINDER, LEDGER, SCHEDULER
from callsheet.messages.transitions import RunWithdrawn
from callsheet.messages.wishes import Done, ReloadJobs

SEEDS = [1, 2, 3]
MISTAKE = FolderProblem(path="a.yaml", line=3, column=5, sentence="unexpected keys: x", job_id="a")


def runs_of(world: SchedulerWorld, job_id: str) -> list[Run]:
    return [run for run in world.runs if run.job_id == job_id]


def without_plan(answer: Done) -> dict[str, Any]:
    return {name: value for name, value in answer.result.items() if name != "plan"}


def a_world(seed: int) -> SchedulerWorld:
    world = SchedulerWorld(
        a_job("a", every(60)), a_job("b", every(60)), a_job("c", every(60)), seed=seed
    )
    world.wait_until(world.settled)
    return world


@pytest.mark.parametrize("seed", SEEDS)
def test_a_reload_touches_only_the_runs_of_jobs_that_changed(seed: int) -> None:
    world = a_world(seed)
    before = {run.run_id: run for run in world.runs}
    world.folder["b"] = a_job("b", every(60), program=NoOp(success=False))
    del world.folder["c"]
    world.folder["d"] = a_job("d", every(60))
    answer = world.wish(ReloadJobs(), "w1")
    assert without_plan(answer) == {
        "added": ["d"],
        "changed": ["b"],
        "removed": ["c"],
        "dry_run": False,
    }
    world.wait_until(world.settled)
    assert runs_of(world, "a") == [run for run in before.values() if run.job_id == "a"]
    assert not runs_of(world, "c")
    new_b = runs_of(world, "b")
    assert [run.schedule_us for run in new_b] == [
        run.schedule_us for run in before.values() if run.job_id == "b"
    ]
    assert not {run.run_id for run in new_b} & before.keys()
    assert all(run.program.success is False for run in new_b)
    assert len(runs_of(world, "d")) == 24
    withdrawn = [
        event for event in world.ledger.driver.disk.tables.events if isinstance(event, RunWithdrawn)
    ]
    assert {event.job_id for event in withdrawn} == {"b", "c"}


def test_a_dry_run_says_what_would_change_and_changes_nothing() -> None:
    world = a_world(1)
    events = world.event_count()
    world.folder["a"] = a_job("a")
    answer = world.wish(ReloadJobs(dry_run=True), "w1")
    assert without_plan(answer) == {"added": [], "changed": ["a"], "removed": [], "dry_run": True}
    world.run_until(world.now_us + 30 * SECOND)
    assert world.event_count() == events
    assert world.wish(ReloadJobs(), "w2").result["changed"] == ["a"]


def test_a_reload_without_changes_writes_nothing() -> None:
    world = a_world(1)
    events = world.event_count()
    answer = world.wish(ReloadJobs(), "w1")
    assert without_plan(answer) == {"added": [], "changed": [], "removed": [], "dry_run": False}
    assert world.event_count() == events


def test_a_folder_with_mistakes_changes_nothing_and_names_them() -> None:
    world = a_world(1)
    events = world.event_count()
    world.folder["b"] = a_job("b")
    world.problems = [MISTAKE]
    answer = world.wish(ReloadJobs(), "w1")
    assert answer.reason == "bad_request"
    assert answer.sentence == "errors loading jobs in jobs"
    assert answer.details == [["a", "a.yaml:3:5: unexpected keys: x"]]
    assert world.event_count() == events
    assert world.scheduler.core.health == "jobs: a.yaml:3:5: unexpected keys: x"
    world.problems = []
    assert world.wish(ReloadJobs(), "w2").result["changed"] == ["b"]
    assert world.scheduler.core.health == ""


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_a_start_with_a_broken_folder_goes_on_by_the_stored_definitions(seed: int) -> None:
    world = a_world(seed)
    begin_us = runs_of(world, "a")[0].schedule_us
    world.problems = [MISTAKE]
    world.ledger.beat_every_us = 30 * SECOND
    world.kill(SCHEDULER, 30 * HOUR)
    world.run_until(world.now_us + 30 * HOUR + 5 * MINUTE)
    assert world.scheduler.core.problems == [MISTAKE]
    world.assert_exact(world.folder["a"], begin_us, world.now_us)
    late = [r for r in runs_of(world, "a") if r.schedule_us < world.now_us - 5 * MINUTE]
    assert {run.state for run in late} == {State.SUCCESS}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_job_fixed_while_the_server_was_down_makes_up_for_what_it_missed(seed: int) -> None:
    world = a_world(seed)
    begin_us = runs_of(world, "a")[0].schedule_us
    for address in (SCHEDULER, LEDGER):
        world.kill(address, 40 * HOUR)
    world.run_until(world.now_us + 39 * HOUR)
    fixed = world.folder["a"] = a_job("a", every(60), metadata={"labels": ["new"]})
    world.run_until(world.now_us + HOUR + SECOND)
    world.wait_until(world.settled)
    world.assert_exact(fixed, begin_us, world.now_us)


def test_a_disabled_schedule_makes_nothing_and_begins_anew_when_it_is_enabled() -> None:
    world = a_world(1)
    world.folder["a"] = a_job("a", every(60, enabled=False))
    world.wish(ReloadJobs(), "w1")
    assert not runs_of(world, "a")
    world.ledger.beat_every_us = 30 * SECOND
    world.run_until(world.now_us + 5 * HOUR)
    world.folder["a"] = a_job("a", every(60))
    enabled_us = world.now_us
    world.wish(ReloadJobs(), "w2")
    world.wait_until(world.settled)
    assert min(run.schedule_us for run in runs_of(world, "a")) >= enabled_us


@pytest.mark.parametrize("seed", SEEDS)
def test_reloads_with_deaths_in_between_leave_exactly_the_last_set(seed: int) -> None:
    world = a_world(seed)
    for n in range(6):
        world.folder["a"] = a_job("a", every(60), metadata={"n": n})
        world.folder[f"new{n}"] = a_job(f"new{n}", every(60))
        victim = (SCHEDULER, LEDGER, BINDER)[n % 3]
        at_us = world.now_us + world.random.randrange(3 * SECOND)
        world.at(at_us, lambda v=victim: world.kill(v, SECOND))
        world.wish(ReloadJobs(), f"w{n}")
    world.wait_until(world.settled)
    jobs = world.reader.jobs()
    assert set(jobs) == set(world.folder)
    hashes = {run.definition for run in runs_of(world, "a") if run.schedule_us > world.now_us}
    assert hashes == {jobs["a"]}
    for job in world.folder.values():
        ahead = [run for run in runs_of(world, job.job_id) if run.schedule_us > world.now_us]
        assert len(ahead) >= 23
    world.assert_ids_used_once()


def test_a_first_load_of_many_jobs_comes_into_force_in_bounded_portions() -> None:
    jobs = [a_job(f"j{n}", every(600)) for n in range(1_300)]
    world = SchedulerWorld(*jobs)
    world.wait_until(world.settled)
    assert len(world.reader.jobs()) == 1_300
    assert world.ledger.driver.disk.tables.jobs_version == 3
    assert {run.job_id for run in world.runs} == set(world.folder)
