"""The jobs of the demonstration: sound, described, with an example of all that job files say.

What there is to be shown is taken from the tables by which job files are read: whoever adds a type
or an option adds an example, or finds it named here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from callsheet.cli.demo import lay_out
from callsheet.conf.calendars import calendars_folder, load_calendars
from callsheet.conf.check import check_folder, check_loaded
from callsheet.conf.folder import load_folder
from callsheet.conf.settings import load_settings
from callsheet.conf.yaml_reader import read_yaml
from callsheet.jobs.actions import trigger_of
from callsheet.jobs.calendar_rules import KINDS as RULES
from callsheet.jobs.conditions import Dependency
from callsheet.jobs.deadlines import KINDS as DEADLINES
from callsheet.jobs.errors import UserError
from callsheet.jobs.internal_programs import Archive, Backup, Internal, Stats, Vacuum
from callsheet.jobs.job_keys import job_keys
from callsheet.jobs.params import TYPES as PARAM_TYPES
from callsheet.jobs.params import ParamSpec
from callsheet.jobs.parse_actions import ACTION_TYPES
from callsheet.jobs.parse_conditions import CONDITION_TYPES
from callsheet.jobs.parse_programs import LEGACY, PROGRAM_TYPES
from callsheet.jobs.parse_schedules import SCHEDULE_TYPES, STOP_TYPES
from callsheet.jobs.programs import NoOp, Process, PythonCall, Shell
from callsheet.jobs.schedules import Options, options_of

EXAMPLES = Path(__file__).parents[2] / "examples"
JOBS = load_folder(EXAMPLES / "jobs").jobs
DATA = {
    job_id: read_yaml((EXAMPLES / "jobs" / f"{job_id}.yaml").read_text(), "x").value
    for job_id in JOBS
}
NOW_US = 1_790_000_000_000_000
# What is not shown, and why.
NOT_SHOWN = {
    "job key": {
        "job_id": "the place of a file says it",
        "ad_hoc": "not for job files",
        "blackouts": "windows are of the settings, and the demonstration names none",
        "results": "the guide of job files has whole jobs that give and use them",
    },
    "program key": {
        "group_id": "the demonstration has one agent",
        "sudo_user": "it runs as whoever tries it",
    },
    "python key": {"python": "it is the agent's own"},
    "program": {
        "ssh": "there is no other host",
        "procstar-ecs": "it is read for the sake of Apsis, and never runs",
    },
    "calendar rule": {
        "dates": "a .cal file does the same",
        "calendar": "a name alone is one",
        "union": "a list is one",
        "intersect": "like union",
    },
    "option": {
        "tz": "only with dates of an interval",
        "blackouts": "put in from the settings",
    },
}


def tag(value: Any) -> str:
    return str(value.__struct_config__.tag)


def within(condition: Any) -> Iterator[Any]:
    """Yield a condition and all that it is made of."""
    yield condition
    inner = getattr(condition, "conditions", ()) or [getattr(condition, "condition", None)]
    for member in inner:
        if member is not None:
            yield from within(member)


SCHEDULES = [schedule for job in JOBS.values() for schedule in job.schedules]
CONDITIONS = [cond for job in JOBS.values() for given in job.conditions for cond in within(given)]
ACTIONS = [action for job in JOBS.values() for action in job.actions]
PROGRAMS = [job.program for job in JOBS.values()]
KINDS = {NoOp: "no-op", Process: "process", Shell: "shell", PythonCall: "python"}
KINDS |= {Archive: "archive", Vacuum: "vacuum", Stats: "stats", Backup: "backup"}
PROCESSES = [program for program in PROGRAMS if not isinstance(program, NoOp | Internal)]
SPECS = [spec for job in JOBS.values() for spec in job.param_specs.values()]
DEFAULTS = [read_yaml(path.read_text(), "x").value for path in EXAMPLES.rglob("_defaults.yaml")]
FILES = [read_yaml(path.read_text(), "x").value for path in (EXAMPLES / "calendars").glob("*.yaml")]


def changed(values: list[Any]) -> set[str]:
    """Return the fields that some value has another than its default in."""
    return {
        field.name
        for value in values
        for field in msgspec.structs.fields(value)
        if getattr(value, field.name) not in (field.default, None, {}, ())
    }


def fields_of(struct: Any) -> set[str]:
    return {field.name for field in msgspec.structs.fields(struct)}


SHOWN = [
    ("schedule", set(SCHEDULE_TYPES.values()), {tag(one) for one in SCHEDULES}),
    (
        "stop schedule",
        set(STOP_TYPES.values()),
        {tag(one.stop) for one in SCHEDULES if one.stop is not None},
    ),
    ("option", fields_of(Options), changed([options_of(one) for one in SCHEDULES])),
    (
        "schedule field",
        {"phase_us", "calendar", "date_shift", "cal_shift", "enabled", "args"},
        changed(SCHEDULES),
    ),
    ("condition", set(CONDITION_TYPES.values()), {tag(one) for one in CONDITIONS}),
    (
        "dependency field",
        fields_of(Dependency),
        changed([one for one in CONDITIONS if isinstance(one, Dependency)]),
    ),
    ("program", set(PROGRAM_TYPES.values()) - {LEGACY}, {KINDS[type(one)] for one in PROGRAMS}),
    ("program key", fields_of(Process) - {"argv"}, changed(PROCESSES)),
    (
        "python key",
        fields_of(PythonCall) - fields_of(Process) - {"call"},
        changed([one for one in PROGRAMS if isinstance(one, PythonCall)]),
    ),
    ("no-op key", fields_of(NoOp), changed([one for one in PROGRAMS if isinstance(one, NoOp)])),
    ("action", set(ACTION_TYPES.values()), {tag(one) for one in ACTIONS}),
    (
        "trigger",
        {"consecutive", "recovery", "deadlines"},
        changed([trigger_of(one) for one in ACTIONS]),
    ),
    (
        "deadline",
        set(DEADLINES),
        {key for data in DATA.values() for key in data.get("deadline", {})},
    ),
    ("param type", set(PARAM_TYPES), {spec.type for spec in SPECS}),
    ("param key", fields_of(ParamSpec), changed(SPECS)),
    ("job key", set(job_keys().taken), {key for data in DATA.values() for key in data}),
    (
        "default of a folder",
        {"metadata", "program", "schedule", "action", "waiting"},
        {key for data in DEFAULTS for key in data},
    ),
    ("calendar rule", set(RULES), {key for data in FILES for key in data}),
]


@pytest.mark.parametrize(("what", "known", "shown"), SHOWN, ids=[row[0] for row in SHOWN])
def test_the_examples_show_every_kind_of_everything(what, known, shown):
    assert known - shown - set(NOT_SHOWN.get(what, {})) == set()
    assert set(NOT_SHOWN.get(what, {})) & shown == set()


def test_the_examples_are_about_thirty_described_jobs_of_a_team():
    assert 30 <= len(JOBS) <= 50
    assert all(job.metadata.get("description") and job.labels for job in JOBS.values())
    assert {job_id.partition("/")[0] for job_id in JOBS} >= {"shop", "night", "data", "monitoring"}
    assert any(job.params and not job.schedules for job in JOBS.values())
    assert any(len(job.schedules) > 1 for job in JOBS.values())


def test_there_is_something_to_see_within_two_minutes():
    runs = [120e6 / one.interval_us for one in SCHEDULES if tag(one) == "interval" and one.enabled]
    assert len([count for count in runs if count >= 1]) >= 15
    # And yet the machine has next to nothing to do: no more than a run every two seconds.
    assert 30 <= sum(runs) <= 60


def test_the_examples_have_no_problems():
    assert [problem.text for problem in check_folder(EXAMPLES / "jobs", NOW_US)] == []


@pytest.mark.parametrize("bind", ["127.0.0.1:5000", "0.0.0.0:8123"])
def test_what_the_demonstration_lays_out_fits_together(bind, tmp_path):
    lay_out(tmp_path / "demo", bind)
    settings = load_settings(tmp_path / "demo" / "callsheet.yaml")
    loaded = load_folder(settings.job_dir)
    calendars = load_calendars(calendars_folder(settings.job_dir, settings.calendars))
    rules = settings.conditions.rules
    problems = check_loaded(settings.job_dir, loaded, NOW_US, calendars, rules)
    assert [problem.text for problem in problems] == []
    assert settings.unknown == ()
    assert loaded.jobs.keys() == JOBS.keys()
    port = bind.rpartition(":")[2]
    publish = (settings.job_dir / "data" / "publish.yaml").read_text()
    assert f"http://127.0.0.1:{port}/" in publish
    assert f"path: {tmp_path}/demo/hold" in publish


def test_a_folder_that_the_examples_could_not_name_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected a path of letters"):
        lay_out(tmp_path / "it's")


def test_what_was_changed_in_a_demonstration_stays(tmp_path):
    lay_out(tmp_path)
    (tmp_path / "jobs" / "heartbeat.yaml").unlink()
    (tmp_path / "callsheet.yaml").write_text("job_dir: jobs\n")
    lay_out(tmp_path)
    assert not (tmp_path / "jobs" / "heartbeat.yaml").exists()
    assert (tmp_path / "callsheet.yaml").read_text() == "job_dir: jobs\n"
