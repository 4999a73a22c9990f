"""Jobs out of data, and back: every form that is read, and every mistake that is told."""

import pytest

from callsheet.jobs.actions import ScheduleAction
from callsheet.jobs.conditions import Const, Dependency, MaxRunning, SkipDuplicate
from callsheet.jobs.parse import BadJob, definition_hash, job_from_data, job_to_data
from callsheet.jobs.programs import NoOp, Process, Shell, StopSpec, TimeoutSpec
from callsheet.jobs.schedules import (
    Cron,
    Daily,
    DailyInterval,
    DayPoint,
    Explicit,
    Interval,
    StopAfter,
    StopAt,
)
from callsheet.jobs.states import State

S = 1_000_000
NOOP = {"type": "no-op"}


def a_job(**data):
    return job_from_data({"program": NOOP, **data}, "a")


def problems(**data):
    with pytest.raises(BadJob) as caught:
        a_job(**data)
    return caught.value.problems


SCHEDULES = [
    ({"type": "interval", "interval": "1h"}, Interval(interval_us=3600 * S)),
    (
        {"type": "interval", "interval": 90, "phase": "10 s", "enabled": False, "args": {"n": 1}},
        Interval(interval_us=90 * S, phase_us=10 * S, enabled=False, args={"n": "1"}),
    ),
    (
        {"type": "daily", "tz": "Europe/Berlin", "daytime": ["16:00:00", "09:30:00"]},
        Daily(tz="Europe/Berlin", daytimes_s=(34_200.0, 57_600.0)),
    ),
    (
        {"type": "daily", "tz": "UTC", "daytime": "9:30", "calendar": "all days", "date_shift": -1},
        Daily(tz="UTC", daytimes_s=(34_200.0,), date_shift=-1),
    ),
    (
        {
            "type": "daily-interval",
            "tz": "UTC",
            "start": "09:00:00",
            "stop": {"daytime": 3600, "date_shift": 1},
            "interval": "10m",
            "calendar": "Mon-Fri",
        },
        DailyInterval(
            tz="UTC",
            start=DayPoint(daytime_s=32_400.0),
            stop_point=DayPoint(daytime_s=3600.0, date_shift=1),
            interval_us=600 * S,
            calendar="Mon-Fri",
        ),
    ),
    (
        {"type": "explicit", "times": ["1970-01-02T00:00:00Z", "19700101T000001Z"]},
        Explicit(times_us=(S, 86_400 * S)),
    ),
    (
        {"type": "cron", "expression": "5  4 * * sun", "tz": "UTC"},
        Cron(expression="5 4 * * sun", tz="UTC"),
    ),
    ({"type": "cron", "cron": "5 4 * * *", "tz": "UTC"}, Cron(expression="5 4 * * *", tz="UTC")),
    ({"type": "apsis.schedule.IntervalSchedule", "interval": 5}, Interval(interval_us=5 * S)),
    ({"start": {"type": "interval", "interval": 5}}, Interval(interval_us=5 * S)),
    (
        {
            "start": {"type": "interval", "interval": 5},
            "stop": {"type": "duration", "duration": "1m"},
        },
        Interval(interval_us=5 * S, stop=StopAfter(duration_us=60 * S)),
    ),
    (
        {
            "start": {"type": "interval", "interval": 5},
            "stop": {"type": "daytime", "daytime": "10:00:00", "tz": "UTC"},
        },
        Interval(interval_us=5 * S, stop=StopAt(daytime_s=36_000.0, tz="UTC")),
    ),
]

PROGRAMS = [
    ("echo hi", Shell(command="echo hi")),
    (["echo", "hi"], Process(argv=("echo", "hi"))),
    (NOOP, NoOp()),
    ({"type": "no-op", "duration": 0.2, "success": None}, NoOp(duration="0.2", success=None)),
    ({"type": "apsis.program.noop.NoOpProgram", "success": False}, NoOp(success=False)),
    ({"type": "process", "argv": ["true"]}, Process(argv=("true",))),
    ({"type": "procstar", "argv": ["true", ""]}, Process(argv=("true", ""))),
    ({"type": "shell", "command": "true"}, Shell(command="true")),
    (
        {"type": "program", "argv": ["true"], "host": "h1", "user": "jim"},
        Process(argv=("true",), group_id="h1", sudo_user="jim"),
    ),
    ({"type": "shell", "command": "x", "host": "localhost"}, Shell(command="x")),
    (
        {"type": "shell", "command": "x", "host": "h1", "group_id": "{{ g }}"},
        Shell(command="x", group_id="{{ g }}"),
    ),
    (
        {"type": "shell", "command": "true", "host": "h1", "user": "jim", "timeout": 5},
        Shell(command="true", group_id="h1", sudo_user="jim", timeout=TimeoutSpec(duration="5")),
    ),
    (
        {
            "type": "procstar-shell",
            "command": "x",
            "group_id": "{{ group }}",
            "sudo_user": "u",
            "stop": {"signal": "{{ sig }}", "grace_period": None},
            "timeout": {"duration": "1h", "signal": "INT"},
            "resources": {"mem_max_gb": 1.5},
            "cwd": "/srv",
            "env": {"A": 1, "B": "{{ b }}"},
            "umask": 27,
        },
        Shell(
            command="x",
            group_id="{{ group }}",
            sudo_user="u",
            stop=StopSpec(signal="{{ sig }}", grace_period=None),
            timeout=TimeoutSpec(duration="1h", signal="INT"),
            mem_max_gb=1.5,
            cwd="/srv",
            env={"A": "1", "B": "{{ b }}"},
            umask="27",
        ),
    ),
    (
        {"type": "apsis.program.procstar.agent.ProcstarShellProgram", "command": "x"},
        Shell(command="x"),
    ),
]

