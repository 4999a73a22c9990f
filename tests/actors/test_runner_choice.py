"""Which agent gets a run: policies, slots, aliases."""

from __future__ import annotations

import pytest
from runner_driver import SECOND, START_US, RunnerDriver, a_run, starts

from callsheet.actors.runner_choice import Choice
from callsheet.jobs.programs import BoundProcess
from callsheet.jobs.states import State
from callsheet.messages.agents import AgentBeat, ProcessEnded
from callsheet.messages.instructions import AttemptEnded, AttemptUpdated
from callsheet.messages.post import LEDGER, Post


def in_group(group_id):
    return BoundProcess(argv=("x",), group_id=group_id)


def given(driver, *numbers, group_id="default"):
    """Start runs and return which agent each went to."""
    found = []
    for number in numbers:
        run = a_run(f"r{number}", version=100 + number, program=in_group(group_id))
        found += [to.removeprefix("agent/") for to, _ in starts(driver.start(run))]
    return found


def later(driver, seconds):
    """Let time pass while the agent x is heard of."""
    posts = []
    for _ in range(seconds // 5):
        posts += driver.later(5) + driver.from_agent(AgentBeat(agent_id="x", live=0))
    return posts


def over(driver, number, agent_id):
    """A run is over and on record: its slot is free. Returns what follows."""
    ended = ProcessEnded(
        run_id=f"r{number}", attempt=1, status=0, at_us=START_US, started_us=START_US
    )
    driver.from_agent(ended, agent_id=agent_id)
    return driver.recorded(f"r{number}", State.SUCCESS, ended=True)


def test_the_least_loaded_agent_gets_the_run():
    driver = RunnerDriver(agents=("a", "b", "c"))
    first = given(driver, 1, 2, 3)
    assert sorted(first) == ["a", "b", "c"]
    over(driver, 2, first[1])
    assert given(driver, 4) == [first[1]]


def test_round_robin_takes_the_agents_in_turn_whatever_their_load():
    driver = RunnerDriver(agents=("b", "c", "a"), choice=Choice({"default": "round_robin"}))
    assert given(driver, 1, 2, 3, 4) == ["a", "b", "c", "a"]
    over(driver, 2, "b")
    assert given(driver, 5, 6) == ["b", "c"]


def test_random_is_the_same_for_the_same_attempt_and_spread_over_all():
    choice = Choice({"default": "random"})
    first = given(RunnerDriver(agents=("a", "b", "c"), choice=choice), *range(1, 61))
    again = given(RunnerDriver(agents=("c", "a", "b"), choice=choice), *range(1, 61))
    assert first == again
    assert all(first.count(agent_id) > 8 for agent_id in "abc")


def test_policies_are_those_of_each_group():
    driver = RunnerDriver(choice=Choice({"far": "round_robin"}))
    for agent_id, group_id in (("a", "far"), ("b", "far"), ("c", "near")):
        driver.hello(agent_id, group_id=group_id)
    assert given(driver, 1, 2, 3, group_id="far") == ["a", "b", "a"]
    assert given(driver, 4, group_id="near") == ["c"]


def test_an_alias_stands_for_agents_and_groups():
    driver = RunnerDriver(choice=Choice({"old": "round_robin"}, {"old": ("a", "near")}))
    for agent_id, group_id in (("a", "far"), ("b", "far"), ("c", "near")):
        driver.hello(agent_id, group_id=group_id)
    assert given(driver, 1, 2, 3, group_id="old") == ["a", "c", "a"]
    assert given(driver, 4, group_id="far") == ["b"]


def test_a_label_chooses_within_a_group_and_is_no_way_into_another():
    driver = RunnerDriver(choice=Choice({"big": "round_robin"}, {"big": ("batch+big",)}))
    driver.hello("a", group_id="batch", labels=["big", "fast"])
    driver.hello("b", group_id="batch")
    driver.hello("c", group_id="other", labels=["big", "batch+big"])
    driver.hello("d", group_id="batch", labels=["big"])
    assert given(driver, 1, 2, 3, group_id="big") == ["a", "d", "a"]


def test_an_agent_has_no_more_processes_than_slots_and_the_next_waits_its_turn():
    driver = RunnerDriver()
    driver.hello("x", slots=2)
    assert given(driver, 1, 2) == ["x", "x"]
    note = AttemptUpdated(run_id="r3", attempt=1, note="waits for a free slot in group default")
    assert driver.start(a_run("r3", version=103)) == [Post(LEDGER, note)]
    assert given(driver, 4) == []
    assert {run_id for _, run_id in starts(later(driver, 600))} == {"r1", "r2"}
    assert starts(over(driver, 1, "x")) == [("agent/x", "r3")]
    assert starts(over(driver, 2, "x")) == [("agent/x", "r4")]


def test_another_agent_with_a_free_slot_gets_the_run():
    driver = RunnerDriver()
    driver.hello("x", slots=1)
    driver.hello("y", slots=2)
    assert sorted(given(driver, 1, 2, 3)) == ["x", "y", "y"]


def test_with_a_start_timeout_the_wait_for_a_slot_is_bounded():
    driver = RunnerDriver(start_timeout_us=60 * SECOND)
    driver.hello("x", slots=1)
    given(driver, 1, 2)
    ends = [m for _, m in later(driver, 65) if isinstance(m, AttemptEnded)]
    assert {(m.run_id, m.state, m.message) for m in ends} == {
        ("r2", State.ERROR, "start failed: r2: no free slot in group: default")
    }


@pytest.mark.parametrize("slots", [0, 1])
def test_without_an_agent_the_sentence_is_the_old_one(slots):
    driver = RunnerDriver()
    driver.hello("x", group_id="other", slots=slots)
    ends = [m for _, m in [*driver.start(a_run(version=101)), *driver.later(12)]]
    said = {m.message for m in ends if isinstance(m, AttemptEnded)}
    assert said == {"start failed: r1: no connected agent in group: default"}
