"""Runs that turn starting a moment ahead: which, and until when their programs are held."""

from __future__ import annotations

import pytest

from callsheet.jobs.ahead import AHEAD_US, held_until_us, may_go_ahead
from callsheet.jobs.programs import BoundNoOp, BoundProcess
from callsheet.jobs.run import Run
from callsheet.jobs.states import State

AT_US = 1_800_000_000_000_000


def a_run(state=State.SCHEDULED, **fields):
    fields = {"program": BoundProcess(argv=("true",)), "schedule_us": AT_US} | fields
    return Run(run_id="r1", job_id="a", args={}, state=state, **fields)


@pytest.mark.parametrize(
    ("early_us", "may"), [(AHEAD_US + 1, False), (AHEAD_US, True), (1, True), (0, False)]
)
def test_a_run_may_go_ahead_by_a_moment(early_us, may):
    assert may_go_ahead(a_run(), AT_US - early_us) is may


@pytest.mark.parametrize(
    "fields",
    [
        {"state": State.WAITING},
        {"held": True},
        {"not_before_us": AT_US},
        {"program": BoundNoOp()},
        {"program": None},
    ],
)
def test_whatever_else_is_to_be_decided_keeps_it_back(fields):
    assert not may_go_ahead(a_run(**fields), AT_US - 1)


@pytest.mark.parametrize(
    ("early_us", "held"), [(AHEAD_US + 1, False), (AHEAD_US, True), (1, True), (0, False)]
)
def test_a_run_that_went_ahead_is_held_until_its_time(early_us, held):
    run = a_run(State.STARTING, attempt=1, times={"starting": AT_US - early_us})
    assert held_until_us(run) == (AT_US if held else 0)


def test_nothing_holds_a_run_of_an_unknown_start_nor_another_attempt():
    assert held_until_us(a_run(State.STARTING, attempt=1)) == 0
    later = a_run(State.STARTING, attempt=2, times={"starting": AT_US - 1})
    assert held_until_us(later) == 0