CONDITIONS = [
    ({"type": "const", "value": False}, Const(value=False)),
    (
        {"type": "dependency", "job_id": "b", "args": {"x": True}, "enabled": "{{ y }}"},
        Dependency(job_id="b", args={"x": "True"}, enabled="{{ y }}"),
    ),
    (
        {"type": "dependency", "job_id": "b", "states": "error", "exist": ["error", "running"]},
        Dependency(job_id="b", states=(State.ERROR,), exist=(State.ERROR, State.RUNNING)),
    ),
    ({"type": "dependency", "job_id": "b", "exist": True}, Dependency(job_id="b", exist=True)),
    ({"type": "dependency", "job_id": "b", "exist": False}, Dependency(job_id="b")),
    ({"type": "max_running"}, MaxRunning()),
    ({"type": "max_running", "count": 3, "job_id": "b"}, MaxRunning(count="3", job_id="b")),
    ({"type": "max_running", "count": "{{ n }}"}, MaxRunning(count="{{ n }}")),
    ({"type": "skip_duplicate"}, SkipDuplicate()),
    (
        {"type": "skip_duplicate", "check_states": "waiting", "target_state": "success"},
        SkipDuplicate(check_states=(State.WAITING,), target_state=State.SUCCESS),
    ),
]


@pytest.mark.parametrize(("data", "schedule"), SCHEDULES)
def test_a_schedule_is_read(data, schedule):
    assert a_job(schedule=data).schedules == (schedule,)
    assert a_job(schedule=[data, data]).schedules == (schedule, schedule)


@pytest.mark.parametrize(("data", "program"), PROGRAMS)
def test_a_program_is_read(data, program):
    assert a_job(program=data).program == program


@pytest.mark.parametrize(("data", "condition"), CONDITIONS)
def test_a_condition_is_read(data, condition):
    assert a_job(condition=data).conditions == (condition,)


def test_actions_and_successors_are_read_in_one_row():
    job = a_job(
        action=[
            {
                "type": "schedule",
                "job_id": "b",
                "args": {"x": "{{ y }}"},
                "if": {"states": "error"},
            },
            {"type": "schedule", "job_id": "c", "if": {}},
        ],
        successors=["d", {"job_id": "e", "args": {"n": 1}}],
    )
    assert job.actions == (
        ScheduleAction(job_id="b", args={"x": "{{ y }}"}, states=(State.ERROR,)),
        ScheduleAction(job_id="c"),
        ScheduleAction(job_id="d", states=(State.SUCCESS,)),
        ScheduleAction(job_id="e", args={"n": "1"}, states=(State.SUCCESS,)),
    )


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (None, ()),
        ([], ()),
        ("date", ("date",)),
        (["b", "a", "b"], ("a", "b")),
        ({"b": None, "a": None}, ("a", "b")),
    ],
)
def test_params_are_names_in_any_form_sorted(params, expected):
    assert a_job(params=params).params == expected


@pytest.mark.parametrize(
    ("labels", "expected"), [(None, ()), ("x", ("x",)), (["y", "x", 3], ("y", "x", "3"))]
)
def test_labels_are_a_list_of_texts(labels, expected):
    assert a_job(metadata={"labels": labels, "owner": {"team": ["a", 1, None]}}).labels == expected


EVERYTHING = [{"schedule": data} for data, _ in SCHEDULES]
EVERYTHING += [{"program": data} for data, _ in PROGRAMS]
EVERYTHING += [{"condition": data} for data, _ in CONDITIONS]
EVERYTHING += [
    {"params": ["a", "b"], "metadata": {"labels": ["x"], "description": "ä", "n": 1.5}},
    {"action": {"type": "schedule", "job_id": "c"}, "successors": "d", "ad_hoc": True},
]


