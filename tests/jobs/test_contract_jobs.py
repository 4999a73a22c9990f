"""Job files mean what they mean in Apsis: the contract's section 1, statement by statement.

Each row is one statement, as a job file and what it has to become. Files and folders of 1.1 are in
`tests/conf`, templates of 1.7 in `test_templates.py`, binding of 1.8 in `test_binding.py`.
"""

import pytest

from callsheet.conf.folder import load_folder
from callsheet.conf.yaml_reader import YamlError, read_yaml
from callsheet.jobs.actions import ScheduleAction
from callsheet.jobs.conditions import Const, Dependency, MaxRunning, SkipDuplicate
from callsheet.jobs.errors import UserError
from callsheet.jobs.jso import job_jso
from callsheet.jobs.parse import BadJob, job_from_data, job_to_data
from callsheet.jobs.programs import NoOp, Process, Shell
from callsheet.jobs.schedules import Daily, DailyInterval, Explicit, Interval, StopAfter, StopAt
from callsheet.jobs.states import State
from callsheet.jobs.times import (
    format_daytime,
    format_time,
    parse_date,
    parse_daytime,
    parse_duration,
    parse_time,
    zone,
)

S = 1_000_000
P = "program: x\n"


def a_job(text, job_id="grp/a"):
    return job_from_data(read_yaml(text, "f.yaml").value, job_id)


def refusal(text):
    with pytest.raises((BadJob, YamlError)) as caught:
        a_job(text)
    return str(caught.value)


def args_of(text):
    """Return the args of the only schedule of a job, as they are written."""
    return (
        a_job(f"{P}schedule: {{type: interval, interval: 1, args: {{x: {text}}}}}")
        .schedules[0]
        .args
    )


# --- 1.1 finding jobs ---------------------------------------------------------------------------

FILES = {
    "a.yaml": "a",
    "a.b.yaml": "a.b",
    "match prefix suffix.yaml": "match prefix suffix",
    "test/cond/test thread cond.yaml": "test/cond/test thread cond",
    ".hidden/inside.yaml": ".hidden/inside",
    "folder.yaml/x.yaml": "folder.yaml/x",
    "b.yml": None,
    ".c.yaml": None,
    "d.yaml.txt": None,
    "script.sh": None,
    "noext": None,
}


def test_job_files_are_those_with_the_suffix_and_their_paths_are_the_ids(tmp_path):
    for name, job_id in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(P if job_id else "{ no job")
    loaded = load_folder(tmp_path)
    assert loaded.problems == []
    assert sorted(loaded.jobs) == sorted(filter(None, FILES.values()))


@pytest.mark.parametrize(
    ("written", "arg"),
    [
        ("10:30:00", "10:30:00"),
        ("10:30", "10:30"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("012", "12"),
        ("0o12", "10"),
        ("1_000", "1000"),
        ("1", "1"),
        ("1.5", "1.5"),
        ("true", "True"),
        ("'012'", "012"),
        ("2020-01-01", "2020-01-01"),
    ],
)
def test_values_mean_what_yaml_1_2_says(written, arg):
    assert args_of(written) == {"x": arg}


def test_times_without_quotes_are_times():
    quoted = a_job(f"{P}schedule: {{type: explicit, times: ['2020-01-01T00:00:00Z']}}")
    plain = a_job(f"{P}schedule: {{type: explicit, times: [2020-01-01T00:00:00Z]}}")
    assert quoted == plain


def test_a_set_of_params_is_a_mapping_with_nulls():
    assert a_job(P + "params: {duration, group_id}").params == ("duration", "group_id")


def test_a_key_that_comes_twice_is_an_error():
    said = refusal("program:\n  type: procstar-shell\n  command: a\n  command: b\n")
    assert 'found duplicate key "command" with value' in said


def test_all_errors_of_all_jobs_are_told_together(tmp_path):
    (tmp_path / "a.yaml").write_text("program: {type: nope}\n")
    (tmp_path / "b.yaml").write_text("program: [\n")
    (tmp_path / "c.yaml").write_text(P)
    assert [one.job_id for one in load_folder(tmp_path).problems] == ["a", "b"]


def test_params_without_a_value_are_none():
    assert a_job(P + "params:\n").params == ()


def test_argv_that_is_a_string_is_refused():
    assert "expected a list" in refusal("program: {type: procstar, argv: echo hi}")


# --- 1.2 top-level keys -------------------------------------------------------------------------


def test_unknown_and_missing_keys_are_named():
    assert "unexpected keys: zz" in refusal(P + "zz: 1")
    assert "missing key: program" in refusal("params: x")
    assert "unexpected keys: conditions" in refusal(P + "conditions: []")
    assert "unexpected keys: actions" in refusal(P + "actions: []")


def test_what_is_not_given_has_its_default():
    job = a_job(P)
    assert (job.params, job.schedules, job.conditions, job.actions) == ((), (), (), ())
    assert (job.metadata, job.labels, job.ad_hoc) == ({}, (), False)
    assert job_jso(job)["metadata"] == {"labels": []}


@pytest.mark.parametrize("key", ["schedule", "condition", "action", "successors", "metadata"])
def test_null_is_as_good_as_nothing(key):
    assert a_job(f"{P}{key}:\n") == a_job(P)


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("date", ("date",)),
        ("[date, color, date]", ("color", "date")),
        ("{date: , color: }", ("color", "date")),
    ],
)
def test_params_are_an_unordered_set(text, params):
    assert a_job(P + f"params: {text}").params == params


