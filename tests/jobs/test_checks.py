"""What is found wrong between jobs before they run."""

import pytest

from callsheet.jobs.calendars import parse_cal
from callsheet.jobs.checks import check_jobs
from callsheet.jobs.condition_rules import ConditionRules
from callsheet.jobs.parse import job_from_data

NOW_US = 1_700_000_000_000_000
EVERY = {"type": "interval", "interval": "1h"}


def found(jobs, **more):
    read = {
        job_id: job_from_data({"program": "true", **data}, job_id) for job_id, data in jobs.items()
    }
    return [
        (problem.job_id, problem.sentence)
        for problem in check_jobs(read, more.pop("calendars", {}), NOW_US, **more)
    ]


B = {"b": {"params": ["x"]}}


@pytest.mark.parametrize(
    "jobs",
    [
        {"a": {}},
        {"a": {"schedule": EVERY, "params": ["time", "date", "schedule_time"]}},
        {"a": {"schedule": EVERY, "params": ["date"], "program": "echo {{ date }} {{ run_id }}"}},
        {"a": {"schedule": EVERY, "params": ["date"], "program": "{{ Date(date) + 1 }}"}},
        {"a": {"params": ["x"], "program": "{{ x.nothing }}"}},
        {"a": {"schedule": {"type": "explicit", "times": "2001-01-01T00:00:00Z"}, "params": ["q"]}},
        {**B, "a": {"params": ["x"], "condition": {"type": "dependency", "job_id": "b"}}},
        {**B, "a": {"condition": {"type": "dependency", "job_id": "{{ z }}"}}},
        {**B, "a": {"condition": {"type": "dependency", "job_id": "zz", "enabled": False}}},
        {**B, "a": {"successors": {"job_id": "b", "args": {"x": 1}}}},
        {**B, "a": {"condition": {"type": "max_running", "job_id": "b"}}},
    ],
)
def test_sound_jobs_have_no_problems(jobs):
    assert found(jobs) == []


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        ({"a": {"schedule": EVERY, "params": ["x"]}}, "schedule: missing args (x) for job a"),
        (
            {"a": {"schedule": [EVERY, {**EVERY, "args": {"x": 1}}], "params": ["x"]}},
            "schedule[0]: missing args (x) for job a",
        ),
        ({"a": {"schedule": EVERY, "program": "{{ name }}"}}, "name 'name' is not defined"),
        ({"a": {"schedule": EVERY, "program": ["x", "{{ name }}"]}}, "name 'name' is not defined"),
        ({"a": {"schedule": EVERY, "program": "{{ name + 1 }}"}}, "name 'name' is not defined"),
        ({"a": {"schedule": EVERY, "program": "{{ ("}}, "program.command: template: line 1: "),
        ({"a": {"program": "{% if %}"}}, "template: "),
        (
            {
                "a": {
                    "schedule": EVERY,
                    "params": ["date"],
                    "program": {
                        "type": "shell",
                        "command": "x",
                        "stop": {"signal": "{{ date }}"},
                    },
                }
            },
            "not a signal",
        ),
        (
            {"a": {"schedule": {**EVERY, "enabled": False}, "program": "{{ name }}"}},
            "name 'name' is not defined",
        ),
        (
            {"a": {"schedule": {"type": "daily", "tz": "UTC", "daytime": 0, "calendar": "holy"}}},
            "no such calendar: holy",
        ),
        (
            {"a": {"condition": {"type": "dependency", "job_id": "zz"}}},
            "unknown job ID in condition: zz",
        ),
        (
            {"a": {"schedule": EVERY, "condition": {"type": "dependency", "job_id": "zz"}}},
            "unknown job ID in condition: zz",
        ),
        (
            {**B, "a": {"condition": {"type": "dependency", "job_id": "b"}}},
            "missing arg in condition: param x of job b",
        ),
        (
            {
                **B,
                "a": {"condition": {"type": "dependency", "job_id": "b", "args": {"x": 1, "y": 2}}},
            },
            "extraneous arg in condition: y",
        ),
        ({**B, "a": {"schedule": EVERY, "successors": "zz"}}, "unknown job ID in action: zz"),
        ({**B, "a": {"successors": "b"}}, "missing arg in action: param x of job b"),
        (
            {"a": {"condition": {"type": "max_running", "job_id": "zz"}}},
            "unknown job ID in condition: zz",
        ),
    ],
)
def test_a_mistake_is_found(jobs, words):
    (problem,) = found(jobs)
    assert problem[0] == "a"
    assert words in problem[1]


