"""Runs in a row: the Nth fires, a success after trouble recovers, and corrections are quiet."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callsheet.jobs.actions import NotifyAction, ScheduleAction, Trigger
from callsheet.jobs.states import State
from callsheet.jobs.streaks import MOST_IN_A_ROW, Streak, after, fires, is_idle, watches

S = State
ENDS = {"s": S.SUCCESS, "f": S.FAILURE, "e": S.ERROR, "l": S.LOST}


def a_streak(text: str) -> Streak:
    streak: Streak = ()
    for n, letter in enumerate(text):
        streak, new = after(streak, f"r{n}", ENDS[letter])
        assert new
    return streak


def in_a_row(count: int, *states: State) -> NotifyAction:
    return NotifyAction(service="x", states=states, trigger=Trigger(consecutive=count))


RECOVERY = NotifyAction(service="x", trigger=Trigger(recovery=True))

FIRES = [
    ("f", 2, (S.FAILURE,), False),
    ("ff", 2, (S.FAILURE,), True),
    ("fff", 2, (S.FAILURE,), False),
    ("ffsff", 2, (S.FAILURE,), True),
    ("fef", 3, (S.FAILURE, S.ERROR), True),
    ("fef", 3, (S.FAILURE,), False),
    ("flf", 3, (S.FAILURE, S.ERROR), True),
    ("sss", 3, (S.SUCCESS,), True),
    ("fsf", 1, (S.FAILURE,), True),
]


@pytest.mark.parametrize(("ends", "count", "states", "expected"), FIRES)
def test_an_action_fires_exactly_at_the_nth_in_a_row(ends, count, states, expected):
    assert fires(in_a_row(count, *states), a_streak(ends)) is expected


@settings(deadline=None)
@given(st.text("sfel", max_size=250), st.integers(2, MOST_IN_A_ROW))
def test_in_any_history_each_series_of_n_fires_once(history, count):
    action = in_a_row(count, S.FAILURE, S.ERROR)
    streak: Streak = ()
    fired = 0
    for n, letter in enumerate(history):
        streak, _ = after(streak, f"r{n}", ENDS[letter])
        fired += fires(action, streak)
        assert len(streak) <= MOST_IN_A_ROW + 1
    series = "".join("b" if letter in "fel" else " " for letter in history).split()
    assert fired == sum(len(part) >= count for part in series)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [("s", False), ("fs", True), ("ls", True), ("fss", False), ("f", False), ("sfs", True)],
)
def test_a_recovery_is_the_first_success_after_trouble(ends, expected):
    assert fires(RECOVERY, a_streak(ends)) is expected


def test_a_mark_corrects_the_record_and_is_no_new_end():
    streak, new = after(a_streak("ff"), "r1", S.SUCCESS)
    assert not new
    assert [end.state for end in streak] == [S.FAILURE, S.SUCCESS]


def test_only_those_actions_watch_that_count():
    assert watches(RECOVERY)
    assert watches(in_a_row(2, S.ERROR))
    assert not watches(ScheduleAction(job_id="b"))


def test_a_streak_that_says_nothing_need_not_be_kept():
    assert is_idle(a_streak("fs"), [RECOVERY, in_a_row(2, S.ERROR)])
    assert not is_idle(a_streak("sf"), [RECOVERY])
    assert not is_idle(a_streak("fs"), [in_a_row(2, S.SUCCESS)])
