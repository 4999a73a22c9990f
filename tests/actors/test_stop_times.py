"""A run whose stop time has come is stopping, whoever notices first; its agent stops it."""

from __future__ import annotations

from ledger_driver import SECOND, LedgerDriver
from runner_driver import START_US, RunnerDriver, a_run

from callsheet.jobs.programs import BoundProcess
from callsheet.jobs.retry import Retry
from callsheet.jobs.states import State
from callsheet.messages.agents import ProcessStarted, StopProcess
from callsheet.messages.commands import StopAttempt
from callsheet.messages.instructions import AttemptEnded, AttemptStarted, AttemptUpdated
from callsheet.messages.post import LEDGER, RUNNER

SLEEP = BoundProcess(argv=("sleep", "600"))
STARTED = ProcessStarted(run_id="r1", attempt=1, pid=7, at_us=START_US + 5)
STOPPING = AttemptUpdated(run_id="r1", attempt=1, stopping=True)


# --- the runner -----------------------------------------------------------------------------------


def a_driver(stop_s=10, state=State.STARTING):
    """A runner with a run that has a stop time, and an agent for it."""
    driver = RunnerDriver(agents=("x",))
    driver.start(a_run(version=101, stop_us=START_US + stop_s * SECOND, state=state))
    return driver


def said(posts):
    return [post.message for post in posts if post.to == LEDGER and post.message == STOPPING]


def test_the_ledger_is_told_when_the_stop_time_of_a_running_run_has_come():
    driver = a_driver()
    driver.from_agent(STARTED)
    driver.recorded()
    assert said(driver.later(9)) == []
    assert said(driver.later(1)) == [STOPPING]


def test_it_is_told_again_until_the_attempt_is_stopped():
    driver = a_driver()
    driver.from_agent(STARTED)
    driver.recorded()
    assert said(driver.later(13)) == [STOPPING] * 2
    posts = driver.tell(LEDGER, StopAttempt(epoch=1, run_id="r1", attempt=1))
    assert [post.message for post in posts] == [
        StopProcess(epoch=1, run_id="r1", attempt=1, boot_id="b")
    ]
    assert said(driver.later(20)) == []


def test_one_that_has_not_started_is_told_of_once_it_has():
    driver = a_driver(stop_s=-60)
    assert said(driver.later(1)) == []
    driver.from_agent(STARTED)
    driver.recorded()
    assert STOPPING in said(driver.later(3))


def test_a_runner_that_comes_back_knows_the_stop_times_of_what_runs():
    run = a_run(state=State.RUNNING, stop_us=START_US + 5 * SECOND, agent_id="x")
    driver = RunnerDriver(run)
    assert said(driver.later(6)) == [STOPPING]


def test_of_a_run_that_is_over_nothing_is_told():
    driver = a_driver()
    driver.from_agent(STARTED)
    driver.recorded()
    driver.recorded(state=State.SUCCESS, ended=True)
    assert said(driver.later(30)) == []
    assert said(RunnerDriver(a_run(state=State.RUNNING, agent_id="x")).later(30)) == []


# --- the ledger -----------------------------------------------------------------------------------


def running(ledger, stop_s=10, **fields):
    """A run under way, with a stop time."""
    run = ledger.a_run(program=SLEEP, stop_us=ledger.now_us + stop_s * SECOND, **fields)
    started = AttemptStarted(run_id=run.run_id, attempt=1, at_us=ledger.now_us)
    ledger.tell(started, sender=RUNNER)
    return run.run_id


def told(ledger, run_id):
    """What the ledger sends when it is told that the time has come."""
    message = AttemptUpdated(run_id=run_id, attempt=1, stopping=True)
    return ledger.tell(message, sender=RUNNER)


def ended(ledger, run_id, state=State.FAILURE, at_us=None):
    """The run after its process ended."""
    at_us = ledger.now_us if at_us is None else at_us
    ledger.tell(AttemptEnded(run_id=run_id, attempt=1, at_us=at_us, state=state), sender=RUNNER)
    return ledger.run(run_id)


def log(ledger, run_id):
    return [getattr(event, "message", "") for event in ledger.writer.reader.log(run_id)]


def test_a_running_run_is_stopping_and_is_stopped():
    ledger = LedgerDriver()
    run_id = running(ledger)
    ledger.now_us += 10 * SECOND
    assert [type(one) for one in told(ledger, run_id)] == [StopAttempt]
    run = ledger.run(run_id)
    assert (run.state, run.times["stopping"]) == (State.STOPPING, ledger.now_us)
    assert log(ledger, run_id)[-1] == "stopping"
    assert told(ledger, run_id) == []
    ledger.now_us += SECOND
    assert ended(ledger, run_id).state is State.FAILURE
    assert told(ledger, run_id) == []
    assert ledger.run(run_id).state is State.FAILURE


def test_a_run_that_was_stopped_before_the_ledger_heard_of_it_was_stopping_all_the_same():
    ledger = LedgerDriver()
    run_id = running(ledger)
    began_us = ledger.now_us
    ledger.now_us += 12 * SECOND
    run = ended(ledger, run_id, at_us=began_us + 11 * SECOND)
    assert run.state is State.FAILURE
    assert run.times["stopping"] == began_us + 10 * SECOND
    assert run.times["failure"] == began_us + 11 * SECOND
    assert log(ledger, run_id)[-2:] == ["stopping", "failure"]


def test_a_run_that_ends_before_its_stop_time_was_never_stopping():
    ledger = LedgerDriver()
    run_id = running(ledger)
    ledger.now_us += 9 * SECOND
    assert "stopping" not in ended(ledger, run_id, State.SUCCESS).times


def test_a_run_that_was_stopped_in_time_is_not_tried_again():
    ledger = LedgerDriver()
    retry = Retry(attempts=3, jitter=0.0)
    run_id = running(ledger, retry=retry)
    ledger.now_us += 10 * SECOND
    assert ended(ledger, run_id).state is State.FAILURE
