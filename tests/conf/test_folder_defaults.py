"""Folder defaults: which jobs take what of `_defaults.yaml`, and where mistakes are told."""

import os

import pytest

from callsheet.conf.check import check_folder
from callsheet.conf.folder import FolderCache, load_folder
from callsheet.jobs.actions import ScheduleAction
from callsheet.jobs.folder_defaults import read_defaults
from callsheet.jobs.programs import NoOp, Process, Shell, TimeoutSpec
from callsheet.jobs.schedules import Daily, Interval
from callsheet.jobs.states import State

NOW_US = 1_790_000_000_000_000
LONG_AGO_NS = 1_600_000_000_000_000_000


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return root


def jobs_of(root, **files):
    loaded = load_folder(write(root, files))
    assert [problem.text for problem in loaded.problems] == []
    return loaded.jobs


def texts(root, files):
    return [problem.text for problem in check_folder(write(root, files), NOW_US)]


def test_a_defaults_file_is_no_job(tmp_path):
    assert list(jobs_of(tmp_path, **{"_defaults.yaml": "metadata: {a: 1}", "x.yaml": "program: x"}))


def test_metadata_is_taken_where_a_job_lacks_it_and_labels_are_added(tmp_path):
    jobs = jobs_of(
        tmp_path,
        **{
            "_defaults.yaml": "metadata: {owner: us, team: a, labels: [x, y]}",
            "d/_defaults.yaml": "metadata: {owner: them, labels: z}",
            "d/a.yaml": "program: x\nmetadata: {team: b, labels: [y, w]}",
            "d/b.yaml": "program: x",
            "c.yaml": "program: x\nmetadata: {labels: x}",
        },
    )
    assert jobs["d/a"].metadata == {"team": "b", "owner": "them", "labels": ["y", "w", "z", "x"]}
    assert jobs["d/b"].metadata == {"owner": "them", "labels": ["z", "x", "y"], "team": "a"}
    assert jobs["c"].metadata == {"labels": ["x", "y"], "owner": "us", "team": "a"}


def test_programs_take_what_their_kind_takes(tmp_path):
    jobs = jobs_of(
        tmp_path,
        **{
            "_defaults.yaml": (
                "program:\n"
                "  any: {timeout: 1h, group_id: batch, env: {A: 1, B: 2}, duration: 5}\n"
                "  shell: {cwd: /srv, timeout: 2h}\n"
            ),
            "text.yaml": "program: echo",
            "list.yaml": "program: [echo]",
            "own.yaml": (
                "program: {type: shell, command: x, group_id: own, env: {B: 3}, timeout: 5}"
            ),
            "old.yaml": "program: {type: program, argv: [x], host: h}",
            "noop.yaml": "program: {type: no-op}",
        },
    )
    env = {"A": "1", "B": "2"}
    hour, two = TimeoutSpec(duration="1h"), TimeoutSpec(duration="2h")
    assert jobs["text"].program == Shell(
        command="echo", cwd="/srv", timeout=two, group_id="batch", env=env
    )
    assert jobs["list"].program == Process(argv=("echo",), timeout=hour, group_id="batch", env=env)
    assert jobs["own"].program == Shell(
        command="x",
        group_id="own",
        env={"A": "1", "B": "3"},
        timeout=TimeoutSpec(duration="5"),
        cwd="/srv",
    )
    assert jobs["old"].program == Process(argv=("x",), timeout=hour, group_id="batch", env=env)
    assert jobs["noop"].program == NoOp(duration="5")


def test_schedules_take_what_their_type_takes(tmp_path):
    jobs = jobs_of(
        tmp_path,
        **{
            "_defaults.yaml": (
                "schedule: {tz: Europe/Berlin, calendar: Mon-Fri, args: {x: 1, y: 2}}"
            ),
            "a.yaml": (
                "program: x\nschedule:\n"
                "- {type: daily, daytime: '9:30', args: {x: 3}}\n"
                "- {type: daily, tz: UTC, daytime: '9:30'}\n"
                "- {type: interval, interval: 1h}\n"
                "- start: {type: daily, daytime: '9:30'}\n"
                "  stop: {type: duration, duration: 60}\n"
            ),
            "b.yaml": "program: x\nschedule: {type: daily, daytime: '9:30'}",
            "c.yaml": "program: x",
        },
    )
    args = {"x": "1", "y": "2"}
    at = {"daytimes_s": (34_200.0,), "calendar": "Mon-Fri"}
    daily = Daily(tz="Europe/Berlin", args=args, **at)
    assert jobs["a"].schedules[:3] == (
        Daily(tz="Europe/Berlin", args={"x": "3", "y": "2"}, **at),
        Daily(tz="UTC", args=args, **at),
        Interval(interval_us=3_600_000_000, args=args),
    )
    assert jobs["a"].schedules[3].tz == "Europe/Berlin"
    assert jobs["b"].schedules == (daily,)
    assert jobs["c"].schedules == ()


