"""What the ledger owes for a run's moves: the outbox, its attempts, and runs in a row."""

from __future__ import annotations

from typing import Any

import pytest
from ledger_driver import SECOND, LedgerDriver

from callsheet.jobs.actions import Action, NotifyAction, ScheduleAction, Trigger
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.commands import ActOn, OutboxItem
from callsheet.messages.hello import Hello
from callsheet.messages.instructions import (
    ActionSettled,
    ActionTried,
    AttemptEnded,
    AttemptStarted,
)
from callsheet.messages.post import RESPONDER, RUNNER
from callsheet.messages.transitions import ActionNoted
from callsheet.messages.wishes import MarkRun, SkipRun

S = State


@pytest.fixture
def ledger() -> LedgerDriver:
    """A fresh ledger."""
    return LedgerDriver()


def owed(ledger: LedgerDriver) -> list[OutboxItem]:
    return list(ledger.disk.tables.outbox.values())


def settle_all(ledger: LedgerDriver) -> list[str]:
    """Settle what is owed; return the states that it was owed for."""
    items = owed(ledger)
    for item in items:
        ledger.tell(ActionSettled(action_id=item.action_id, message="done"), sender=RESPONDER)
    return [item.run.state.value for item in items]


def run_to(ledger: LedgerDriver, state: State, *actions: Action, **fields: Any) -> Run:
    """Have a run made that ends in a state."""
    run = ledger.a_run(actions=actions, **fields)
    ended = AttemptEnded(run_id=run.run_id, attempt=1, at_us=ledger.now_us, state=state)
    started = AttemptStarted(run_id=run.run_id, attempt=1, at_us=ledger.now_us)
    ledger.tell(started, ended, sender=RUNNER)
    return ledger.run(run.run_id)


ANY = NotifyAction(service="x")


def on(*states: State, **trigger: Any) -> NotifyAction:
    more = {"trigger": Trigger(**trigger)} if trigger else {}
    return NotifyAction(service="x", states=states or None, **more)


def test_an_action_without_an_if_is_owed_at_every_transition(ledger):
    run = run_to(ledger, S.SUCCESS, ANY)
    assert settle_all(ledger) == ["scheduled", "starting", "running", "success"]
    ledger.wish(MarkRun(run_id=run.run_id, state=S.FAILURE))
    assert settle_all(ledger) == ["failure"]


def test_an_action_is_owed_on_a_snapshot_that_later_moves_do_not_change(ledger):
    run_to(ledger, S.SUCCESS, on(S.STARTING))
    [item] = owed(ledger)
    assert item.run.state is S.STARTING
    assert item.run.times.keys() == {"scheduled", "starting"}


@pytest.mark.parametrize("state", [S.FAILURE, S.ERROR, S.LOST])
def test_an_action_on_error_is_owed_for_a_lost_run_too(ledger, state):
    run_to(ledger, state, on(S.ERROR))
    assert len(owed(ledger)) == (state is not S.FAILURE)


def test_a_lost_run_that_turns_out_in_error_is_no_second_error_and_a_success_is_one(ledger):
    run = run_to(ledger, S.LOST, on(S.ERROR), on(S.SUCCESS))
    assert settle_all(ledger) == ["lost"]
    for state in (S.ERROR, S.SUCCESS):
        ended = AttemptEnded(run_id=run.run_id, attempt=1, at_us=ledger.now_us, state=state)
        ledger.tell(ended, sender=RUNNER)
        if state is S.ERROR:
            assert owed(ledger) == []
    other = run_to(ledger, S.LOST, on(S.SUCCESS))
    ended = AttemptEnded(run_id=other.run_id, attempt=1, at_us=ledger.now_us, state=S.SUCCESS)
    ledger.tell(ended, sender=RUNNER)
    assert settle_all(ledger) == ["success"]


def test_a_run_that_could_not_be_bound_owes_its_actions(ledger):
    ledger.a_run(actions=(on(S.ERROR),), error="no such name")
    assert settle_all(ledger) == ["error"]


# --- in a row -----------------------------------------------------------------------------------


def test_the_nth_failure_in_a_row_is_owed_once_over_restarts(ledger):
    third = on(S.FAILURE, S.ERROR, consecutive=3)
    owing = []
    for state in (S.FAILURE, S.ERROR, S.LOST, S.FAILURE, S.SUCCESS, S.FAILURE):
        run_to(ledger, state, third)
        owing.append(settle_all(ledger))
        ledger.restart()
    assert owing == [[], [], ["lost"], [], [], []]


