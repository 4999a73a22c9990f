"""Missed runs after downtime: each is made up for, or recorded as left out, as policy has it."""

from __future__ import annotations

import pytest
from scheduler_world import HOUR, MINUTE, SECOND, SchedulerWorld, a_job, every
from waiter_world import wish

from callsheet.actors.window import SKIPS_A_PORTION, Window, portion
from callsheet.jobs.actions import NotifyAction, Trigger
from callsheet.jobs.deadlines import Deadline
from callsheet.jobs.misfire import Misfire, left_out
from callsheet.jobs.schedules import Daily, Interval, Options, StopAfter, fires, next_fire
from callsheet.jobs.states import State
from callsheet.messages.post import LEDGER, SCHEDULER
from callsheet.messages.wishes import HoldRun

DAY = 24 * HOUR
# Down for so long, a schedule every so many minutes, so late is late.
TIMES = [(MINUTE, 0.25, 20 * SECOND), (HOUR, 10, MINUTE), (3 * DAY, 60, MINUTE)]


def after_downtime(world: SchedulerWorld, down_us: int) -> tuple[int, int]:
    """Stop scheduler and ledger for so long; return when they were stopped and were back."""
    world.wait_until(world.settled)
    world.run_until(world.now_us + 12 * MINUTE)
    # Some seconds away from any fire, so that nothing is decided by a message's way.
    fire_us = next_fire(world.folder["often"].schedules[0], world.now_us).at_us
    world.run_until(fire_us + 7 * SECOND)
    down_at_us = world.now_us
    for address in (SCHEDULER, LEDGER):
        world.kill(address, down_us)
    world.run_until(down_at_us + down_us + SECOND)
    back_us = world.now_us
    world.wait_until(world.settled, 600)
    world.run_until(world.now_us + 12 * MINUTE)
    return down_at_us, back_us


def counted(world: SchedulerWorld) -> tuple[set[int], int]:
    """Return when runs of the job ran, and how many were recorded as left out."""
    [row] = world.reader.schedules()
    skips = world.reader.skips("often", row.fingerprint)
    ran = {run.schedule_us for run in world.runs if run.state is State.SUCCESS}
    assert all(skip.from_us <= skip.to_us and skip.reason for skip in skips)
    return ran, sum(skip.count for skip in skips)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("catch_up", ["all", "last", "none"])
@pytest.mark.parametrize(("down_us", "minutes", "after_us"), TIMES)
def test_catch_up_is_exact_after_downtime(down_us, minutes, after_us, catch_up, seed) -> None:
    options = Options(misfire_after_us=after_us, catch_up=catch_up)
    schedule = every(minutes, options=options)
    world = SchedulerWorld(a_job("often", schedule), seed=seed)
    down_at_us, back_us = after_downtime(world, down_us)
    ran, left = counted(world)
    first_us, upto_us = min(ran), world.now_us - 10 * SECOND
    nominal = {fire.at_us for fire in fires(schedule, first_us, upto_us)}
    missed = {at_us for at_us in nominal if down_at_us < at_us < back_us - after_us}
    due = {at_us for at_us in nominal if down_at_us < at_us <= back_us}
    assert missed
    # Those that were not late yet may be by the time they are looked at, seconds later.
    edge = {at_us for at_us in due - missed if at_us < back_us - after_us + 15 * SECOND}
    made_up = {"all": missed, "last": missed & {max(due)}, "none": set()}[catch_up]
    assert ran & missed == made_up
    assert nominal - missed - edge <= ran
    assert len(nominal) == len(ran & nominal) + left
    if catch_up == "all":
        assert left == 0
    world.assert_ids_used_once()


@pytest.mark.slow
@pytest.mark.parametrize("policies", [("none", "all"), ("all", "none")])
def test_a_run_of_two_schedules_is_made_up_for_when_one_of_them_wants_it(policies) -> None:
    both = [every(5, options=Options(catch_up=one, misfire_after_us=MINUTE)) for one in policies]
    world = SchedulerWorld(a_job("often", *both))
    after_downtime(world, HOUR)
    runs = [run for run in world.runs if run.schedule_us < world.now_us - MINUTE]
    assert {run.state for run in runs} == {State.SUCCESS}
    first_us, last_us = runs[0].schedule_us, max(run.schedule_us for run in runs)
    assert len(runs) == (last_us - first_us) // (5 * MINUTE) + 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_too_old_is_left_out_whatever_the_catch_up(seed: int) -> None:
    schedule = every(30, options=Options(max_age_us=5 * HOUR))
    world = SchedulerWorld(a_job("often", schedule), seed=seed)
    down_at_us, back_us = after_downtime(world, 3 * DAY)
    ran, left = counted(world)
    nominal = {fire.at_us for fire in fires(schedule, min(ran), world.now_us - MINUTE)}
    made_up = {at_us for at_us in ran if down_at_us < at_us < back_us}
    assert made_up == {at_us for at_us in nominal if back_us - 5 * HOUR < at_us < back_us}
    assert len(nominal) == len(ran & nominal) + left


@pytest.mark.slow
def test_the_settings_hold_where_a_schedule_says_nothing() -> None:
    own = every(10, options=Options(catch_up="all"))
    window = Window(misfire=Misfire(catch_up="none"))
    world = SchedulerWorld(a_job("often", every(10)), a_job("own", own), window=window)
    down_at_us, back_us = after_downtime(world, 2 * HOUR)
    ran = {
        run.schedule_us for run in world.runs if run.job_id == "own" and run.times.get("success")
    }
    missed = {f.at_us for f in fires(own, down_at_us, back_us - 2 * MINUTE)}
    assert len(missed) == 11
    assert missed <= ran
    assert not missed & {run.schedule_us for run in world.runs if run.job_id == "often"}


