"""What a reload does to runs: who keeps ids, what a stale plan does, reloads around due times."""

from __future__ import annotations

import pytest
from people import ADMIN
from scheduler_world import HOUR, MINUTE, SECOND, SchedulerWorld, a_job, every

from callsheet.jobs.plan import plan_id
from callsheet.jobs.programs import NoOp
from callsheet.jobs.run import Run
from callsheet.jobs.schedules import StopAfter
from callsheet.jobs.states import State
from callsheet.messages.codec import encode
from callsheet.messages.post import BINDER, LEDGER, SCHEDULER, Post
from callsheet.messages.wishes import ReloadJobs, SchedulerWish

SEEDS = [1, 2, 3]


def runs_of(world: SchedulerWorld, job_id: str) -> list[Run]:
    return [run for run in world.runs if run.job_id == job_id]


def a_world(*jobs, seed: int = 1, **options) -> SchedulerWorld:
    world = SchedulerWorld(*jobs, seed=seed, **options)
    world.wait_until(world.settled)
    return world


# --- who keeps its id ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_runs_of_a_job_that_is_only_described_anew_keep_their_ids(seed):
    world = a_world(a_job("a", every(60), metadata={"labels": ["old"]}), seed=seed)
    before = runs_of(world, "a")
    assert before[0].labels == ("old",)
    world.folder["a"] = a_job(
        "a", every(60), metadata={"labels": ["new"], "owner": " ada ", "description": "x"}
    )
    assert world.wish(ReloadJobs(), "w1").result["changed"] == ["a"]
    world.wait_until(world.settled)
    after = runs_of(world, "a")
    assert [run.run_id for run in after] == [run.run_id for run in before]
    assert {run.labels for run in after} == {("new",)}
    assert {run.owner for run in after} == {"ada"}
    assert {run.definition for run in after} == {world.reader.jobs()["a"]}
    assert {run.meta["job"]["labels"][0] for run in after} == {"new"}
    assert all(run.expected and run.state is State.SCHEDULED for run in after)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_job_described_anew_goes_on_being_planned_by_its_new_definition(seed):
    world = a_world(a_job("a", every(60)), seed=seed)
    begin_us = runs_of(world, "a")[0].schedule_us
    for n, victim in enumerate((SCHEDULER, LEDGER, BINDER)):
        world.folder["a"] = a_job("a", every(60), metadata={"labels": [f"l{n}"]})
        at_us = world.now_us + world.random.randrange(2 * SECOND)
        world.at(at_us, lambda v=victim: world.kill(v, SECOND))
        world.wish(ReloadJobs(), f"w{n}")
    world.ledger.beat_every_us = 30 * SECOND
    world.run_until(world.now_us + 3 * HOUR)
    world.wait_until(world.settled)
    world.assert_exact(world.folder["a"], begin_us, world.now_us)
    ahead = [run for run in runs_of(world, "a") if run.schedule_us > world.now_us]
    assert {run.labels for run in ahead} == {("l2",)}
    assert {run.definition for run in ahead} == {world.reader.jobs()["a"]}
    world.assert_ids_used_once()


def test_a_job_described_anew_keeps_runs_that_wait_or_run_as_they_are():
    world = a_world(a_job("a", every(60), metadata={"labels": ["old"]}), lasts_us=HOUR)
    first = runs_of(world, "a")[0]
    world.run_until(first.schedule_us + MINUTE)
    assert world.states(first.run_id) == [State.RUNNING]
    world.folder["a"] = a_job("a", every(60), metadata={"labels": ["new"]})
    world.wish(ReloadJobs(), "w1")
    assert runs_of(world, "a")[0].labels == ("old",)


def test_a_change_of_only_the_stop_schedule_is_noticed():
    world = a_world(a_job("a", every(60)))
    world.folder["a"] = a_job("a", every(60, stop=StopAfter(duration_us=600 * SECOND)))
    assert world.wish(ReloadJobs(), "w1").result["changed"] == ["a"]
    world.wait_until(world.settled)
    assert {run.stop_us - run.schedule_us for run in runs_of(world, "a")} == {600 * SECOND}


# --- plans --------------------------------------------------------------------------------------