def test_the_job_id_if_given_is_the_one_of_the_path():
    assert a_job(P + "job_id: grp/a") == a_job(P)
    assert "expected 'grp/a'" in refusal(P + "job_id: b")


def test_ad_hoc_may_be_given():
    assert a_job(P + "ad_hoc: true").ad_hoc


@pytest.mark.parametrize(
    ("text", "labels"), [("{labels: x}", ["x"]), ("{labels: [x, 1]}", ["x", "1"]), ("{}", [])]
)
def test_labels_are_always_a_list_of_texts(text, labels):
    assert job_jso(a_job(f"{P}metadata: {text}"))["metadata"] == {"labels": labels}


def test_metadata_keeps_whatever_json_can_hold():
    text = "{description: 'a *b*', owner: {team: [x, 1, null]}, n: 1.5, on: true}"
    found = job_jso(a_job(f"{P}metadata: {text}"))["metadata"]
    assert found == {
        "description": "a *b*", "owner": {"team": ["x", 1, None]}, "n": 1.5, "on": True,
        "labels": [],
    }  # fmt: skip


# --- 1.3 shorthands -----------------------------------------------------------------------------

SINGLES = [
    ("schedule", "{type: interval, interval: 60}"),
    ("condition", "{type: dependency, job_id: b}"),
    ("action", "{type: schedule, job_id: b, if: {states: success}}"),
    ("successors", "b"),
    ("successors", "{job_id: b, args: {x: 1}}"),
    ("params", "date"),
]


@pytest.mark.parametrize(("key", "text"), SINGLES)
def test_one_is_as_good_as_a_list_of_one(key, text):
    assert a_job(f"{P}{key}: {text}") == a_job(f"{P}{key}: [{text}]")


@pytest.mark.parametrize(
    ("key", "one", "many"),
    [
        ("schedule", "{type: daily, tz: UTC, daytime: 09:30:00}", "[09:30:00]"),
        ("schedule", "{type: explicit, times: 2030-01-01T00:00:00Z}", "[2030-01-01T00:00:00Z]"),
        ("condition", "{type: dependency, job_id: b, states: error}", "[error]"),
        ("condition", "{type: dependency, job_id: b, exist: success}", "[success]"),
        ("condition", "{type: skip_duplicate, check_states: running}", "[running]"),
        ("action", "{type: schedule, job_id: b, if: {states: error}}", "[error]"),
        ("metadata", "{labels: x}", "[x]"),
    ],
)
def test_a_value_is_as_good_as_a_list_of_one(key, one, many):
    value = many.strip("[]")
    assert a_job(f"{P}{key}: {one}") == a_job(f"{P}{key}: {one.replace(value, many)}")