@pytest.mark.parametrize("data", EVERYTHING)
def test_a_job_written_as_data_is_read_back_as_the_same_job(data):
    job = a_job(**data)
    again = job_from_data(job_to_data(job), "a")
    assert again == job
    assert definition_hash(again) == definition_hash(job)


def test_the_hash_names_the_meaning_and_not_the_writing():
    job = a_job(
        params=["x", "y"], program={"type": "shell", "command": "x", "env": {"A": 1, "B": 2}}
    )
    same = a_job(
        params={"y": None, "x": None},
        program={"env": {"B": "2", "A": "1"}, "command": "x", "type": "procstar-shell"},
    )
    other = a_job(params=["x", "y"], program={"type": "shell", "command": "x", "env": {"A": 1}})
    assert definition_hash(job) == definition_hash(same)
    assert definition_hash(job) != definition_hash(other)
    assert len(definition_hash(job)) == 32


MISTAKES = [
    ({"progam": 1}, ("progam",), "unexpected keys: progam: did you mean program?"),
    ({"conditions": []}, ("conditions",), "did you mean condition?"),
    ({"zzzzz": 1}, ("zzzzz",), "unexpected keys: zzzzz: expected some of"),
    ({"program": None}, ("program",), "program: null: expected a mapping"),
    ({"program": {}}, ("program",), "program: missing type: expected one of"),
    ({"program": {"type": "nope"}}, ("program", "type"), "unknown program type: 'nope'"),
    ({"program": []}, ("program",), "is empty"),
    ({"program": ["a", 1]}, ("program", 1), "program[1]: 1: expected a string; write '1'"),
    ({"program": {"type": "process", "argv": "echo hi"}}, ("program", "argv"), "expected a list"),
    ({"program": {"type": "process", "command": "x"}}, ("program", "command"), "unexpected keys"),
    ({"program": {"type": "process"}}, ("program",), "program: missing key: argv"),
    ({"program": {"type": "shell"}}, ("program",), "program: missing key: command"),
    ({"program": {"type": "shell", "command": "a\0b"}}, ("program", "command"), "NUL"),
    ({"program": {"type": "shell", "command": "\ud800"}}, ("program", "command"), "Unicode"),
    (
        {"program": {"type": "shell", "command": "x", "stop": {"signal": "SIGNOPE"}}},
        ("program", "stop", "signal"),
        "not a signal: SIGNOPE",
    ),
    (
        {"program": {"type": "shell", "command": "x", "timeout": {"signal": "INT"}}},
        ("program", "timeout"),
        "missing key: duration",
    ),
    (
        {"program": {"type": "shell", "command": "x", "resources": {"mem_max_gb": 0}}},
        ("program", "resources", "mem_max_gb"),
        "0: expected more than 0",
    ),
    (
        {"program": {"type": "shell", "command": "x", "umask": "999"}},
        ("program", "umask"),
        "expected octal digits",
    ),
    (
        {"program": {"type": "shell", "command": "x", "env": {"A=B": "1"}}},
        ("program", "env", "A=B"),
        "expected a name without '='",
    ),
    ({"program": {"type": "no-op", "duration": "soon"}}, ("program", "duration"), "'soon'"),
    (
        {"program": {"type": "no-op", "success": "yes"}},
        ("program", "success"),
        "true, false or null",
    ),
    ({"schedule": {"interval": 5}}, ("schedule",), "missing type"),
    ({"schedule": {"type": "intervall"}}, ("schedule", "type"), "bad type: 'intervall'"),
    ({"schedule": {"type": "interval"}}, ("schedule",), "missing key: interval"),
    ({"schedule": {"type": "interval", "interval": 0}}, ("schedule", "interval"), "at least"),
    ({"schedule": {"type": "interval", "interval": -5}}, ("schedule", "interval"), "at least"),
    ({"schedule": {"type": "interval", "interval": True}}, ("schedule", "interval"), "duration"),
    (
        {"schedule": {"type": "interval", "interval": 5, "phase": 5}},
        ("schedule", "phase"),
        "expected from 0 to less than the interval",
    ),
    (
        {"schedule": {"type": "interval", "interval": 5, "enabled": "no"}},
        ("schedule", "enabled"),
        "expected true or false",
    ),
    (
        {"schedule": {"type": "interval", "interval": 5, "shift": 1}},
        ("schedule", "shift"),
        "unexpected keys: shift",
    ),
    (
        {"schedule": {"type": "interval", "interval": 5, "args": {"x": [1]}}},
        ("schedule", "args", "x"),
        "a list: expected a string",
    ),
    (
        {"schedule": [{"type": "daily", "tz": "Mars/Base", "daytime": "9:30"}]},
        ("schedule", 0, "tz"),
        "schedule[0].tz: unknown time zone: Mars/Base",
    ),
    (
        {"schedule": {"type": "daily", "tz": "UTC", "daytime": ["9:30", "25:00"]}},
        ("schedule", "daytime", 1),
        "daytime '25:00'",
    ),
    ({"schedule": {"type": "daily", "tz": "UTC", "daytime": []}}, ("schedule", "daytime"), "empty"),
    ({"schedule": {"type": "explicit", "times": "soon"}}, ("schedule", "times"), "time 'soon'"),
    (
        {"schedule": {"type": "cron", "expression": "1 2 3", "tz": "UTC"}},
        ("schedule", "expression"),
        "cron expression",
    ),
    (
        {
            "schedule": {
                "type": "daily-interval",
                "tz": "UTC",
                "start": 0,
                "stop": 1,
                "interval": "1d",
            }
        },
        ("schedule", "interval"),
        "expected less than a day",
    ),
    (
        {"schedule": {"start": {"type": "interval", "interval": 5}, "stop": {"type": "x"}}},
        ("schedule", "stop", "type"),
        "bad type: 'x': expected one of duration, daytime",
    ),
    ({"condition": {"type": "const"}}, ("condition",), "missing key: value"),
    ({"condition": {"type": "dependency", "job_id": 3}}, ("condition", "job_id"), "in quotes"),
    (
        {"condition": {"type": "dependency", "job_id": "b", "states": ["sucess"]}},
        ("condition", "states", 0),
        "bad state: 'sucess'",
    ),
    (
        {"condition": {"type": "dependency", "job_id": "b", "states": "lost"}},
        ("condition", "states"),
        "bad state: 'lost'",
    ),
    (
        {"condition": {"type": "dependency", "job_id": "b", "exist": ["running"]}},
        ("condition", "exist"),
        "lacks success",
    ),
    (
        {"condition": {"type": "dependency", "job_id": "b", "enabled": 1}},
        ("condition", "enabled"),
        "expected true, false, or a template",
    ),
    ({"condition": {"type": "max_running", "count": 0}}, ("condition", "count"), "1 or more"),
    ({"condition": {"type": "max_running", "args": {}}}, ("condition", "args"), "not supported"),
    (
        {"condition": {"type": "skip_duplicate", "target_state": "running"}},
        ("condition", "target_state"),
        "expected a finished state",
    ),
    ({"action": {"type": "mail", "to": "x"}}, ("action", "type"), "bad type: 'mail'"),
    ({"successors": [{"job": "x"}]}, ("successors", 0, "job"), "did you mean job_id?"),
    ({"metadata": "x"}, ("metadata",), "expected a mapping"),
    ({"metadata": {"x": float("nan")}}, ("metadata", "x"), "that JSON can hold"),
    ({"metadata": {"labels": [{"x": 1}]}}, ("metadata", "labels", 0), "expected a string"),
    ({"job_id": "b"}, ("job_id",), "expected 'a'"),
    ({"ad_hoc": "x"}, ("ad_hoc",), "expected true or false"),
    ({"params": [1]}, ("params", 0), "expected a string"),
]


