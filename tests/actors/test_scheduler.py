"""The scheduler with ledger, binder and runner: exact whatever is lost or killed."""

from __future__ import annotations

import pytest
from scheduler_world import (
    HOUR,
    MINUTE,
    SECOND,
    SchedulerWorld,
    a_job,
    every,
)

from callsheet.actors.window import Window
from callsheet.jobs.misfire import Misfire
from callsheet.jobs.schedules import Daily
from callsheet.jobs.states import State
from callsheet.messages.post import BINDER, LEDGER, SCHEDULER

DAY = 24 * HOUR
SEEDS = [1, 2, 3]


def nine_thirty() -> Daily:
    return Daily(tz="America/New_York", daytimes_s=(34_200.0,))


@pytest.mark.parametrize("seed", SEEDS)
def test_runs_are_written_ahead_and_started_at_their_time(seed: int) -> None:
    job = a_job("often", every(1))
    world = SchedulerWorld(job, a_job("daily", nine_thirty()), seed=seed)
    world.wait_until(world.settled)
    begin_us = world.now_us
    assert world.nominal("daily")
    assert len(world.nominal("often")) == 24
    world.run_until(begin_us + HOUR)
    first_us = world.nominal("often")[0]
    world.assert_exact(job, first_us, world.now_us)
    past = [r for r in world.runs if r.schedule_us < world.now_us - 2 * MINUTE]
    assert {run.state for run in past} == {State.SUCCESS}
    # All is repeated after a second when it is lost, and nothing waits for more than a few tries.
    assert max(run.times["starting"] - run.schedule_us for run in past) < 10 * SECOND
    world.assert_ids_used_once()


@pytest.mark.parametrize("down_us", [MINUTE, HOUR, 3 * DAY])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_missed_while_down_is_made_up_for_exactly(seed: int, down_us: int) -> None:
    often, daily = a_job("often", every(10)), a_job("daily", nine_thirty())
    world = SchedulerWorld(often, daily, seed=seed)
    world.wait_until(world.settled)
    begin_us = world.nominal("often")[0]
    world.run_until(world.now_us + 30 * MINUTE)
    for address in (SCHEDULER, LEDGER):
        world.kill(address, down_us)
    world.run_until(world.now_us + down_us + SECOND)
    world.wait_until(world.settled, 600)
    world.run_until(world.now_us + 10 * MINUTE)
    world.assert_exact(often, begin_us, world.now_us)
    world.assert_exact(daily, begin_us, world.now_us)
    due = [r for r in world.runs if r.schedule_us < world.now_us - 5 * MINUTE]
    assert all(run.state is State.SUCCESS for run in due)
    world.assert_ids_used_once()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_restart_with_unchanged_jobs_writes_nothing(seed: int) -> None:
    world = SchedulerWorld(a_job("daily", nine_thirty()), a_job("none"), seed=seed)
    world.wait_until(world.settled)
    before = world.event_count()
    for _ in range(3):
        world.kill(SCHEDULER, SECOND)
        world.run_until(world.now_us + 30 * SECOND)
        world.wait_until(world.settled)
    assert world.event_count() == before


@pytest.mark.parametrize("seed", SEEDS)
def test_scheduler_ledger_and_binder_may_die_at_any_time(seed: int) -> None:
    job = a_job("often", every(0.5), params=("time",), metadata={"labels": ["x"]})
    world = SchedulerWorld(job, a_job("daily", nine_thirty()), seed=seed)
    world.wait_until(world.settled)
    begin_us = world.nominal("often")[0]
    for n in range(1, 60):
        address = (SCHEDULER, LEDGER, BINDER)[n % 3]
        after_us = world.random.randrange(SECOND, 20 * SECOND)
        world.at(
            world.now_us + n * 30 * SECOND + after_us,
            lambda a=address: world.kill(a, world.random.randrange(SECOND, 40 * SECOND)),
        )
    world.run_until(world.now_us + 45 * MINUTE)
    world.assert_exact(job, begin_us, world.now_us)
    due = [r for r in world.runs if r.schedule_us < world.now_us - 5 * MINUTE]
    assert all(run.state is State.SUCCESS for run in due)
    world.assert_ids_used_once()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_clock_that_jumps_forward_starts_what_is_due_once(seed: int) -> None:
    job = a_job("often", every(10))
    world = SchedulerWorld(job, seed=seed)
    world.wait_until(world.settled)
    begin_us = world.nominal("often")[0]
    world.jump(2 * DAY)
    world.run_until(world.now_us + 10 * MINUTE)
    world.assert_exact(job, begin_us, world.now_us)
    due = [r for r in world.runs if r.schedule_us < world.now_us - 5 * MINUTE]
    assert all(run.state is State.SUCCESS and run.attempt == 1 for run in due)


def test_never_schedules_from_before_since() -> None:
    job = a_job("often", every(10))
    world = SchedulerWorld(job)
    world.wait_until(world.settled)
    last_us = world.nominal("often")[-1]
    for address in (SCHEDULER, LEDGER):
        world.kill(address, 3 * DAY)
    since_us = world.now_us + 2 * DAY
    world.ledger.driver.disk.tables.since_us = since_us
    world.run_until(world.now_us + 3 * DAY + SECOND)
    world.wait_until(world.settled, 600)
    world.assert_exact(job, since_us, world.now_us)
    assert not [at_us for at_us in world.nominal("often") if last_us < at_us < since_us]
    [row] = world.reader.schedules()
    skips = world.reader.skips("often", row.fingerprint)
    assert sum(skip.count for skip in skips) == (since_us - last_us - 1) // (10 * MINUTE)


def test_a_very_late_fire_is_recorded_as_skipped_when_max_age_says_so() -> None:
    job = a_job("often", every(60))
    world = SchedulerWorld(job, window=Window(misfire=Misfire(max_age_us=HOUR)))
    world.wait_until(world.settled)
    first_us = world.nominal("often")[0]
    for address in (SCHEDULER, LEDGER):
        world.kill(address, 3 * DAY)
    world.run_until(world.now_us + 3 * DAY + SECOND)
    world.wait_until(world.settled, 600)
    [row] = world.reader.schedules()
    skipped = sum(skip.count for skip in world.reader.skips("often", row.fingerprint))
    nominal = world.nominal("often")
    assert len([at_us for at_us in nominal if at_us > world.now_us]) == 24
    assert min(nominal) >= world.now_us - HOUR - MINUTE
    assert skipped + len(nominal) == (nominal[-1] - first_us) // HOUR + 1


@pytest.mark.parametrize("seed", SEEDS)
def test_many_jobs_due_at_once_all_run_once(seed: int) -> None:
    jobs = [a_job(f"j{n}", nine_thirty()) for n in range(1_200)]
    world = SchedulerWorld(*jobs, seed=seed, lasts_us=0)
    world.wait_until(world.settled)
    assert len(world.runs) == 1_200
    due_us = world.runs[0].schedule_us
    world.ledger.beat_every_us = 30 * SECOND
    world.run_until(due_us - MINUTE)
    world.ledger.beat_every_us = SECOND
    world.run_until(due_us + MINUTE)
    done = [run for run in world.runs if run.state is State.SUCCESS]
    assert len(done) == 1_200
