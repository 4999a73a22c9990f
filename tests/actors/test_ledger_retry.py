"""Retries on virtual time: what follows an attempt's end, and what moves the run no more."""

from __future__ import annotations

from typing import Any

import pytest
from ledger_driver import SECOND, LedgerDriver

from callsheet.actors.ledger_deadlines import SETTLE_US
from callsheet.jobs.actions import NotifyAction
from callsheet.jobs.deadlines import Due
from callsheet.jobs.retry import Retry
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.commands import ClaimKnown, Recorded, StartRun
from callsheet.messages.instructions import (
    AskClaim,
    AttemptEnded,
    AttemptStarted,
    ClearRun,
    OutputRecord,
)
from callsheet.messages.post import RUNNER
from callsheet.messages.wishes import HoldRun, ReleaseRun, SkipRun, StartNow, StopRun

S = State
# Without jitter, so that tests can name the instants.
RETRY = Retry(attempts=3, jitter=0.0)
RERUN = Retry(attempts=2, jitter=0.0, on_lost="rerun")
ALERT = NotifyAction(service="x", states=(S.SUCCESS, S.FAILURE, S.ERROR))


@pytest.fixture
def ledger() -> LedgerDriver:
    driver = LedgerDriver()
    driver.tell()
    driver.later(SETTLE_US / SECOND)
    return driver


def a_run(ledger: LedgerDriver, retry: Retry | None = RETRY, **fields: Any) -> Run:
    run = ledger.a_run(retry=retry, **fields)
    assert (run.state, run.attempt) == (S.STARTING, 1)
    return run


def start(ledger: LedgerDriver, run: Run, attempt: int = 1, agent_id: str = "a1") -> None:
    started = AttemptStarted(
        run_id=run.run_id, attempt=attempt, at_us=ledger.now_us, agent_id=agent_id
    )
    ledger.tell(started, sender=RUNNER)


def end(ledger: LedgerDriver, run: Run, state: State, attempt: int = 1, **fields: Any) -> list[Any]:
    fields = {"at_us": ledger.now_us, "agent_id": "a1"} | fields
    ended = AttemptEnded(run_id=run.run_id, attempt=attempt, state=state, **fields)
    return ledger.tell(ended, sender=RUNNER)


def tried(ledger: LedgerDriver, run: Run, state: State, **fields: Any) -> Run:
    """The run after its first attempt ran and came to this."""
    start(ledger, run)
    end(ledger, run, state, **fields)
    return ledger.run(run.run_id)


def clear(ledger: LedgerDriver, run: Run) -> list[Any]:
    return ledger.tell(ClearRun(run_id=run.run_id), sender="waiter/0")


def lines(ledger: LedgerDriver, run: Run) -> list[str]:
    return [getattr(event, "message", "") for event in ledger.writer.reader.log(run.run_id)]


def alerts(ledger: LedgerDriver) -> list[State]:
    return [item.run.state for item in ledger.disk.tables.outbox.values()]


def test_a_failed_attempt_is_followed_by_another_after_the_back_off(ledger):
    run = tried(ledger, a_run(ledger), S.FAILURE, message="exit code 1")
    assert (run.state, run.attempt) == (S.WAITING, 1)
    assert run.not_before_us == ledger.now_us + 30 * SECOND
    ledger.later(29)
    assert clear(ledger, run) == []
    ledger.later(1)
    sent = clear(ledger, run)
    assert [(m.run.run_id, m.run.attempt) for m in sent if isinstance(m, StartRun)] == [
        (run.run_id, 2)
    ]
    run = ledger.run(run.run_id)
    assert (run.state, run.not_before_us, "running" in run.times) == (S.STARTING, None, False)


