"""Binding: what of a job is filled in, what a run's args are, and what becomes of mistakes.

Sections 1.7 and 1.8 of the contract with Apsis, as far as they are not in `test_templates.py`.
"""

import msgspec
import pytest

from callsheet.jobs.binding import (
    BindingError,
    bind,
    needs_templates,
    new_run,
    propagate_args,
    schedule_args,
    stringify_args,
)
from callsheet.jobs.bound_conditions import BoundDependency, BoundMaxRunning
from callsheet.jobs.job import Job
from callsheet.jobs.parse import job_from_data
from callsheet.jobs.programs import BoundNoOp, BoundProcess, TimeoutSpec
from callsheet.jobs.run import NewRun
from callsheet.jobs.schedules import next_fire
from callsheet.messages.codec import encode

NOOP = {"type": "no-op"}
NOW_US = 1_704_533_400_000_000  # 2024-01-06T09:30:00Z
S = 1_000_000
OTHERS = {
    "b": job_from_data({"program": NOOP, "params": ["x", "date"]}, "b"),
    "grp/b red": job_from_data({"program": NOOP}, "grp/b red"),
}


def a_job(**data):
    return job_from_data({"program": NOOP, "params": ["date", "color"], **data}, "grp/a")


def run_of(job, **args):
    given = {"date": "2024-01-06", "color": "red", **args}
    fitting = {name: given[name] for name in job.params}
    return new_run(job, "h", "r7", fitting, NOW_US, OTHERS.get, {})


def program_of(**data):
    run = run_of(a_job(program=data))
    assert run.error is None
    return run.program


# --- what is filled in --------------------------------------------------------------------------

FILLED = [
    ({"type": "procstar", "argv": ["a", "{{ date }}"]}, {"argv": ("a", "2024-01-06")}),
    (
        {"type": "procstar-shell", "command": "x {{ color }}\n{{ run_id }}"},
        {"argv": ("/usr/bin/bash", "-c", "x red\nr7")},
    ),
    ({"type": "procstar", "argv": ["a"], "group_id": "{{ color }}"}, {"group_id": "red"}),
    ({"type": "procstar", "argv": ["a"], "sudo_user": "{{ color }}"}, {"sudo_user": "red"}),
    ({"type": "procstar", "argv": ["a"], "cwd": "/{{ job_id }}"}, {"cwd": "/grp/a"}),
    ({"type": "procstar", "argv": ["a"], "env": {"D": "{{ date }}"}}, {"env": {"D": "2024-01-06"}}),
    (
        {"type": "procstar", "argv": ["a"], "timeout": {"duration": "{{ 2 * 30 }}m"}},
        {"timeout_us": 3600 * S, "timeout_signal": 15},
    ),
    (
        {"type": "procstar", "argv": ["a"], "timeout": {"duration": 1, "signal": "{{ 'INT' }}"}},
        {"timeout_us": S, "timeout_signal": 2},
    ),
    (
        {"type": "procstar", "argv": ["a"], "stop": {"signal": "{{ 'USR1' }}"}},
        {"stop_signal": 10, "grace_us": 60 * S},
    ),
    (
        {"type": "procstar", "argv": ["a"], "stop": {"grace_period": "{{ 1 }}m"}},
        {"stop_signal": 15, "grace_us": 60 * S},
    ),
    ({"type": "procstar", "argv": ["a"], "stop": {"grace_period": None}}, {"grace_us": None}),
    (
        {"type": "procstar", "argv": ["a"], "resources": {"mem_max_gb": 1.5}},
        {"mem_max_bytes": 1_500_000_000},
    ),
    ({"type": "procstar", "argv": ["a"], "umask": "027"}, {"umask": 0o27}),
]


@pytest.mark.parametrize(("data", "expected"), FILLED)
def test_texts_of_a_process_are_filled_in(data, expected):
    bound = program_of(**data)
    assert isinstance(bound, BoundProcess)
    assert {name: getattr(bound, name) for name in expected} == expected


def test_the_duration_of_a_no_op_is_filled_in_and_its_outcome_is_not():
    bound = program_of(type="no-op", duration="{{ 1 + 1 }}", success=False)
    assert bound == BoundNoOp(duration_us=2 * S, duration_text="2", success=False)


