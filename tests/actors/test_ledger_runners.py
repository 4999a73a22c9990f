"""The runner's sessions: what a dead runner has concluded does not end what the next one starts."""

from __future__ import annotations

from typing import Any

import pytest
from ledger_driver import LedgerDriver
from runner_driver import SLEEP, RunnerDriver, a_run, starts

from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.agents import StartProcess
from callsheet.messages.commands import Recorded, SessionOver, StartRun
from callsheet.messages.hello import Hello, RunnerWelcome, Session
from callsheet.messages.instructions import AttemptEnded, AttemptStarted, AttemptUpdated
from callsheet.messages.post import LEDGER, RUNNER, Post

NO_AGENT = "start failed: r1: no connected agent in group: default"


@pytest.fixture
def ledger() -> LedgerDriver:
    return LedgerDriver()


def greets(ledger: LedgerDriver, incarnation: str) -> Session:
    """Have a runner say hello; return the session it is welcomed to."""
    answers = ledger.tell(Hello(role=RUNNER, incarnation=incarnation), sender=RUNNER)
    [welcome] = [answer for answer in answers if isinstance(answer, RunnerWelcome)]
    assert welcome.incarnation == incarnation
    return (welcome.epoch, welcome.session)


def an_end(run: Run, session: Session | None, **fields: Any) -> AttemptEnded:
    fields = {"state": State.ERROR, "message": NO_AGENT} | fields
    return AttemptEnded(
        run_id=run.run_id, attempt=1, at_us=run.schedule_us, session=session, **fields
    )


def test_what_a_dead_runner_has_concluded_ends_nothing_that_the_next_one_was_given(ledger):
    dead = greets(ledger, "a")
    run = ledger.a_run(program=SLEEP)
    living = greets(ledger, "b")
    late = an_end(run, dead)
    assert ledger.tell(late, sender=RUNNER) == [SessionOver(session=dead)]
    assert ledger.run(run.run_id).state is State.STARTING
    [recorded] = ledger.tell(an_end(run, living), sender=RUNNER)
    assert (recorded.state, recorded.ended) == (State.ERROR, True)
    assert ledger.run(run.run_id).message == NO_AGENT


def test_what_an_agent_has_said_counts_whoever_brings_it(ledger):
    greets(ledger, "a")
    run = ledger.a_run(program=SLEEP)
    greets(ledger, "b")
    fact = an_end(run, None, state=State.SUCCESS, message="", started_us=run.schedule_us)
    [recorded] = ledger.tell(fact, sender=RUNNER)
    assert isinstance(recorded, Recorded)
    assert ledger.run(run.run_id).state is State.SUCCESS


def test_that_a_dead_runner_did_not_hear_of_the_agent_flags_nothing(ledger):
    dead = greets(ledger, "a")
    run = ledger.a_run(program=SLEEP)
    started = AttemptStarted(run_id=run.run_id, attempt=1, at_us=ledger.now_us, agent_id="x")
    ledger.tell(started, sender=RUNNER)
    living = greets(ledger, "b")
    for session, flagged in ((dead, False), (living, True)):
        away = AttemptUpdated(run_id=run.run_id, attempt=1, unreachable=True, session=session)
        ledger.tell(away, sender=RUNNER)
        assert ledger.run(run.run_id).unreachable is flagged


def test_a_runner_that_greets_twice_keeps_its_session(ledger):
    first = greets(ledger, "a")
    assert greets(ledger, "a") == first
    assert greets(ledger, "b") > first


def test_a_conclusion_of_an_epoch_before_is_not_taken(ledger):
    before = greets(ledger, "a")
    run = ledger.a_run(program=SLEEP)
    ledger.restart()
    assert ledger.tell(an_end(run, before), sender=RUNNER) == [SessionOver(session=before)]
    assert greets(ledger, "a") > before
    assert ledger.tell(an_end(run, before), sender=RUNNER) == [SessionOver(session=before)]


def exchange(ledger: LedgerDriver, runner: RunnerDriver, posts: list[Post]) -> list[Any]:
    """Bring what ledger and runner say to each other until they are silent; return all of it."""
    said: list[Any] = []
    while posts:
        to_ledger = [post.message for post in posts if post.to == LEDGER]
        said += to_ledger
        answers = ledger.tell(*to_ledger, sender=RUNNER) if to_ledger else []
        said += answers
        to_runner = [post.message for post in ledger.posts if post.to == RUNNER]
        posts = runner.tell(LEDGER, *to_runner) if to_ledger and to_runner else []
    return said


def test_a_late_greeting_of_a_dead_runner_does_not_shut_out_the_living(ledger):
    runner = RunnerDriver(welcomed=False)
    exchange(ledger, runner, runner.begun)
    run = ledger.a_run(program=SLEEP)
    [start] = [post.message for post in ledger.posts if isinstance(post.message, StartRun)]
    runner.tell(LEDGER, start)
    nobodys = greets(ledger, "dead")
    concluded = runner.later(11)
    said = exchange(ledger, runner, concluded)
    ends = [one for one in said if isinstance(one, AttemptEnded)]
    assert [one.session > nobodys for one in ends] == [False, True]
    assert [type(one) for one in said].count(Hello) == 1
    assert ledger.run(run.run_id).message == NO_AGENT
    assert runner.later(60) == []


def test_what_was_concluded_is_said_in_the_new_session_and_starts_no_process():
    runner = RunnerDriver(a_run())
    [end] = [post.message for post in runner.later(10)]
    assert (end.message, end.session) == (NO_AGENT, (1, 0))
    runner.hello("x")
    other = SessionOver(session=(1, 7))
    assert runner.tell(LEDGER, other) == []
    hello = Hello(role=RUNNER, incarnation="one")
    assert runner.tell(LEDGER, SessionOver(session=(1, 0))) == [Post(LEDGER, hello)]
    assert runner.tell(LEDGER, SessionOver(session=(1, 0))) == []
    [again] = [post.message for post in runner.welcome(a_run(), session=2) if post.to == LEDGER]
    assert (again.message, again.session) == (NO_AGENT, (1, 2))
    assert not any(isinstance(post.message, StartProcess) for post in runner.later(1))


def test_a_welcome_to_a_session_before_is_not_taken():
    runner = RunnerDriver(agents=("x",))
    runner.tell(LEDGER, SessionOver(session=(1, 0)))
    assert starts(runner.welcome(a_run(), seq=101)) == []
    assert starts(runner.welcome(a_run(), seq=101, session=1)) == [("agent/x", "r1")]
