"""Actions of job files: what they wait for, what they say, and that nothing of them is lost."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from callsheet.jobs.action_texts import (
    document,
    environment,
    facts,
    fill_plain,
    filled,
    texts_of,
)
from callsheet.jobs.actions import (
    CommandAction,
    EmailAction,
    NotifyAction,
    ScheduleAction,
    Trigger,
    WebhookAction,
)
from callsheet.jobs.job import Job
from callsheet.jobs.jso import action_jso, job_jso
from callsheet.jobs.parse import BadJob, definition_hash, job_from_data, job_to_data
from callsheet.jobs.programs import NoOp
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.jobs.templates import TemplateError

S = State
AT_US = 1_800_000_000_000_000


def a_job(action: Any, **more: Any) -> Job:
    return job_from_data({"program": {"type": "no-op"}, "action": action} | more, "a")


def the_action(**fields: Any) -> Any:
    return a_job({"type": "schedule", "job_id": "b"} | fields).actions[0]


def sentences(action: Any) -> list[str]:
    with pytest.raises(BadJob) as caught:
        a_job(action)
    return [sentence for _, sentence in caught.value.problems]


# --- the contract, section 5 --------------------------------------------------------------------

WHEN = [
    ({}, None),
    ({"if": None}, None),
    ({"if": {}}, None),
    ({"if": {"states": None}}, None),
    ({"if": {"states": "success"}}, (S.SUCCESS,)),
    ({"if": {"states": ["failure", "error", "failure"]}}, (S.FAILURE, S.ERROR)),
]


@pytest.mark.parametrize(("fields", "states"), WHEN)
def test_an_action_waits_for_the_states_it_names_or_for_every_transition(fields, states):
    action = the_action(**fields)
    assert (action.states, action.trigger) == (states, msgspec.UNSET)


NAMES = ["schedule", "apsis.actions.ScheduleAction", "apsis.actions.schedule.ScheduleAction"]


@pytest.mark.parametrize("name", NAMES)
def test_a_follow_up_run_may_be_asked_for_by_the_name_of_apsis_class(name):
    assert the_action(type=name) == ScheduleAction(job_id="b")


def test_the_json_of_a_schedule_action_is_that_of_apsis():
    jso = action_jso(the_action(**{"if": {"states": "success"}, "args": {"x": 1}}))
    assert jso == {
        "type": "schedule",
        "if": {"states": ["success"]},
        "job_id": "b",
        "args": {"x": "1"},
        "str": "schedule b(x=1) on success",
    }


@pytest.mark.parametrize("fields", [{}, {"if": {}}])
def test_an_action_without_a_condition_can_be_shown(fields):
    assert action_jso(the_action(**fields))["if"] == {"states": None}


SUCCESSORS = [
    ("b", [ScheduleAction(job_id="b", states=(S.SUCCESS,))]),
    (["b", "c"], [ScheduleAction(job_id=name, states=(S.SUCCESS,)) for name in ("b", "c")]),
    (
        {"job_id": "b", "args": {"x": 1}},
        [ScheduleAction(job_id="b", args={"x": "1"}, states=(S.SUCCESS,))],
    ),
]


@pytest.mark.parametrize(("successors", "actions"), SUCCESSORS)
def test_successors_are_follow_up_runs_on_success_shown_among_the_actions(successors, actions):
    job = job_from_data({"program": {"type": "no-op"}, "successors": successors}, "a")
    assert list(job.actions) == actions
    assert [shown["if"] for shown in job_jso(job)["action"]] == [{"states": ["success"]}] * len(
        actions
    )


def test_an_email_takes_the_keys_of_apsis_example():
    action = a_job({"type": "email", "to": "a@x.org", "from": "b@x.org", "if": {}}).actions[0]
    assert action == EmailAction(to=("a@x.org",), sender="b@x.org")


# --- beyond it ----------------------------------------------------------------------------------

ACTIONS = [
    ({"type": "email", "to": "a@x.org"}, EmailAction(to=("a@x.org",))),
    (
        {
            "type": "email",
            "to": ["a@x.org", "{{ who }}@x.org"],
            "cc": "root",
            "from": "b@x.org",
            "subject": "{{ job_id }}",
            "body": "",
        },
        EmailAction(
            to=("a@x.org", "{{ who }}@x.org"),
            cc=("root",),
            sender="b@x.org",
            subject="{{ job_id }}",
            body="",
        ),
    ),
    ({"type": "webhook", "url": "https://x.org/h"}, WebhookAction(url="https://x.org/h")),
    (
        {
            "type": "webhook",
            "url": "http://x.org:81/{{ job_id }}",
            "method": "put",
            "headers": {"X-A": "{{ run_id }}"},
            "body": {"a": [1, 2.5, None, True, "{{ state }}"]},
            "secret": "k",
        },
        WebhookAction(
            url="http://x.org:81/{{ job_id }}",
            method="PUT",
            headers={"X-A": "{{ run_id }}"},
            body={"a": [1, 2.5, None, True, "{{ state }}"]},
            secret="k",
        ),
    ),
    ({"type": "command", "argv": ["a", "{{ b }}"]}, CommandAction(argv=("a", "{{ b }}"))),
    (
        {"type": "command", "command": "echo $CALLSHEET_RUN_ID", "timeout": "5s"},
        CommandAction(command="echo $CALLSHEET_RUN_ID", timeout_us=5_000_000),
    ),
    (
        {"type": "notify", "service": "chat", "title": "t", "body": "b"},
        NotifyAction(service="chat", title="t", body="b"),
    ),
    (
        {"type": "schedule", "job_id": "b", "if": {"states": "error", "consecutive": 3}},
        ScheduleAction(job_id="b", states=(S.ERROR,), trigger=Trigger(consecutive=3)),
    ),
    (
        {"type": "notify", "service": "c", "if": {"recovery": True, "per": "instance"}},
        NotifyAction(service="c", trigger=Trigger(recovery=True, per="instance")),
    ),
    (
        {"type": "notify", "service": "c", "if": {"deadline": ["start_by", "max_duration"]}},
        NotifyAction(service="c", trigger=Trigger(deadlines=("start_by", "max_duration"))),
    ),
]


@pytest.mark.parametrize(("data", "action"), ACTIONS)
def test_each_action_is_read_and_written_without_loss(data, action):
    job = a_job(data)
    assert job.actions == (action,)
    again = job_from_data(job_to_data(job), "a")
    assert again == job
    assert definition_hash(again) == definition_hash(job)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(job), type=Job) == job
    assert action_jso(action)["str"]


def test_the_hash_of_a_job_with_a_plain_action_is_what_it_was():
    job = a_job({"type": "schedule", "job_id": "b", "if": {"states": "success"}})
    plain = {"type": "schedule", "job_id": "b", "args": {}, "states": ("success",)}
    assert msgspec.to_builtins(job)["actions"] == (plain,)
    assert "deadline" not in msgspec.to_builtins(job)


MISTAKES = [
    ({"type": "email"}, "missing key: to"),
    ({"type": "email", "to": []}, "expected at least one address"),
    ({"type": "email", "to": "a b"}, "expected an address"),
    ({"type": "email", "to": "a@x\nBcc: b@x"}, "expected an address"),
    ({"type": "webhook", "url": "file:///etc/passwd"}, "expected an address like https://"),
    ({"type": "webhook", "url": "gopher://x/"}, "expected an address like https://"),
    ({"type": "webhook", "url": "//x/"}, "expected an address like https://"),
    ({"type": "webhook", "url": "http://x:99999/"}, "expected an address like https://"),
    ({"type": "webhook", "url": "http://u:hunter2@x/"}, "holds a user name or password"),
    ({"type": "webhook", "url": "http://x/", "method": "BREW"}, "expected one of POST"),
    ({"type": "webhook", "url": "http://x/", "headers": {"Host": "y"}}, "that may be set"),
    ({"type": "webhook", "url": "http://x/", "headers": {"a b": "y"}}, "that may be set"),
    ({"type": "webhook", "url": "http://x/", "headers": {"a": "y\nz"}}, "of one line"),
    ({"type": "webhook", "url": "http://x/", "body": float("inf")}, "that JSON can hold"),
    ({"type": "webhook", "url": "http://x/", "body": {"x": [2**63]}}, "that JSON can hold"),
    ({"type": "command"}, "expected exactly one of argv, command"),
    ({"type": "command", "argv": ["a"], "command": "a"}, "expected exactly one of"),
    ({"type": "command", "argv": "echo"}, "expected a list of texts"),
    ({"type": "command", "command": "echo {{ x }}"}, "texts would become code"),
    ({"type": "command", "argv": ["a"], "timeout": "2h"}, "at most an hour"),
    ({"type": "notify"}, "missing key: service"),
    ({"type": "schedule", "job_id": "b", "if": {"states": "lost"}}, "bad state"),
    ({"type": "schedule", "job_id": "b", "if": {"consecutive": 2}}, "needs states"),
    ({"type": "schedule", "job_id": "b", "if": {"consecutive": 0}}, "from 1 to 100"),
    (
        {"type": "schedule", "job_id": "b", "if": {"consecutive": 2, "states": "running"}},
        "expected success, failure or error",
    ),
    (
        {"type": "schedule", "job_id": "b", "if": {"states": "error", "recovery": True}},
        "states and recovery: expected one of them",
    ),
    ({"type": "schedule", "job_id": "b", "if": {"deadline": "soon"}}, "expected one of start_by"),
    ({"type": "schedule", "job_id": "b", "if": {"deadline": []}}, "is empty"),
    ({"type": "schedule", "job_id": "b", "if": {"states": "error", "per": "job"}}, "per: needs"),
    ({"type": "schedule", "job_id": "b", "if": {"when": 1}}, "unexpected keys: when"),
]


@pytest.mark.parametrize(("data", "words"), MISTAKES)
def test_a_mistake_in_an_action_is_told(data, words):
    found = sentences(data)
    assert any(words in sentence for sentence in found), found
    assert "hunter2" not in str(found)


# --- texts --------------------------------------------------------------------------------------


def a_run(**fields: Any) -> Run:
    defaults = {"run_id": "r7", "job_id": "a", "args": {"x": "1"}, "state": S.LOST}
    return Run(**(defaults | {"schedule_us": AT_US, "labels": ("p", "q")} | fields))


def test_the_facts_of_an_event_are_texts_and_a_lost_run_is_in_error():
    names = facts(a_run(message="gone"), "r7.9.0", AT_US)
    assert names["state"] == names["outcome"] == "error"
    assert names["instance"] == "a(x=1)"
    assert names["reason"] == "gone"
    assert names["labels"] == "p, q"
    assert all(isinstance(text, str) for text in names.values())
    assert facts(a_run(), "r7.9.0", AT_US, "start_by")["outcome"] == "missed start_by"


def test_the_document_and_the_environment_say_the_same_event():
    run = a_run(state=S.FAILURE, times={"failure": AT_US})
    told = document(run, "r7.9.0", AT_US)
    assert told["id"] == "r7.9.0"
    assert told["event"] == "state"
    assert told["run"]["state"] == "failure"
    assert "deadline" not in told
    assert document(run, "r7.9.0", AT_US, "finish_by")["deadline"] == "finish_by"
    env = environment(run, "r7.9.0", AT_US)
    assert env["CALLSHEET_ACTION_ID"] == "r7.9.0"
    assert env["CALLSHEET_STATE"] == "failure"
    assert json.loads(env["CALLSHEET_ARGS"]) == {"x": "1"}


PLAIN = [
    ("", ""),
    ("no names\n", "no names\n"),
    ("{{ x }}-{{x}}", "1-1"),
    ("{{ x }}\n", "1"),
    ("{{ x | upper }}", None),
    ("{% if x %}{% endif %}", None),
    ("{# c #}", None),
    ("{{ x", None),
]


@pytest.mark.parametrize(("text", "expected"), PLAIN)
def test_a_template_of_names_alone_is_filled_in_without_an_engine(text, expected):
    assert fill_plain(text, {"x": "1"}) == expected


def test_a_name_that_is_not_there_is_refused():
    with pytest.raises(TemplateError, match="name 'y' is not defined"):
        fill_plain("{{ y }}", {"x": "1"})


def test_what_is_filled_in_is_never_a_template_again():
    assert fill_plain("{{ x }}", {"x": "{{ y }}"}) == "{{ y }}"


@pytest.mark.parametrize(("data", "action"), ACTIONS)
def test_every_text_of_an_action_is_filled(data, action):
    named = {text: f"<{n}>" for n, text in enumerate(dict.fromkeys(texts_of(action)))}
    done = filled(action, named.__getitem__)
    assert set(texts_of(done)) <= set(named.values()) | set(named)
    match done:
        case EmailAction():
            assert done.subject in named.values()
            assert done.body in named.values()
        case WebhookAction():
            assert done.url in named.values()
        case ScheduleAction():
            assert done.job_id == action.job_id


def test_a_job_checks_the_templates_of_its_actions():
    from callsheet.jobs.checks import check_jobs

    bad = EmailAction(to=("a@x",), subject="{{ x")
    job = Job(job_id="a", program=NoOp(), actions=(bad,))
    [problem] = check_jobs({"a": job}, {}, AT_US)
    assert problem.sentence.startswith("action: template")
    assert problem.key_path == ("action", 0)
