"""Blackouts by scheduler, ledger and waiter together, on virtual time, with deaths and downtime."""

from __future__ import annotations

import pytest
from scheduler_world import MINUTE, SECOND, SchedulerWorld, a_job, every

from callsheet.actors.window import Window, portion
from callsheet.jobs.blackout_rules import Concerned, with_blackouts
from callsheet.jobs.job import Job
from callsheet.jobs.schedule_types import Blackout
from callsheet.jobs.schedules import fires
from callsheet.jobs.states import State
from callsheet.messages.post import LEDGER, SCHEDULER


def shaded(job: Job, *windows: Blackout) -> Job:
    return with_blackouts(
        job, {one.name: Concerned(window=one, everything=True) for one in windows}
    )


def a_window(world_now_us: int, begin: int, end: int, **fields: object) -> Blackout:
    """A window so many minutes from now on."""
    minute_us = world_now_us - world_now_us % MINUTE
    return Blackout(
        name="move", from_us=minute_us + begin * MINUTE, to_us=minute_us + end * MINUTE, **fields
    )


def start(blackout: Blackout, minutes: float = 1) -> SchedulerWorld:
    ahead = Window(span_us=4 * MINUTE, lead_us=MINUTE, ahead=6)
    world = SchedulerWorld(shaded(a_job("a", every(minutes)), blackout), window=ahead)
    world.wait_until(world.settled)
    return world


NOW = SchedulerWorld().now_us


@pytest.mark.parametrize("down", [False, True])
def test_every_time_is_a_run_or_left_out_on_record(down: bool) -> None:
    window = a_window(NOW, 3, 6)
    world = start(window, 1 / 3)
    if down:
        for address in (SCHEDULER, LEDGER):
            world.kill(address, 4 * MINUTE)
    world.run_until(NOW + 8 * MINUTE)
    world.wait_until(world.settled)
    [schedule] = world.folder["a"].schedules
    named = list(fires(schedule, NOW - NOW % MINUTE, NOW + 8 * MINUTE))
    [row] = world.reader.schedules()
    named = [fire for fire in named if fire.at_us >= row.valid_from_us]
    expected = [fire.at_us for fire in named if not fire.left_out]
    made = [at_us for at_us in world.nominal("a") if at_us < NOW + 8 * MINUTE]
    assert made == expected
    skips = world.reader.skips("a", row.fingerprint)
    assert {skip.reason for skip in skips} == {"blackout move"}
    assert sum(skip.count for skip in skips) == 9
    assert window.from_us <= min(skip.from_us for skip in skips)
    assert max(skip.to_us for skip in skips) < window.to_us


def test_what_is_put_off_waits_and_starts_when_the_window_is_over() -> None:
    window = a_window(NOW, 2, 4, after=True)
    world = start(window)
    world.run_until(window.from_us + MINUTE + 5 * SECOND)
    waiting = [run for run in world.runs if run.state is State.WAITING]
    assert [run.schedule_us for run in waiting] == [window.from_us, window.from_us + MINUTE]
    assert {run.not_before_us for run in waiting} == {window.to_us}
    world.kill(LEDGER, SECOND)
    world.run_until(window.to_us + 10 * SECOND)
    runs = {run.run_id: run for run in world.runs}
    for run in waiting:
        now = runs[run.run_id]
        assert now.state in (State.RUNNING, State.SUCCESS)
        assert now.times["starting"] >= window.to_us
    lines = [getattr(event, "message", "") for event in world.reader.log(waiting[0].run_id)]
    assert any("blackout move: does not start before" in line for line in lines)


def test_a_window_longer_than_the_horizon_is_passed() -> None:
    window = a_window(NOW, 1, 10)
    world = start(window, 1 / 2)
    world.run_until(NOW + 12 * MINUTE)
    world.wait_until(world.settled)
    [row] = world.reader.schedules()
    assert sum(skip.count for skip in world.reader.skips("a", row.fingerprint)) == 18
    made = world.nominal("a")
    assert not any(window.from_us <= at_us < window.to_us for at_us in made)
    assert any(at_us >= window.to_us for at_us in made)


def test_before_a_long_window_nothing_is_looked_at_again_and_again() -> None:
    """A weekly job, next week's run of which is left out, within the hour before this week's."""
    week = 7 * 24 * 60
    weekly = a_job("a", every(week))
    first_us = next(fires(weekly.schedules[0], NOW, NOW + 8 * 24 * 60 * MINUTE)).at_us
    second_us = first_us + week * MINUTE
    gone = Blackout(name="move", from_us=second_us - MINUTE, to_us=second_us + MINUTE)
    [schedule] = shaded(weekly, gone).schedules
    window, now_us = Window(), first_us - 30 * MINUTE
    some = portion(schedule, now_us, now_us, 0, window)
    assert [fire.at_us for fire in some.fires] == [first_us]
    again = portion(schedule, some.upto_us, now_us, 0, window)
    assert not again.writes
    assert some.look_us == again.look_us == second_us - window.reach_us
