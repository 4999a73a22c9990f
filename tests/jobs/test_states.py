"""The table of moves, and what follows from it."""

from __future__ import annotations

from callsheet.jobs.run import args_key, run_number
from callsheet.jobs.states import ACTIVE, EDGES, FINISHED, LIVE, State, api_state, reachable_from

S = State


def test_every_state_is_either_live_or_finished():
    assert set(State) == LIVE | FINISHED
    assert not LIVE & FINISHED
    assert LIVE - {S.SCHEDULED} == ACTIVE


def test_finished_states_lead_nowhere_and_live_ones_somewhere():
    assert all(not EDGES[state] for state in FINISHED)
    assert all(EDGES[state] for state in LIVE)


def test_success_can_be_reached_from_all_live_states():
    assert reachable_from(frozenset({S.SUCCESS})) == LIVE | {S.SUCCESS}


def test_skipped_cannot_be_reached_once_started():
    assert reachable_from(frozenset({S.SKIPPED})) == {S.SCHEDULED, S.WAITING, S.SKIPPED}


def test_running_cannot_be_reached_from_stopping():
    assert S.STOPPING not in reachable_from(frozenset({S.RUNNING}))


def test_the_compatible_api_calls_lost_an_error():
    assert {api_state(state) for state in (S.LOST, S.ERROR)} == {"error"}
    assert api_state(S.SUCCESS) == "success"


def test_run_numbers():
    assert run_number("r17") == 17
    for bad in ("", "r", "17", "r017", "r-1", "r1x", "R1", "r" + "9" * 30, "r²"):
        assert run_number(bad) is None


def test_args_key_is_sorted_compact_json():
    assert args_key({"b": "ä", "a": '"'}) == '{"a":"\\"","b":"ä"}'