def test_runs_in_a_row_count_per_instance_where_the_action_says_so(ledger):
    second = on(S.FAILURE, consecutive=2, per="instance")
    for x in ("1", "2"):
        run_to(ledger, S.FAILURE, second, args={"x": x})
    assert owed(ledger) == []
    run_to(ledger, S.FAILURE, second, args={"x": "1"})
    assert len(owed(ledger)) == 1


def test_a_recovery_is_owed_for_the_first_success_after_trouble(ledger):
    recovery = on(recovery=True)
    owing = []
    for state in (S.SUCCESS, S.FAILURE, S.SUCCESS, S.SUCCESS, S.LOST, S.SUCCESS):
        run_to(ledger, state, recovery)
        owing.append(len(settle_all(ledger)))
    assert owing == [0, 0, 1, 0, 0, 1]


def test_skipped_runs_neither_break_nor_lengthen_a_row(ledger):
    second = on(S.FAILURE, consecutive=2)
    run_to(ledger, S.FAILURE, second)
    skipped = ledger.a_run(actions=(second,), schedule_us=ledger.now_us + SECOND)
    ledger.wish(SkipRun(run_id=skipped.run_id))
    run_to(ledger, S.FAILURE, second)
    assert len(owed(ledger)) == 1


def test_a_mark_corrects_the_row_and_owes_nothing_for_it(ledger):
    second = on(S.FAILURE, consecutive=2)
    run = run_to(ledger, S.SUCCESS, second, on(S.SUCCESS, consecutive=50))
    run_to(ledger, S.FAILURE, second)
    ledger.wish(MarkRun(run_id=run.run_id, state=S.FAILURE))
    assert owed(ledger) == []
    run_to(ledger, S.FAILURE, second)
    assert owed(ledger) == []


def test_a_streak_is_forgotten_once_it_says_nothing(ledger):
    action = on(S.FAILURE, consecutive=2)
    run_to(ledger, S.FAILURE, action)
    assert len(ledger.disk.tables.streaks) == 1
    run_to(ledger, S.SUCCESS, action)
    assert ledger.disk.tables.streaks == {}


# --- attempts -----------------------------------------------------------------------------------


def noted(ledger: LedgerDriver) -> list[tuple[str, str]]:
    events = ledger.disk.tables.events
    return [(one.message, one.outcome) for one in events if isinstance(one, ActionNoted)]


def a_try(ledger: LedgerDriver, item: OutboxItem, attempts: int, wait_s: int) -> ActionTried:
    next_us = ledger.now_us + wait_s * SECOND
    return ActionTried(
        action_id=item.action_id, attempts=attempts, next_us=next_us, error="refused"
    )


def test_an_attempt_that_failed_is_on_record_and_in_the_log_once(ledger):
    run_to(ledger, S.SUCCESS, on(S.SUCCESS))
    [item] = owed(ledger)
    tried = a_try(ledger, item, 1, 10)
    ledger.tell(tried, tried, sender=RESPONDER)
    [found] = ledger.writer.reader.outbox(item.run.run_id)
    assert (found.attempts, found.next_us, found.error) == (1, tried.next_us, "refused")
    ledger.tell(ActionSettled(action_id=item.action_id, message="", error="no"), sender=RESPONDER)
    assert noted(ledger) == [
        ("error: refused: attempt 1, the next in 10 s", "again"),
        ("error: no", "failed"),
    ]
    assert owed(ledger) == []


def sent(messages: list[Any]) -> list[OutboxItem]:
    return [item for one in messages if isinstance(one, ActOn) for item in one.items]


def test_an_action_that_waits_for_its_next_attempt_is_not_repeated_before_it(ledger):
    run_to(ledger, S.SUCCESS, on(S.SUCCESS))
    [item] = owed(ledger)
    assert sent(ledger.tell(a_try(ledger, item, 1, 600), sender=RESPONDER)) == []
    assert sent(ledger.later(599)) == []
    [again] = sent(ledger.later(10))
    assert again.attempts == 1


def test_a_new_responder_is_told_of_the_attempts_so_far(ledger):
    run_to(ledger, S.SUCCESS, on(S.SUCCESS))
    [item] = owed(ledger)
    ledger.tell(a_try(ledger, item, 4, 600), sender=RESPONDER)
    ledger.restart()
    [again] = sent(ledger.tell(Hello(role=RESPONDER), sender=RESPONDER))
    assert again.attempts == 4


def test_a_follow_up_run_stays_owed_until_it_is_settled(ledger):
    run_to(ledger, S.SUCCESS, ScheduleAction(job_id="b", states=(S.SUCCESS,)))
    assert len(sent(ledger.later(6))) == 1
    assert settle_all(ledger) == ["success"]
    assert sent(ledger.later(6)) == []