def test_a_program_that_is_a_text_or_a_list_is_of_the_default_group():
    assert a_job("program: echo 'a b'").program == Shell(command="echo 'a b'", group_id="default")
    assert a_job("program: [echo, a b]").program == Process(argv=("echo", "a b"))


# --- 1.4 types ----------------------------------------------------------------------------------

DEPENDENCY = Dependency(job_id="b")
TYPES = [
    ("schedule", "interval", "interval: 60", Interval(interval_us=60 * S)),
    ("schedule", "daily", "tz: UTC, daytime: 09:30:00", Daily(tz="UTC", daytimes_s=(34200.0,))),
    ("schedule", "explicit", "times: 1970-01-01T00:00:01Z", Explicit(times_us=(S,))),
    ("program", "no-op", "", NoOp()),
    ("program", "procstar", "argv: [x]", Process(argv=("x",))),
    ("program", "procstar-shell", "command: x", Shell(command="x")),
    ("program", "program", "argv: [x], user: u", Process(argv=("x",), sudo_user="u")),
    ("program", "program", "argv: [x], host: h", Process(argv=("x",), group_id="h")),
    ("program", "shell", "command: x, user: u", Shell(command="x", sudo_user="u")),
    ("condition", "const", "value: true", Const(value=True)),
    ("condition", "dependency", "job_id: b", DEPENDENCY),
    ("condition", "max_running", "", MaxRunning()),
    ("condition", "skip_duplicate", "", SkipDuplicate()),
    ("action", "schedule", "job_id: b", ScheduleAction(job_id="b")),
]
CLASSES = [
    ("schedule", "apsis.schedule.interval.IntervalSchedule", "interval"),
    ("schedule", "apsis.schedule.daily.DailySchedule", "daily"),
    ("schedule", "apsis.schedule.explicit.ExplicitSchedule", "explicit"),
    ("program", "apsis.program.noop.NoOpProgram", "no-op"),
    ("program", "apsis.program.procstar.agent.ProcstarProgram", "procstar"),
    ("program", "apsis.program.procstar.agent.ProcstarShellProgram", "procstar-shell"),
    ("condition", "apsis.cond.ConstantCondition", "const"),
    ("condition", "apsis.cond.dependency.Dependency", "dependency"),
    ("condition", "apsis.cond.max_running.MaxRunning", "max_running"),
    ("condition", "apsis.cond.skip_duplicate.SkipDuplicate", "skip_duplicate"),
    ("action", "apsis.actions.ScheduleAction", "schedule"),
]


def of_type(part, kind, rest):
    text = f"{part}: {{type: {kind}{', ' if rest else ''}{rest}}}\n"
    job = a_job(text if part == "program" else P + text)
    found = {
        "schedule": job.schedules, "program": (job.program,), "condition": job.conditions,
        "action": job.actions,
    }[part]  # fmt: skip
    return job, found[0]


@pytest.mark.parametrize(("part", "kind", "rest", "value"), TYPES)
def test_a_short_name_is_a_type(part, kind, rest, value):
    assert of_type(part, kind, rest)[1] == value


@pytest.mark.parametrize(("part", "name", "kind"), CLASSES)
def test_a_class_name_of_apsis_is_a_type_and_is_shown_by_its_short_name(part, name, kind):
    rest = next(rest for one, short, rest, _ in TYPES if (one, short) == (part, kind))
    job, value = of_type(part, name, rest)
    assert value == of_type(part, kind, rest)[1]
    shown = job_jso(job)[part]
    assert (shown if part == "program" else shown[0])["type"] == kind
    again = job_to_data(job)[part]
    assert (again if part == "program" else again[0])["type"] == kind


@pytest.mark.parametrize("part", ["schedule", "condition", "action", "program"])
def test_types_that_are_none_are_told_in_apsis_words(part):
    prefix = "" if part == "program" else P
    assert "missing type" in refusal(f"{prefix}{part}: {{x: 1}}")
    words = "unknown program type: " if part == "program" else "bad type: "
    assert words in refusal(f"{prefix}{part}: {{type: nope}}")
    assert words in refusal(f"{prefix}{part}: {{type: os.system}}")
    own = "or a class that the settings name under extensions"
    for name in ("os.system", "apsis.actions.test.Mine"):
        assert own in refusal(f"{prefix}{part}: {{type: {name}}}")
    for name in ("nope", "no.", "a b.c"):
        assert own not in refusal(f"{prefix}{part}: {{type: {name}}}")
    assert "bad type: " in refusal(P + "schedule: {start: {type: interval, interval: 1}, stop: "
                                   "{type: nope}}")  # fmt: skip


