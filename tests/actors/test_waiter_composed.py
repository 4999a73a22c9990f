"""The waiter: composed conditions, times and deadlines, over a wire that loses a fifth of all."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from planning_world import SECOND
from waiter_world import SEEDS, a_world, lines, on_success, wish

from callsheet.jobs.bound_conditions import (
    BoundAll,
    BoundAny,
    BoundConst,
    BoundDependency,
    BoundMaxRunning,
    BoundNot,
    BoundNotAfter,
    BoundNotBefore,
    BoundTimeWindow,
)
from callsheet.jobs.states import State
from callsheet.messages.wishes import HoldRun, ReleaseRun

S = State
HOUR_S = 3600
NEVER = BoundConst(value=False)


def window_from(now_us: int, start_s: float, end_s: float) -> BoundTimeWindow:
    """Return a daily window that begins and ends so many seconds from now."""
    day_s = (now_us // SECOND) % 86_400
    return BoundTimeWindow(
        start_s=(day_s + start_s) % 86_400, end_s=(day_s + end_s) % 86_400, tz="UTC"
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_any_is_passed_by_the_first_that_comes(seed: int) -> None:
    world = a_world(seed)
    [run] = world.add_runs({"conds": (BoundAny(conditions=(on_success("x"), on_success("y"))),)})
    world.run_until(world.now_us + 20 * SECOND)
    assert world.states(run) == [S.WAITING]
    world.add_runs({"job_id": "y"})
    world.wait_until(lambda: world.states(run) == [S.SUCCESS])


@pytest.mark.parametrize("seed", SEEDS)
def test_all_waits_for_every_one(seed: int) -> None:
    world = a_world(seed)
    soon = BoundNotBefore(at_us=world.now_us + 60 * SECOND)
    [run] = world.add_runs({"conds": (BoundAll(conditions=(on_success("x"), soon)),)})
    world.add_runs({"job_id": "x"})
    world.run_until(world.now_us + 50 * SECOND)
    assert world.states(run) == [S.WAITING]
    world.wait_until(lambda: world.states(run) == [S.SUCCESS], 30)


@pytest.mark.parametrize("seed", SEEDS)
def test_not_waits_until_a_dependency_is_gone_from_its_state(seed: int) -> None:
    world = a_world(seed, lasts_s=30)
    under_way = BoundDependency(job_id="x", args={}, states=(S.STARTING, S.RUNNING))
    world.add_runs({"job_id": "x"})
    [run] = world.add_runs({"conds": (BoundNot(condition=under_way),)})
    world.run_until(world.now_us + 20 * SECOND)
    assert world.states(run) == [S.WAITING]
    world.wait_until(lambda: world.states(run) == [S.SUCCESS], 90)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_starts_at_the_time_it_may_not_start_before(seed: int) -> None:
    world = a_world(seed)
    at_us = world.now_us + HOUR_S * SECOND
    [run] = world.add_runs({"conds": (BoundNotBefore(at_us=at_us),)})
    world.run_until(at_us - SECOND)
    assert world.states(run) == [S.WAITING]
    world.wait_until(lambda: world.states(run) == [S.SUCCESS], 30)
    assert world.reader.run(run).times["starting"] >= at_us


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("else_state", [S.SKIPPED, S.ERROR])
def test_a_run_whose_deadline_passes_ends_with_the_reason(seed: int, else_state: State) -> None:
    world = a_world(seed)
    at_us = world.now_us + 60 * SECOND
    deadline = BoundNotAfter(at_us=at_us, else_state=else_state)
    # The deadline is in force although it stands first, and was met when the wait began.
    [run] = world.add_runs({"conds": (deadline, on_success())})
    world.run_until(at_us - SECOND)
    assert world.states(run) == [S.WAITING]
    world.kill("waiter/0", SECOND)
    world.wait_until(lambda: world.states(run) == [else_state], 30)
    at = datetime.fromtimestamp(at_us / 1e6, UTC).isoformat()
    assert world.reader.run(run).message == (
        f"waiting for dependency dep() is success: not after {at} has passed"
    )


def test_a_deadline_ends_also_a_run_that_stands_in_line() -> None:
    world = a_world(lasts_s=100)
    guard = BoundMaxRunning(count=1, job_id="a", args={})
    deadline = BoundNotAfter(at_us=world.now_us + 30 * SECOND)
    runs = world.add_runs({"conds": (guard,)}, {"conds": (guard, deadline)}, {"conds": (guard,)})
    world.wait_until(lambda: world.states(*runs) == [S.RUNNING, S.SKIPPED, S.WAITING], 60)
    world.wait_until(lambda: world.states(*runs)[2] is S.SUCCESS, 400)


def test_a_held_run_is_not_ended_before_its_release() -> None:
    world = a_world()
    [run] = world.add_runs({"conds": (BoundNotAfter(at_us=world.now_us + 30 * SECOND), NEVER)})
    world.run_until(world.now_us + 5 * SECOND)
    wish(world, HoldRun(run_id=run))
    world.run_until(world.now_us + 60 * SECOND)
    assert world.states(run) == [S.WAITING]
    wish(world, ReleaseRun(run_id=run))
    world.wait_until(lambda: world.states(run) == [S.SKIPPED])


def test_any_of_what_can_no_more_come_ends_the_wait() -> None:
    world = a_world()
    past = BoundNotAfter(at_us=world.now_us - SECOND)
    soon = BoundNotAfter(at_us=world.now_us + 30 * SECOND)
    both = BoundAny(conditions=(past, BoundAll(conditions=(soon, NEVER))))
    [run] = world.add_runs({"conds": (both,)})
    world.run_until(world.now_us + 20 * SECOND)
    assert world.states(run) == [S.WAITING]
    world.wait_until(lambda: world.states(run) == [S.SKIPPED], 30)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_starts_when_its_window_opens(seed: int) -> None:
    world = a_world(seed)
    window = window_from(world.now_us, 600, 1200)
    [run] = world.add_runs({"conds": (window,)})
    world.run_until(world.now_us + 590 * SECOND)
    assert world.states(run) == [S.WAITING]
    world.wait_until(lambda: world.states(run) == [S.SUCCESS], 40)


def test_a_run_whose_window_closed_meanwhile_waits_for_the_next() -> None:
    world = a_world()
    began_us = world.now_us
    window = window_from(began_us, -600, 600)
    inside = BoundAll(conditions=(window, BoundConst(value=True)))
    runs = world.add_runs({"conds": (window, on_success())}, {"conds": (inside, on_success())})
    world.run_until(began_us + 700 * SECOND)
    world.add_runs({"job_id": "dep"})
    world.run_until(began_us + HOUR_S * SECOND)
    assert world.states(*runs) == [S.WAITING] * 2
    world.ledger.beat_every_us = 30 * SECOND
    world.wait_until(lambda: world.states(*runs) == [S.SUCCESS] * 2, 86_400)
    started = [world.reader.run(run).times["starting"] for run in runs]
    assert all(at_us - began_us >= (86_400 - 600) * SECOND for at_us in started)


def test_a_run_with_a_closed_window_lets_those_behind_it_go_first() -> None:
    world = a_world(lasts_s=60)
    guard = BoundMaxRunning(count=1, job_id="a", args={})
    window = window_from(world.now_us, -600, 30)
    [keeper] = world.add_runs({"conds": (guard,)})
    world.wait_until(lambda: world.states(keeper) == [S.RUNNING])
    closed, behind = world.add_runs({"conds": (window, guard), "priority": 5}, {"conds": (guard,)})
    world.wait_until(lambda: world.states(closed, behind) == [S.WAITING, S.SUCCESS], 400)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_jobs_own_waiting_time_goes_before_that_of_the_settings(seed: int) -> None:
    world = a_world(seed, max_time_us=60 * SECOND)
    runs = world.add_runs(
        {"conds": (NEVER,)},
        {"conds": (NEVER,), "waiting_max_us": 10 * SECOND},
        {"conds": (NEVER,), "waiting_max_us": HOUR_S * SECOND},
    )
    world.run_until(world.now_us + 40 * SECOND)
    assert world.states(*runs) == [S.WAITING, S.ERROR, S.WAITING]
    assert world.reader.run(runs[1]).message == "waiting for constant False: timeout after 10 s"
    world.run_until(world.now_us + 60 * SECOND)
    assert world.states(*runs) == [S.ERROR, S.ERROR, S.WAITING]


@pytest.mark.parametrize("seed", SEEDS)
def test_of_those_in_line_the_higher_priority_goes_first(seed: int) -> None:
    world = a_world(seed, lasts_s=5)
    guard = BoundMaxRunning(count=1, job_id="a", args={})
    gate = on_success()
    runs = world.add_runs(
        *[{"conds": (gate, guard), "priority": n % 3} for n in range(6)],
    )
    world.run_until(world.now_us + 20 * SECOND)
    world.add_runs({"job_id": "dep"})
    world.wait_until(lambda: set(world.states(*runs)) == {S.SUCCESS}, 600)
    started = sorted(runs, key=lambda run: world.reader.run(run).times["starting"])
    assert [world.reader.run(run).priority for run in started[1:]] == sorted(
        [world.reader.run(run).priority for run in started[1:]], reverse=True
    )


def test_what_was_noted_is_not_noted_again_by_a_new_waiter() -> None:
    world = a_world()
    [run] = world.add_runs({"conds": (on_success(),)})
    world.run_until(world.now_us + 20 * SECOND)
    for _ in range(3):
        world.kill("waiter/0", SECOND)
        world.run_until(world.now_us + 20 * SECOND)
    noted = [line for line in lines(world, run) if line.startswith("waiting until")]
    assert noted == ["waiting until: dependency dep() is success"]
