"""The responder: each action once, whatever is lost, doubled or killed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_world import BAD, SECOND, CoreNode
from scheduler_world import SchedulerWorld, a_job

from callsheet.actors.delivery_seam import DELIVERY, ArgsFilled, Delivered
from callsheet.actors.responder import FIRST_WAIT_US, LONGEST_WAIT_US, Responder, wait_us
from callsheet.actors.responder_lines import AT_ONCE
from callsheet.jobs.actions import NotifyAction, ScheduleAction
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.commands import ActOn, OutboxItem
from callsheet.messages.instructions import ActionSettled
from callsheet.messages.post import FEED, LEDGER, RESPONDER, SCHEDULER, Post
from callsheet.messages.transitions import ActionNoted
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
    [settled] = responder.receive(SCHEDULER, Done.of("act-r1.5.0", 9, [made]), 2)
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


# --- carrying out -------------------------------------------------------------------------------


def a_notice(number: int = 1, service: str = "chat", **fields: Any) -> OutboxItem:
    run = Run(run_id=f"r{number}", job_id="a", args={}, state=S.SUCCESS, schedule_us=0)
    action = NotifyAction(service=service)
    return OutboxItem(action_id=f"r{number}.5.0", run=run, action=action, at_us=0, **fields)


def begun(posts: list[Post]) -> list[str]:
    return [post.message.item.action_id for post in posts if post.to == DELIVERY]


def told(posts: list[Post]) -> list[Any]:
    return [post.message for post in posts if post.to == LEDGER]


def give(responder: Responder, *items: OutboxItem, now_us: int = 0) -> list[str]:
    posts = responder.receive(LEDGER, ActOn(items=list(items)), now_us)
    return begun(posts + responder.settle(now_us))


def fail(responder: Responder, action_id: str, now_us: int, **fields: Any) -> list[Any]:
    failed = Delivered(action_id=action_id, error="refused", **fields)
    return told(responder.receive("local", failed, now_us))


def test_an_action_that_is_done_is_settled_with_what_it_says():
    responder = Responder()
    assert give(responder, a_notice()) == ["r1.5.0"]
    [settled] = told(responder.receive("local", Delivered(action_id="r1.5.0", message="told"), 1))
    assert settled == ActionSettled(action_id="r1.5.0", message="told")
    assert give(responder, a_notice()) == []


def test_an_action_under_way_is_not_begun_again_when_the_ledger_repeats_it():
    responder = Responder()
    assert give(responder, a_notice(), a_notice()) == ["r1.5.0"]
    assert give(responder, a_notice(), now_us=SECOND) == []


def test_a_failing_action_is_tried_again_later_and_later_and_given_up_in_the_end():
    responder = Responder(attempts=4)
    now_us = 0
    give(responder, a_notice())
    waits = []
    for attempt in (1, 2, 3):
        [tried] = fail(responder, "r1.5.0", now_us)
        assert (tried.attempts, tried.error) == (attempt, "refused")
        waits.append(tried.next_us - now_us)
        assert begun(responder.settle(tried.next_us - 1)) == []
        assert responder.wakes_at() == tried.next_us
        now_us = tried.next_us
        assert begun(responder.settle(now_us)) == ["r1.5.0"]
    assert [wait // FIRST_WAIT_US for wait in waits] == [1, 2, 4]
    [settled] = fail(responder, "r1.5.0", now_us)
    assert settled.error == "refused: given up after 4 attempts"
    assert responder.wakes_at() is None


def test_an_action_that_would_fail_again_is_not_tried_again():
    responder = Responder()
    give(responder, a_notice())
    [settled] = fail(responder, "r1.5.0", 0, final=True)
    assert settled == ActionSettled(action_id="r1.5.0", message="error: refused", error="refused")


@settings(deadline=None)
@given(st.integers(1, 40), st.text(min_size=1))
def test_waits_grow_to_an_hour_and_differ_by_a_quarter_at_most(attempts, name):
    plain_us = min(FIRST_WAIT_US * 2 ** (attempts - 1), LONGEST_WAIT_US)
    assert plain_us <= wait_us(name, attempts) <= plain_us * 5 // 4


def test_actions_that_failed_together_do_not_come_together():
    assert len({wait_us(f"r{n}.1.0", 3) for n in range(100)}) > 90


def test_a_new_responder_goes_on_with_the_attempts_on_record():
    responder = Responder(attempts=3)
    waiting = a_notice(attempts=2, next_us=50 * SECOND, error="refused")
    assert give(responder, waiting) == []
    assert begun(responder.settle(50 * SECOND)) == ["r1.5.0"]
    [settled] = fail(responder, "r1.5.0", 51 * SECOND)
    assert settled.error == "refused: given up after 3 attempts"


def test_a_ledger_that_missed_an_attempt_is_told_again():
    responder = Responder()
    give(responder, a_notice())
    [tried] = fail(responder, "r1.5.0", 0)
    assert told(responder.receive(LEDGER, ActOn(items=[a_notice()]), 1)) == [tried]
    known = a_notice(attempts=1, next_us=tried.next_us)
    assert responder.receive(LEDGER, ActOn(items=[known]), 2) == []


def test_a_target_that_hangs_keeps_nobody_else_waiting():
    responder = Responder()
    hanging = [a_notice(n, "hangs") for n in range(1, 1001)]
    others = [a_notice(n, f"s{n}") for n in range(2001, 2006)]
    found = give(responder, *hanging, *others)
    assert found == ["r1.5.0", "r2.5.0", *(item.action_id for item in others)]
    responder.receive("local", Delivered(action_id="r1.5.0"), 1)
    assert begun(responder.settle(1)) == ["r3.5.0"]


def test_no_more_are_carried_out_at_once_than_may_be_and_targets_take_turns():
    responder = Responder()
    items = [a_notice(10 * n + m, f"s{n}") for n in range(1, 31) for m in range(3)]
    found = give(responder, *items)
    assert len(found) == AT_ONCE
    order = list(found)
    while found:
        done = found.pop(0)
        responder.receive("local", Delivered(action_id=done), 1)
        more = begun(responder.settle(1))
        assert len(found) + len(more) <= AT_ONCE
        found += more
        order += more
    assert sorted(order) == sorted(item.action_id for item in items)


def test_a_slow_target_does_not_hold_up_follow_up_runs():
    responder = Responder()
    give(responder, *(a_notice(n, f"s{n}") for n in range(2, 2 + AT_ONCE)))
    [wish] = responder.receive(LEDGER, ActOn(items=[an_item()]), 0)
    assert wish.to == SCHEDULER


def test_args_that_are_more_than_names_are_filled_by_somebody_else_first():
    responder = Responder()
    action = ScheduleAction(job_id="b", args={"y": "{{ x | upper }}"})
    run = Run(run_id="r1", job_id="a", args={"x": "q"}, state=S.SUCCESS, schedule_us=0)
    item = OutboxItem(action_id="r1.5.0", run=run, action=action, at_us=0)
    assert give(responder, item) == ["r1.5.0"]
    filled = ArgsFilled(action_id="r1.5.0", args={"y": "Q"})
    [wish] = responder.receive("local", filled, 1)
    assert wish.to == SCHEDULER
    assert wish.message.instruction.args == {"y": "Q"}
    assert responder.receive("local", filled, 2) == []


class DeliveringNode(CoreNode):
    """A responder whose deliveries are carried out at once; the first tries of each fail."""

    def __init__(self, world: SchedulerWorld, failures: int) -> None:
        super().__init__(world, RESPONDER, lambda now_us: Responder())
        self.failures = failures
        self.carried: list[str] = []

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        posts = super().step(batch)
        for action_id in begun(posts):
            self.carried.append(action_id)
            error = "refused" if self.carried.count(action_id) <= self.failures else ""
            done = Delivered(action_id=action_id, error=error)
            posts += self.core.receive("local", done, self.world.now_us)
        return [post for post in posts if post.to != DELIVERY]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_action_survives_kills_of_responder_and_ledger_and_is_tried_until_it_is_done(seed):
    notice = NotifyAction(service="chat", states=(S.SUCCESS,))
    world = SchedulerWorld(a_job("first", actions=(notice,)), seed=seed, wire=BAD)
    node = DeliveringNode(world, failures=3)
    world.add(node, follows=(FEED,))
    world.wait_until(world.ready)
    [first] = world.wish(ScheduleRun(job_id="first"), "w1").runs
    for seconds in (3, 12, 33):
        world.at(world.now_us + seconds * SECOND, lambda: world.kill(RESPONDER, SECOND))
        world.at(world.now_us + (seconds + 5) * SECOND, lambda: world.kill(LEDGER, SECOND))
    tables = world.ledger.driver.disk.tables
    world.wait_until(lambda: world.states(first.run_id) == [S.SUCCESS], 300)
    world.wait_until(lambda: not tables.outbox, 600)
    assert len(node.carried) >= 4
    assert set(node.carried) == {node.carried[0]}
    said = [event for event in world.reader.log(first.run_id) if isinstance(event, ActionNoted)]
    assert [event.outcome for event in said][-1] == "done"
    assert [event.outcome for event in said].count("done") == 1
    assert any(event.message.startswith("error: refused: attempt 1") for event in said)
