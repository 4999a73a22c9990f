"""Backfills: never more runs at once than allowed, in order, whoever dies, until it is stopped."""

from __future__ import annotations

import pytest
from ledger_driver import ADMIN, SECOND, LedgerDriver
from msgspec.structs import replace

from callsheet.jobs.bound_conditions import BoundConst
from callsheet.jobs.programs import BoundNoOp
from callsheet.jobs.run import NewRun
from callsheet.jobs.states import ACTIVE, State
from callsheet.messages.access import Access, Role
from callsheet.messages.backfills import AddBackfill, Backfill, StopBackfill, backfill_number
from callsheet.messages.codec import BadFrame, pack_runs, unpack_runs
from callsheet.messages.instructions import AttemptEnded, AttemptStarted, LeaseIds, RunsDue
from callsheet.messages.operations import Deed, Target
from callsheet.messages.post import RUNNER, WEB
from callsheet.messages.transitions import RunWithdrawn
from callsheet.messages.wishes import (
    Done,
    HoldRun,
    LedgerWish,
    Operate,
    Refused,
    ReleaseRun,
    RescheduleRun,
    SkipRun,
)

HOUR = 3600 * SECOND


@pytest.fixture
def ledger():
    return LedgerDriver()


def an_add(ledger, count, known=0, **fields):
    """Return a wish for a backfill of so many runs of job a."""
    first = ledger.tell(LeaseIds(count=max(1, count)))[0].first_id
    runs = [
        NewRun(
            run_id=f"r{first + index}",
            job_id="a",
            args={"hour": str(index)},
            schedule_us=ledger.now_us - (count - index) * HOUR,
            program=BoundNoOp(),
        )
        for index in range(count)
    ]
    backfill = Backfill(
        **{
            "number": 0,
            "job_id": "a",
            "from_us": ledger.now_us - count * HOUR,
            "to_us": ledger.now_us,
            "at_us": 0,
            "by": "",
        }
        | fields
    )
    return AddBackfill(backfill=backfill, packed=pack_runs(runs), known=known)


def states(ledger, number=1):
    return ledger.writer.reader.backfill_counts(number)


def under_way(ledger):
    return [run.run_id for run in ledger.writer.reader.active(ACTIVE)]


def end(ledger, run_id, state=State.SUCCESS):
    """Have a run end, and give the ledger the turn it asks for."""
    said = AttemptEnded(run_id=run_id, attempt=1, at_us=ledger.now_us, state=state)
    ledger.tell(said, sender=RUNNER)
    while ledger.ledger.wakes_at() == 0:
        ledger.tell()


def test_so_many_begin_and_each_that_ends_makes_room_for_the_next_in_order(ledger):
    done = ledger.wish(an_add(ledger, 5, parallel=2))
    assert done == Done(command_id="c1", seq=done.seq, result={"backfill": 1, "count": 5})
    assert under_way(ledger) == ["r1", "r2"]
    assert states(ledger) == {"starting": 2, "pending": 3}
    end(ledger, "r2")
    assert under_way(ledger) == ["r1", "r3"]
    end(ledger, "r1", State.FAILURE)
    end(ledger, "r3")
    assert under_way(ledger) == ["r4", "r5"]
    end(ledger, "r4")
    assert ledger.writer.reader.backfill(1).state == "running"
    end(ledger, "r5")
    over = ledger.writer.reader.backfill(1)
    assert (over.state, over.ended_us, over.by) == ("done", ledger.now_us, "ann")
    assert states(ledger) == {"success": 4, "failure": 1}
    assert ledger.ledger.wakes_at() is None or ledger.ledger.wakes_at() > 0


def test_a_run_that_waits_has_begun_and_takes_its_place(ledger):
    wish = an_add(ledger, 3)
    runs = unpack_runs(wish.packed)
    runs = [replace(run, conds=(BoundConst(value=False),)) for run in runs]
    ledger.wish(replace(wish, packed=pack_runs(runs)))
    assert states(ledger) == {"waiting": 1, "pending": 2}


def test_the_next_ledger_goes_on_where_the_one_before_was(ledger):
    ledger.wish(an_add(ledger, 4, parallel=2))
    ledger.restart()
    ledger.tell()
    assert under_way(ledger) == ["r1", "r2"]
    started = AttemptStarted(run_id="r1", attempt=1, at_us=ledger.now_us)
    ledger.tell(started, sender=RUNNER)
    ledger.restart()
    end(ledger, "r1")
    end(ledger, "r2")
    assert under_way(ledger) == ["r3", "r4"]
    ledger.restart()
    end(ledger, "r3")
    end(ledger, "r4")
    ledger.restart()
    assert ledger.writer.reader.backfill(1).state == "done"
    assert ledger.writer.reader.open_backfills() == []