# --- 1.5 durations ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (10, 10), (1.5, 1.5), ("10", 10), ("-10", -10), ("+1", 1), ("1.", 1), ("1e3", 1000),
        ("5s", 5), ("5 sec", 5), ("1 second", 1), ("5 seconds", 5), ("2m", 120), ("2min", 120),
        ("1 minute", 60), ("2 minutes", 120), ("1h", 3600), ("1 hour", 3600), ("2 hours", 7200),
        ("1d", 86400), ("1 day", 86400), ("2  days", 172800), ("1.5h", 5400), ("-2 min", -120),
        ("1h30m", 5400),
    ],
)  # fmt: skip
def test_a_duration_is_seconds(written, seconds):
    assert parse_duration(written) == seconds * S


@pytest.mark.parametrize(
    "written",
    [None, "", "forever", "2 eras", "5 ms", "1 week", "5 S", "1H", "1 h 30", True, [], "h", "nan"],
)
def test_what_is_no_duration_is_refused(written):
    with pytest.raises(UserError, match="expected seconds"):
        parse_duration(written)


# --- 1.6 dates, times, daytimes, zones ----------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("9:30:00", "09:30:00"), ("09:30:00", "09:30:00"), ("09:30:00.25", "09:30:00.25"),
        (34200, "09:30:00"), (0, "00:00:00"), ("23:59:59", "23:59:59"), ("9:30", "09:30:00"),
    ],
)  # fmt: skip
def test_a_daytime_has_its_forms(written, shown):
    assert format_daytime(parse_daytime(written)) == shown


@pytest.mark.parametrize("written", ["24:00:00", "9", "noon", "9:3:0", -1, 86400, None, True])
def test_what_is_no_daytime_is_refused(written):
    with pytest.raises(UserError, match="expected a form like 09:30:00"):
        parse_daytime(written)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("2024-01-06", "2024-01-06"), ("20240106", "2024-01-06"), (20240106, "2024-01-06"),
        ("MIN", "0001-01-01"), ("MAX", "9999-12-31"),
    ],
)  # fmt: skip
def test_a_date_has_its_forms(written, shown):
    assert str(parse_date(written)) == shown


@pytest.mark.parametrize("written", ["2024-1-6", "06.01.2024", "2024-02-30", "soon", None, 7])
def test_what_is_no_date_is_refused(written):
    with pytest.raises(UserError, match=r"^date"):
        parse_date(written)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05+00:00"),
        ("2024-01-02T03:04:05+00:00", "2024-01-02T03:04:05+00:00"),
        ("2024-01-02T03:04:05-05:00", "2024-01-02T08:04:05+00:00"),
        ("2024-01-02T03:04:05.123456Z", "2024-01-02T03:04:05.123456+00:00"),
        ("20240102T030405Z", "2024-01-02T03:04:05+00:00"),
    ],
)
def test_a_time_has_its_forms(written, shown):
    assert format_time(parse_time(written)) == shown


@pytest.mark.parametrize("written", ["2024-01-02T03:04:05", "2024-01-02", 1704164645, "now", None])
def test_a_time_needs_its_zone(written):
    with pytest.raises(UserError, match=r"^time"):
        parse_time(written)


@pytest.mark.parametrize("name", ["America/New_York", "US/Eastern", "UTC", "EST"])
def test_zones_are_iana_names(name):
    assert zone(name)


@pytest.mark.parametrize("name", ["Z", "+01:00", "Mars", "", "../UTC"])
def test_offsets_are_no_zones(name):
    with pytest.raises(UserError, match="unknown time zone"):
        zone(name)


# --- 2, 5.3: entries of schedules and successors as job files have them --------------------------


