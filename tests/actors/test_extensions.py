"""Types that the settings add: allowed by name, held to their word, and missed without harm."""

import sys
from itertools import islice

import jsonschema
import msgspec
import pytest

from callsheet.actors.extensions import load_extensions
from callsheet.actors.probe_kinds import Cancel, look
from callsheet.conf.calendars import load_calendars
from callsheet.conf.extension_settings import Extension
from callsheet.conf.settings import SettingsError, load_settings
from callsheet.jobs import registry
from callsheet.jobs.binding import new_run
from callsheet.jobs.checks import check_jobs
from callsheet.jobs.condition_rules import ConditionRules
from callsheet.jobs.errors import UserError
from callsheet.jobs.folder_defaults import with_defaults
from callsheet.jobs.job import Job
from callsheet.jobs.job_schema import job_schema
from callsheet.jobs.parse import BadJob, definition_hash, job_from_data, job_to_data
from callsheet.jobs.polled import BoundExtensionCheck
from callsheet.jobs.schedules import fingerprint, fires
from callsheet.messages.codec import encode

SECOND = 1_000_000
MODULE = """
import threading, time
from datetime import date
from callsheet.jobs.extend import *

class Every(ScheduleType):
    seconds: int
    def __post_init__(self):
        if self.seconds < 1: raise ValueError("seconds: expected at least 1")
    def next_fire(self, from_us):
        step_us = self.seconds * 1_000_000
        return -(-from_us // step_us) * step_us

class Backwards(ScheduleType):
    def next_fire(self, from_us): return from_us - 1

class Textual(ScheduleType):
    def next_fire(self, from_us): return "soon"

class Broken(ScheduleType):
    def next_fire(self, from_us): return 1 // 0

class Endless(ScheduleType):
    def next_fire(self, from_us):
        while True: pass

class Say(ProgramType):
    text: str
    times: int = 1
    def argv(self): return ["echo", *[self.text] * self.times]
    def env(self): return {"SAID": self.text, "LANG": "C"}

class Mute(ProgramType):
    def argv(self): return []

class Is(ConditionType):
    value: bool
    after_s: float = 0.0
    def check(self):
        print("noise")
        time.sleep(self.after_s)
        return Finding(self.value, f"is {self.value}")

class Note(ActionType):
    text: str
    def run(self, event): return self.text

class Fridays(CalendarType):
    start, stop = date(2024, 1, 1), date(2024, 2, 1)
    def days(self): return [date(2024, 1, day) for day in (5, 12, 19, 26)]

class Outside(Fridays):
    def days(self): return [date(2025, 1, 3)]

class Clash(ProgramType):
    timeout: int

class Both(ScheduleType, ConditionType): pass
"""


@pytest.fixture
def types(tmp_path, monkeypatch):
    """Return what loads classes of an administrator's module; other tests know none of them."""
    (tmp_path / "our_types.py").write_text(MODULE)
    (tmp_path / "our_threads.py").write_text(
        "import threading\nfrom our_types import Every\n"
        "threading.Thread(target=threading.Event().wait, args=(1,), daemon=True).start()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def load(**targets):
        load_extensions(
            [Extension(name=name, target=f"our_types:{cls}") for name, cls in targets.items()]
        )

    yield load
    registry.use(())
    for name in [name for name in sys.modules if name.startswith("our_")]:
        del sys.modules[name]


def job_of(**parts):
    return job_from_data({"program": {"type": "no-op"}} | parts, "a/job")


def problems_of(**parts):
    with pytest.raises(BadJob) as caught:
        job_of(**parts)
    return str(caught.value)


# --- what settings allow ------------------------------------------------------------------------


def settings_of(tmp_path, text):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return load_settings(path).extensions


def test_settings_name_entry_points_or_classes(tmp_path):
    assert settings_of(tmp_path, "extensions: [a, {b: 'm.n:C'}]") == (
        Extension(name="a"),
        Extension(name="b", target="m.n:C"),
    )
    assert settings_of(tmp_path, "extensions: {b: 'm:C'}") == (Extension(name="b", target="m:C"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extensions: {b: os}", "expected a form like package.module:"),
        ("extensions: [apsis.x]", "expected a name like"),
        ("extensions: [1]", "expected a string"),
        ("extensions: [a, {a: 'm:C'}]", "a: is there twice"),
    ],
)
def test_settings_that_name_no_class_are_refused(tmp_path, text, said):
    with pytest.raises(SettingsError, match=said):
        settings_of(tmp_path, text)


def test_an_entry_point_of_an_installed_package_is_found_by_its_name(types, tmp_path):
    info = tmp_path / "office-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: office\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[callsheet.extensions]\nevery = our_types:Every\n")
    load_extensions([Extension(name="every")])
    assert job_of(schedule={"type": "every", "seconds": 5}).schedules[0].name == "every"
    with pytest.raises(UserError, match="extensions: other: no installed package offers it"):
        load_extensions([Extension(name="other")])


