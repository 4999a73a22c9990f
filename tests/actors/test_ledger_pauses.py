"""Pauses: what schedules make is skipped, with its reason, as long as somebody has paused it."""

from __future__ import annotations

import pytest
from ledger_driver import SECOND, LedgerDriver
from msgspec.structs import replace

from callsheet.actors.ledger_pauses import keys_of
from callsheet.jobs.states import State
from callsheet.messages.instructions import RunsDue
from callsheet.messages.pauses import Pause
from callsheet.messages.transitions import PauseNoted
from callsheet.messages.wishes import Done, PauseRuns, Refused, ResumeRuns

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


@pytest.fixture
def ledger():
    ledger = LedgerDriver()
    ledger.open_schedule()
    return ledger


def planned(ledger, *minutes, **fields):
    """Write runs of job a's schedule for minutes from now; return their ids."""
    begun = ledger.now_us
    first = ledger.ledger.book.next_number
    times = [begun + minute * MINUTE for minute in minutes]
    ledger.expect(begun, times[-1] + 1, times, **fields)
    return [f"r{first + index}" for index in range(len(minutes))]


def due(ledger, *run_ids):
    ledger.tell(RunsDue(run_ids=list(run_ids)))
    return [ledger.run(run_id) for run_id in run_ids]


@pytest.mark.parametrize(
    ("kind", "name", "covers"),
    [
        ("all", "", True),
        ("job", "a", True),
        ("job", "b", False),
        ("label", "nightly", True),
        ("label", "night", False),
        ("folder", "a", False),
    ],
)
def test_a_run_that_is_due_is_skipped_if_the_pause_covers_it(ledger, kind, name, covers):
    [run_id] = planned(ledger, 1, labels=("nightly",))
    ledger.wish(PauseRuns(pause_kind=kind, name=name, reason="move of the office"))
    ledger.later(60)
    [run] = due(ledger, run_id)
    assert run.state is (State.SKIPPED if covers else State.STARTING)
    if covers:
        what = "everything" if kind == "all" else f"{kind} {name}"
        assert run.message == f"{what} is paused by ann: move of the office"


def test_folders_above_a_job_cover_it_and_its_namesakes_do_not():
    def covers(name, job_id):
        return Pause(kind="folder", name=name, at_us=0, by="ann").covers(job_id, (), 1)

    assert covers("shop", "shop/orders/load")
    assert covers("shop/orders", "shop/orders/load")
    assert not covers("shop/ord", "shop/orders/load")
    assert not covers("shop/orders/load", "shop/orders/load")


def test_a_pause_of_a_folder_is_found_for_a_job_deep_below_it():
    ledger = LedgerDriver()
    ledger.open_schedule("a")
    [run_id] = planned(ledger, 1)
    stored = ledger.run(run_id)
    keys = list(keys_of(replace(stored, job_id="x/y/z", labels=("l",))))
    assert keys == [
        ("all", ""),
        ("folder", "x/y"),
        ("folder", "x"),
        ("label", "l"),
        ("job", "x/y/z"),
    ]


def test_what_a_person_asks_for_is_theirs_to_decide(ledger):
    ledger.wish(PauseRuns(pause_kind="all"))
    assert ledger.a_run().state is State.STARTING


def test_after_its_end_runs_start_again_and_those_of_its_time_do_not(ledger):
    inside, after = planned(ledger, 1, 10)
    ledger.wish(PauseRuns(pause_kind="job", name="a", until_us=ledger.now_us + 5 * MINUTE))
    ledger.later(11 * 60)
    assert [run.state for run in due(ledger, inside, after)] == [State.SKIPPED, State.STARTING]


def test_a_pause_outlives_the_ledger_and_a_resume_ends_it(ledger):
    first, second = planned(ledger, 1, 2)
    ledger.wish(PauseRuns(pause_kind="job", name="a", reason="broken"))
    ledger.restart()
    ledger.later(60)
    assert due(ledger, first)[0].state is State.SKIPPED
    assert isinstance(ledger.wish(ResumeRuns(pause_kind="job", name="a")), Done)
    ledger.later(60)
    assert due(ledger, second)[0].state is State.STARTING
    assert ledger.writer.reader.pauses() == []


def test_pausing_again_changes_why_and_how_long_and_begins_no_later(ledger):
    begun = ledger.now_us
    ledger.wish(PauseRuns(pause_kind="all", reason="a"))
    ledger.later(60)
    ledger.wish(PauseRuns(pause_kind="all", reason="b", until_us=begun + HOUR))
    assert ledger.writer.reader.pauses() == [
        Pause(kind="all", at_us=begun, by="ann", reason="b", until_us=begun + HOUR)
    ]


def test_each_is_on_record_with_who_and_why(ledger):
    ledger.wish(PauseRuns(pause_kind="label", name="x", reason="move"))
    ledger.wish(ResumeRuns(pause_kind="label", name="x"))
    events = [e for e in ledger.writer.reader.events_after(0, 100) if isinstance(e, PauseNoted)]
    assert [(e.cause, e.message) for e in events] == [
        ("ann", "label x paused: move"),
        ("ann", "label x resumed"),
    ]


def test_what_makes_no_sense_is_refused(ledger):
    late = ledger.wish(PauseRuns(pause_kind="all", until_us=ledger.now_us))
    assert isinstance(late, Refused)
    assert late.sentence.endswith("expected a time to come")
    none = ledger.wish(ResumeRuns(pause_kind="folder", name="x"))
    assert (none.reason, none.sentence) == (
        "not_found",
        "folder x: not paused: expected one of those that are",
    )


def test_a_pause_that_is_over_is_forgotten_in_the_end(ledger):
    ledger.wish(PauseRuns(pause_kind="all", until_us=ledger.now_us + MINUTE))
    over = ledger.wish(ResumeRuns(pause_kind="all"))
    assert isinstance(over, Done)
    ledger.wish(PauseRuns(pause_kind="all", until_us=ledger.now_us + MINUTE))
    ledger.later(3600)
    assert ledger.wish(ResumeRuns(pause_kind="all")).reason == "not_found"
    assert ledger.writer.reader.pauses()
    assert ledger.ledger.wakes_at() is not None
    ledger.later(8 * 86_400)
    assert ledger.writer.reader.pauses() == []