def test_calendars_of_files_are_known():
    calendar = parse_cal("holy", "2030-01-06\n2030-12-25\n")
    job = {"schedule": {"type": "daily", "tz": "UTC", "daytime": 0, "calendar": "holy"}}
    assert found({"a": job}, calendars={"holy": calendar}) == []


def test_what_needs_a_broken_job_is_not_judged():
    needy = {"condition": {"type": "dependency", "job_id": "broken"}, "successors": "broken"}
    assert found({"a": needy, "b": {**needy, "schedule": EVERY}}, broken=["broken"]) == []


def on(job_id, **args):
    return {"params": ["x"], "condition": {"type": "dependency", "job_id": job_id, "args": args}}


def test_a_circle_of_dependencies_is_told_to_each_job_in_it():
    jobs = {"a": on("b"), "b": on("c", x="{{ x }}"), "c": on("a"), "d": on("a")}
    assert found(jobs) == [
        ("a", "dependency cycle detected: a → b → c → a"),
        ("b", "dependency cycle detected: b → c → a → b"),
        ("c", "dependency cycle detected: c → a → b → c"),
    ]


def test_a_job_that_waits_for_itself_is_told():
    assert found({"a": on("a")}) == [("a", "dependency cycle detected: a → a")]


@pytest.mark.parametrize(
    "jobs",
    [
        {"a": on("a", x="{{ x | int - 1 }}")},
        {"a": on("b", x="1"), "b": on("a")},
        {"a": on("b"), "b": on("c"), "c": {"params": ["x"]}, "d": on("b")},
    ],
)
def test_what_may_end_is_no_circle(jobs):
    assert found(jobs) == []


POOLS = ConditionRules(pools={"db": 2})
A_POOL = {"type": "pool", "name": "db"}


@pytest.mark.parametrize("more", [{}, {"schedule": EVERY}])
@pytest.mark.parametrize(
    ("cond", "said"),
    [
        ({"type": "pool", "name": "disk"}, "unknown pool: disk: expected one of the settings'"),
        (A_POOL | {"weight": 3}, "pool db: weight 3: expected at most its size, 2"),
        ({"all": [A_POOL | {"weight": 3}]}, "pool db: weight 3"),
    ],
)
def test_a_pool_that_the_settings_do_not_have_is_told_once(more, cond, said):
    [(job_id, sentence)] = found({"a": {"condition": [A_POOL, cond], **more}}, rules=POOLS)
    assert job_id == "a"
    assert sentence.startswith(f"condition[1]: {said}")
    assert found({"a": {"condition": cond, **more}}) == []


def test_a_pool_named_by_a_template_is_looked_up_with_the_schedules_args():
    cond = {"type": "pool", "name": "{{ 'disk' }}"}
    [(_, sentence)] = found({"a": {"condition": cond, "schedule": EVERY}}, rules=POOLS)
    assert sentence.startswith("schedule: unknown pool: disk")
    assert found({"a": {"condition": cond}}, rules=POOLS) == []


def test_a_cycle_through_all_is_one_and_through_any_is_none():
    def around(kind):
        return {
            name: {"condition": {kind: [{"type": "dependency", "job_id": other}]}}
            for name, other in (("a", "b"), ("b", "a"))
        }

    assert [job_id for job_id, _ in found(around("all"))] == ["a", "b"]
    assert found(around("any")) == []


def test_a_dependency_is_looked_up_however_deep_it_is():
    cond = {"any": [{"not": {"type": "dependency", "job_id": "zz"}}]}
    assert found({"a": {"condition": cond}}) == [("a", "unknown job ID in condition: zz")]
