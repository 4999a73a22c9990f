"""The waiter: dependencies, guards, timeouts and holds, over a wire that loses a fifth of all."""

from __future__ import annotations

import pytest
from planning_world import SECOND
from waiter_world import SEEDS, a_world, lines, on_success, wish
from world import GOOD

from callsheet.actors.waiter import Waiter
from callsheet.jobs.bound_conditions import (
    BoundConst,
    BoundDependency,
    BoundMaxRunning,
    BoundSkipDuplicate,
)
from callsheet.jobs.programs import BoundNoOp
from callsheet.jobs.retry import Retry
from callsheet.jobs.states import State
from callsheet.messages.commands import ClearRefused
from callsheet.messages.hello import Welcome
from callsheet.messages.instructions import ClearRun
from callsheet.messages.post import LEDGER, WAITER, Post
from callsheet.messages.wishes import HoldRun, MarkRun, ReleaseRun, SkipRun

S = State


@pytest.mark.parametrize("seed", SEEDS)
def test_a_dependency_met_before_registration_clears_the_run(seed: int) -> None:
    world = a_world(seed)
    [dep] = world.add_runs({"job_id": "dep"})
    world.wait_until(lambda: world.states(dep) == [S.SUCCESS])
    [run] = world.add_runs({"conds": (on_success(),)})
    world.wait_until(lambda: world.states(run) == [S.SUCCESS])