def test_actions_are_added_after_the_jobs_own_the_inner_ones_first(tmp_path):
    action = "action: {type: schedule, job_id: %s, if: {states: failure}}\n"
    jobs = jobs_of(
        tmp_path,
        **{
            "_defaults.yaml": action % "outer",
            "d/_defaults.yaml": action % "inner",
            "d/a.yaml": "program: x\nsuccessors: next\n" + action % "own",
        },
    )
    failed = (State.FAILURE,)
    assert jobs["d/a"].actions == (
        ScheduleAction(job_id="own", states=failed),
        ScheduleAction(job_id="inner", states=failed),
        ScheduleAction(job_id="outer", states=failed),
        ScheduleAction(job_id="next", states=(State.SUCCESS,)),
    )


def test_a_job_with_defaults_is_the_job_that_says_it_all_itself(tmp_path):
    jobs = load_folder(
        write(
            tmp_path,
            {
                "d/_defaults.yaml": "program: {any: {timeout: 1h}}\nmetadata: {owner: us}",
                "d/a.yaml": "program: {type: shell, command: x}",
                "e/a.yaml": "program: {type: shell, command: x, timeout: 1h}\n"
                "metadata: {owner: us}",
            },
        )
    ).jobs
    assert jobs["d/a"].program == jobs["e/a"].program
    assert jobs["d/a"].metadata == jobs["e/a"].metadata


def test_an_empty_defaults_file_has_no_defaults(tmp_path):
    assert jobs_of(tmp_path, **{"_defaults.yaml": "# none yet\n", "a.yaml": "program: x"})


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "key_path", "words"),
    [
        ([], (), "defaults are a list: expected a mapping"),
        ({"metdata": {}}, ("metdata",), "unexpected keys: metdata: did you mean metadata?"),
        ({"params": ["x"]}, ("params",), "params is a job's own affair: expected it in job files"),
        ({"metadata": 3}, ("metadata",), "metadata: 3: expected a mapping"),
        ({"program": {"group_id": "x"}}, ("program", "group_id"), "expected some of any, archive"),
        ({"program": {"shell": {"argv": []}}}, ("program", "shell", "argv"), "unexpected keys"),
        ({"program": {"no-op": {"env": {}}}}, ("program", "no-op", "env"), "unexpected keys"),
        (
            {"program": {"any": {"timeout": {"duration": "x"}}}},
            ("program", "any", "timeout", "duration"),
            "program.any.timeout.duration: duration 'x'",
        ),
        (
            {"program": {"process": {"env": {"A=": 1}}}},
            ("program", "process", "env", "A="),
            "expected a name without '='",
        ),
        ({"schedule": {"tz": "Mars"}}, ("schedule", "tz"), "schedule.tz: unknown time zone: Mars"),
        ({"schedule": {"type": "daily"}}, ("schedule", "type"), "unexpected keys: type"),
        ({"schedule": {"tzz": 1}}, ("schedule", "tzz"), "did you mean tz?"),
        ({"action": [{"type": "x"}]}, ("action", 0, "type"), "bad type: 'x'"),
    ],
)
def test_a_mistake_in_defaults_is_told_once_with_its_place(data, key_path, words):
    found = read_defaults(data)
    assert [path for path, _ in found] == [key_path]
    assert words in found[0][1]


