"""Pools, and races for places: what is allowed at once is never exceeded, all get their turn."""

from __future__ import annotations

from typing import Any

import pytest
from planning_world import SECOND, PlanningWorld
from waiter_world import SEEDS, a_world, on_success, wish
from world import GOOD

from callsheet.jobs.bound_conditions import BoundMaxRunning, BoundPool, BoundSkipDuplicate
from callsheet.jobs.programs import BoundNoOp
from callsheet.jobs.run import Run
from callsheet.jobs.states import OCCUPYING, State
from callsheet.messages.wishes import SkipRun, StartNow, StopRun

S = State


class Watch:
    """The most of something that was ever so at once, looked at after each step of the world."""

    def __init__(self, world: PlanningWorld, weigh: Any) -> None:
        self.most = 0
        self._world, self._weigh = world, weigh
        world.after_step = self._look

    def _look(self) -> None:
        taken = sum(self._weigh(run) for run in self._world.runs if run.state in OCCUPYING)
        self.most = max(self.most, taken)


def weight_of(run: Run) -> int:
    return sum(cond.weight for cond in run.conds if isinstance(cond, BoundPool))


def in_pool(weight: int = 1, **fields: Any) -> dict[str, Any]:
    return {"job_id": f"j{weight}", "conds": (BoundPool(name="db", weight=weight),)} | fields


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pool_is_never_overdrawn_and_all_get_their_turn(seed: int) -> None:
    world = a_world(seed, lasts_s=5, pools={"db": 4})
    watch = Watch(world, weight_of)
    runs = world.add_runs(*[in_pool(n % 3 + 1) for n in range(15)])
    world.wait_until(lambda: set(world.states(*runs)) == {S.SUCCESS}, 900)
    assert watch.most == 4


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pool_survives_the_death_of_waiter_and_ledger(seed: int) -> None:
    world = a_world(seed, lasts_s=5, pools={"db": 3})
    watch = Watch(world, weight_of)
    runs = world.add_runs(*[in_pool(n % 2 + 1) for n in range(10)])
    for n in range(1, 7):
        address = "waiter/0" if n % 2 else "ledger/0"
        world.at(world.now_us + n * 4 * SECOND, lambda a=address: world.kill(a, SECOND))
    world.wait_until(lambda: set(world.states(*runs)) == {S.SUCCESS}, 900)
    assert watch.most == 3


@pytest.mark.parametrize("seed", range(1, 12))
def test_a_heavy_run_is_not_starved_by_light_ones_that_come_later(seed: int) -> None:
    world = a_world(lasts_s=10, pools={"db": 4})
    world.random.seed(seed)
    world.wire = GOOD
    world.add_runs(in_pool(), in_pool())
    world.run_until(world.now_us + 2 * SECOND)
    [heavy] = world.add_runs(in_pool(4))
    world.run_until(world.now_us + SECOND)
    light = world.add_runs(*[in_pool()] * 5)
    world.wait_until(lambda: world.states(heavy) == [S.RUNNING], 30)
    assert world.states(*light) == [S.WAITING] * 5


def test_those_behind_go_on_when_the_one_ahead_of_them_is_gone() -> None:
    world = a_world(lasts_s=1_000, pools={"db": 4})
    world.wire = GOOD
    world.add_runs(in_pool(2))
    world.run_until(world.now_us + 2 * SECOND)
    [heavy] = world.add_runs(in_pool(3))
    world.run_until(world.now_us + SECOND)
    [light] = world.add_runs(in_pool())
    world.run_until(world.now_us + SECOND)
    assert world.states(heavy, light) == [S.WAITING] * 2
    wish(world, SkipRun(run_id=heavy))
    world.wait_until(lambda: world.states(heavy, light) == [S.SKIPPED, S.RUNNING], 5)


def test_a_run_started_by_override_takes_its_place_all_the_same() -> None:
    world = a_world(lasts_s=20, pools={"db": 1})
    first, second, third = world.add_runs(in_pool(), in_pool(), in_pool())
    world.wait_until(lambda: S.RUNNING in world.states(first))
    wish(world, StartNow(run_id=second))
    world.wait_until(lambda: world.states(second) == [S.RUNNING])
    world.wait_until(lambda: world.states(first) == [S.SUCCESS], 60)
    world.run_until(world.now_us + SECOND)
    assert world.states(third) == [S.WAITING] or world.states(second) == [S.SUCCESS]
    world.wait_until(lambda: world.states(third) == [S.SUCCESS], 90)


def test_a_stopping_run_takes_no_place() -> None:
    world = a_world(lasts_s=600, pools={"db": 1})
    world.wire = GOOD
    guard = BoundMaxRunning(count=1, job_id="a", args={})
    runs = world.add_runs(*[{"conds": (guard, BoundPool(name="db"))}] * 2)
    world.wait_until(lambda: world.states(*runs) == [S.RUNNING, S.WAITING])
    wish(world, StopRun(run_id=runs[0]))
    world.wait_until(lambda: world.states(*runs) == [S.STOPPING, S.RUNNING], 10)


def test_a_run_of_an_unknown_pool_waits_and_one_too_heavy_goes_alone() -> None:
    world = a_world(lasts_s=5, pools={"db": 2})
    lost, heavy, light = world.add_runs(
        {"conds": (BoundPool(name="gone"),)}, in_pool(9), in_pool(1)
    )
    world.wait_until(lambda: world.states(heavy, light) == [S.SUCCESS] * 2, 120)
    assert world.states(lost) == [S.WAITING]


@pytest.mark.parametrize("seed", SEEDS)
def test_in_a_pool_the_higher_priority_goes_first(seed: int) -> None:
    world = a_world(seed, lasts_s=5, pools={"db": 1})
    gate = on_success()
    conds = (gate, BoundPool(name="db"))
    runs = world.add_runs(*[{"conds": conds, "priority": n} for n in (1, 3, 2, 3)])
    world.run_until(world.now_us + 20 * SECOND)
    world.add_runs({"job_id": "dep"})
    world.wait_until(lambda: set(world.states(*runs)) == {S.SUCCESS}, 600)
    started = sorted(runs, key=lambda run: world.reader.run(run).times["starting"])
    assert [world.reader.run(run).priority for run in started[1:]] == [3, 2, 1]


# --- races of 128 -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS[:2])
def test_of_128_duplicates_at_once_exactly_one_succeeds(seed: int) -> None:
    world = a_world(seed)
    world.wire = GOOD if seed == 1 else world.wire
    alone = BoundSkipDuplicate(
        check_states=(S.WAITING, S.STARTING, S.RUNNING), target_state=S.SKIPPED
    )
    runs = world.add_runs(*[{"conds": (alone,)}] * 128)
    world.wait_until(lambda: not {S.WAITING, S.STARTING, S.RUNNING} & {*world.states(*runs)}, 600)
    states = world.states(*runs)
    assert (states.count(S.SUCCESS), states.count(S.SKIPPED)) == (1, 127)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS[:2])
def test_of_128_runs_never_more_than_allowed_run_at_once(seed: int) -> None:
    world = a_world(seed, lasts_s=0.2)
    world.wire = GOOD if seed == 1 else world.wire
    watch = Watch(world, lambda run: 1)
    guard = BoundMaxRunning(count=3, job_id="a", args={})
    runs = world.add_runs(*[{"conds": (guard,), "program": BoundNoOp()}] * 128)
    world.wait_until(lambda: set(world.states(*runs)) == {S.SUCCESS}, 3_000)
    assert watch.most == 3
