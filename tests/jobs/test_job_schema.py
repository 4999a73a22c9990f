"""The JSON Schema of job files: what the reader takes it takes, and what it is for it does."""

import random
from pathlib import Path

import jsonschema
import pytest
from spoilt_jobs import SOUND, spoilt

from callsheet.conf.yaml_reader import YamlError, read_yaml
from callsheet.jobs.job_keys import PARTS, job_keys, keys_of, kind_of
from callsheet.jobs.job_schema import job_schema, unknown_keys
from callsheet.jobs.parse import BadJob, job_from_data, job_to_data

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "jobs").rglob("[!_]*.yaml"))
FILES = 1000
SEED = 20_261_125

SCHEMA = jsonschema.Draft202012Validator(job_schema())

# Forms that the other corpora do not have: each is a job.
TAKEN = [
    "program: x",
    "program: [x, y]",
    "program: {type: shell, command: x, host: h, user: 7}",
    "program: {type: program, argv: [x]}",
    "program: {type: apsis.program.procstar.agent.ProcstarShellProgram, command: x}",
    "program: {type: no-op, duration: null, success: null}",
    "program: {type: no-op, duration: '{{ d }}'}",
    "program: {type: no-op, duration: -0}",
    "program: {type: procstar, argv: [x], timeout: 1h30m, stop: {grace_period: null}}",
    "program: {type: procstar, argv: [x], stop: {signal: 15, grace_period: '{{ g }}'}}",
    "program: {type: procstar, argv: [x], timeout: {duration: 1 hour, signal: INT}, umask: 27}",
    "program: x\nparams:",
    "program: x\nparams: date",
    "program: x\nparams: {a, b: int, c: [1, x], d: {type: date, default: 2024-01-01, min: MIN}}",
    "program: x\nmetadata: {labels: x, description: 7, deep: [{a: 1}]}",
    "program: x\nad_hoc: true\npriority: 7\nwaiting: {max_time: 1d}",
    "program: x\nschedule:",
    "program: x\nschedule: {type: interval, interval: 1e3, phase: ' 5  min '}",
    "program: x\nschedule: {type: daily, tz: UTC, daytime: [9:30, 34200, '9:30:00.5']}",
    "program: x\nschedule: {type: cron, cron: 5 4 * * sun, tz: UTC, enabled: null}",
    "program: x\nschedule: {type: explicit, times: 2030-01-01T00:00:00Z, args: {n: 1, b: true}}",
    "program: x\nschedule: {type: explicit, times: ['20300101T000000+01:00', 2030-01-01 00:00Z]}",
    "program: x\nschedule: {start: {type: apsis.schedule.IntervalSchedule, interval: 5}, stop: ~}",
    ("program: x\nschedule: {start: {type: interval, interval: 5}, "
    "stop: {type: daytime, daytime: 1:00, tz: UTC}}"),
    ("program: x\nschedule: {type: daily-interval, tz: UTC, start: 9:00, interval: 5, stop: "
    "{daytime: 1:00, date_shift: 1, cal_shift: null}}"),
    "program: x\nschedule: {type: interval, interval: 5, start_date: 20240101, catch_up: last}",
    "program: x\ncondition: {type: dependency, job_id: y, exist: [success], states: success}",
    "program: x\ncondition: [{type: max_running, count: '3'}, {type: skip_duplicate}]",
    "program: x\ncondition: {any: [{type: const, value: true}, {not: {type: const, value: no}}]}"
    .replace("value: no", "value: false"),
    "program: x\ncondition: {all: {type: not_before, daytime: '{{ d }}', tz: UTC}, enabled: 'no'}",
    "program: x\ncondition: {type: not_after, time: 2030-01-01T00:00:00Z, else_state: failure}",
    "program: x\naction: {type: schedule, job_id: y, if: ~}",
    "program: x\naction: {type: email, to: [a@b, '{{ x }}'], if: {states: error, consecutive: 3}}",
    "program: x\naction: {type: webhook, url: 'http://x.y', method: put, body: {a: [1, ~]}}",
    "program: x\naction: [{type: command, argv: [x], timeout: 5}, {type: notify, service: s}]",
    "program: x\ndeadline: {start_by: 9:00, tz: UTC, finish_by: 2h, max_duration: 1h}",
    "program: x\ndeadline: {finish_by: {daytime: 9:00, tz: UTC}}",
    "program: x\naction: {type: notify, service: s, if: {deadline: [finish_by]}}",
    "program: x\naction: {type: email, to: [a@x, '{{ y }}@x'], cc: b@x, body: ''}",
    "program: x\naction: {type: email, to: a@x, if: {states: error, consecutive: 3, per: job}}",
    "program: x\naction: {type: webhook, url: http://x, method: put, headers: {A: 1}, body: [~]}",
    "program: x\naction: [{type: command, argv: [x]}, {type: command, command: x, timeout: 5s}]",
    "program: x\naction: {type: notify, service: y, if: {deadline: [start_by, finish_by]}}",
    "program: x\naction: {type: notify, service: y, title: t, if: {recovery: true}}",
    "program: x\ndeadline: {start_by: 5m, finish_by: 9:30, max_duration: 1h, tz: UTC}",
    "program: x\ndeadline: {finish_by: {daytime: '09:30:00', tz: UTC}}",
    "program: x\nretry: 3",
    "program: x\nretry: {attempts: 3, backoff: 30s, factor: 1.5, max_backoff: 10m, jitter: 0}",
    "program: x\nretry: {attempts: 3, on: [], exit_codes: {retry: 75, fail: [1]}, on_lost: rerun}",
    "program: x\nsuccessors: [y, {job_id: z, args: {n: 1}}]",
    *(
        f"program: {{type: shell, command: x, limits: {{memory_max: {size}}}}}"
        for size in ("1.5 GiB", "2048 kB", "2G", 1048576)
    ),
    "job_id: x\nprogram: &p {type: no-op}\nmetadata: {<<: *p}",
]  # fmt: skip
# What editors are to mark: the path of the mistake is a part of what the schema says.
REFUSED = [
    "progam: x",
    "program: 7",
    "program: {type: nope}",
    "program: {type: shell}",
    "program: {type: shell, command: x, argv: 7}",
    "program: {type: procstar, argv: x}",
    "program: {type: procstar, argv: [x], stop: {signl: 1}}",
    "program: x\nschedule: {type: daily, tz: UTC}",
    "program: x\nschedule: {type: interval, interval: soon}",
    "program: x\nschedule: {type: daily, tz: UTC, daytime: 9h30}",
    "program: x\nschedule: [{start: {type: daily}}]",
    "program: x\nschedule: {type: interval, interval: 5, tzz: UTC}",
    "program: x\ncondition: {type: dependency}",
    "program: x\ncondition: {type: dependency, job_id: y, states: sucess}",
    "program: x\ncondition: {any: [{type: nope}]}",
    "program: x\naction: {type: nope}",
    "program: x\naction: {type: email}",
    "program: x\naction: {type: email, to: a@x, if: {deadline: soon}}",
    "program: x\naction: {type: command}",
    "program: x\naction: {type: webhook, url: http://x, header: {}}",
    "program: x\ndeadline: {start_bye: 5m}",
    "program: x\ndeadline: {max_duration: long}",
    "program: x\nparams: {a: dat}",
    "program: x\nparams: {a: {typ: int}}",
    "program: x\nparams: [7]",
    "program: x\npriority: high",
    "program: x\nretry: 0",
    "program: x\nretry: {attempts: 3, on: success}",
]


