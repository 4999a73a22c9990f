"""Runs put to another time: not run at the old one, not made anew for it, and not lost."""

from __future__ import annotations

import pytest
from ledger_driver import SECOND, LedgerDriver

from callsheet.jobs.bound_conditions import BoundConst
from callsheet.jobs.deadlines import Due
from callsheet.jobs.run import MovedFrom
from callsheet.jobs.states import State
from callsheet.messages.commands import RunsDocketed
from callsheet.messages.hello import ScheduleRow
from callsheet.messages.instructions import RunsDue, RunsLate
from callsheet.messages.pauses import Pause
from callsheet.messages.wishes import HoldRun, PauseRuns, ReleaseRun, RescheduleRun

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


@pytest.fixture
def ledger():
    ledger = LedgerDriver()
    ledger.open_schedule()
    return ledger


def planned(ledger, in_us=10 * MINUTE, **fields):
    """Write one run of job a's schedule; return it."""
    begun, number = ledger.now_us, ledger.ledger.book.next_number
    ledger.expect(begun, begun + in_us + 1, [begun + in_us], **fields)
    return ledger.run(f"r{number}")


def put(ledger, run, in_us, **fields):
    at_us = None if in_us is None else ledger.now_us + in_us
    return ledger.wish(RescheduleRun(run_id=run.run_id, schedule_us=at_us, **fields))


def due(ledger, run):
    ledger.tell(RunsDue(run_ids=[run.run_id]))
    return ledger.run(run.run_id)


def lines(ledger, run):
    return [getattr(event, "message", "") for event in ledger.writer.reader.log(run.run_id)]


def test_it_runs_at_the_new_time_and_not_at_the_old_one(ledger):
    run = planned(ledger)
    answer = put(ledger, run, 2 * HOUR, reason="disk full")
    moved = answer.runs[0]
    assert moved.schedule_us == ledger.now_us + 2 * HOUR
    assert moved.moved_from == MovedFrom(run.schedule_us, "f1")
    docketed = [post.message for post in ledger.posts if isinstance(post.message, RunsDocketed)]
    assert [one.dropped for one in docketed] == [[run.run_id], []]
    assert [row.schedule_us for one in docketed for row in one.due] == [moved.schedule_us]
    ledger.later(10 * 60)
    assert due(ledger, run).state is State.SCHEDULED
    ledger.later(2 * 3600)
    assert due(ledger, run).state is State.STARTING


def test_its_log_says_from_when_to_when_by_whom_and_why(ledger):
    run = planned(ledger)
    put(ledger, run, HOUR, reason="disk full")
    event = ledger.writer.reader.log(run.run_id)[-1]
    assert event.message.startswith("rescheduled from 2027-01-15T08:10:00")
    assert event.message.endswith(": disk full")
    assert event.cause == "ann"
    entry = ledger.writer.reader.audit(0, 100)[-1].entry
    assert (entry.act, entry.target, entry.details["reason"]) == (
        "reschedule_run",
        run.run_id,
        "disk full",
    )
    assert entry.details["before"]["schedule_time"] < entry.details["after"]["schedule_time"]


def test_now_starts_it_at_once(ledger):
    run = planned(ledger)
    assert put(ledger, run, None).runs[0].state is State.STARTING
    assert ledger.run(run.run_id).schedule_us == ledger.now_us
    assert ledger.writer.existing_expected([("a", run.args_key, run.schedule_us)])


def test_its_schedule_does_not_make_another_for_the_old_time(ledger):
    run = planned(ledger)
    put(ledger, run, HOUR)
    ledger.restart()
    # The schedule comes into force anew, from now: its horizon begins before the old time.
    row = ScheduleRow(
        job_id="a",
        fingerprint="f1",
        definition="d2",
        valid_from_us=ledger.now_us,
        written_upto_us=ledger.now_us,
    )
    ledger.apply(set_jobs={"a": "d2"}, closed=[("a", "f1")], opened=[row], changed=["a"])
    assert ledger.run(run.run_id).state is State.SCHEDULED
    answer = ledger.expect(ledger.now_us, run.schedule_us + 1, [run.schedule_us])
    assert len(answer.duplicates) == 1


