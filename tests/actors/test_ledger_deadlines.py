"""Deadlines on virtual time: they hold whatever became of the run, and each is judged once."""

from __future__ import annotations

from typing import Any

import pytest
from ledger_driver import SECOND, START_US, LedgerDriver

from callsheet.actors.ledger_deadlines import JUDGED_A_TURN, SETTLE_US
from callsheet.jobs.actions import NotifyAction, Trigger
from callsheet.jobs.bound_conditions import BoundConst
from callsheet.jobs.deadlines import Due
from callsheet.jobs.run import NewRun, Run
from callsheet.jobs.states import State
from callsheet.jobs.times import format_time
from callsheet.messages.instructions import (
    AttemptEnded,
    AttemptStarted,
    Expectation,
    ExpectRuns,
    RunsDue,
    RunsLate,
)
from callsheet.messages.post import RUNNER
from callsheet.messages.transitions import RunNoted
from callsheet.messages.wishes import HoldRun, MarkRun, SkipRun

S = State
HOUR = 3600
LATER = START_US + HOUR * SECOND
DUE = Due(start_by_us=LATER, finish_by_us=LATER + HOUR * SECOND)
ALERT = NotifyAction(
    service="x", trigger=Trigger(deadlines=("start_by", "finish_by", "max_duration"))
)


@pytest.fixture
def ledger() -> LedgerDriver:
    """A ledger that has been up for a while."""
    driver = LedgerDriver()
    driver.tell()
    driver.later(SETTLE_US / SECOND)
    return driver


def a_run(ledger: LedgerDriver, **fields: Any) -> Run:
    return ledger.a_run(**({"due": DUE, "actions": (ALERT,)} | fields))


def pass_to(ledger: LedgerDriver, at_us: int) -> None:
    """Let time pass, waking the ledger when it asks to be."""
    while True:
        wakes_at = ledger.ledger.wakes_at()
        if wakes_at is None or wakes_at > at_us:
            break
        ledger.now_us = max(ledger.now_us, wakes_at)
        ledger.tell()
    ledger.now_us = at_us


def missed(ledger: LedgerDriver, run_id: str) -> list[str]:
    """What the outbox says was missed, which must be what log and run say."""
    items = ledger.disk.tables.outbox.values()
    kinds = [item.deadline for item in items if item.run.run_id == run_id]
    lines = [
        event.message.split()[2]
        for event in ledger.writer.reader.log(run_id)
        if isinstance(event, RunNoted) and event.message.startswith("deadline missed")
    ]
    assert lines == kinds == list(ledger.run(run_id).meta.get("deadlines", {}))
    return kinds


def end(ledger: LedgerDriver, run: Run, state: State) -> None:
    started = AttemptStarted(run_id=run.run_id, attempt=1, at_us=ledger.now_us)
    ended = AttemptEnded(run_id=run.run_id, attempt=1, at_us=ledger.now_us, state=state)
    ledger.tell(started, ended, sender=RUNNER)


BOTH = ["start_by", "finish_by"]


def test_a_run_that_waits_for_ever_misses_both_each_at_its_time(ledger):
    run = a_run(ledger, conds=(BoundConst(value=False),))
    assert run.state is S.WAITING
    pass_to(ledger, LATER)
    assert missed(ledger, run.run_id) == []
    pass_to(ledger, LATER + 3 * SECOND)
    assert missed(ledger, run.run_id) == ["start_by"]
    pass_to(ledger, LATER + HOUR * SECOND + 3 * SECOND)
    assert missed(ledger, run.run_id) == BOTH
    said = ledger.run(run.run_id).meta["deadlines"]["start_by"]
    assert said["due"] == format_time(LATER)


def test_a_run_whose_agent_is_absent_misses_both(ledger):
    run = a_run(ledger)
    assert run.state is S.STARTING
    pass_to(ledger, LATER + 2 * HOUR * SECOND)
    assert missed(ledger, run.run_id) == BOTH


def test_a_run_that_could_not_be_bound_misses_both(ledger):
    run = a_run(ledger, error="no such name")
    assert run.state is S.ERROR
    pass_to(ledger, LATER + 2 * HOUR * SECOND)
    assert missed(ledger, run.run_id) == BOTH


def test_a_held_run_misses_both(ledger):
    run = a_run(ledger, schedule_us=START_US + 60 * SECOND)
    ledger.wish(HoldRun(run_id=run.run_id))
    pass_to(ledger, LATER + 2 * HOUR * SECOND)
    assert missed(ledger, run.run_id) == BOTH


