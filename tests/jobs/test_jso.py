"""Jobs and runs in the JSON of Apsis's API, compared whole."""

import pytest

from callsheet.jobs.bound_conditions import (
    BoundConst,
    BoundDependency,
    BoundMaxRunning,
    BoundSkipDuplicate,
)
from callsheet.jobs.jso import (
    condition_jso,
    job_jso,
    program_jso,
    run_full_jso,
    run_summary_jso,
)
from callsheet.jobs.parse import job_from_data
from callsheet.jobs.programs import BoundNoOp, BoundProcess
from callsheet.jobs.run import Run
from callsheet.jobs.schedule_words import describe
from callsheet.jobs.states import State

AT_US = 1_795_563_485_840_000
AT = "2026-11-24T23:38:05.840+00:00"


def a_run(**fields):
    return Run(
        **{
            "run_id": "r1",
            "job_id": "a",
            "args": {"color": "red"},
            "state": State.SCHEDULED,
            "schedule_us": AT_US,
            "times": {"scheduled": AT_US},
            "labels": ("x", "y"),
        }
        | fields
    )


def a_job(**data):
    return job_from_data({"program": {"type": "no-op"}, **data}, "a")


def test_a_summary_has_what_lists_show():
    assert run_summary_jso(a_run()) == {
        "job_id": "a",
        "args": {"color": "red"},
        "run_id": "r1",
        "state": "scheduled",
        "times": {"scheduled": AT, "schedule": AT},
        "labels": ["x", "y"],
    }


def test_a_summary_names_dependencies_expectation_and_stop():
    run = a_run(
        expected=True,
        stop_us=AT_US,
        conds=(BoundDependency(job_id="b", args={"d": "1"}), BoundConst(value=True)),
    )
    found = run_summary_jso(run)
    assert found["expected"] is True
    assert found["dependencies"] == [["b", {"d": "1"}]]
    assert found["times"]["stop"] == AT


def test_a_lost_run_is_an_error_to_those_who_know_no_lost_ones():
    found = run_summary_jso(a_run(state=State.LOST, times={"lost": AT_US}))
    assert found["state"] == "error"
    assert found["times"] == {"error": AT, "schedule": AT}


def test_a_full_run_has_its_bound_parts():
    run = a_run(
        program=BoundNoOp(duration_us=200_000, duration_text="0.2"),
        conds=(
            BoundMaxRunning(count=1, job_id="a", args={"color": "red"}),
            BoundSkipDuplicate(check_states=(State.RUNNING,), target_state=State.SKIPPED),
        ),
        actions=a_job(successors="grp/b").actions,
        meta={"program": {}, "elapsed": 0.2},
    )
    found = run_full_jso(run)
    assert found["program"] == {
        "type": "apsis.program.noop.BoundNoOpProgram",
        "duration": "0.2",
        "success": True,
        "str": "no-op for 0.2 s",
    }
    assert found["conds"] == [
        {
            "type": "apsis.cond.max_running.BoundMaxRunning",
            "count": 1,
            "job_id": "a",
            "args": {"color": "red"},
            "str": "fewer than 1 runs of a(color=red) running",
        },
        {
            "type": "apsis.cond.skip_duplicate.BoundSkipDuplicate",
            "check_states": ["running"],
            "target_state": "skipped",
            "instance": ["a", {"color": "red"}],
            "run_id": "r1",
            "str": "no other run of the instance is running",
        },
    ]
    assert found["actions"] == [
        {
            "type": "schedule",
            "if": {"states": ["success"]},
            "job_id": "grp/b",
            "args": {},
            "str": "schedule grp/b() on success",
        }
    ]
    assert found["meta"] == {"job": {"labels": ["x", "y"]}, "program": {}, "elapsed": 0.2}


def test_a_run_that_could_not_be_bound_has_no_program():
    assert run_full_jso(a_run())["program"] is None


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (
            BoundProcess(
                argv=("/usr/bin/bash", "-c", "echo c r43"),
                stop_signal=10,
                grace_us=5_000_000,
                timeout_us=3_600_000_000,
            ),
            {
                "type": "apsis.program.procstar.agent.BoundProcstarProgram",
                "argv": ["/usr/bin/bash", "-c", "echo c r43"],
                "group_id": "default",
                "stop": {"signal": 10, "grace_period": 5},
                "timeout": {"duration": 3600.0, "signal": "SIGTERM"},
                "str": "/usr/bin/bash -c 'echo c r43'",
            },
        ),
        (
            BoundProcess(
                argv=("x",),
                sudo_user="u",
                grace_us=None,
                mem_max_bytes=1_500_000_000,
                cwd="/srv",
                env={"A": "1"},
                umask=0o27,
            ),
            {
                "type": "apsis.program.procstar.agent.BoundProcstarProgram",
                "argv": ["x"],
                "group_id": "default",
                "stop": {"signal": 15, "grace_period": None},
                "sudo_user": "u",
                "resources": {"mem_max_gb": 1.5},
                "cwd": "/srv",
                "env": {"A": "1"},
                "umask": "027",
                "str": "x",
            },
        ),
    ],
)
def test_a_bound_process_in_json(program, expected):
    assert program_jso(program) == expected


