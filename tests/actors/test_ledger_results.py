"""Results in the ledger: kept with the run, held against its job, handed on to what follows it."""

from __future__ import annotations

import pytest
from ledger_driver import LedgerDriver

from callsheet.actors.responder import Responder
from callsheet.jobs.actions import ScheduleAction
from callsheet.jobs.params import ParamSpec
from callsheet.jobs.retry import Retry
from callsheet.jobs.states import State
from callsheet.messages.commands import ActOn
from callsheet.messages.instructions import AttemptEnded, ClearRun
from callsheet.messages.post import LEDGER, RUNNER
from callsheet.messages.wishes import SchedulerWish

SPECS = {"rows": ParamSpec(type="int"), "note": ParamSpec(default="none")}


@pytest.fixture
def ledger():
    return LedgerDriver()


def end(ledger, run, results, state=State.SUCCESS, attempt=1, **fields):
    ended = AttemptEnded(
        run_id=run.run_id,
        attempt=attempt,
        at_us=ledger.now_us,
        state=state,
        results=results,
        **fields,
    )
    ledger.tell(ended, sender=RUNNER)
    return ledger.run(run.run_id)


def test_results_are_kept_with_the_run_over_a_restart(ledger):
    run = end(ledger, ledger.a_run(result_specs=SPECS), {"rows": "3", "more": "x"})
    assert (run.state, run.results) == (
        State.SUCCESS,
        {"rows": "3", "more": "x", "note": "none"},
    )
    ledger.restart()
    assert ledger.run(run.run_id).results["rows"] == "3"


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ({}, "results: missing rows"),
        ({"rows": "x"}, "results: rows: 'x': expected a whole number"),
        (None, "results: missing rows: its agent is of a version that gives no results"),
    ],
)
def test_a_run_that_does_not_give_what_its_job_says_is_a_failure(ledger, results, said):
    run = end(ledger, ledger.a_run(result_specs=SPECS), results, exit_code=0, message="a remark")
    assert (run.state, run.message) == (State.FAILURE, f"{said}; a remark")


def test_of_a_run_that_failed_anyway_what_it_gave_is_kept_and_nothing_more_is_said(ledger):
    run = end(ledger, ledger.a_run(result_specs=SPECS), {"x": "1"}, State.FAILURE, message="exit")
    assert (run.message, run.results) == ("exit", {"x": "1"})


def test_a_run_whose_job_says_nothing_may_give_anything_or_nothing(ledger):
    assert end(ledger, ledger.a_run(), None).state is State.SUCCESS
    assert end(ledger, ledger.a_run(), {"x": "1"}).results == {"x": "1"}


def test_the_next_attempt_begins_without_the_results_of_the_one_before(ledger):
    retry = Retry(attempts=2, backoff_us=0, jitter=0.0)
    run = end(ledger, ledger.a_run(result_specs=SPECS, retry=retry), {"x": "1"}, exit_code=0)
    assert run.state is State.WAITING
    ledger.later(1)
    ledger.tell(ClearRun(run_id=run.run_id), sender="waiter/0")
    assert ledger.run(run.run_id).results == {}
    run = end(ledger, run, {"rows": "1"}, attempt=2)
    assert (run.state, run.results["rows"]) == (State.SUCCESS, "1")
    assert "x" not in run.results


def test_what_follows_a_run_is_asked_for_with_its_results(ledger):
    action = ScheduleAction(job_id="b", states=(State.SUCCESS,))
    run = ledger.a_run(actions=(action,))
    ledger.tell(
        AttemptEnded(
            run_id=run.run_id,
            attempt=1,
            at_us=ledger.now_us,
            state=State.SUCCESS,
            results={"rows": "3"},
        ),
        sender=RUNNER,
    )
    [act] = [post.message for post in ledger.posts if isinstance(post.message, ActOn)]
    posts = Responder().receive(LEDGER, act, ledger.now_us)
    [wish] = [post.message for post in posts if isinstance(post.message, SchedulerWish)]
    assert wish.instruction.source_results == {"rows": "3"}
