"""The keys that say how a process begins: env, stdin, ulimits, nice, limits."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from callsheet.jobs.binding import bind
from callsheet.jobs.folder_defaults import with_defaults
from callsheet.jobs.jso import program_jso
from callsheet.jobs.parse import BadJob, definition_hash, job_from_data
from callsheet.jobs.programs import Launch, Limits, Process
from callsheet.jobs.unparse import program_data


def a_job(**keys):
    return job_from_data(
        {"params": ["who"], "program": {"type": "process", "argv": ["x"], **keys}}, "j"
    )


READ = [
    ({}, UNSET, {}),
    ({"env": {"A": 1}}, UNSET, {"A": "1"}),
    ({"env": None, "stdin": None, "ulimits": None, "nice": None}, UNSET, {}),
    ({"env": {"mode": "inherit", "vars": {"A": 1}}}, UNSET, {"A": "1"}),
    ({"env": {"vars": {"A": 1}}}, UNSET, {"A": "1"}),
    ({"env": {"mode": "clean"}}, Launch(env_mode="clean"), {}),
    ({"env": {"mode": "login", "vars": {"A": "b"}}}, Launch(env_mode="login"), {"A": "b"}),
    # Variables of Apsis that happen to have these names.
    ({"env": {"mode": "fast"}}, UNSET, {"mode": "fast"}),
    ({"env": {"mode": "clean", "A": 1}}, UNSET, {"mode": "clean", "A": "1"}),
    ({"env": {"vars": "x"}}, UNSET, {"vars": "x"}),
    ({"env": {"mode": "inherit", "vars": {"mode": "clean"}}}, UNSET, {"mode": "clean"}),
    ({"stdin": "a\n"}, Launch(stdin="a\n"), {}),
    ({"stdin": {"file": "/in/{{ who }}"}}, Launch(stdin_file="/in/{{ who }}"), {}),
    (
        {"ulimits": {"nofile": 1024, "core": 0, "as": "unlimited", "cpu": None}},
        Launch(ulimits={"as": None, "core": 0, "nofile": 1024}),
        {},
    ),
    ({"nice": -5}, Launch(nice=-5), {}),
    ({"env": {"T": {"secret": "db-1"}}}, Launch(secrets={"T": "db-1"}), {}),
    (
        {"env": {"mode": "clean", "vars": {"T": {"secret": 7}, "A": "b"}}},
        Launch(env_mode="clean", secrets={"T": "7"}),
        {"A": "b"},
    ),
    # A group that limits nothing is measured all the same.
    ({"limits": {}}, Launch(limits=Limits()), {}),
    (
        {"limits": {"memory_max": "1.5 GiB", "cpu_max": 2, "pids_max": 64, "policy": "try"}},
        Launch(limits=Limits(memory_max=1_610_612_736, cpu_max=2.0, pids_max=64, policy="try")),
        {},
    ),
    ({"limits": {"memory_max": 2**20}}, Launch(limits=Limits(memory_max=2**20)), {}),
    ({"limits": {"memory_max": "2M"}}, Launch(limits=Limits(memory_max=2**21)), {}),
    ({"limits": {"memory_max": "512MB"}}, Launch(limits=Limits(memory_max=512_000_000)), {}),
    ({"limits": {"memory_max": "2048 KiB"}}, Launch(limits=Limits(memory_max=2**21)), {}),
    ({"limits": {"cpu_max": 0.01}}, Launch(limits=Limits(cpu_max=0.01)), {}),
]


@pytest.mark.parametrize(("keys", "launch", "env"), READ)
def test_the_keys_are_read_and_written_back_as_they_were(keys, launch, env):
    job = a_job(**keys)
    assert job.program == Process(argv=("x",), env=env, launch=launch)
    written = {"params": ["who"], "program": program_data(job.program)}
    assert job_from_data(written, "j").program == job.program


def test_texts_of_stdin_are_templates():
    for keys, launch in (
        ({"stdin": "hello {{ who }}"}, Launch(stdin="hello you")),
        ({"stdin": "hello\n{{ who }}\n"}, Launch(stdin="hello\nyou\n")),
        ({"stdin": "hello\n\n"}, Launch(stdin="hello\n\n")),
        ({"stdin": {"file": "/in/{{ who }}"}, "nice": 3}, Launch(stdin_file="/in/you", nice=3)),
        ({}, UNSET),
    ):
        found = bind(a_job(**keys), {"who": "you"}, "r1", {}.get, {}, schedule_us=0)
        assert found.program.launch == launch


def test_a_bound_process_shows_them_in_json():
    limits = {"memory_max": 2**30, "policy": "try"}
    job = a_job(stdin="x", ulimits={"as": "unlimited"}, nice=1, env={"mode": "clean", "vars": {}},
                limits=limits)  # fmt: skip
    found = program_jso(bind(job, {"who": "u"}, "r1", {}.get, {}, schedule_us=0).program)
    assert {key: found[key] for key in ("stdin", "ulimits", "nice", "env", "limits")} == {
        "limits": limits,
        "stdin": "x",
        "ulimits": {"as": "unlimited"},
        "nice": 1,
        "env": {"mode": "clean", "vars": {}},
    }


def test_the_hash_of_a_definition_without_them_is_as_it_was_before_there_were_any():
    assert definition_hash(a_job()) == "fdcb85f8d540ba00ac3adc928c025131"
    assert definition_hash(a_job(nice=1)) != "fdcb85f8d540ba00ac3adc928c025131"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"env": {"mode": "dirty", "vars": {}}}, "program.env.mode: 'dirty': expected one of"),
        ({"env": {"mode": "clean", "vars": {"A=": 1}}}, "program.env.vars: 'A=': expected a name"),
        ({"env": [1]}, "program.env: a list: expected a mapping"),
        ({"stdin": 3}, "program.stdin: 3: expected a text, or {file: path}"),
        ({"stdin": {"path": "x"}}, "program.stdin: missing key: file"),
        ({"ulimits": {"files": 1}}, "program.ulimits: unexpected keys: files"),
        ({"ulimits": {"core": -1}}, "program.ulimits.core: -1: expected 0 or more, or unlimited"),
        ({"ulimits": {"core": True}}, "program.ulimits.core: True: expected a whole number, or"),
        ({"ulimits": {"core": "1 GB"}}, "program.ulimits.core: '1 GB': expected a whole number"),
        ({"nice": 20}, "program.nice: 20: expected -20 to 19"),
        ({"nice": "low"}, "program.nice: 'low': expected a whole number"),
        ({"limits": 3}, "program.limits: 3: expected a mapping"),
        ({"limits": {"memory": 1}}, "limits: unexpected keys: memory: did you mean memory_max?"),
        ({"limits": {"memory_max": "much"}}, "program.limits.memory_max: 'much': expected bytes"),
        ({"limits": {"memory_max": "1 XB"}}, "'1 XB': expected bytes, or a size like 512 MB"),
        ({"limits": {"memory_max": 1000}}, "program.limits.memory_max: 1000: expected 1 MiB or"),
        ({"limits": {"memory_max": True}}, "program.limits.memory_max: True: expected bytes"),
        ({"limits": {"memory_max": -1}}, "program.limits.memory_max: -1: expected 1 MiB or"),
        ({"limits": {"cpu_max": 0}}, "program.limits.cpu_max: 0: expected 0.01 to 10000 CPUs"),
        ({"limits": {"cpu_max": "1"}}, "program.limits.cpu_max: '1': expected a number of CPUs"),
        ({"limits": {"pids_max": 0}}, "program.limits.pids_max: 0: expected 1 to 4194304"),
        ({"limits": {"pids_max": 1.5}}, "program.limits.pids_max: 1.5: expected a whole number"),
        ({"limits": {"policy": "hope"}}, "program.limits.policy: 'hope': expected one of require"),
    ],
)
def test_what_they_cannot_be_is_told(keys, said):
    with pytest.raises(BadJob) as caught:
        a_job(**keys)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("mine", "theirs", "both"),
    [
        ({"A": 1}, {"A": 2, "B": 2}, {"A": 1, "B": 2}),
        ({"A": 1}, {"mode": "clean", "vars": {"A": 2, "B": 2}},
         {"mode": "clean", "vars": {"A": 1, "B": 2}}),
        ({"mode": "login", "vars": {"A": 1}}, {"A": 2, "B": 2},
         {"mode": "login", "vars": {"A": 1, "B": 2}}),
        ({"mode": "login"}, {"B": 2}, {"mode": "login", "vars": {"B": 2}}),
        ({"mode": "login", "vars": {"A": 1}}, {"mode": "clean", "vars": {"B": 2}},
         {"mode": "login", "vars": {"A": 1, "B": 2}}),
    ],
)  # fmt: skip
def test_variables_of_a_folder_are_added_in_either_form(mine, theirs, both):
    job = {"program": {"type": "process", "argv": ["x"], "env": mine}}
    merged = with_defaults(job, [{"program": {"any": {"env": theirs}}}])
    assert merged.data["program"]["env"] == both