def test_a_ledger_that_dies_between_an_end_and_the_next_begin_makes_it_up(ledger):
    ledger.wish(an_add(ledger, 2))
    said = AttemptEnded(run_id="r1", attempt=1, at_us=ledger.now_us, state=State.SUCCESS)
    ledger.tell(said, sender=RUNNER)
    assert under_way(ledger) == []
    ledger.restart()
    assert ledger.ledger.wakes_at() == 0
    ledger.tell()
    assert under_way(ledger) == ["r2"]


def test_what_an_operation_does_to_runs_of_a_backfill_is_seen_in_the_same_turn(ledger):
    ledger.wish(an_add(ledger, 4))
    targets = [Target(run_id=one, seen=State.SCHEDULED) for one in ("r2", "r3")]
    ledger.wish(Operate(deed=Deed(verb="skip"), targets=targets), "skip")
    while ledger.ledger.wakes_at() == 0:
        ledger.tell()
    assert states(ledger) == {"starting": 1, "skipped": 2, "pending": 1}
    end(ledger, "r1")
    assert under_way(ledger) == ["r4"]
    end(ledger, "r4")
    assert ledger.writer.reader.backfill(1).state == "done"


def test_a_run_put_to_a_time_to_come_has_its_turn_and_waits_for_its_time(ledger):
    ledger.wish(an_add(ledger, 2))
    ledger.wish(RescheduleRun(run_id="r2", schedule_us=ledger.now_us + HOUR))
    end(ledger, "r1")
    assert states(ledger) == {"success": 1, "scheduled": 1}
    [due] = ledger.writer.reader.due(ledger.now_us + HOUR + 1, 10)
    assert (due.run_id, due.schedule_us) == ("r2", ledger.now_us + HOUR)
    ledger.restart()
    ledger.later(3600)
    ledger.tell(RunsDue(run_ids=["r2"]))
    assert under_way(ledger) == ["r2"]
    end(ledger, "r2")
    assert ledger.writer.reader.backfill(1).state == "done"


def test_a_stop_withdraws_what_has_not_begun_and_leaves_the_rest_alone(ledger):
    ledger.wish(an_add(ledger, 1_203, parallel=3))
    assert ledger.wish(StopBackfill(number=1, reason="wrong table")).result["count"] == 1_200
    turns = 0
    while ledger.ledger.wakes_at() == 0:
        ledger.tell()
        turns += 1
    assert turns > 1
    assert states(ledger) == {"starting": 3}
    one = ledger.writer.reader.backfill(1)
    assert (one.state, one.withdrawn, one.reason) == ("stopping", 1_200, "wrong table")
    gone = [event for event in ledger.writer.reader.log("r9") if isinstance(event, RunWithdrawn)]
    assert [event.reason for event in gone] == ["backfill b1 was stopped: wrong table"]
    for run_id in ("r1", "r2", "r3"):
        end(ledger, run_id)
    assert ledger.writer.reader.backfill(1).state == "stopped"
    again = ledger.wish(StopBackfill(number=1))
    assert (again.reason, again.sentence) == (
        "wrong_state",
        "backfill b1: it is over: expected one under way",
    )
    assert ledger.wish(StopBackfill(number=2)).reason == "not_found"


def test_a_stop_that_a_restart_cuts_in_two_is_finished_by_the_next_ledger(ledger):
    ledger.wish(an_add(ledger, 1_002, parallel=1))
    ledger.wish(StopBackfill(number=1))
    ledger.tell()
    ledger.restart()
    while ledger.ledger.wakes_at() == 0:
        ledger.tell()
    assert states(ledger) == {"starting": 1}
    assert ledger.writer.reader.backfill(1).withdrawn == 1_001


def test_what_people_do_with_a_run_of_it_is_counted(ledger):
    ledger.wish(an_add(ledger, 4))
    ledger.wish(SkipRun(run_id="r2"))
    ledger.wish(ReleaseRun(run_id="r4"))
    assert under_way(ledger) == ["r1", "r4"]
    end(ledger, "r1")
    assert under_way(ledger) == ["r4"]
    end(ledger, "r4")
    assert under_way(ledger) == ["r3"]
    end(ledger, "r3")
    assert ledger.writer.reader.backfill(1).state == "done"
    assert states(ledger) == {"success": 3, "skipped": 1}