@pytest.mark.parametrize(
    ("name", "target", "said"),
    [
        ("x", "our_nothing:X", "our_nothing:X cannot be imported: ModuleNotFoundError"),
        ("x", "our_types:Nothing", "cannot be imported: AttributeError"),
        ("x", "os:system", "expected a class derived from one of ScheduleType, ConditionType"),
        ("x", "our_types:ScheduleType", "expected a class derived"),
        ("x", "our_threads:Every", "starts a thread when it is imported"),
        ("daily", "our_types:Every", "daily is a schedule type already"),
        ("x", "our_types:Clash", "field timeout: is a key of every program"),
        ("x", "our_types:Outside", "expected dates from 2024-01-01 to before 2024-02-01"),
        ("Mon-Fri", "our_types:Fridays", "is a calendar already"),
    ],
)
def test_a_class_that_cannot_be_a_type_is_one_sentence(types, name, target, said):
    with pytest.raises(UserError, match=said) as caught:
        load_extensions([Extension(name=name, target=target)])
    assert str(caught.value).startswith(f"extensions.{name}: ")


def test_nothing_is_imported_that_only_data_name(types):
    types(every="Every")
    for part in ("schedule", "condition", "action", "program"):
        for name in ("our_threads.Every", "our_threads:Every", "os.system"):
            said = problems_of(**{part: {"type": name}})
            assert "type: " in said
            assert "expected one of" in said
    assert "our_threads" not in sys.modules


# --- in job files -------------------------------------------------------------------------------


def test_a_type_may_be_named_by_its_class(types):
    types(every="Every")
    by_class = job_of(schedule={"type": "our_types.Every", "seconds": 5})
    assert by_class == job_of(schedule={"type": "every", "seconds": 5})
    assert job_to_data(by_class)["schedule"][0]["type"] == "every"


def test_every_part_is_read_written_sent_and_read_again(types):
    types(every="Every", say="Say", **{"is": "Is"}, note="Note")
    job = job_of(
        params=["who"],
        schedule={"type": "every", "seconds": 5, "args": {"who": "you"}, "jitter": 3},
        condition={"any": [{"type": "is", "value": True, "timeout": "3"}]},
        action={"type": "note", "text": "{{ run_id }}", "if": {"states": ["success"]}},
        program={"type": "say", "text": "{{ who }}", "times": "{{ 1 + 1 }}", "cwd": "/"},
    )
    assert job_from_data(job_to_data(job), "a/job") == job
    registry.use(())
    sent = msgspec.msgpack.decode(encode(job), type=Job)
    assert sent == job
    assert definition_hash(sent) == definition_hash(job)


def test_all_that_is_wrong_is_said_at_once(types):
    types(every="Every", say="Say")
    said = problems_of(
        schedule={"type": "every", "second": 1},
        program={"type": "say", "text": 3, "times": "x"},
    )
    assert "schedule: missing key: seconds" in said
    assert "schedule: unexpected keys: second: did you mean seconds?" in said
    assert "program.text: 3: expected str, got int" in said
    assert "program.times: 'x': expected int, got str" in said
    assert "seconds: expected at least 1" in problems_of(schedule={"type": "every", "seconds": 0})


def test_the_schema_takes_the_types_that_are_known(types):
    takes = lambda data: jsonschema.Draft202012Validator(job_schema()).is_valid(data)  # noqa: E731
    job = {"program": {"type": "say", "text": "x"}, "schedule": {"type": "every", "seconds": 5}}
    assert not takes(job)
    types(every="Every", say="Say")
    assert takes(job)
    assert takes(job | {"program": {"type": "our_types.Say", "text": "x", "times": "{{ n }}"}})
    assert not takes(job | {"program": {"type": "say", "text": "x", "time": 2}})
    assert not takes(job | {"schedule": {"type": "every", "seconds": "often"}})


def test_defaults_of_folders_know_the_keys_of_types(types):
    types(every="Every")
    data = {"schedule": {"type": "every", "seconds": 5}}
    merged = with_defaults(data, [{"schedule": {"jitter": 2, "calendar": "all"}}])
    assert merged.data["schedule"] == {"type": "every", "seconds": 5, "jitter": 2}


# --- schedules ----------------------------------------------------------------------------------