def test_a_schedule_with_a_stop_is_told_from_one_that_has_such_keys():
    plain = a_job(f"{P}schedule: {{start: {{type: interval, interval: 60}}}}")
    assert plain == a_job(f"{P}schedule: {{type: interval, interval: 60}}")
    after = a_job(
        f"{P}schedule: {{start: {{type: interval, interval: 60}}, "
        "stop: {type: duration, duration: 10m}}"
    )
    assert after.schedules[0].stop == StopAfter(duration_us=600 * S)
    at = a_job(
        f"{P}schedule: {{start: {{type: interval, interval: 60}}, "
        "stop: {type: daytime, daytime: 17:00:00, tz: UTC}}"
    )
    assert at.schedules[0].stop == StopAt(daytime_s=61200.0, tz="UTC")
    window = a_job(
        f"{P}schedule: {{type: daily-interval, tz: UTC, start: 09:00:00, stop: 17:00:00, "
        "interval: 60}"
    )
    assert isinstance(window.schedules[0], DailyInterval)


def test_successors_are_actions_on_success():
    job = a_job(P + "successors: [b, {job_id: c, args: {x: 1}}]\n"
                "action: {type: schedule, job_id: d, if: {states: error}}")  # fmt: skip
    assert job.actions == (
        ScheduleAction(job_id="d", states=(State.ERROR,)),
        ScheduleAction(job_id="b", states=(State.SUCCESS,)),
        ScheduleAction(job_id="c", args={"x": "1"}, states=(State.SUCCESS,)),
    )
    assert [one["job_id"] for one in job_jso(job)["action"]] == ["d", "b", "c"]
    assert "successors" not in job_jso(job)


# --- 6.5 the job in JSON ------------------------------------------------------------------------


def test_a_job_in_json_has_the_keys_of_apsis_and_texts_for_people():
    job = a_job(
        "params: [date, color]\n"
        "schedule: {type: daily, tz: America/New_York, daytime: [16:00:00, 09:30:00],"
        " calendar: Mon-Fri, args: {color: red}}\n"
        "program: {type: procstar-shell, command: 'echo {{ job_id }}',"
        " stop: {signal: SIGUSR1, grace_period: 5s}, timeout: {duration: 1h}}\n"
        "condition: [{type: max_running}, {type: dependency, job_id: b}]\n"
        "action: {type: schedule, job_id: b, if: {states: [success]}}\n"
    )
    shown = job_jso(job)
    assert set(shown) >= {
        "job_id", "params", "schedule", "program", "condition", "common_conditions",
        "resolved_conditions", "action", "metadata", "ad_hoc",
    }  # fmt: skip
    assert shown["params"] == ["color", "date"]
    assert shown["schedule"] == [
        {
            "type": "daily",
            "enabled": True,
            "tz": "America/New_York",
            "calendar": "Mon-Fri",
            "daytime": ["09:30:00", "16:00:00"],
            "date_shift": 0,
            "cal_shift": 0,
            "args": {"color": "red"},
            "str": "(color=red) Mon-Fri at 09:30:00, 16:00:00 America/New_York",
        }
    ]
    assert shown["program"] == {
        "type": "procstar-shell",
        "group_id": "default",
        "stop": {"signal": "SIGUSR1", "grace_period": "5s"},
        "timeout": {"duration": "1h", "signal": "SIGTERM"},
        "command": "echo {{ job_id }}",
        "str": "echo {{ job_id }}",
    }
    assert all(one["str"] for one in shown["condition"] + shown["action"])
    assert shown["action"][0]["if"] == {"states": ["success"]}


def test_the_default_calendar_is_shown_by_its_long_name_and_read_back():
    job = a_job(f"{P}schedule: {{type: daily, tz: UTC, daytime: 09:30:00}}")
    assert job_jso(job)["schedule"][0]["calendar"] == "all days"
    assert job_from_data(job_to_data(job), "grp/a") == job


def test_a_no_op_in_json_is_as_in_apsis():
    shown = job_jso(a_job("program: {type: no-op, duration: 0.2}"))["program"]
    assert shown == {"type": "no-op", "duration": "0.2", "success": True, "str": "no-op for 0.2 s"}
    assert job_jso(a_job("program: {type: no-op}"))["program"]["str"] == "no-op"