def test_conditions_are_filled_in():
    job = a_job(
        condition=[
            {"type": "dependency", "job_id": "b", "args": {"x": "{{ color }}-1"}},
            {"type": "dependency", "job_id": "grp/b {{ color }}"},
            {"type": "max_running", "count": "{{ 1 + 1 }}"},
            {"type": "const", "value": False, "enabled": "{{ color == 'blue' }}"},
            {"type": "dependency", "job_id": "gone {{ nowhere }}", "enabled": False},
        ]
    )
    assert run_of(job).conds == (
        BoundDependency(job_id="b", args={"date": "2024-01-06", "x": "red-1"}),
        BoundDependency(job_id="grp/b red", args={}),
        BoundMaxRunning(count=2, job_id="grp/a", args={"color": "red", "date": "2024-01-06"}),
    )


@pytest.mark.parametrize(
    ("enabled", "there"),
    [
        ("true", True), ("True", True), ("false", False), ("False", False), ("no", True),
        ("", False), ("{{ color == 'red' }}", True), ("{{ color == 'blue' }}", False),
        ("{% if color == 'blue' %}x{% endif %}", False), (True, True), (False, False),
    ],
)  # fmt: skip
def test_a_condition_is_enabled_by_the_text_it_becomes(enabled, there):
    job = a_job(condition={"type": "const", "value": True, "enabled": enabled})
    assert bool(run_of(job).conds) is there


def test_an_argument_loses_a_newline_at_its_end_with_or_without_a_template():
    for text, word in (("x\n", "x"), ("x\n\n", "x\n"), ("{{ color }}\n", "red"), ("\n", "")):
        argv = program_of(type="process", argv=["echo", text]).argv
        assert argv == ("echo", word)
    assert program_of(type="shell", command="a\nb\n").argv[-1] == "a\nb"


def test_what_is_no_template_is_taken_as_it_is():
    job = a_job(
        params=["{{ date }}"],
        metadata={"labels": ["{{ color }}"], "description": "{{ color }}"},
        schedule={"type": "interval", "interval": 60, "args": {"{{ date }}": "{{ color }}"}},
        action={"type": "schedule", "job_id": "{{ color }}", "args": {"x": "{{ date }}"}},
    )
    fire = next_fire(job.schedules[0], NOW_US)
    args = schedule_args(job, fire)
    assert args == {"{{ date }}": "{{ color }}"}
    run = new_run(job, "h", "r7", args, NOW_US, OTHERS.get, {})
    assert (run.error, run.labels) == (None, ("{{ color }}",))
    assert run.actions == job.actions, "actions are filled in when they are carried out"


@pytest.mark.parametrize(
    ("data", "needed"),
    [
        ({}, False),
        ({"program": "echo {x} }}"}, False),
        ({"program": "echo {{ date }}"}, True),
        ({"program": {"type": "shell", "command": "x", "env": {"A": "{{ date }}"}}}, True),
        ({"program": {"type": "shell", "command": "x", "cwd": "{{ date }}"}}, True),
        ({"condition": {"type": "dependency", "job_id": "b", "args": {"x": "{{ 1 }}"}}}, True),
        ({"condition": {"type": "const", "value": True, "enabled": "{{ 1 }}"}}, True),
        ({"metadata": {"description": "{{ date }}"}}, False),
        ({"action": {"type": "schedule", "job_id": "b", "args": {"x": "{{ 1 }}"}}}, False),
        ({"params": {"x": {"pattern": "a+"}}}, True),
    ],
)
def test_only_jobs_with_templates_need_the_binder(data, needed):
    assert needs_templates(a_job(**data)) is needed


def test_the_default_timeout_is_for_programs_that_name_none():
    default = TimeoutSpec(duration="5m", signal="INT")
    bound = bind(
        a_job(program=["x"], params=[]), {}, "r1", OTHERS.get, {}, schedule_us=0,
        default_timeout=default,
    ).program  # fmt: skip
    assert (bound.timeout_us, bound.timeout_signal) == (300 * S, 2)
    own = a_job(program={"type": "process", "argv": ["x"], "timeout": 1}, params=[])
    bound = bind(own, {}, "r1", OTHERS.get, {}, schedule_us=0, default_timeout=default).program
    assert (bound.timeout_us, bound.timeout_signal) == (S, 15)


# --- args ---------------------------------------------------------------------------------------