def test_mistakes_are_told_of_the_defaults_file_and_not_of_each_job(tmp_path):
    assert texts(
        tmp_path,
        {
            "_defaults.yaml": "program:\n  any:\n    timeout: soon\nschedule: {tz: Mars}\n",
            "a.yaml": "program: x\nschedule: {type: daily, daytime: '9:30'}",
            "d/b.yaml": "program: x\nprogam: y",
        },
    ) == [
        (
            "_defaults.yaml:3:5: program.any.timeout: duration 'soon': expected seconds, or a form "
            "like 90s, 10 min, 1h30m"
        ),
        (
            "_defaults.yaml:4:12: schedule.tz: unknown time zone: Mars: expected an IANA name like "
            "Europe/Berlin"
        ),
        "d/b.yaml:2:1: unexpected keys: progam: did you mean program?",
    ]


def test_what_defaults_and_job_only_get_wrong_together_names_both(tmp_path):
    assert texts(
        tmp_path,
        {
            "d/_defaults.yaml": "schedule:\n  phase: 10m\n",
            "d/a.yaml": "program: x\nschedule: {type: interval, interval: 1m}",
            "d/b.yaml": "program: x\nschedule: {type: interval, interval: 1h}",
        },
    ) == [
        (
            "d/_defaults.yaml:2:3: job d/a: schedule.phase: 600 s: expected from 0 to less than "
            "the interval"
        )
    ]


def test_what_only_all_jobs_together_show_is_told_of_the_defaults_file_too(tmp_path):
    found = check_folder(
        write(
            tmp_path,
            {
                "_defaults.yaml": "action:\n- {type: schedule, job_id: nowhere, if: {}}\n",
                "a.yaml": "program: x\nsuccessors:\n- b\n- gone\n",
                "b.yaml": "program: x\naction: {type: schedule, job_id: lost, if: {}}\n",
            },
        ),
        NOW_US,
    )
    assert [(problem.job_id, problem.text) for problem in found] == [
        ("a", "_defaults.yaml:2:3: job a: unknown job ID in action: nowhere"),
        ("b", "_defaults.yaml:2:3: job b: unknown job ID in action: nowhere"),
        ("a", "a.yaml:4:3: unknown job ID in action: gone"),
        ("b", "b.yaml:2:1: unknown job ID in action: lost"),
    ]


def test_jobs_under_defaults_that_cannot_be_read_are_left_alone(tmp_path):
    assert texts(
        tmp_path,
        {
            "d/_defaults.yaml": "schedule: [\n",
            "d/a.yaml": "program: x\nschedule: {type: daily, daytime: '9:30'}",
            "b.yaml": "program: x\ncondition: {type: dependency, job_id: d/a}",
        },
    ) == [("d/_defaults.yaml:2:1: not YAML: did not find expected node content while parsing "
          "a flow node")]  # fmt: skip


def test_a_defaults_file_that_is_no_file_is_a_problem(tmp_path):
    (tmp_path / "_defaults.yaml").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "_defaults.yaml").symlink_to("../pipe")
    found = texts(tmp_path, {"a.yaml": "program: x"})
    assert found == [
        "_defaults.yaml:1:1: cannot be read: No such file or directory",
        "d/_defaults.yaml:1:1: is not a file: expected a regular one",
    ]


# --- changes ------------------------------------------------------------------------------------


def test_a_change_of_defaults_changes_the_jobs_below_and_no_others(tmp_path):
    jobs, cache_file = tmp_path / "jobs", tmp_path / "cache"
    write(
        jobs,
        {"d/_defaults.yaml": "metadata: {n: 1}", "d/a.yaml": "program: x", "b.yaml": "program: x"},
    )

    def load():
        cache = FolderCache(cache_file)
        cache.load()
        loaded = load_folder(jobs, cache)
        assert cache.save()
        return loaded.hashes, loaded.jobs["d/a"].metadata

    first, metadata = load()
    assert metadata == {"n": 1}
    assert load() == (first, metadata)
    write(jobs, {"d/_defaults.yaml": "metadata: {n: 2}"})
    second, metadata = load()
    assert metadata == {"n": 2}
    assert second["b"] == first["b"]
    assert second["d/a"] != first["d/a"]
    write(jobs, {"_defaults.yaml": "metadata: {m: 3}"})
    third, metadata = load()
    assert metadata == {"n": 2, "m": 3}
    assert third["b"] != first["b"]
    (jobs / "_defaults.yaml").unlink()
    (jobs / "d" / "_defaults.yaml").unlink()
    fourth, metadata = load()
    assert metadata == {}
    assert fourth["b"] == first["b"]