def test_a_plan_that_still_holds_is_carried_out():
    world = a_world(a_job("a", every(60)))
    world.folder["a"] = a_job("a", every(30))
    plan = world.wish(ReloadJobs(dry_run=True), "w1").result["plan"]
    done = world.wish(ReloadJobs(plan=plan), "w2")
    assert (done.result["changed"], done.result["plan"]) == (["a"], plan)


def test_a_plan_is_refused_when_the_folder_has_changed_since():
    world = a_world(a_job("a", every(60)))
    world.folder["a"] = a_job("a", every(30))
    plan = world.wish(ReloadJobs(dry_run=True), "w1").result["plan"]
    world.folder["b"] = a_job("b")
    events = world.event_count()
    refused = world.wish(ReloadJobs(plan=plan), "w2")
    assert refused.reason == "wrong_state"
    assert "the job folder holds other jobs" in refused.sentence
    assert world.event_count() == events


def test_a_plan_is_refused_when_other_jobs_have_come_into_force_since():
    world = a_world(a_job("a", every(60)))
    world.folder["a"] = a_job("a", every(30))
    plan = world.wish(ReloadJobs(dry_run=True), "w1").result["plan"]
    world.wish(ReloadJobs(), "w2")
    refused = world.wish(ReloadJobs(plan=plan), "w3")
    assert refused.reason == "wrong_state"
    assert "other jobs are in force" in refused.sentence


def test_a_plan_without_changes_has_the_same_digest_twice():
    world = a_world(a_job("a"))
    plan = world.wish(ReloadJobs(dry_run=True), "w1").result["plan"]
    assert plan == plan_id(world.reader.jobs(), world.reader.jobs())
    assert plan.partition("-")[0] == plan.partition("-")[2]


def test_a_dry_run_carries_the_jobs_it_is_asked_for():
    world = a_world(a_job("a"), a_job("b"))
    world.folder["b"] = a_job("b", program=NoOp(success=False))
    world.folder["c"] = a_job("c")
    del world.folder["a"]
    found = world.wish(ReloadJobs(dry_run=True, bodies=True), "w1").result
    assert found["jobs"] == {job_id: encode(world.folder[job_id]) for job_id in "bc"}
    assert "jobs" not in world.wish(ReloadJobs(dry_run=True), "w2").result


def test_jobs_too_many_for_an_answer_are_left_out():
    world = a_world()
    world.folder["a"] = a_job("a", metadata={"description": "x" * 3_000_000})
    found = world.wish(ReloadJobs(dry_run=True, bodies=True), "w1").result
    assert (found["added"], found["jobs"]) == (["a"], None)


# --- reloads all the time -----------------------------------------------------------------------


@pytest.mark.slow
def test_reloads_twenty_times_a_second_across_due_times_lose_and_double_nothing():
    jobs = [a_job(name, every(0.1)) for name in ("steady", "changing", "told")]
    world = a_world(*jobs)
    begin_us = world.now_us
    steady = {run.run_id for run in runs_of(world, "steady")}
    for n in range(20 * 15):
        world.folder["changing"] = a_job("changing", every(0.1), program=NoOp(duration=f"0.{n}"))
        world.folder["told"] = a_job("told", every(0.1), metadata={"n": n})
        world.web.wish(a_reload(f"w{n}"))
        world.run_until(world.now_us + SECOND // 20)
    world.wait_until(lambda: world.settled() and f"w{20 * 15 - 1}" in world.web.answers)
    end_us = world.now_us
    assert end_us - begin_us > 2 * 6 * SECOND
    # What the wire loses is said again after seconds, and may be lost again.
    world.run_until(end_us + MINUTE)
    for job in world.folder.values():
        world.assert_exact(job, begin_us, world.now_us + MINUTE)
    assert steady <= {run.run_id for run in runs_of(world, "steady")}
    due = [run for run in world.runs if begin_us < run.schedule_us < end_us]
    assert {run.state for run in due} == {State.SUCCESS}
    world.assert_ids_used_once()


def a_reload(command_id):
    wish = SchedulerWish(
        command_id=command_id, principal="ann", instruction=ReloadJobs(), access=ADMIN
    )
    return Post(SCHEDULER, wish)