def test_args_are_texts_sorted_by_name():
    assert list(stringify_args({"b": 1, "a": True, "c": None, "d": 1.5}).items()) == [
        ("a", "True"), ("b", "1"), ("c", "None"), ("d", "1.5"),
    ]  # fmt: skip
    run = run_of(a_job())
    assert list(run.args) == ["color", "date"]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ({}, "missing args (color, date) for job grp/a"),
        ({"date": "1"}, "missing args (color) for job grp/a"),
        ({"date": "1", "color": "2", "zz": "3"}, "extra args (zz) for job grp/a"),
        ({"date": "1", "zz": "3"}, "missing args (color) for job grp/a"),
    ],
)
def test_a_run_whose_args_are_not_the_params_is_an_error(args, sentence):
    run = new_run(a_job(), "h", "r7", args, NOW_US, OTHERS.get, {})
    assert (run.error, run.program, run.args) == (sentence, None, args)


def test_of_what_a_schedule_offers_only_params_are_args():
    schedule = {
        "type": "daily",
        "tz": "America/New_York",
        "daytime": "09:30:00",
        "calendar": "Mon-Fri",
        "args": {"color": 7, "nobody": "x", "tz": "mine", "schedule_time": "x"},
    }
    names = ["date", "daytime", "time", "calendar", "tz", "color", "schedule_time"]
    job = a_job(params=names, schedule=schedule)
    assert schedule_args(job, next_fire(job.schedules[0], NOW_US)) == {
        "calendar": "Mon-Fri",
        "color": "7",
        "date": "2024-01-08",
        "daytime": "09:30:00",
        "schedule_time": "2024-01-08T14:30:00+00:00",
        "time": "2024-01-08T14:30:00+00:00",
        "tz": "mine",
    }
    few = a_job(params=["date"], schedule=schedule)
    assert schedule_args(few, next_fire(few.schedules[0], NOW_US)) == {"date": "2024-01-08"}


@pytest.mark.parametrize(
    ("params", "explicit", "source", "args"),
    [
        (["a", "b"], {"a": "1"}, {"a": "2", "b": "3", "c": "4"}, {"a": "1", "b": "3"}),
        (["a"], {}, {}, {}),
        ([], {"a": "1"}, {"b": "2"}, {"a": "1"}),
        (["b", "a"], {"b": "2"}, {"a": "1"}, {"a": "1", "b": "2"}),
    ],
)
def test_explicit_args_go_before_those_passed_on(params, explicit, source, args):
    found = propagate_args(params, explicit, source)
    assert list(found.items()) == list(args.items())


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"program": "echo {{ nope }}"}, "name 'nope' is not defined"),
        ({"program": "{{ Date(color) }}"}, "date 'red': expected a form like 2024-01-06"),
        ({"program": "{{ get_calendar('x') }}"}, "no such calendar: x"),
        ({"program": {"type": "no-op", "duration": "{{ color }}"}}, "duration 'red': expected"),
        (
            {"program": {"type": "shell", "command": "x", "stop": {"signal": "{{ color }}"}}},
            "not a signal: red",
        ),
        ({"program": ["{{ '\\x00' }}"]}, "argv: holds a NUL character"),
        ({"condition": {"type": "dependency", "job_id": "x"}}, "unknown job ID in condition: x"),
        (
            {"condition": {"type": "dependency", "job_id": "b"}, "params": []},
            "no value for param date of job b",
        ),
        ({"condition": {"type": "max_running", "count": "{{ color }}"}}, "count 'red'"),
    ],
)
def test_what_goes_wrong_in_binding_is_a_run_in_error(data, sentence):
    job = a_job(**data)
    run = run_of(job)
    assert sentence in run.error
    assert (run.program, run.conds, run.actions) == (None, (), ())
    assert (run.run_id, run.job_id, run.definition) == ("r7", "grp/a", "h")
    with pytest.raises(BindingError, match=r"."):
        bind(job, run.args, "r7", OTHERS.get, {}, schedule_us=NOW_US)


def test_a_bound_run_is_whole_without_its_job():
    """What is stored with a run says all: the job may change or go."""
    job = a_job(
        program="echo {{ date }}",
        condition={"type": "dependency", "job_id": "b", "args": {"x": "1"}},
        action={"type": "schedule", "job_id": "b", "if": {"states": "success"}},
        metadata={"labels": ["x"]},
    )
    run = run_of(job)
    assert msgspec.msgpack.decode(encode(run), type=NewRun) == run
    assert (run.labels, run.ad_hoc, run.actions) == (("x",), False, job.actions)
    assert isinstance(run.program, BoundProcess)


def test_a_job_that_is_only_checked_has_no_run():
    job = Job(job_id="a", program=a_job(program="echo {{ run_id }}").program)
    assert bind(job, {}, "None", OTHERS.get, {}, schedule_us=0).program.argv[-1] == "echo None"