@pytest.mark.slow
def test_a_run_left_out_is_gone_and_told_of_in_the_feed() -> None:
    world = SchedulerWorld(a_job("often", every(10, options=Options(catch_up="none"))))
    down_at_us, back_us = after_downtime(world, HOUR)
    withdrawn = [
        event
        for event in world.ledger.driver.disk.tables.events
        if type(event).__name__ == "RunWithdrawn"
    ]
    assert withdrawn
    assert all(down_at_us < event.schedule_us < back_us for event in withdrawn)
    assert {event.reason for event in withdrawn} == {"more than 60.0 s late: catch_up is none"}
    assert not {event.run_id for event in withdrawn} & {run.run_id for run in world.runs}


# --- the rule by itself -------------------------------------------------------------------------

NOW_US = 1_800_000_000 * SECOND


@pytest.mark.parametrize(
    ("late_us", "rule", "left"),
    [
        (60 * SECOND, Misfire(catch_up="none"), False),
        (60 * SECOND + 1, Misfire(catch_up="none"), True),
        (60 * SECOND + 1, Misfire(), False),
        (HOUR, Misfire(catch_up="last"), True),
        (HOUR, Misfire(max_age_us=HOUR), False),
        (HOUR + 1, Misfire(max_age_us=HOUR), True),
        (11 * SECOND, Misfire(after_us=10 * SECOND, catch_up="none"), True),
    ],
)
def test_a_run_is_left_out_by_how_late_it_is(late_us, rule, left) -> None:
    schedule = Interval(interval_us=600 * SECOND)
    assert bool(left_out(schedule, NOW_US - late_us, NOW_US, rule, {})) is left


def test_the_last_of_what_was_missed_is_made_up_for_unless_a_later_one_is_due() -> None:
    daily = Daily(tz="UTC", daytimes_s=(0.0,))
    at_us = NOW_US - NOW_US % DAY
    rule = Misfire(catch_up="last")
    assert left_out(daily, at_us, at_us + HOUR, rule, {}) == ""
    assert left_out(daily, at_us, at_us + DAY - 1, rule, {}) == ""
    assert left_out(daily, at_us, at_us + DAY, rule, {}) != ""


@pytest.mark.parametrize("catch_up", ["last", "none"])
def test_a_dense_schedule_is_left_out_in_portions(catch_up: str) -> None:
    schedule = Interval(interval_us=SECOND, options=Options(catch_up=catch_up))
    written_us, skipped = NOW_US - DAY, 0
    window = Window(ahead=5)
    while True:
        some = portion(schedule, written_us, NOW_US, 0, window)
        written_us = some.upto_us
        if some.skip is None:
            break
        assert some.skip.count <= SKIPS_A_PORTION
        skipped += some.skip.count
    assert skipped == 24 * 3600 - 60
    assert some.fires[0].at_us == NOW_US - 60 * SECOND


def test_no_more_runs_are_written_ahead_than_the_cap() -> None:
    schedule = Interval(interval_us=SECOND)
    window = Window(ahead=7)
    some = portion(schedule, NOW_US + 1, NOW_US, 0, window)
    assert len(some.fires) == 7
    again = portion(schedule, some.upto_us, NOW_US, 0, window)
    assert again.fires == []
    assert again.look_us is not None
    later_us = again.look_us
    more = portion(schedule, some.upto_us, later_us, 0, window)
    assert 0 < len(more.fires) <= 7


@pytest.mark.slow
def test_a_held_run_is_not_left_out_however_late_it_is_released() -> None:
    world = SchedulerWorld(a_job("often", every(60, options=Options(catch_up="none"))))
    world.wait_until(world.settled)
    run = min(world.runs, key=lambda run: run.schedule_us)
    wish(world, HoldRun(run_id=run.run_id))
    world.ledger.beat_every_us = 30 * SECOND
    world.run_until(run.schedule_us + 3 * HOUR)
    assert world.states(run.run_id) == [State.SCHEDULED]


@pytest.mark.slow
@pytest.mark.parametrize("catch_up", ["last", "none"])
def test_the_deadlines_of_what_is_left_out_are_missed_after_a_weekend_off(catch_up) -> None:
    options = Options(catch_up=catch_up)
    alert = NotifyAction(service="x", trigger=Trigger(deadlines=("start_by",)))
    deadline = Deadline(start_by=StopAfter(duration_us=5 * MINUTE))
    job = a_job("often", every(60, options=options), deadline=deadline, actions=(alert,))
    world = SchedulerWorld(job)
    after_downtime(world, 3 * DAY)
    world.run_until(world.now_us + MINUTE)
    skipped = [run for run in world.runs if run.state is State.SKIPPED]
    assert skipped
    for run in skipped:
        assert list(run.meta["deadlines"]) == ["start_by"]
        assert "catch_up" in (run.message or "")
    # Each of those that were written ahead, and one for all that were not.
    [row] = world.reader.schedules()
    spans = world.reader.skips("often", row.fingerprint)
    assert len(skipped) < 3 * 24
    there = {run.schedule_us for run in world.runs if run.schedule_us < world.now_us}
    nominal = {f.at_us for f in fires(job.schedules[0], min(there), world.now_us)}
    assert len(nominal) == len(nominal & there) + sum(span.count for span in spans)
    owed = [item for item in world.ledger.driver.disk.tables.outbox.values() if item.deadline]
    assert sorted(item.run.run_id for item in owed) == sorted(run.run_id for run in skipped)
