"""The responder: each action once, whatever is lost, doubled or killed."""

from __future__ import annotations

import pytest
from planning_world import BAD, SECOND
from scheduler_world import SchedulerWorld, a_job

from callsheet.actors.responder import Responder
from callsheet.jobs.actions import ScheduleAction
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.commands import ActOn, OutboxItem
from callsheet.messages.instructions import ActionSettled
from callsheet.messages.post import FEED, LEDGER, RESPONDER, SCHEDULER
from callsheet.messages.wishes import Done, Refused, ScheduleRun

S = State


def a_world(*jobs, seed: int = 1) -> SchedulerWorld:
    world = SchedulerWorld(*jobs, seed=seed, wire=BAD)
    world.core(RESPONDER, lambda now_us: Responder(), FEED)
    world.wait_until(world.ready)
    return world


def lines(world: SchedulerWorld, run_id: str) -> list[str]:
    return [getattr(event, "message", "") for event in world.reader.log(run_id)]


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_follow_up_run_is_made_exactly_once_with_its_args(seed: int) -> None:
    then = ScheduleAction(job_id="next", args={"y": "{{ x }}2"}, states=(S.SUCCESS,))
    world = a_world(
        a_job("first", params=("x", "z"), actions=(then,)),
        a_job("next", params=("y", "z")),
        seed=seed,
    )
    world.at(world.now_us + 3 * SECOND, lambda: world.kill(RESPONDER, SECOND))
    world.at(world.now_us + 6 * SECOND, lambda: world.kill(SCHEDULER, SECOND))
    world.at(world.now_us + 9 * SECOND, lambda: world.kill(LEDGER, SECOND))
    [first] = world.wish(ScheduleRun(job_id="first", args={"x": "1", "z": "3"}), "w1").runs
    tables = world.ledger.driver.disk.tables
    world.wait_until(lambda: len(world.runs) >= 2 and not tables.outbox)
    world.run_until(world.now_us + 60 * SECOND)
    [made] = [run for run in world.runs if run.job_id == "next"]
    assert made.args == {"y": "12", "z": "3"}
    assert f"action scheduling next(y=12 z=3) as {made.run_id}" in lines(world, first.run_id)
    assert f"scheduled by action of {first.run_id}" in lines(world, made.run_id)


def test_an_action_that_cannot_be_done_leaves_its_error_in_the_log() -> None:
    bad = ScheduleAction(job_id="next", args={"y": "{{ nix }}"}, states=(S.SUCCESS,))
    gone = ScheduleAction(job_id="gone", states=(S.SUCCESS,))
    world = a_world(a_job("first", actions=(bad, gone)), a_job("next", params=("y",)))
    [first] = world.wish(ScheduleRun(job_id="first"), "w1").runs
    tables = world.ledger.driver.disk.tables
    world.wait_until(lambda: world.states(first.run_id) == [S.SUCCESS] and not tables.outbox)
    said = lines(world, first.run_id)
    assert "error: 'nix' is undefined" in said or any("nix" in line for line in said)
    assert "error: unknown job gone" in said
    assert len(world.runs) == 1


def an_item() -> OutboxItem:
    run = Run(run_id="r1", job_id="a", args={}, state=S.SUCCESS, schedule_us=0)
    return OutboxItem(action_id="r1.5.0", run=run, action=ScheduleAction(job_id="b"), at_us=0)


def test_a_settled_action_that_is_sent_again_is_only_reported_again() -> None:
    responder = Responder()
    [wish] = responder.receive(LEDGER, ActOn(items=[an_item()]), 0)
    assert wish.to == SCHEDULER
    assert wish.message.command_id == "act-r1.5.0"
    assert responder.receive(LEDGER, ActOn(items=[an_item()]), 1) == []
    made = Run(run_id="r2", job_id="b", args={}, state=S.SCHEDULED, schedule_us=0)
    [settled] = responder.receive(SCHEDULER, Done(command_id="act-r1.5.0", seq=9, runs=[made]), 2)
    assert settled.message == ActionSettled(
        action_id="r1.5.0", message="action scheduling b() as r2"
    )
    assert responder.receive(SCHEDULER, Done(command_id="act-r1.5.0", seq=9), 3) == []
    assert responder.receive(LEDGER, ActOn(items=[an_item()]), 4) == [settled]


def test_a_busy_answer_is_asked_again_and_never_settles() -> None:
    responder = Responder()
    responder.receive(LEDGER, ActOn(items=[an_item()]), 0)
    busy = Refused(command_id="act-r1.5.0", reason="busy", sentence="later")
    assert responder.receive(SCHEDULER, busy, 1) == []
    [again] = responder.settle(2 * SECOND)
    assert again.message.command_id == "act-r1.5.0"