def test_a_run_skipped_by_a_policy_misses_both(ledger):
    run = a_run(ledger, skipped="older than catch_up allows")
    assert run.state is S.SKIPPED
    pass_to(ledger, LATER + 2 * HOUR * SECOND)
    assert missed(ledger, run.run_id) == BOTH


def test_a_run_that_somebody_skipped_misses_nothing(ledger):
    run = a_run(ledger, schedule_us=START_US + 60 * SECOND)
    ledger.wish(SkipRun(run_id=run.run_id))
    pass_to(ledger, LATER + 2 * HOUR * SECOND)
    assert missed(ledger, run.run_id) == []
    assert ledger.disk.tables.deadlines == {}


@pytest.mark.parametrize("state", [S.SUCCESS, S.FAILURE])
def test_a_run_that_ends_in_time_misses_nothing(ledger, state):
    run = a_run(ledger)
    end(ledger, run, state)
    assert ledger.disk.tables.deadlines == {}
    pass_to(ledger, LATER + 2 * HOUR * SECOND)
    assert missed(ledger, run.run_id) == []


def test_a_run_that_ended_in_error_has_not_finished_until_it_is_marked(ledger):
    run, marked = a_run(ledger), a_run(ledger)
    for one in (run, marked):
        end(ledger, one, S.ERROR)
    ledger.wish(MarkRun(run_id=marked.run_id, state=S.SUCCESS))
    pass_to(ledger, LATER + 2 * HOUR * SECOND)
    assert missed(ledger, run.run_id) == ["finish_by"]
    assert missed(ledger, marked.run_id) == []


def test_what_ended_in_time_and_was_reported_a_moment_later_is_no_alarm(ledger):
    run = a_run(ledger, due=Due(finish_by_us=LATER))
    pass_to(ledger, LATER + SECOND)
    started = AttemptStarted(run_id=run.run_id, attempt=1, at_us=LATER - SECOND)
    ended = AttemptEnded(run_id=run.run_id, attempt=1, at_us=LATER, state=S.SUCCESS)
    ledger.tell(started, ended, sender=RUNNER)
    pass_to(ledger, LATER + HOUR * SECOND)
    assert missed(ledger, run.run_id) == []


def test_a_run_that_runs_too_long_misses_its_length_once(ledger):
    run = a_run(ledger, due=Due(max_duration_us=60 * SECOND))
    assert ledger.disk.tables.deadlines == {}
    started = AttemptStarted(run_id=run.run_id, attempt=1, at_us=ledger.now_us)
    ledger.tell(started, sender=RUNNER)
    begun_us = ledger.now_us
    pass_to(ledger, begun_us + 61 * SECOND)
    assert missed(ledger, run.run_id) == []
    pass_to(ledger, begun_us + 63 * SECOND)
    assert missed(ledger, run.run_id) == ["max_duration"]
    end(ledger, run, S.SUCCESS)
    pass_to(ledger, begun_us + HOUR * SECOND)
    assert missed(ledger, run.run_id) == ["max_duration"]


def test_an_expected_run_that_is_taken_back_takes_its_deadlines_with_it(ledger):
    ledger.open_schedule()
    at_us = ledger.now_us + 60 * SECOND
    ledger.expect(ledger.now_us, at_us + 1, [at_us], due=DUE, actions=(ALERT,))
    assert len(ledger.disk.tables.deadlines) == 2
    ledger.apply(closed=[("a", "f1")])
    assert ledger.disk.tables.deadlines == {}
    pass_to(ledger, LATER + 2 * HOUR * SECOND)
    assert not ledger.disk.tables.outbox


def test_a_deadline_that_passed_while_the_server_was_down_is_missed_late_and_once(ledger):
    ledger.open_schedule()
    at_us = ledger.now_us + 60 * SECOND
    ledger.expect(ledger.now_us, at_us + 1, [at_us], due=DUE, actions=(ALERT,))
    [run] = ledger.disk.tables.runs.values()
    ledger.now_us = LATER + 5 * HOUR * SECOND
    ledger.restart()
    ledger.tell()
    assert missed(ledger, run.run_id) == []
    pass_to(ledger, ledger.now_us + SETTLE_US)
    assert missed(ledger, run.run_id) == BOTH
    for _ in range(2):
        ledger.restart()
        ledger.tell()
        pass_to(ledger, ledger.now_us + SETTLE_US)
    assert missed(ledger, run.run_id) == BOTH