def test_another_run_of_the_instance_may_have_the_new_time(ledger):
    first = planned(ledger, args={})
    ledger.now_us = first.schedule_us + 1
    second = planned(ledger, args={})
    at_us = second.schedule_us
    ledger.wish(RescheduleRun(run_id=first.run_id, schedule_us=at_us))
    assert [ledger.run(one.run_id).schedule_us for one in (first, second)] == [at_us, at_us]


def test_put_back_and_forth_it_remembers_where_it_came_from(ledger):
    run = planned(ledger)
    for in_us in (HOUR, 2 * HOUR, 10 * MINUTE):
        put(ledger, run, in_us)
    again = ledger.run(run.run_id)
    assert again.moved_from == MovedFrom(run.schedule_us, "f1")
    assert again.schedule_us == run.schedule_us
    ledger.later(600)
    assert due(ledger, run).state is State.STARTING


def test_no_policy_and_no_pause_of_its_schedule_takes_it_away(ledger):
    run = planned(ledger)
    put(ledger, run, HOUR)
    ledger.wish(PauseRuns(pause_kind="all", reason="move"))
    ledger.later(3 * 3600)
    ledger.tell(RunsLate(run_ids=[run.run_id], reason="too late"))
    assert ledger.run(run.run_id).state is State.SCHEDULED
    assert due(ledger, run).state is State.STARTING
    assert isinstance(ledger.writer.reader.pauses()[0], Pause)


def test_a_waiting_run_is_put_off(ledger):
    run = ledger.a_run(conds=(BoundConst(value=False),))
    assert run.state is State.WAITING
    assert put(ledger, run, HOUR).runs[0].state is State.SCHEDULED
    ledger.later(3600)
    assert due(ledger, run).state is State.WAITING


def test_a_held_run_stays_held_at_its_new_time(ledger):
    run = planned(ledger)
    ledger.wish(HoldRun(run_id=run.run_id))
    put(ledger, run, HOUR)
    ledger.later(2 * 3600)
    assert due(ledger, run).state is State.SCHEDULED
    assert ledger.wish(ReleaseRun(run_id=run.run_id)).runs[0].state is State.STARTING


def test_start_by_goes_with_it_and_finish_by_stays(ledger):
    at_us = ledger.now_us + 10 * MINUTE
    dates = Due(start_by_us=at_us + MINUTE, finish_by_us=at_us + 5 * HOUR)
    run = planned(ledger, due=dates)
    put(ledger, run, HOUR)
    moved = ledger.run(run.run_id).due
    assert moved.start_by_us == ledger.now_us + HOUR + MINUTE
    assert moved.finish_by_us == dates.finish_by_us
    ledger.later(30 * 60)
    assert "deadlines" not in ledger.run(run.run_id).meta
    ledger.later(2 * 3600)
    ledger.tell()
    assert list(ledger.run(run.run_id).meta["deadlines"]) == ["start_by"]


@pytest.mark.parametrize(
    ("in_us", "expected"),
    [(-HOUR, "expected a time to come, or now"), (10**18, "expected a time to come, or now")],
)
def test_times_that_are_none_are_refused(ledger, in_us, expected):
    answer = put(ledger, planned(ledger), in_us)
    assert answer.reason == "bad_request"
    assert expected in answer.sentence


def test_it_does_not_begin_after_its_stop(ledger):
    run = planned(ledger, stop_us=ledger.now_us + 30 * MINUTE)
    answer = put(ledger, run, HOUR)
    assert "it is to be stopped at" in answer.sentence
    put(ledger, run, HOUR, stop_us=ledger.now_us + 2 * HOUR)
    assert ledger.run(run.run_id).stop_us == ledger.now_us + 2 * HOUR


def test_what_has_begun_or_waits_is_not_put_to_now(ledger):
    running, waiting = ledger.a_run(), ledger.a_run(conds=(BoundConst(value=False),))
    assert (
        put(ledger, running, HOUR).sentence
        == f"can't reschedule {running.run_id} in state starting"
    )
    assert "it waits for its conditions" in put(ledger, waiting, None).sentence