def test_only_the_last_end_is_the_runs_and_causes_its_actions(ledger):
    run = tried(ledger, a_run(ledger, actions=(ALERT,)), S.FAILURE, message="exit code 1")
    for attempt, seconds in ((2, 30), (3, 60)):
        assert alerts(ledger) == []
        assert run.not_before_us == ledger.now_us + seconds * SECOND
        ledger.later(seconds)
        clear(ledger, run)
        start(ledger, run, attempt)
        end(ledger, run, S.FAILURE, attempt, message="exit code 1")
        run = ledger.run(run.run_id)
    assert (run.state, run.attempt, alerts(ledger)) == (S.FAILURE, 3, [S.FAILURE])
    assert [(one.number, one.state) for one in run.attempts] == [
        (1, S.FAILURE),
        (2, S.FAILURE),
        (3, S.FAILURE),
    ]
    assert [line for line in lines(ledger, run) if "attempt" in line] == [
        "attempt 1 of 3: failure: exit code 1: the next in 30 s",
        "starting: attempt 2 of 3",
        "attempt 2 of 3: failure: exit code 1: the next in 60 s",
        "starting: attempt 3 of 3",
        "failure: exit code 1 (attempt 3 of 3)",
    ]


def test_a_success_is_never_retried(ledger):
    assert tried(ledger, a_run(ledger), S.SUCCESS).state is S.SUCCESS


def test_a_run_without_a_policy_ends_as_ever(ledger):
    run = tried(ledger, a_run(ledger, None), S.FAILURE)
    assert (run.state, run.attempts) == (S.FAILURE, ())


@pytest.mark.parametrize(
    ("retry", "after"),
    [
        (RETRY, S.ERROR),
        (Retry(attempts=2, on=(S.ERROR,)), S.WAITING),
        (Retry(attempts=1, on=(S.ERROR,)), S.ERROR),
    ],
)
def test_an_error_is_retried_where_it_is_listed(ledger, retry, after):
    run = a_run(ledger, retry)
    end(ledger, run, S.ERROR)
    assert ledger.run(run.run_id).state is after


@pytest.mark.parametrize(
    ("on", "code", "after"),
    [
        ((S.FAILURE,), 2, S.FAILURE),
        ((S.FAILURE,), 3, S.WAITING),
        ((), 75, S.WAITING),
        ((), 3, S.FAILURE),
        ((S.FAILURE,), None, S.WAITING),
    ],
)
def test_exit_codes_say_which_failures_are_retried(ledger, on, code, after):
    retry = Retry(attempts=3, on=on, retry_codes=(75,), fail_codes=(1, 2))
    run = tried(ledger, a_run(ledger, retry), S.FAILURE, exit_code=code)
    assert run.state is after


def test_a_run_that_somebody_stops_is_not_retried(ledger):
    run = a_run(ledger)
    start(ledger, run)
    ledger.wish(StopRun(run_id=run.run_id))
    end(ledger, run, S.FAILURE)
    assert ledger.run(run.run_id).state is S.FAILURE


def test_a_stop_asked_for_while_it_starts_is_the_end(ledger):
    run = a_run(ledger, Retry(attempts=3, on=(S.ERROR,)))
    ledger.wish(StopRun(run_id=run.run_id))
    end(ledger, run, S.ERROR)
    assert ledger.run(run.run_id).state is S.ERROR


def test_a_stop_during_the_back_off_ends_the_run_as_its_last_attempt_ended(ledger):
    run = tried(ledger, a_run(ledger, actions=(ALERT,)), S.FAILURE, message="exit code 7")
    run = ledger.wish(StopRun(run_id=run.run_id)).runs[0]
    assert (run.state, run.message, run.not_before_us) == (S.FAILURE, "exit code 7", None)
    assert lines(ledger, run)[-1] == "failure: stopped before attempt 2 of 3"
    assert alerts(ledger) == [S.FAILURE]


def test_a_stop_after_a_lost_attempt_ends_the_run_in_error(ledger):
    run = tried(ledger, a_run(ledger, RERUN), S.LOST)
    assert ledger.wish(StopRun(run_id=run.run_id)).runs[0].state is S.ERROR


