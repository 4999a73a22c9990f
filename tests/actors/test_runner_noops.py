"""No-ops, which the runner plays itself: by the wall clock, whatever died meanwhile."""

from __future__ import annotations

import pytest
from runner_driver import SECOND, START_US, RunnerDriver, a_noop

from callsheet.jobs.states import State
from callsheet.messages.commands import StopAttempt
from callsheet.messages.instructions import AttemptEnded, AttemptStarted
from callsheet.messages.post import LEDGER, Post
from callsheet.messages.transitions import Beat

STARTED = Post(LEDGER, AttemptStarted(run_id="r1", attempt=1, at_us=START_US, meta={"program": {}}))


def over(at_us, state=State.SUCCESS, message="", started_us=START_US, **meta):
    ended = AttemptEnded(
        run_id="r1",
        attempt=1,
        at_us=at_us,
        state=state,
        message=message,
        started_us=started_us,
        meta={"program": {}} | meta,
    )
    return Post(LEDGER, ended)


@pytest.fixture
def driver():
    """A runner."""
    return RunnerDriver()


@pytest.mark.parametrize(
    ("success", "state", "message", "meta"),
    [
        (True, State.SUCCESS, "", {"elapsed": 0.0}),
        (False, State.FAILURE, "failed", {"elapsed": 0.0}),
        (None, State.ERROR, "error", {}),
    ],
)
def test_one_without_a_duration_is_over_in_the_message_that_starts_it(
    driver, success, state, message, meta
):
    run = a_noop(duration_s=None, success=success, version=101)
    assert driver.start(run) == [over(START_US, state, message, **meta)]


def test_one_with_a_duration_starts_and_ends_in_its_time(driver):
    assert driver.start(a_noop(duration_s=1.5, version=101)) == [STARTED]
    driver.recorded()
    assert driver.later(1.4) == []
    assert driver.later(0.2) == [over(START_US + 1_500_000, elapsed=1.5)]
    assert driver.recorded(state=State.SUCCESS, ended=True) == []
    assert driver.later(10) == []


def test_a_start_sent_again_does_not_start_it_anew(driver):
    driver.start(a_noop(version=101))
    driver.later(1)
    assert driver.start(a_noop(version=101)) == []
    driver.later(6)
    assert driver.start(a_noop(version=101)) == []
    driver.recorded(state=State.SUCCESS, ended=True)
    assert driver.start(a_noop(version=101)) == []


def test_its_reports_are_repeated_until_they_are_recorded(driver):
    driver.start(a_noop(duration_s=60, version=101))
    assert driver.later(4.5) == [STARTED, STARTED]
    driver.recorded()
    assert driver.later(10) == []


def test_a_stop_ends_it_as_an_error(driver):
    driver.start(a_noop(duration_s=60, version=101))
    driver.recorded()
    driver.later(3)
    stop = StopAttempt(epoch=1, run_id="r1", attempt=1)
    stopped = over(START_US + 3 * SECOND, State.ERROR, "program stopped")
    assert driver.tell(LEDGER, stop) == [stopped]
    assert driver.tell(LEDGER, stop) == []
    driver.recorded(state=State.ERROR, ended=True)
    assert driver.later(100) == []


def test_its_stop_time_ends_it(driver):
    driver.start(a_noop(duration_s=60, version=101, stop_us=START_US + 2 * SECOND))
    driver.recorded()
    assert driver.later(3) == [over(START_US + 2 * SECOND, State.ERROR, "program stopped")]


def test_one_that_starts_after_its_stop_time_is_stopped_at_once(driver):
    posts = driver.start(a_noop(duration_s=60, version=101, stop_us=START_US - SECOND))
    assert posts == [STARTED, over(START_US, State.ERROR, "program stopped")]


def test_one_that_was_running_when_the_runner_died_ends_in_its_time():
    began_us = START_US - 3 * SECOND
    driver = RunnerDriver(a_noop(state=State.RUNNING, times={"running": began_us}))
    assert driver.later(1.5) == []
    ended = over(began_us + 5 * SECOND, started_us=began_us, elapsed=5.0)
    assert driver.later(1) == [ended]


def test_one_whose_time_passed_while_the_runner_was_away_is_over_at_once():
    began_us = START_US - 60 * SECOND
    driver = RunnerDriver(welcomed=False)
    posts = driver.welcome(a_noop(state=State.RUNNING, times={"running": began_us}))
    ended = over(began_us + 5 * SECOND, started_us=began_us, elapsed=5.0)
    assert ended in posts


def test_one_that_was_starting_or_stopping_when_the_runner_died_starts_or_stops():
    driver = RunnerDriver(welcomed=False)
    assert STARTED in driver.welcome(a_noop())
    driver = RunnerDriver(welcomed=False)
    run = a_noop(state=State.STOPPING, times={"running": START_US - SECOND})
    stopped = over(START_US, State.ERROR, "program stopped", START_US - SECOND)
    assert stopped in driver.welcome(run)


def test_a_new_ledger_does_not_start_it_anew(driver):
    run = a_noop(duration_s=5, version=101)
    driver.start(run)
    driver.recorded()
    driver.later(2)
    driver.tell("feed", Beat(epoch=2, seq=1))
    assert STARTED not in driver.welcome(run, epoch=2)
    assert over(START_US + 5 * SECOND, elapsed=5.0) in driver.later(4)


def test_an_end_the_last_ledger_did_not_record_is_told_to_the_next(driver):
    run = a_noop(duration_s=1, version=101)
    driver.start(run)
    driver.later(1.5)
    driver.tell("feed", Beat(epoch=2, seq=1))
    driver.welcome(run, epoch=2)
    assert driver.later(2) == [over(START_US + SECOND, elapsed=1.0)]


def test_one_that_the_ledger_has_ended_is_still_reported_and_answered(driver):
    driver.start(a_noop(version=101))
    driver.recorded(state=State.ERROR, ended=True)
    assert driver.later(6) == [over(START_US + 5 * SECOND, elapsed=5.0)]
    driver.recorded(state=State.ERROR, ended=True)
    assert driver.later(10) == []