def problems_of_reader(text):
    try:
        job_from_data(read_yaml(text, "f").value, "x")
    except (BadJob, YamlError) as error:
        return str(error)
    return ""


def assert_taken(data):
    wrong = [f"{error.json_path}: {error.message[:200]}" for error in SCHEMA.iter_errors(data)]
    assert wrong == [], data


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(job_schema())


def test_every_key_that_a_reader_takes_has_a_shape():
    assert unknown_keys() == [], "give them their rows in jobs/schema_shapes.py"


@pytest.mark.parametrize("text", TAKEN)
def test_what_the_reader_takes_the_schema_takes(text):
    assert problems_of_reader(text) == ""
    data = read_yaml(text, "f").value
    assert_taken(data)
    assert_taken(job_to_data(job_from_data(data, "x")))


@pytest.mark.parametrize("text", REFUSED)
def test_what_an_editor_is_to_mark_the_schema_refuses(text):
    assert problems_of_reader(text)
    assert not SCHEMA.is_valid(read_yaml(text, "f").value)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid(path):
    assert_taken(read_yaml(path.read_text(encoding="utf-8"), "f").value)


@pytest.mark.slow
def test_of_a_thousand_spoilt_files_the_schema_takes_all_that_the_reader_takes():
    chance = random.Random(SEED)
    assert_taken(read_yaml(SOUND, "f").value)
    taken = refused = marked = 0
    for _ in range(FILES):
        raw = spoilt(chance)
        try:
            data = read_yaml(raw, "f").value
            job_from_data(data, "x")
        except YamlError:
            continue
        except BadJob:
            refused += 1
            marked += not SCHEMA.is_valid(data)
        else:
            taken += 1
            assert_taken(data)
    assert taken > FILES // 20
    assert marked > refused // 2, "the schema says too little"


def test_readers_are_asked_for_their_keys():
    assert job_keys().required == ("program",)
    assert keys_of("schedule", "interval").required == ("interval",)
    assert {"argv", "command", "host"} <= set(keys_of("program", "legacy").taken)
    assert kind_of("schedule", "apsis.schedule.DailySchedule") == "daily"
    assert kind_of("schedule", "nope") is None
    assert kind_of("schedule", ["daily"]) is None
    assert all(keys_of(part, kind).taken for part in PARTS for kind in PARTS[part].kinds.values())