def test_a_run_that_never_started_cannot_be_stopped_while_it_waits(ledger):
    run = ledger.a_run(retry=RETRY, schedule_us=ledger.now_us + SECOND)
    assert ledger.wish(StopRun(run_id=run.run_id)).reason == "wrong_state"


def test_during_the_back_off_a_run_can_be_skipped_held_or_started_at_once(ledger):
    skipped, held, started = (tried(ledger, a_run(ledger), S.FAILURE) for _ in range(3))
    skipped = ledger.wish(SkipRun(run_id=skipped.run_id)).runs[0]
    assert (skipped.state, skipped.not_before_us) == (S.SKIPPED, None)
    ledger.wish(HoldRun(run_id=held.run_id))
    ledger.later(60)
    clear(ledger, held)
    assert ledger.run(held.run_id).state is S.WAITING
    ledger.wish(ReleaseRun(run_id=held.run_id))
    clear(ledger, held)
    assert ledger.run(held.run_id).attempt == 2
    assert ledger.wish(StartNow(run_id=started.run_id)).runs[0].attempt == 2


def test_no_attempt_begins_after_the_runs_stop_time(ledger):
    soon = ledger.now_us + 20 * SECOND
    assert tried(ledger, a_run(ledger, stop_us=soon), S.FAILURE).state is S.FAILURE
    later = ledger.now_us + 40 * SECOND
    assert tried(ledger, a_run(ledger, stop_us=later), S.FAILURE).state is S.WAITING


def test_the_end_is_acknowledged_so_that_the_agent_may_forget_the_attempt(ledger):
    run = a_run(ledger)
    start(ledger, run)
    for _ in range(2):
        sent = end(ledger, run, S.FAILURE)
        (recorded,) = [message for message in sent if isinstance(message, Recorded)]
        assert (recorded.attempt, recorded.ended, recorded.state) == (1, True, S.FAILURE)
    assert len(ledger.run(run.run_id).attempts) == 1


def test_facts_of_an_older_attempt_move_nothing(ledger):
    run = tried(ledger, a_run(ledger), S.FAILURE)
    ledger.later(30)
    clear(ledger, run)
    before = ledger.run(run.run_id)
    end(ledger, run, S.SUCCESS)
    start(ledger, run)
    assert ledger.run(run.run_id) == before


# --- lost attempts ------------------------------------------------------------------------------


def test_a_lost_attempt_ends_the_run_unless_the_policy_says_rerun(ledger):
    assert tried(ledger, a_run(ledger), S.LOST).state is S.LOST
    assert tried(ledger, a_run(ledger, RERUN), S.LOST).state is S.WAITING


@pytest.mark.parametrize("meanwhile", ["waiting", "starting", "running", "over"])
def test_a_late_exit_of_a_lost_attempt_is_noted_once_and_moves_nothing(ledger, meanwhile):
    run = tried(ledger, a_run(ledger, RERUN), S.LOST)
    if meanwhile != "waiting":
        ledger.later(30)
        clear(ledger, run)
    if meanwhile in ("running", "over"):
        start(ledger, run, 2, "a2")
    if meanwhile == "over":
        end(ledger, run, S.FAILURE, 2, agent_id="a2")
    before = ledger.run(run.run_id)
    output = OutputRecord(run_id=run.run_id, attempt=1, length=3, data=b"abc")
    for _ in range(2):
        sent = end(ledger, run, S.SUCCESS, outputs=[output])
        assert Recorded(run_id=run.run_id, attempt=1, state=S.SUCCESS, ended=True) in sent
    after = ledger.run(run.run_id)
    assert (after.state, after.attempt, after.times) == (before.state, before.attempt, before.times)
    assert after.attempts[0].state is S.SUCCESS
    said = "attempt 1, which was lost, has ended: success"
    assert lines(ledger, run).count(said) == 1
    assert [one.attempt for one in ledger.writer.reader.outputs(run.run_id)] == [1]


