"""The waiter: conditions that have to be checked, with a prober at the end of a lossy wire."""

from __future__ import annotations

from typing import Any

import pytest
from planning_world import SECOND, PlanningWorld
from waiter_world import SEEDS, a_world, lines, on_success, wish
from world import GOOD

from callsheet.actors.probe_seam import PROBER, CancelProbe, Probe, Probed
from callsheet.jobs.bound_conditions import BoundAny, BoundConst, BoundMaxRunning, BoundNot
from callsheet.jobs.polled import BoundFileCheck
from callsheet.jobs.states import State
from callsheet.messages.post import WAITER, Post
from callsheet.messages.wishes import HoldRun, ReleaseRun, SkipRun, StartNow

S = State


class ProberNode:
    """Finds what the test says, after `takes_us`; a path it knows nothing of is never answered."""

    address = PROBER

    def __init__(self, world: PlanningWorld, takes_us: int) -> None:
        self.world, self.takes_us = world, takes_us
        self.finds: dict[str, tuple[bool, str]] = {}
        self.made: list[str] = []
        self.cancelled = 0
        self.under_way: dict[int, tuple[int, str]] = {}

    def boot(self) -> list[Post]:
        return []

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        now_us = self.world.now_us
        for _, message in batch:
            if isinstance(message, Probe):
                self.made.append(message.cond.path)
                self.under_way[message.probe_id] = (now_us + self.takes_us, message.cond.path)
            elif isinstance(message, CancelProbe):
                self.cancelled += 1
                self.under_way.pop(message.probe_id, None)
        posts = []
        for probe_id, (at_us, path) in list(self.under_way.items()):
            if at_us <= now_us and path in self.finds:
                met, reason = self.finds[path]
                del self.under_way[probe_id]
                posts.append(Post(WAITER, Probed(probe_id=probe_id, met=met, reason=reason)))
        return posts

    def wakes_at(self) -> int | None:
        known = (at for at, path in self.under_way.values() if path in self.finds)
        return min(known, default=None)


def a_polled_world(seed: int = 1, takes_s: float = 1) -> tuple[PlanningWorld, ProberNode]:
    world = a_world(seed)
    prober = ProberNode(world, int(takes_s * SECOND))
    world.add(prober)
    return world, prober


def a_file(path: str = "/x", poll_s: int = 30) -> BoundFileCheck:
    return BoundFileCheck(path=path, timeout_us=10 * SECOND, poll_us=poll_s * SECOND)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_goes_on_when_a_check_finds_what_it_waits_for(seed: int) -> None:
    world, prober = a_polled_world(seed)
    prober.finds["/x"] = (False, "/x: does not exist")
    [run] = world.add_runs({"conds": (a_file(),)})
    world.run_until(world.now_us + 200 * SECOND)
    assert world.states(run) == [S.WAITING]
    prober.finds["/x"] = (True, "/x: is there")
    world.wait_until(lambda: world.states(run) == [S.SUCCESS])
    assert len(prober.made) > 3


def test_what_is_lacking_is_noted_when_it_changes_and_not_at_each_check() -> None:
    world, prober = a_polled_world()
    world.wire = GOOD
    prober.finds["/x"] = (False, "/x: does not exist")
    [run] = world.add_runs({"conds": (a_file(),)})
    world.run_until(world.now_us + 300 * SECOND)
    prober.finds["/x"] = (False, "/x: is smaller than 5 bytes")
    world.run_until(world.now_us + 300 * SECOND)
    noted = [line for line in lines(world, run) if line.startswith("not yet")]
    assert noted == ["not yet: /x: does not exist", "not yet: /x: is smaller than 5 bytes"]
    assert world.reader.run(run).message == noted[-1]


def test_what_is_lacking_is_noted_only_so_often() -> None:
    world, prober = a_polled_world()
    [run] = world.add_runs({"conds": (a_file(poll_s=1),)})
    for n in range(80):
        prober.finds["/x"] = (False, f"/x: {n}")
        world.run_until(world.now_us + 20 * SECOND)
    assert len([line for line in lines(world, run) if line.startswith("not yet")]) == 50