def test_a_program_of_a_job_in_json():
    program = {
        "type": "shell",
        "command": "echo {{ job_id }}",
        "stop": {"signal": "SIGUSR1", "grace_period": "5s"},
        "timeout": "1h",
    }
    assert program_jso(a_job(program=program).program) == {
        "type": "procstar-shell",
        "group_id": "default",
        "stop": {"signal": "SIGUSR1", "grace_period": "5s"},
        "timeout": {"duration": "1h", "signal": "SIGTERM"},
        "command": "echo {{ job_id }}",
        "str": "echo {{ job_id }}",
    }


def test_a_bound_dependency_in_json():
    cond = BoundDependency(
        job_id="b", args={"y": "2", "x": "1"}, states=(State.ERROR,), exist=(State.ERROR,)
    )
    assert condition_jso(cond) == {
        "type": "dependency",
        "job_id": "b",
        "args": {"y": "2", "x": "1"},
        "states": ["error"],
        "exist": ["error"],
        "str": "dependency b(x=1 y=2) is error",
    }


def test_a_job_in_json():
    job = a_job(
        params=["date", "color"],
        schedule={"type": "interval", "interval": 3600, "phase": 60, "args": {"color": "red"}},
        metadata={"owner": "me"},
    )
    assert job_jso(job) == {
        "job_id": "a",
        "params": ["color", "date"],
        "param_specs": {},
        "schedule": [
            {
                "type": "interval",
                "enabled": True,
                "interval": 3600.0,
                "phase": 60.0,
                "args": {"color": "red"},
                "str": describe(job.schedules[0]),
            }
        ],
        "program": {"type": "no-op", "duration": None, "success": True, "str": "no-op"},
        "condition": [],
        "common_conditions": [],
        "resolved_conditions": [{"schedule_args": {"color": "red"}, "conditions": []}],
        "action": [],
        "metadata": {"owner": "me", "labels": []},
        "ad_hoc": False,
    }


def test_a_schedule_with_a_stop_is_two_in_json():
    stop = {"type": "duration", "duration": "10m"}
    job = a_job(schedule={"start": {"type": "interval", "interval": 5}, "stop": stop})
    (found,) = job_jso(job)["schedule"]
    assert found["stop"] == {"type": "duration", "duration": 600.0}
    assert found["start"]["type"] == "interval"
    assert found["str"].endswith("stop 600.0 s after schedule time")
    assert found["enabled"] is True


def test_conditions_are_resolved_for_each_schedule():
    other = job_from_data({"program": "x", "params": ["color", "date", "flavor"]}, "b")
    job = a_job(
        params=["color", "date"],
        schedule=[
            {"type": "interval", "interval": 5, "args": {"color": "red"}},
            {"type": "interval", "interval": 7, "args": {"color": "blue"}},
        ],
        condition=[
            {"type": "max_running"},
            {"type": "const", "value": True, "enabled": False},
            {"type": "const", "value": True, "enabled": "{{ color == 'red' }}"},
            {"type": "dependency", "job_id": "b", "args": {"flavor": "{{ color }}y"}},
            {"type": "dependency", "job_id": "{{ date }}"},
        ],
    )
    found = job_jso(job, {"b": other}.get)
    common = found["common_conditions"]
    assert [cond["type"] for cond in common] == ["max_running", "dependency"]
    assert common[1]["resolved_job_id"] is None
    red, blue = found["resolved_conditions"]
    assert red["schedule_args"] == {"color": "red"}
    assert [cond["type"] for cond in red["conditions"]] == ["const", "dependency"]
    assert [cond["type"] for cond in blue["conditions"]] == ["dependency"]
    assert list(blue["conditions"][0]["resolved_args"].items()) == [
        ("color", "blue"),
        ("flavor", "bluey"),
        ("date", "{{ date }}"),
    ]


def test_without_a_schedule_all_but_templated_dependencies_are_common():
    job = a_job(
        condition=[
            {"type": "dependency", "job_id": "b"},
            {"type": "dependency", "job_id": "{{ x }}"},
        ]
    )
    found = job_jso(job)
    assert [cond["resolved_job_id"] for cond in found["common_conditions"]] == ["b"]
    assert found["resolved_conditions"] == []