def test_a_run_that_ended_in_time_while_the_ledger_was_down_may_be_reported_first(ledger):
    run = a_run(ledger)
    at_us = ledger.now_us
    ledger.now_us = LATER + 5 * HOUR * SECOND
    ledger.restart()
    ledger.tell()
    started = AttemptStarted(run_id=run.run_id, attempt=1, at_us=at_us)
    ended = AttemptEnded(run_id=run.run_id, attempt=1, at_us=at_us, state=S.SUCCESS)
    ledger.tell(started, ended, sender=RUNNER)
    pass_to(ledger, ledger.now_us + 2 * SETTLE_US)
    assert missed(ledger, run.run_id) == []


def test_a_run_made_after_its_deadlines_misses_them_at_once(ledger):
    past = Due(start_by_us=START_US - 2, finish_by_us=START_US - 1)
    run = a_run(ledger, due=past, conds=(BoundConst(value=False),))
    pass_to(ledger, ledger.now_us + SECOND)
    assert missed(ledger, run.run_id) == BOTH


def test_many_deadlines_of_one_instant_are_judged_in_portions(ledger):
    ledger.open_schedule()
    times = [ledger.now_us + n * SECOND for n in range(1, 402)]
    due = Due(start_by_us=LATER)
    ledger.expect(ledger.now_us, times[-1] + 1, times, due=due, actions=(ALERT,))
    ledger.now_us = LATER + 10 * SECOND
    ledger.tell()
    assert len(ledger.disk.tables.outbox) == JUDGED_A_TURN
    pass_to(ledger, ledger.now_us + SECOND)
    assert len(ledger.disk.tables.outbox) == len(times)
    assert ledger.disk.tables.deadlines == {}


def test_deadlines_hold_for_runs_the_ledger_does_not_have_in_memory(ledger):
    run = a_run(ledger)
    end(ledger, run, S.LOST)
    ledger.restart()
    ledger.tell()
    assert run.run_id not in ledger.ledger.book.active
    pass_to(ledger, LATER + 2 * HOUR * SECOND)
    assert missed(ledger, run.run_id) == ["finish_by"]


def test_a_due_run_that_starts_late_has_missed_only_its_start(ledger):
    run = a_run(ledger, schedule_us=ledger.now_us + 60 * SECOND)
    pass_to(ledger, LATER + 60 * SECOND)
    ledger.tell(RunsDue(run_ids=[run.run_id]))
    end(ledger, ledger.run(run.run_id), S.SUCCESS)
    pass_to(ledger, LATER + 2 * HOUR * SECOND)
    assert missed(ledger, run.run_id) == ["start_by"]


def test_skips_of_a_schedule_may_come_with_one_run_that_stands_for_them(ledger):
    ledger.open_schedule()
    run = NewRun(
        run_id="r900",
        job_id="a",
        args={},
        schedule_us=ledger.now_us,
        fingerprint="f1",
        due=DUE,
        actions=(ALERT,),
        skipped="3 runs: older than catch_up allows",
    )
    row = Expectation(
        job_id="a", fingerprint="f1", from_us=ledger.now_us, upto_us=LATER, runs=[run]
    )
    version = ledger.ledger.book.jobs_version
    ledger.tell(ExpectRuns(batch=1, jobs_version=version, expectations=[row]))
    assert ledger.run("r900").message == "3 runs: older than catch_up allows"
    pass_to(ledger, LATER + 2 * HOUR * SECOND)
    assert missed(ledger, "r900") == BOTH


def test_an_expected_run_that_came_too_late_is_skipped_and_misses_what_it_has_to(ledger):
    ledger.open_schedule()
    times = [ledger.now_us + n * SECOND for n in (1, 2)]
    ledger.expect(ledger.now_us, times[-1] + 1, times, due=DUE, actions=(ALERT,))
    first, second = ledger.disk.tables.runs.values()
    pass_to(ledger, LATER - HOUR * SECOND // 2)
    ledger.tell(RunsLate(run_ids=[first.run_id, second.run_id], reason="too late"))
    assert ledger.run(first.run_id).state is S.SKIPPED
    assert ledger.run(first.run_id).message == "too late"
    pass_to(ledger, LATER + 2 * HOUR * SECOND)
    assert missed(ledger, first.run_id) == missed(ledger, second.run_id) == BOTH