@pytest.mark.parametrize("let_go", [True, False])
def test_one_that_is_held_after_its_turn_is_held_whatever_ledger_comes(ledger, let_go):
    wish = an_add(ledger, 2)
    # By a clock that was put back its time is still to come.
    ledger.now_us -= 100 * HOUR
    ledger.wish(wish)
    if let_go:
        ledger.wish(ReleaseRun(run_id="r2"))
    run_id = "r2" if let_go else "r1"
    assert (ledger.run(run_id).state, ledger.run(run_id).held) == (State.SCHEDULED, False)
    ledger.wish(HoldRun(run_id=run_id))
    ledger.restart()
    ledger.tell()
    assert ledger.run(run_id).held
    ledger.wish(ReleaseRun(run_id=run_id))
    assert not ledger.run(run_id).held


def test_one_that_happens_to_be_at_hand_does_not_go_before_its_turn(ledger):
    ledger.wish(an_add(ledger, 4, parallel=2))
    ledger.tell()
    earlier = RescheduleRun(run_id="r4", schedule_us=ledger.now_us - 9 * HOUR)
    wish = LedgerWish(command_id="w", principal="ann", instruction=earlier, access=ADMIN)
    ends = [
        AttemptEnded(run_id=run_id, attempt=1, at_us=ledger.now_us, state=State.SUCCESS)
        for run_id in ("r1", "r2")
    ]
    ledger.tell(wish, *ends, sender=WEB)
    assert under_way(ledger) == []
    ledger.tell()
    assert under_way(ledger) == ["r3", "r4"]


def test_two_that_are_about_the_same_time_are_refused_unless_asked_for(ledger):
    ledger.wish(an_add(ledger, 2))
    refused = ledger.wish(an_add(ledger, 3, known=1))
    assert isinstance(refused, Refused)
    assert refused.reason == "wrong_state"
    assert "backfill b1 of a is about a part of this time" in refused.sentence
    assert isinstance(ledger.wish(an_add(ledger, 1, again=True)), Done)
    assert isinstance(ledger.wish(an_add(ledger, 1, job_id="b")), Done)


def test_one_that_was_looked_up_before_another_was_made_is_refused(ledger):
    wish = an_add(ledger, 1)
    twin = an_add(ledger, 1)
    ledger.wish(wish)
    end(ledger, "r1")
    refused = ledger.wish(twin, command_id="w9")
    assert (refused.reason, refused.sentence) == (
        "busy",
        "backfill b1 was asked for at the same moment: ask again",
    )
    # Asked again, under the same id, by somebody who knows of the other.
    assert isinstance(ledger.wish(replace(twin, known=1), command_id="w9"), Done)


def test_a_run_that_could_not_be_bound_is_an_error_and_holds_up_nobody(ledger):
    wish = an_add(ledger, 2)
    first, second = unpack_runs(wish.packed)
    failed = replace(first, error="missing args (x) for job a", program=None)
    ledger.wish(replace(wish, packed=pack_runs([failed, second])))
    assert states(ledger) == {"error": 1, "starting": 1}


@pytest.mark.parametrize(
    ("packed", "said"),
    [(b"x", "expected packed runs"), (pack_runs([])[:-3] + b"abc", "expected packed runs")],
)
def test_what_are_no_packed_runs_is_refused(ledger, packed, said):
    with pytest.raises(BadFrame, match=said):
        unpack_runs(packed)
    refused = ledger.wish(replace(an_add(ledger, 1), packed=packed))
    assert refused.reason == "bad_request"


def test_who_reaches_only_a_label_backfills_only_its_jobs(ledger):
    near = Access(role=Role.OPERATOR, labels=("x",))
    refused = ledger.wish(an_add(ledger, 1), access=near)
    assert (refused.reason, refused.sentence) == ("not_found", "unknown job a")
    assert isinstance(ledger.wish(replace(an_add(ledger, 1), labels=("x",)), access=near), Done)
    viewer = Access(role=Role.VIEWER)
    assert ledger.wish(an_add(ledger, 1), access=viewer).reason == "forbidden"


@pytest.mark.parametrize(
    ("text", "number"),
    [("b1", 1), ("b17", 17), ("b0", None), ("b01", None), ("r1", None), ("b", None), ("b1x", None)],
)
def test_an_id_is_a_letter_and_a_number(text, number):
    assert backfill_number(text) == number
