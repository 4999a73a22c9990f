"""Typed params: how specs are written, what they take, what is told, and where defaults count."""

import pytest

from callsheet.actors.bind_one import bind_one, failed_run
from callsheet.jobs.binding import (
    BindingError,
    check_args,
    full_args,
    needs_templates,
    new_run,
    schedule_args,
)
from callsheet.jobs.bound_conditions import BoundDependency
from callsheet.jobs.checks import check_jobs
from callsheet.jobs.jso import job_jso
from callsheet.jobs.params import ParamSpec, why_not
from callsheet.jobs.parse import BadJob, definition_hash, job_from_data, job_to_data
from callsheet.jobs.schedules import Fire
from callsheet.messages.binding import BindOne

NOOP = {"type": "no-op"}
NOW_US = 1_790_000_000_000_000


def a_job(job_id="a", **data):
    return job_from_data({"program": NOOP, **data}, job_id)


def problems(**data):
    with pytest.raises(BadJob) as caught:
        a_job(**data)
    return caught.value.problems


@pytest.mark.parametrize(
    ("written", "spec"),
    [
        (None, None),
        ("string", None),
        ({}, None),
        ({"type": "string"}, None),
        ("date", ParamSpec(type="date")),
        (["small", "large"], ParamSpec(type="choice", choices=("small", "large"))),
        ([1, True, 1], ParamSpec(type="choice", choices=("1", "True"))),
        ({"default": 7}, ParamSpec(default="7")),
        ({"type": "string", "description": "What *for*."}, ParamSpec(description="What *for*.")),
        ({"choices": ["x"]}, ParamSpec(type="choice", choices=("x",))),
        ({"pattern": "[a-z]+"}, ParamSpec(type="regex", pattern="[a-z]+")),
        (
            {"type": "int", "min": 1, "max": "12", "default": 3},
            ParamSpec(type="int", min="1", max="12", default="3"),
        ),
        (
            {"type": "int", "choices": [1, 2, 4]},
            ParamSpec(type="int", choices=("1", "2", "4")),
        ),
        (
            {"type": "date", "min": "2020-01-01", "default": "2024-02-29"},
            ParamSpec(type="date", min="2020-01-01", default="2024-02-29"),
        ),
        ({"type": "bool", "default": False}, ParamSpec(type="bool", default="False")),
    ],
)
def test_a_spec_is_read(written, spec):
    job = a_job(params={"x": written, "b": None})
    assert job.params == ("b", "x")
    assert job.param_specs == ({} if spec is None else {"x": spec})
    assert job_from_data(job_to_data(job), "a") == job


@pytest.mark.parametrize(
    ("written", "key_path", "words"),
    [
        ("dat", (), "params.x: bad type: 'dat': expected one of string, int, float, bool, date"),
        (7, (), "params.x: 7: expected a string"),
        ("choice", (), "choice: expected a mapping with `type: choice` and `choices`"),
        ("regex", (), "regex: expected a mapping with `type: regex` and `pattern`"),
        ([], (), "is empty: expected at least one choice"),
        ([[1]], (0,), "a list: expected a string"),
        ({"type": "choice"}, (), "missing key: choices"),
        ({"type": "regex"}, (), "missing key: pattern"),
        ({"type": "nope"}, ("type",), "bad type: 'nope'"),
        ({"typ": "int"}, ("typ",), "unexpected keys: typ: did you mean type?"),
        ({"type": "int", "default": "x"}, ("default",), "'x': expected a whole number"),
        ({"type": "int", "default": 1.5}, ("default",), "'1.5': expected a whole number"),
        ({"type": "float", "default": "nan"}, ("default",), "'nan': expected a number"),
        ({"type": "bool", "default": "yes"}, ("default",), "'yes': expected true or false"),
        ({"type": "date", "default": "2023-02-29"}, ("default",), "expected a date like"),
        ({"type": "time", "default": "noon"}, ("default",), "expected a time like"),
        ({"type": "daytime", "default": "25:00"}, ("default",), "expected a daytime like"),
        ({"choices": ["x"], "default": "y"}, ("default",), "'y': expected one of 'x'"),
        ({"type": "int", "choices": [1, "b"]}, ("choices", 1), "'b': expected a whole number"),
        ({"type": "int", "min": "b"}, ("min",), "'b': expected a whole number"),
        ({"type": "int", "min": 5, "max": 4}, ("max",), "4: expected no less than min, 5"),
        ({"type": "int", "min": 5, "default": 4}, ("default",), "'4': is less than 5: expected at"),
        ({"type": "int", "max": 5, "default": 6}, ("default",), "is more than 5: expected at most"),
        ({"type": "bool", "min": 0}, ("min",), "bool has no min: expected one of the types int"),
        ({"max": 0}, ("max",), "string has no max"),
        ({"pattern": "["}, ("pattern",), "expected a regular expression"),
        ({"pattern": "a" * 501}, ("pattern",), "expected a short pattern"),
        ({"pattern": 7}, ("pattern",), "expected a string"),
        ({"choices": list(range(1001))}, ("choices",), "expected at most 1000"),
        ({"description": 7}, ("description",), "expected a string"),
        ({"default": [1]}, ("default",), "a list: expected a string"),
    ],
)
def test_a_mistake_in_a_spec_is_told_with_its_place(written, key_path, words):
    found = problems(params={"x": written})
    assert [path for path, _ in found] == [("params", "x", *key_path)]
    assert words in found[0][1]