def test_what_is_found_of_a_lost_attempt_is_kept_and_noted_once(ledger):
    run = tried(ledger, a_run(ledger, RERUN), S.LOST)
    before = ledger.run(run.run_id)
    output = OutputRecord(run_id=run.run_id, attempt=1, length=3, data=b"abc")
    for _ in range(2):
        end(ledger, run, S.LOST, message="lost: rebooted", outputs=[output])
    after = ledger.run(run.run_id)
    assert (after.state, after.attempt, after.times) == (before.state, before.attempt, before.times)
    assert after.attempts[0].message == "lost: rebooted"
    assert lines(ledger, run).count("more is known of attempt 1: lost: rebooted") == 1
    assert [one.attempt for one in ledger.writer.reader.outputs(run.run_id)] == [1]


def test_the_last_attempt_lost_is_settled_by_its_exit(ledger):
    run = tried(ledger, a_run(ledger, RERUN), S.LOST)
    ledger.later(30)
    clear(ledger, run)
    start(ledger, run, 2)
    end(ledger, run, S.LOST, 2)
    assert ledger.run(run.run_id).state is S.LOST
    end(ledger, run, S.SUCCESS)
    assert ledger.run(run.run_id).state is S.LOST
    end(ledger, run, S.SUCCESS, 2)
    run = ledger.run(run.run_id)
    assert run.state is S.SUCCESS
    assert [one.state for one in run.attempts] == [S.SUCCESS, S.SUCCESS]


def test_an_agent_may_speak_of_its_lost_attempt_and_others_may_not(ledger):
    run = tried(ledger, a_run(ledger, RERUN), S.LOST)

    def verdict(agent_id: str) -> str:
        question = AskClaim(run_id=run.run_id, attempt=1, agent_id=agent_id)
        (answer,) = ledger.tell(question, sender=RUNNER)
        assert isinstance(answer, ClaimKnown)
        return answer.verdict

    assert (verdict("a1"), verdict("a2")) == ("theirs", "foreign")
    end(ledger, run, S.SUCCESS, agent_id="a2")
    assert ledger.run(run.run_id).attempts[0].state is S.LOST
    end(ledger, run, S.SUCCESS)
    assert verdict("a1") == "over"


# --- restarts and deadlines ---------------------------------------------------------------------


def test_a_restart_of_the_ledger_keeps_the_back_off(ledger):
    run = tried(ledger, a_run(ledger), S.FAILURE)
    ledger.restart()
    assert clear(ledger, run) == []
    assert ledger.run(run.run_id) == run
    ledger.later(30)
    clear(ledger, run)
    assert ledger.run(run.run_id).attempt == 2


def test_how_long_a_run_may_take_is_for_each_attempt_and_by_when_for_all(ledger):
    due = Due(finish_by_us=ledger.now_us + 100 * SECOND, max_duration_us=20 * SECOND)
    run = a_run(ledger, due=due)
    start(ledger, run)
    ledger.later(15)
    end(ledger, run, S.FAILURE)
    ledger.later(30)
    clear(ledger, run)
    start(ledger, run, 2)
    ledger.later(15)
    assert "deadlines" not in ledger.run(run.run_id).meta
    ledger.later(10)
    assert list(ledger.run(run.run_id).meta["deadlines"]) == ["max_duration"]
    end(ledger, run, S.FAILURE, 2)
    ledger.later(60)
    assert list(ledger.run(run.run_id).meta["deadlines"]) == ["max_duration", "finish_by"]


def test_an_attempt_that_took_too_long_is_noted_however_soon_the_next_begins(ledger):
    run = a_run(ledger, Retry(attempts=2, backoff_us=0), due=Due(max_duration_us=20 * SECOND))
    start(ledger, run)
    ledger.later(21)
    end(ledger, run, S.FAILURE)
    clear(ledger, run)
    start(ledger, run, 2)
    run = ledger.run(run.run_id)
    assert (run.state, list(run.meta["deadlines"])) == (S.RUNNING, ["max_duration"])
    said = "deadline missed: max_duration 20.0 s"
    ledger.later(30)
    assert lines(ledger, run).count(said) == 1