@pytest.mark.parametrize("operation", [SkipRun, StartNow])
def test_skip_and_start_take_effect_while_a_check_is_under_way(operation: Any) -> None:
    world, prober = a_polled_world(takes_s=10_000)
    prober.finds["/x"] = (True, "")
    [run] = world.add_runs({"conds": (a_file(),)})
    world.wait_until(lambda: bool(prober.under_way))
    wish(world, operation(run_id=run))
    world.wait_until(lambda: world.states(run) != [S.WAITING], 3)
    world.wait_until(lambda: world.states(run) == [S.SKIPPED] or world.states(run) == [S.SUCCESS])


def test_a_hanging_check_holds_up_nobody_else() -> None:
    world, prober = a_polled_world()
    prober.finds["/y"] = (True, "")
    hanging, other, depending = world.add_runs(
        {"conds": (a_file("/hangs"),)},
        {"conds": (a_file("/y"),)},
        {"conds": (on_success(),)},
    )
    world.add_runs({"job_id": "dep"})
    world.wait_until(lambda: world.states(other, depending) == [S.SUCCESS] * 2)
    world.run_until(world.now_us + 60 * SECOND)
    assert world.states(hanging) == [S.WAITING]
    assert "not yet: no answer of the check within 10 s" in lines(world, hanging)


def test_a_held_run_is_not_checked_for() -> None:
    world, prober = a_polled_world()
    prober.finds["/x"] = (False, "no")
    [run] = world.add_runs({"conds": (a_file(poll_s=1),)})
    world.run_until(world.now_us + 20 * SECOND)
    wish(world, HoldRun(run_id=run))
    world.run_until(world.now_us + 20 * SECOND)
    made = len(prober.made)
    world.run_until(world.now_us + 60 * SECOND)
    assert len(prober.made) == made
    prober.finds["/x"] = (True, "")
    wish(world, ReleaseRun(run_id=run))
    world.wait_until(lambda: world.states(run) == [S.SUCCESS])


@pytest.mark.parametrize("seed", SEEDS)
def test_checks_go_together_with_all_else(seed: int) -> None:
    world, prober = a_polled_world(seed)
    prober.finds |= {"/x": (False, "no x"), "/y": (False, "no y")}
    either = BoundAny(conditions=(a_file("/x"), on_success()))
    absent = BoundNot(condition=a_file("/y"))
    guard = BoundMaxRunning(count=1, job_id="a", args={})
    runs = world.add_runs({"conds": (either, guard)}, {"conds": (absent, guard)})
    world.wait_until(lambda: world.states(*runs) == [S.WAITING, S.SUCCESS])
    world.add_runs({"job_id": "dep"})
    world.wait_until(lambda: world.states(*runs) == [S.SUCCESS] * 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_waiter_may_die_while_checks_are_under_way(seed: int) -> None:
    world, prober = a_polled_world(seed)
    prober.finds["/x"] = (False, "no")
    runs = world.add_runs(*[{"conds": (a_file(),)}] * 5)
    for n in range(1, 4):
        world.at(world.now_us + n * 25 * SECOND, lambda: world.kill(WAITER, SECOND))
    world.at(world.now_us + 60 * SECOND, lambda: prober.finds.update({"/x": (True, "")}))
    world.wait_until(lambda: set(world.states(*runs)) == {S.SUCCESS}, 400)


def test_a_condition_that_is_false_for_ever_is_not_checked_any_more() -> None:
    world, prober = a_polled_world()
    prober.finds["/x"] = (True, "")
    [run] = world.add_runs({"conds": (a_file(), BoundConst(value=False))})
    world.run_until(world.now_us + 20 * SECOND)
    made = len(prober.made)
    world.run_until(world.now_us + 300 * SECOND)
    assert len(prober.made) == made
    assert world.states(run) == [S.WAITING]
