"""Programs of the types `ssh` and `python`: read, bound, written back, told in words."""

from __future__ import annotations

import pytest

from callsheet.jobs.binding import new_run
from callsheet.jobs.errors import UserError
from callsheet.jobs.jso import program_jso
from callsheet.jobs.parse import job_from_data, job_to_data
from callsheet.jobs.parse_programs import read_program
from callsheet.jobs.programs import BoundProcess, PythonCall, Ssh
from callsheet.jobs.reading import At, Told


def a_job(params=(), **program):
    return job_from_data({"params": list(params), "program": program}, "x")


def bound(job, **args):
    run = new_run(job, "", "r7", args, 0, lambda _: None, {})
    return run.error or run.program


def problems(**program):
    """Return what is wrong with a program."""
    found = []
    try:
        read_program(program, At(("program",), found))
    except Told:
        pass
    except UserError as error:
        return [str(error)]
    return [sentence for _, sentence in found]


# --- ssh ----------------------------------------------------------------------------------------


def test_a_far_program_is_bound_to_what_one_would_type():
    job = a_job(["date"], type="ssh", host="db1", argv=["load", "--date", "{{ date }}"])
    assert isinstance(job.program, Ssh)
    run = bound(job, date="2024-01-06")
    assert run == BoundProcess(argv=("callsheet-ssh", "db1", "--", "load", "--date", "2024-01-06"))
    assert program_jso(job.program)["str"] == "on db1: load --date '{{ date }}'"
    assert program_jso(run)["str"] == "callsheet-ssh db1 -- load --date 2024-01-06"


def test_what_is_for_the_far_side_goes_there_and_the_rest_stays():
    job = a_job(
        ["where"],
        type="ssh",
        host="{{ where }}",
        user="batch",
        port=2222,
        identity_file="/etc/callsheet/{{ where }}",
        known_hosts="/etc/callsheet/hosts",
        command="load; check",
        group_id="dmz",
        sudo_user="reports",
        cwd="/srv/{{ run_id }}",
        umask="027",
        env={"mode": "clean", "vars": {"A": "{{ job_id }}"}},
        stdin="of {{ where }}",
        ulimits={"nofile": 5, "core": "unlimited"},
        nice=3,
        resources={"mem_max_gb": 1},
        stop={"signal": "INT", "grace_period": 5},
        timeout="1h",
    )
    run = bound(job, where="fe80::1")
    assert run.argv == (
        "callsheet-ssh",
        "--identity-file=/etc/callsheet/fe80::1",
        "--known-hosts=/etc/callsheet/hosts",
        "--sudo-user=reports",
        "--env-mode=clean",
        "--cwd=/srv/r7",
        "--umask=027",
        "--memory-kib=976563",
        "--ulimits=--core=unlimited --nofile=5",
        "--nice=3",
        "batch@[fe80::1]:2222",
        "--",
        "/usr/bin/bash",
        "-c",
        "load; check",
    )
    assert (run.sudo_user, run.cwd, run.umask, run.mem_max_bytes) == (None, None, None, None)
    assert (run.env, run.launch.stdin, run.launch.nice) == ({"A": "x"}, "of fe80::1", None)
    assert (run.group_id, run.stop_signal, run.timeout_us) == ("dmz", 2, 3_600_000_000)
    assert job_from_data(job_to_data(job), "x") == job


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "a b", "a;b", "$(x)", "a\nb", ""])
def test_a_host_is_no_option_and_nothing_for_a_shell(host):
    job = a_job(["h"], type="ssh", host="{{ h }}", argv=["x"])
    assert "host: " in bound(job, h=host)
    if host:
        assert problems(type="ssh", host=host, argv=["x"])


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"argv": ["x"]}, "program: missing key: host"),
        ({"host": "a"}, "program: expected exactly one of argv, command"),
        ({"host": "a", "argv": ["x"], "command": "x"}, "exactly one of argv, command"),
        ({"host": "a", "argv": ["x"], "port": 0}, "program.port: port: '0': expected a number"),
        ({"host": "a", "argv": ["x"], "user": "-x"}, "program.user: '-x': expected the name of"),
        ({"host": "a", "argv": ["x"], "env": {"A-B": "1"}}, "env: 'A-B': expected letters"),
        ({"host": "a", "argv": ["x"], "limits": {"pids_max": 9}}, "expected ulimits or resources"),
        ({"host": "a", "argv": ["x"], "key": "k"}, "unexpected keys: key"),
    ],
)
def test_what_is_wrong_with_a_far_program_is_told(keys, sentence):
    found = problems(type="ssh", **keys)
    assert (len(found), sentence in "".join(found)) == (1, True), found


def test_a_far_user_is_no_option_of_sudo():
    job = a_job(["u"], type="ssh", host="a", argv=["x"], sudo_user="{{ u }}")
    assert bound(job, u="#0") == "sudo_user: '#0': expected the name of a user"


# --- python -------------------------------------------------------------------------------------


def test_a_function_is_bound_with_its_arguments_filled_in():
    job = a_job(
        ["date"],
        type="python",
        call="reports.daily:make",
        args={"date": "{{ date }}", "days": 7, "parts": ["{{ job_id }}", True, None]},
        python="/srv/venv/bin/python",
        path="/srv/{{ date }}",
        cwd="/srv",
    )
    assert isinstance(job.program, PythonCall)
    run = bound(job, date='2024 "ä"')
    assert run.argv == (
        "callsheet-python",
        "--python",
        "/srv/venv/bin/python",
        "--path",
        '/srv/2024 "ä"',
        "reports.daily:make",
        '{"date": "2024 \\"ä\\"", "days": 7, "parts": ["x", true, null]}',
    )
    assert run.cwd == "/srv"
    assert job_from_data(job_to_data(job), "x") == job
    assert bound(a_job(type="python", call="a:b")).argv == ("callsheet-python", "a:b", "[]")


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({}, "program: missing key: call"),
        ({"call": "reports.daily"}, "expected a function, as in package.module:function"),
        ({"call": "reports.daily:make()"}, "expected a function"),
        ({"call": "os; x:make"}, "expected a function"),
        ({"call": "{{ x }}:make"}, "expected a function"),
        ({"call": "a:b", "args": "x"}, "program.args: 'x': expected a list, or a mapping"),
        ({"call": "a:b", "args": {"a b": 1}}, "program.args: 'a b': expected the name of"),
        ({"call": "a:b", "args": [float("inf")]}, "expected a value that JSON can hold"),
        ({"call": "a:b", "python": "python3"}, "program.python: 'python3': expected an absolute"),
    ],
)
def test_what_is_wrong_with_a_call_is_told(keys, sentence):
    found = problems(type="python", **keys)
    assert (len(found), sentence in "".join(found)) == (1, True), found