TAKEN = [
    (ParamSpec(), ["", "x", "ä"], []),
    (ParamSpec(type="int"), ["0", "-7", "+7", "0012"], ["", "1.0", "1_000", "x", "٣", " 1"]),
    (ParamSpec(type="float"), ["1", "-1.5e3", ".5", "1."], ["", "nan", "inf", "1e999", "x"]),
    (ParamSpec(type="bool"), ["true", "False"], ["", "yes", "1", "TRUE"]),
    (ParamSpec(type="date"), ["2024-01-06", "20240106"], ["", "2024-13-01", "Feb", "2024-1-6"]),
    (ParamSpec(type="time"), ["2024-01-02T03:04:05Z"], ["", "2024-01-02", "now"]),
    (ParamSpec(type="daytime"), ["09:30:00", "9:30"], ["", "24:00:00", "noon"]),
    (ParamSpec(type="choice", choices=("a", "b")), ["a", "b"], ["", "c", "A"]),
    (ParamSpec(type="regex", pattern="[a-z]+"), ["abc"], ["", "abc1", "abc\n", "1abc"]),
    (ParamSpec(type="int", min="1", max="10"), ["1", "9", "10"], ["0", "11"]),
    (
        ParamSpec(type="date", min="2024-01-01", max="2024-12-31"),
        ["2024-01-01", "20241231"],
        ["2023-12-31", "2025-01-01"],
    ),
    (ParamSpec(type="daytime", max="17:00"), ["16:59:59"], ["17:00:01"]),
    (
        ParamSpec(type="time", min="2024-01-01T00:00:00Z"),
        ["2024-01-01T01:00:00+01:00"],
        ["2023-12-31T23:59:59Z"],
    ),
]


@pytest.mark.parametrize(("spec", "taken", "refused"), TAKEN)
def test_a_param_takes_what_its_spec_says(spec, taken, refused):
    assert [arg for arg in taken if why_not(spec, arg)] == []
    for arg in refused:
        assert ": expected " in why_not(spec, arg), arg


def test_an_arg_that_a_param_does_not_take_makes_the_run_an_error_that_says_why():
    job = a_job(params={"date": "date", "size": ["small", "large"]})
    run = new_run(job, "h", "r1", {"date": "soon", "size": "xl"}, 0, lambda _: None, {})
    assert run.error == (
        "arg date of job a: 'soon': expected a date like 2024-01-06; "
        "arg size of job a: 'xl': expected one of 'small', 'large'"
    )
    assert run.args == {"date": "soon", "size": "xl"}
    check_args(job, {"date": "2024-01-06", "size": "small"})


def test_missing_and_extra_args_are_told_as_by_apsis():
    job = a_job(params={"date": "date", "color": None})
    with pytest.raises(BindingError, match=r"^missing args \(color, date\) for job a$"):
        check_args(job, {})
    with pytest.raises(BindingError, match=r"^extra args \(zz\) for job a$"):
        check_args(job, {"color": "red", "date": "2024-01-06", "zz": "1"})