@pytest.mark.parametrize(("data", "key_path", "words"), MISTAKES)
def test_a_mistake_is_told_with_its_place(data, key_path, words):
    found = problems(**data)
    assert any(path == key_path and words in said for path, said in found), found


def test_all_mistakes_of_a_job_are_told_at_once():
    with pytest.raises(BadJob) as caught:
        job_from_data(
            {
                "schedule": [{"type": "daily", "tz": "X", "daytime": "25:00"}, {"type": "y"}],
                "condition": {"type": "dependency", "job_id": 3},
                "progam": {},
            },
            "a",
        )
    assert [path for path, _ in caught.value.problems] == [
        ("schedule", 0, "tz"),
        ("schedule", 0, "daytime"),
        ("schedule", 1, "type"),
        (),
        ("condition", "job_id"),
        ("progam",),
    ]
    assert "missing key: program" in str(caught.value)


@pytest.mark.parametrize("data", [None, 3, "x", [], [{}]])
def test_what_is_no_mapping_is_no_job(data):
    with pytest.raises(BadJob, match="expected a mapping"):
        job_from_data(data, "a")


def test_metadata_without_end_is_refused():
    deep = {}
    inner = deep
    for _ in range(100):
        inner["x"] = inner = {}
    assert "nested deeper" in problems(metadata=deep)[0][1]
