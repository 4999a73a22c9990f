"""What is due, and what goes ahead: a run of which only its time is left turns starting early."""

from __future__ import annotations

import pytest
from ledger_driver import SECOND, LedgerDriver

from callsheet.jobs.ahead import AHEAD_US
from callsheet.jobs.bound_conditions import BoundConst
from callsheet.jobs.programs import BoundNoOp, BoundProcess
from callsheet.jobs.states import State
from callsheet.messages.commands import DueTaken, RunsDocketed, StartRun
from callsheet.messages.instructions import RunsDue, RunsSoon
from callsheet.messages.wishes import HoldRun, PauseRuns

PROCESS = BoundProcess(argv=("true",))


@pytest.fixture
def ledger() -> LedgerDriver:
    """A fresh ledger."""
    return LedgerDriver()


def a_scheduled_run(ledger: LedgerDriver, **fields):
    """A run for a minute from now, of a process unless said otherwise."""
    fields = {"schedule_us": ledger.now_us + 60 * SECOND, "program": PROCESS} | fields
    return ledger.a_run(**fields)


def test_a_run_of_a_process_starts_a_moment_before_its_time(ledger):
    run = a_scheduled_run(ledger)
    ledger.now_us = run.schedule_us - AHEAD_US
    sent = ledger.tell(RunsSoon(run_ids=[run.run_id]))
    assert RunsDocketed(dropped=[run.run_id]) in sent
    [start] = [one for one in sent if isinstance(one, StartRun)]
    assert (start.run.state, start.run.times["starting"]) == (State.STARTING, ledger.now_us)


def test_it_starts_once_though_the_docket_says_that_it_is_due_too(ledger):
    run = a_scheduled_run(ledger)
    ledger.now_us = run.schedule_us - 1
    ledger.tell(RunsSoon(run_ids=[run.run_id]), RunsSoon(run_ids=[run.run_id]))
    ledger.now_us = run.schedule_us
    assert ledger.tell(RunsDue(run_ids=[run.run_id])) == [DueTaken(run_ids=[run.run_id])]
    assert ledger.run(run.run_id).attempt == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"conds": (BoundConst(value=True),)},
        {"program": BoundNoOp()},
    ],
)
def test_what_is_decided_at_its_time_does_not_go_ahead(ledger, fields):
    run = a_scheduled_run(ledger, **fields)
    ledger.now_us = run.schedule_us - 1
    assert ledger.tell(RunsSoon(run_ids=[run.run_id, "r999999"])) == []
    assert ledger.run(run.run_id).state is State.SCHEDULED


@pytest.mark.parametrize("early_us", [AHEAD_US + 1, 0])
def test_a_run_goes_ahead_by_a_moment_only(ledger, early_us):
    run = a_scheduled_run(ledger)
    ledger.now_us = run.schedule_us - early_us
    assert ledger.tell(RunsSoon(run_ids=[run.run_id])) == []
    assert ledger.run(run.run_id).state is State.SCHEDULED


def test_a_held_run_does_not_go_ahead(ledger):
    run = a_scheduled_run(ledger)
    ledger.wish(HoldRun(run_id=run.run_id))
    ledger.now_us = run.schedule_us - 1
    assert ledger.tell(RunsSoon(run_ids=[run.run_id])) == []
    assert ledger.run(run.run_id).state is State.SCHEDULED


def test_a_run_that_a_pause_covers_is_skipped_at_its_time_and_not_before(ledger):
    ledger.open_schedule()
    at_us = ledger.now_us + 60 * SECOND
    ledger.expect(ledger.now_us, at_us + 1, [at_us], program=PROCESS)
    [run_id] = [f"r{ledger.ledger.book.next_number - 1}"]
    ledger.wish(PauseRuns(pause_kind="all", name="", reason=""))
    ledger.now_us = at_us - 1
    assert ledger.tell(RunsSoon(run_ids=[run_id])) == []
    assert ledger.run(run_id).state is State.SCHEDULED
    ledger.now_us = at_us
    ledger.tell(RunsDue(run_ids=[run_id]))
    assert ledger.run(run_id).state is State.SKIPPED
