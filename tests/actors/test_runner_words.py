"""What is said of a process that ended: state, message and meta, in the shapes of the Apsis API."""

from __future__ import annotations

import pytest

from callsheet.actors.runner_words import ended_meta, outcome, running_meta, signal_name
from callsheet.jobs.states import State
from callsheet.messages.agents import ProcessEnded


def ended(status=0, **fields):
    fields = {"at_us": 9_500_000, "started_us": 1_000_000} | fields
    return ProcessEnded(run_id="r1", attempt=1, status=status, **fields)


@pytest.mark.parametrize(
    ("message", "state", "said"),
    [
        (ended(), State.SUCCESS, ""),
        (ended(7), State.FAILURE, "exit code 7"),
        (ended(-15), State.FAILURE, "killed by SIGTERM"),
        (ended(-40), State.FAILURE, "killed by signal 40"),
        (
            ended(-15, timed_out=True, elapsed_s=5.4),
            State.FAILURE,
            "killed by SIGTERM (timeout after 5 s)",
        ),
        (
            ended(timed_out=True, elapsed_s=4.6),
            State.FAILURE,
            "exit code 0 (timeout after 5 s)",
        ),
        (ended(error="x: No such file"), State.ERROR, "x: No such file"),
        (ended(remarks=["limits are not held"]), State.SUCCESS, "limits are not held"),
        (
            ended(-9, remarks=["out of memory", "more"]),
            State.FAILURE,
            "killed by SIGKILL; out of memory; more",
        ),
    ],
)
def test_an_end_is_a_state_and_a_message(message, state, said):
    assert outcome(message) == (state, said)


def test_the_meta_of_an_exit_has_its_code_and_no_signal():
    meta = ended_meta(ended(3, pid=7, elapsed_s=8.5, stop_signals=["SIGTERM"]), {"a": 1})
    assert meta == {
        "program": {
            "errors": [],
            "times": {
                "start": "1970-01-01T00:00:01+00:00",
                "stop": "1970-01-01T00:00:09.500000+00:00",
                "elapsed": 8.5,
            },
            "stop": {"signals": ["SIGTERM"]},
            "a": 1,
            "status": {
                "status": 768, "exit_code": 3, "signum": None, "signal": None, "core_dump": False,
            },
            "rusage": {},
            "proc_stat": {"pid": 7},
        },
        "elapsed": 8.5,
    }  # fmt: skip


def test_the_meta_of_a_kill_has_its_signal_and_no_code():
    status = ended_meta(ended(-11, core_dumped=True), {})["program"]["status"]
    assert status == {
        "status": 11, "exit_code": None, "signum": 11, "signal": "SIGSEGV", "core_dump": True,
    }  # fmt: skip


def test_what_was_never_executed_has_an_error_and_no_status():
    meta = ended_meta(ended(error="x: No such file", started_us=0), {})
    assert meta["program"]["errors"] == ["x: No such file"]
    assert meta["program"]["status"] is None
    assert meta["program"]["times"]["start"] is None
    assert "elapsed" not in meta


def test_a_clock_that_ran_backwards_makes_no_negative_time():
    assert ended_meta(ended(at_us=500_000), {})["elapsed"] == 0.0


def test_the_meta_of_a_running_process_has_its_pid_and_start():
    program = running_meta(7, 1_000_000, {"procstar_conn": {"conn_id": "x"}})["program"]
    assert program == {
        "status": None,
        "times": {"start": "1970-01-01T00:00:01+00:00", "stop": None, "elapsed": None},
        "proc_stat": {"pid": 7},
        "errors": [],
        "procstar_conn": {"conn_id": "x"},
    }


def test_a_signal_without_a_name_is_called_by_its_number():
    assert [signal_name(9), signal_name(40)] == ["SIGKILL", "signal 40"]