def test_defaults_fill_what_is_missing_before_args_are_compared():
    job = a_job(params={"n": {"type": "int", "default": 3}, "e": {"default": ""}, "x": None})
    assert full_args(job, {"x": "1"}) == {"e": "", "n": "3", "x": "1"}
    run = new_run(job, "h", "r1", {"x": "1", "n": "4"}, 0, lambda _: None, {})
    assert (run.error, run.args) == (None, {"e": "", "n": "4", "x": "1"})
    run = new_run(job, "h", "r1", {}, 0, lambda _: None, {})
    assert run.error == "missing args (x) for job a"
    item = BindOne(run_id="r1", job=job, definition="h", args={"x": "1"}, schedule_us=0)
    assert failed_run(item, "no").args == {"e": "", "n": "3", "x": "1"}


def test_args_of_a_schedule_win_over_defaults_and_its_automatic_ones_too():
    specs = {"date": {"default": "1999-01-01"}, "n": {"default": 3}, "m": {"default": 4}}
    job = a_job(params=specs)
    fire = Fire(at_us=0, args={"date": "2024-01-06", "n": "5", "other": "x"})
    assert schedule_args(job, fire) == {"date": "2024-01-06", "m": "4", "n": "5"}


@pytest.mark.parametrize("listed", [False, True])
def test_args_written_in_a_schedule_are_checked_when_the_job_is_read(listed):
    entry = {"type": "interval", "interval": 60, "args": {"n": "x"}}
    found = problems(params={"n": "int"}, schedule=[entry] if listed else entry)
    place = ("schedule", 0) if listed else ("schedule",)
    assert found == [
        (
            (*place, "args", "n"),
            f"schedule{'[0]' if listed else ''}.args.n: 'x': expected a whole number",
        )
    ]
    wrapped = problems(params={"n": "int"}, schedule={"start": entry})
    assert wrapped[0][0] == ("schedule", "start", "args", "n")


def test_patterns_are_matched_only_by_the_binder():
    job = a_job(params={"x": {"pattern": "[a-z]+", "default": "1"}})
    assert needs_templates(job)
    assert not needs_templates(a_job(params={"x": "int"}))
    found = check_jobs({"a": job}, {}, NOW_US)
    assert [(one.key_path, one.sentence) for one in found] == [
        (
            ("params", "x", "default"),
            "params.x.default: '1': expected a text that matches [a-z]+",
        )
    ]


def test_args_that_other_jobs_pass_are_checked_with_the_jobs():
    target = a_job("b", params={"n": {"type": "int", "default": 1}, "m": "int"})
    source = a_job(successors=[{"job_id": "b", "args": {"m": "x"}}, {"job_id": "b"}])
    found = [one.sentence for one in check_jobs({"a": source, "b": target}, {}, NOW_US)]
    assert found == [
        "arg m of job b in action: 'x': expected a whole number",
        "missing arg in action: param m of job b",
    ]


def test_a_dependency_takes_the_defaults_of_the_job_it_names():
    target = a_job("b", params={"n": {"type": "int", "default": 1}, "m": None})
    source = a_job(params=["m"], condition={"type": "dependency", "job_id": "b"})
    run = new_run(source, "h", "r1", {"m": "2"}, 0, {"b": target}.get, {})
    assert run.conds == (BoundDependency(job_id="b", args={"m": "2", "n": "1"}),)
    item = BindOne(
        run_id="r1",
        job=source,
        definition="h",
        args={"m": "2"},
        schedule_us=0,
        params_of={"b": target.params},
        defaults_of={"b": {"n": "1"}},
    )
    assert bind_one(item, {}) == run


def test_specs_are_part_of_the_definition_and_of_the_jobs_json():
    job = a_job(params={"n": {"type": "int", "default": 1}, "m": None})
    bare = a_job(params=["m", "n"])
    assert definition_hash(job) != definition_hash(bare)
    shown = job_jso(job)
    assert shown["params"] == ["m", "n"]
    assert shown["param_specs"] == {"n": {"type": "int", "default": "1"}}
    assert job_jso(bare)["param_specs"] == {}


def test_params_without_specs_have_the_definition_they_always_had():
    # What an earlier version stored: an upgrade must not withdraw and write anew every run.
    assert definition_hash(a_job(params=["x", "y"])) == "f5aa8c20b0735de702ea0b07c4e9a266"