def test_each_condition_is_noted_once_when_it_begins() -> None:
    world = a_world(lasts_s=30)
    world.wire = GOOD
    guard = BoundMaxRunning(count=1, job_id="a", args={})
    [run] = world.add_runs({"conds": (on_success(date="1"), on_success("other"), guard)})
    # A run of the same instance keeps the place, so that each condition is waited for.
    first = {"conds": (on_success("free"), guard)}
    [keeper] = world.add_runs(first | {"program": BoundNoOp()})
    for needed in ({"job_id": "dep", "args": {"date": "1"}}, {"job_id": "free"}):
        world.run_until(world.now_us + 5 * SECOND)
        world.add_runs(needed)
    world.wait_until(lambda: world.states(keeper) == [S.RUNNING])
    world.add_runs({"job_id": "other"})
    world.wait_until(lambda: world.states(run) == [S.SUCCESS])
    noted = [line for line in lines(world, run) if line.startswith("waiting until")]
    expected = [
        "waiting until: dependency dep(date=1) is success",
        "waiting until: dependency other() is success",
        "waiting until: fewer than 1 runs of a() running",
    ]
    # A clearing that overtakes the note of its own condition makes that note needless.
    assert noted == expected[: max(len(noted), 2)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_dependency_met_later_clears_exactly_its_dependents(seed: int) -> None:
    world = a_world(seed)
    runs = world.add_runs(
        {"conds": (on_success(date="1"),)},
        {"conds": (on_success(date="2"),)},
        {"conds": (on_success(date="1"), on_success("other"))},
    )
    world.run_until(world.now_us + 20 * SECOND)
    assert world.states(*runs) == [S.WAITING] * 3
    world.add_runs({"job_id": "dep", "args": {"date": "1"}})
    world.wait_until(lambda: world.states(runs[0]) == [S.SUCCESS])
    world.run_until(world.now_us + 20 * SECOND)
    assert world.states(*runs) == [S.SUCCESS, S.WAITING, S.WAITING]
    world.add_runs({"job_id": "other"})
    world.wait_until(lambda: world.states(runs[2]) == [S.SUCCESS])


def test_const_false_waits_for_ever_and_true_passes() -> None:
    world = a_world()
    runs = world.add_runs(
        {"conds": (BoundConst(value=False),)}, {"conds": (BoundConst(value=True),)}
    )
    world.run_until(world.now_us + 3_600 * SECOND)
    assert world.states(*runs) == [S.WAITING, S.SUCCESS]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_whose_dependency_does_not_exist_is_an_error(seed: int) -> None:
    world = a_world(seed)
    cond = BoundDependency(
        job_id="dep", args={"label": "foo"}, exist=(S.SCHEDULED, S.RUNNING, S.SUCCESS)
    )
    [run] = world.add_runs({"conds": (cond,)})
    world.wait_until(lambda: world.states(run) == [S.ERROR])
    assert world.reader.run(run).message == (
        "no dependency dep(label=foo) exists in scheduled|running|success"
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_dependency_that_ceases_to_exist_is_an_error_then(seed: int) -> None:
    world = a_world(seed)
    [dep] = world.add_runs({"job_id": "dep", "schedule_us": world.now_us + 10_000 * SECOND})
    cond = BoundDependency(job_id="dep", args={}, exist=(S.SCHEDULED, S.SUCCESS))
    [run] = world.add_runs({"conds": (cond,)})
    world.run_until(world.now_us + 20 * SECOND)
    assert world.states(run) == [S.WAITING]
    wish(world, SkipRun(run_id=dep))
    world.wait_until(lambda: world.states(run) == [S.ERROR])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [1, 3])
def test_max_running_is_never_exceeded_and_all_get_their_turn(seed: int, count: int) -> None:
    world = a_world(seed, lasts_s=5)
    most = 0

    def look() -> None:
        nonlocal most
        running = [r for r in world.runs if r.state in (S.STARTING, S.RUNNING)]
        most = max(most, len(running))

    world.after_step = look
    cond = BoundMaxRunning(count=count, job_id="a", args={})
    runs = world.add_runs(*[{"conds": (cond,)}] * 12)
    world.wait_until(lambda: set(world.states(*runs)) == {S.SUCCESS}, 900)
    assert most == count


@pytest.mark.parametrize("seed", SEEDS)
def test_of_waiting_duplicates_exactly_one_succeeds(seed: int) -> None:
    world = a_world(seed)
    cond = BoundSkipDuplicate(
        check_states=(S.WAITING, S.STARTING, S.RUNNING), target_state=S.SKIPPED
    )
    runs = world.add_runs(*[{"conds": (on_success(), cond)}] * 6)
    world.run_until(world.now_us + 20 * SECOND)
    world.add_runs({"job_id": "dep"})
    world.wait_until(lambda: S.WAITING not in world.states(*runs))
    world.wait_until(lambda: sorted(world.states(*runs)) == [S.SKIPPED] * 5 + [S.SUCCESS])


@pytest.mark.parametrize("seed", SEEDS)
def test_waiting_too_long_is_an_error_counted_from_when_it_began(seed: int) -> None:
    world = a_world(seed, max_time_us=60 * SECOND)
    began_us = world.now_us
    [run] = world.add_runs({"conds": (on_success(),)})
    world.run_until(world.now_us + 30 * SECOND)
    world.kill(WAITER, 2 * SECOND)
    world.wait_until(lambda: world.states(run) == [S.ERROR])
    assert 60 * SECOND <= world.now_us - began_us < 80 * SECOND
    assert world.reader.run(run).message == (
        "waiting for dependency dep() is success: timeout after 60 s"
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_held_run_is_cleared_only_after_its_release(seed: int) -> None:
    world = a_world(seed)
    [run] = world.add_runs({"conds": (on_success(),)})
    world.run_until(world.now_us + 5 * SECOND)
    wish(world, HoldRun(run_id=run))
    world.add_runs({"job_id": "dep"})
    world.run_until(world.now_us + 60 * SECOND)
    assert world.states(run) == [S.WAITING]
    wish(world, ReleaseRun(run_id=run))
    world.wait_until(lambda: world.states(run) == [S.SUCCESS])


@pytest.mark.parametrize("seed", SEEDS)
def test_waiter_and_ledger_may_die_at_any_time(seed: int) -> None:
    world = a_world(seed)
    conds = (on_success(), BoundMaxRunning(count=2, job_id="a", args={}))
    runs = world.add_runs(*[{"conds": conds}] * 10)
    for n in range(1, 9):
        address = WAITER if n % 2 else LEDGER
        world.at(world.now_us + n * 3 * SECOND, lambda a=address: world.kill(a, SECOND))
    world.at(world.now_us + 7 * SECOND, lambda: world.add_runs({"job_id": "dep"}))
    world.wait_until(lambda: set(world.states(*runs)) == {S.SUCCESS}, 600)


def test_marking_a_dependency_satisfies_it() -> None:
    world = a_world()
    [dep] = world.add_runs({"job_id": "dep"})
    world.wait_until(lambda: world.states(dep) == [S.SUCCESS])
    wish(world, MarkRun(run_id=dep, state=S.FAILURE))
    [run] = world.add_runs({"conds": (on_success(),)})
    world.run_until(world.now_us + 20 * SECOND)
    assert world.states(run) == [S.WAITING]
    wish(world, MarkRun(run_id=dep, state=S.SUCCESS))
    world.wait_until(lambda: world.states(run) == [S.SUCCESS])


def test_a_place_freed_while_the_refusal_was_on_its_way_is_not_missed() -> None:
    world = a_world()
    driver = world.ledger.driver
    waiter = Waiter(world.reader)
    now_us = world.now_us
    cond = BoundMaxRunning(count=1, job_id="a", args={})
    [run] = world.add_runs({"conds": (cond,)})
    waiter.begin(now_us)
    waiter.receive(LEDGER, Welcome(epoch=driver.ledger.epoch, seq=driver.ledger.seq), now_us)
    [first] = [p for p in waiter.settle(now_us) if isinstance(p.message, ClearRun)]
    assert first.message.run_id == run
    # The ledger looked before the seq at which the waiter has read everything.
    stale = ClearRefused(run_id=run, guard=0, seq=driver.ledger.seq - 1)
    waiter.receive(LEDGER, stale, now_us)
    again = [post for post in waiter.settle(now_us) if isinstance(post.message, ClearRun)]
    assert again == [first]


def test_a_refused_run_does_not_ask_again_before_a_place_is_free() -> None:
    world = a_world()
    driver = world.ledger.driver
    waiter = Waiter(world.reader)
    now_us = world.now_us
    [run] = world.add_runs({"conds": (BoundMaxRunning(count=1, job_id="a", args={}),)})
    waiter.begin(now_us)
    waiter.receive(LEDGER, Welcome(epoch=driver.ledger.epoch, seq=driver.ledger.seq), now_us)
    waiter.settle(now_us)
    refused = ClearRefused(run_id=run, guard=0, seq=driver.ledger.seq)
    waiter.receive(LEDGER, refused, now_us)
    later_us = now_us + 5 * SECOND
    assert not [p for p in waiter.settle(later_us) if isinstance(p.message, ClearRun)]


def test_many_waiting_runs_are_looked_at_in_bounded_turns() -> None:
    world = a_world()
    world.add_runs(*[{"args": {"n": str(n)}, "conds": (on_success(),)} for n in range(5_000)])
    waiter = Waiter(world.reader)
    now_us = world.now_us
    driver = world.ledger.driver
    waiter.begin(now_us)
    waiter.receive(LEDGER, Welcome(epoch=driver.ledger.epoch, seq=driver.ledger.seq), now_us)
    said: list[Post] = waiter.settle(now_us)
    assert len(said) < 5_000
    assert waiter.wakes_at() == 0
    for _ in range(10):
        waiter.settle(now_us)
    assert waiter.wakes_at() > now_us
    assert len(waiter) == 5_000


def test_a_run_that_is_put_off_is_cleared_when_its_time_has_come_and_its_conditions_hold() -> None:
    world = a_world(max_time_us=20 * SECOND)
    world.wire = GOOD
    failing = BoundNoOp(success=False)
    retry = Retry(attempts=3, backoff_us=60 * SECOND, factor=1.0, jitter=0.0)
    run, free = world.add_runs(
        {"program": failing, "retry": retry, "conds": (on_success(),)},
        {"program": failing, "retry": retry},
    )
    world.add_runs({"job_id": "dep"})
    begin_us = world.now_us
    world.wait_until(lambda: world.states(run, free) == [S.FAILURE] * 2, 150)
    # Being put off longer than a run may wait is no reason to end it.
    assert world.now_us >= begin_us + 120 * SECOND
    for run_id in (run, free):
        assert [line for line in lines(world, run_id) if line.startswith("starting")] == [
            "starting",
            "starting: attempt 2 of 3",
            "starting: attempt 3 of 3",
        ]