def schedule_of(name, **data):
    return job_of(schedule={"type": name, **data}).schedules[0]


def test_a_schedule_fires_with_options_and_args_like_any_other(types):
    types(every="Every")
    schedule = schedule_of("every", seconds=3600, start_date="1970-01-02", args={"size": "small"})
    first, second = islice(fires(schedule, 0, 10**15), 2)
    assert (first.at_us, second.at_us) == (86_400 * SECOND, 90_000 * SECOND)
    assert first.args["size"] == "small"
    assert (first.args["date"], second.args["daytime"]) == ("1970-01-02", "01:00:00")
    assert fingerprint(schedule) != fingerprint(schedule_of("every", seconds=60))


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        ("Backwards", "next_fire gave -1: expected 0 or later"),
        ("Textual", "next_fire gave 'soon': expected an int or None"),
        ("Broken", "ZeroDivisionError"),
    ],
)
def test_a_schedule_is_held_to_its_word(types, cls, said):
    types(odd=cls)
    with pytest.raises(UserError, match=f"schedule type odd: .*{said}"):
        list(fires(schedule_of("odd"), 0, 10**12))
    [problem] = check_jobs({"a/job": job_of(schedule={"type": "odd"})}, {}, 0)
    assert said.split()[0] in problem.sentence


@pytest.mark.slow
def test_a_schedule_that_computes_for_ever_is_interrupted(types):
    types(odd="Endless")
    with pytest.raises(UserError, match="schedule type odd: took longer than allowed"):
        next(fires(schedule_of("odd"), 0, 10**12))


# --- the others ---------------------------------------------------------------------------------


def test_a_program_becomes_a_process(types):
    types(say="Say")
    program = {"type": "say", "text": "{{ who }}", "times": "{{ 2 }}", "env": {"LANG": "de"}}
    job = job_of(params=["who"], program=program)
    run = new_run(job, "h", "r1", {"who": "me"}, 0, {}.get, {})
    assert run.program.argv == ("echo", "me", "me")
    assert run.program.env == {"SAID": "me", "LANG": "de"}
    job = job_of(params=["who"], program=program | {"times": "{{ who }}"})
    assert "expected int" in new_run(job, "h", "r1", {"who": "me"}, 0, {}.get, {}).error
    types(mute="Mute")
    run = new_run(job_of(program={"type": "mute"}), "h", "r1", {}, 0, {}.get, {})
    assert "argv gave ()" in run.error


def checked(timeout_s=20.0, **data):
    timeout_us = int(timeout_s * SECOND)
    cond = BoundExtensionCheck(name="is", data=data, timeout_us=timeout_us, poll_us=SECOND)
    assert cond in {cond: 1}
    return look(cond, {}, Cancel(timeout_us))


@pytest.mark.slow
def test_a_check_is_made_by_a_process_that_ends_at_its_timeout(types):
    types(**{"is": "Is"})
    assert checked(value=True) == (True, "condition type is: is True")
    assert checked(value=False) == (False, "condition type is: is False")
    late = checked(timeout_s=1.5, value=True, after_s=60)
    assert late == (False, "condition type is: no answer within 1.5 s")
    met, said = checked(value="perhaps")
    assert (met, "expected bool" in said) == (False, True)


def test_a_calendar_becomes_a_list_of_days(types):
    types(fridays="Fridays")
    calendars = load_calendars(None).by_name
    schedule = schedule_of("daily", calendar="fridays", daytime="09:00", tz="UTC")
    times = [fire.args["date"] for fire in fires(schedule, 0, 10**16, calendars)]
    assert times == ["2024-01-05", "2024-01-12", "2024-01-19", "2024-01-26"]


# --- what is not known any more -----------------------------------------------------------------


def test_what_is_stored_and_not_known_any_more_is_a_sentence(types):
    types(every="Every", say="Say", **{"is": "Is"})
    job = job_of(
        schedule={"type": "every", "seconds": 5},
        program={"type": "say", "text": "x"},
        condition={"type": "is", "value": True},
    )
    registry.use(())
    again = "expected it in the settings' extensions"
    run = new_run(job, "h", "r1", {}, 0, {}.get, {})
    assert run.error == f"program type say: is unknown: {again}"
    with pytest.raises(UserError, match="schedule type every: is unknown"):
        next(fires(job.schedules[0], 0, 10**12))
    with pytest.raises(UserError, match="condition type is: is unknown"):
        ConditionRules().check(job.conditions[0])
    assert job_to_data(job)["program"]["type"] == "say"
    assert check_jobs({"a/job": job}, {}, 0)
