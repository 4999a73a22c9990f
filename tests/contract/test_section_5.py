"""Actions mean what they mean in Apsis: the contract's section 5, statement by statement.

What a job file says is read and shown; what follows is seen in a world of the real ledger,
scheduler, binder and responder over a wire without losses. `tests/actors/test_responder.py` shows
it with losses and kills.
"""

from __future__ import annotations

from typing import Any

import pytest
from ledger_driver import LedgerDriver
from planning_world import SECOND
from scheduler_world import SchedulerWorld
from world import GOOD

from callsheet.actors.bind_one import bind_one
from callsheet.actors.deliveries import Deliveries
from callsheet.actors.responder import Responder
from callsheet.conf.action_settings import ActionSettings
from callsheet.conf.settings import load_settings
from callsheet.jobs.actions import EmailAction, NotifyAction, ScheduleAction
from callsheet.jobs.job import Job
from callsheet.jobs.jso import job_jso
from callsheet.jobs.parse import BadJob, job_from_data, job_to_data
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.binding import BindOne
from callsheet.messages.commands import OutboxItem
from callsheet.messages.instructions import AttemptEnded, AttemptStarted
from callsheet.messages.post import FEED, RESPONDER, RUNNER
from callsheet.messages.wishes import MarkRun, ReloadJobs, ScheduleRun, SkipRun

S = State
B = {"type": "schedule", "job_id": "b"}
ON_SUCCESS = (S.SUCCESS,)


def a_job(job_id: str = "a", **data: Any) -> Job:
    return job_from_data({"program": {"type": "no-op"}} | data, job_id)


# --- reading and showing: statement, keys of a job, its actions, what the API shows of the first --

READ = [
    ("5.1 no if is every transition", {"action": B}, [ScheduleAction(job_id="b")],
     {"if": {"states": None}}),
    ("5.1 an empty if is all states as well", {"action": B | {"if": {}}},
     [ScheduleAction(job_id="b")], {"if": {"states": None}}),
    ("5.1 one state", {"action": B | {"if": {"states": "success"}}},
     [ScheduleAction(job_id="b", states=ON_SUCCESS)], {"if": {"states": ["success"]}}),
    ("5.1 several states", {"action": B | {"if": {"states": ["failure", "error"]}}},
     [ScheduleAction(job_id="b", states=(S.FAILURE, S.ERROR))],
     {"if": {"states": ["failure", "error"]}}),
    ("5.1 states on the way too", {"action": B | {"if": {"states": ["waiting", "running"]}}},
     [ScheduleAction(job_id="b", states=(S.WAITING, S.RUNNING))],
     {"if": {"states": ["waiting", "running"]}}),
    ("5.2 args are texts", {"action": B | {"args": {"x": 1, "y": "{{ z }}"}}},
     [ScheduleAction(job_id="b", args={"x": "1", "y": "{{ z }}"})],
     {"type": "schedule", "job_id": "b", "args": {"x": "1", "y": "{{ z }}"}}),
    ("5.2 by the name of its class", {"action": B | {"type": "apsis.actions.ScheduleAction"}},
     [ScheduleAction(job_id="b")], {"type": "schedule"}),
    ("5.2 the job ID is no template", {"action": B | {"job_id": "{{ x }}"}},
     [ScheduleAction(job_id="{{ x }}")], {"job_id": "{{ x }}"}),
    ("5.2 a list of actions", {"action": [B, B | {"job_id": "c"}]},
     [ScheduleAction(job_id="b"), ScheduleAction(job_id="c")], {"job_id": "b"}),
    ("5.3 a job ID", {"successors": "b"}, [ScheduleAction(job_id="b", states=ON_SUCCESS)],
     {"type": "schedule", "if": {"states": ["success"]}, "job_id": "b", "args": {}}),
    ("5.3 a job ID with args", {"successors": {"job_id": "b", "args": {"x": 1}}},
     [ScheduleAction(job_id="b", args={"x": "1"}, states=ON_SUCCESS)], {"args": {"x": "1"}}),
    ("5.3 a list of both", {"successors": ["b", {"job_id": "c"}]},
     [ScheduleAction(job_id=name, states=ON_SUCCESS) for name in "bc"], {"job_id": "b"}),
    ("5.3 shown under action, after the job's actions", {"action": B, "successors": "c"},
     [ScheduleAction(job_id="b"), ScheduleAction(job_id="c", states=ON_SUCCESS)],
     {"job_id": "b"}),
    ("5.5 an email", {"action": {"type": "email", "to": "a@x.org", "from": "b@x.org",
                                 "if": {"states": "error"}}},
     [EmailAction(to=("a@x.org",), sender="b@x.org", states=(S.ERROR,))],
     {"type": "email", "if": {"states": ["error"]}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "actions", "shown"), [row[1:] for row in READ], ids=[row[0] for row in READ]
)
def test_actions_are_read_and_shown(data, actions, shown):
    job = a_job(**data)
    assert list(job.actions) == actions
    found = job_jso(job)["action"]
    assert len(found) == len(actions)
    assert {key: found[0][key] for key in shown} == shown
    assert found[0]["str"]
    assert job_from_data(job_to_data(job), "a") == job


REFUSED = [
    ("5.1 an unknown state", {"action": B | {"if": {"states": "happy"}}}, "bad state: 'happy'"),
    ("5.1 an unknown key of if", {"action": B | {"if": {"state": "error"}}}, "unexpected keys"),
    ("5.2 a job ID is required", {"action": {"type": "schedule"}}, "missing key: job_id"),
    ("5.2 an unknown key", {"action": B | {"when": "now"}}, "unexpected keys: when"),
    ("5.2 no type", {"action": {"job_id": "b"}}, "missing type"),
    ("5.3 a successor has no if", {"successors": {"job_id": "b", "if": {}}}, "unexpected keys: if"),
]


@pytest.mark.parametrize(
    ("data", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_the_contract_refuses_is_refused(data, words):
    with pytest.raises(BadJob, match=words):
        a_job(**data)


# --- which transitions: statement, states, how the run ends, the states it is owed for -----------

EVERY = ["scheduled", "starting", "running"]
OWED = [
    ("5.1 every transition", None, S.SUCCESS, [*EVERY, "success"]),
    ("5.1 failure alone", (S.FAILURE,), S.FAILURE, ["failure"]),
    ("5.1 not of a success", (S.FAILURE, S.ERROR), S.SUCCESS, []),
    ("5.1 states on the way", (S.SCHEDULED, S.RUNNING), S.SUCCESS, ["scheduled", "running"]),
]


@pytest.mark.parametrize(
    ("states", "end", "expected"), [row[1:] for row in OWED], ids=[row[0] for row in OWED]
)
def test_actions_are_considered_at_every_transition(states, end, expected):
    ledger = LedgerDriver()
    run = ledger.a_run(actions=(NotifyAction(service="x", states=states),))
    times = {"run_id": run.run_id, "attempt": 1, "at_us": ledger.now_us}
    ledger.tell(AttemptStarted(**times), AttemptEnded(**times, state=end), sender=RUNNER)
    assert [item.run.state.value for item in ledger.disk.tables.outbox.values()] == expected


@pytest.mark.parametrize("state", [S.SUCCESS, S.FAILURE, S.ERROR])
def test_5_1_a_mark_is_a_transition_too(state):
    ledger = LedgerDriver()
    action = NotifyAction(service="x", states=(state,))
    run = ledger.a_run(actions=(action,), schedule_us=ledger.now_us + SECOND)
    ledger.wish(SkipRun(run_id=run.run_id))
    ledger.wish(MarkRun(run_id=run.run_id, state=state))
    [item] = ledger.disk.tables.outbox.values()
    assert item.run.state is state


def test_5_1_the_actions_of_the_settings_are_for_all_runs_after_the_jobs_own(tmp_path):
    file = tmp_path / "callsheet.yaml"
    file.write_text("action: {type: schedule, job_id: c, if: {states: error}}\n")
    common = load_settings(file).actions
    job = a_job(action=B)
    item = BindOne(run_id="r1", job=job, args={}, schedule_us=0, definition="d")
    bound = bind_one(item, {}, actions=common)
    assert [action.job_id for action in bound.actions] == ["b", "c"]


# --- what follows -------------------------------------------------------------------------------


def a_world(*jobs: Job, lasts_us: int = SECOND) -> SchedulerWorld:
    world = SchedulerWorld(*jobs, wire=GOOD, lasts_us=lasts_us)
    world.core(RESPONDER, lambda now_us: Responder(), FEED)
    world.wait_until(world.ready)
    return world


def followed(world: SchedulerWorld, **args: str) -> tuple[Run, list[Run]]:
    """Schedule a run of job `a`; return it at the end, and the runs that followed."""
    [first] = world.wish(ScheduleRun(job_id="a", args=args), "w1").runs
    tables = world.ledger.driver.disk.tables
    world.wait_until(lambda: world.states(first.run_id)[0] in (S.SUCCESS, S.ERROR))
    world.wait_until(lambda: not tables.outbox)
    others = [run for run in world.runs if run.run_id != first.run_id]
    return world.reader.run(first.run_id), others


def lines(world: SchedulerWorld, run: Run) -> list[str]:
    return [getattr(event, "message", "") for event in world.reader.log(run.run_id)]


# Statement, args of the action, params of the job to follow, args of that run.
PASSED = [
    ("5.2 args of the same name are passed on", {}, ["x"], {"x": "1"}),
    ("5.2 given ones win", {"x": "mine"}, ["x"], {"x": "mine"}),
    ("5.2 they are templates over the run's args", {"z": "{{ x }}-{{ y }}"}, ["z"], {"z": "1-2"}),
    ("5.2 what is no param is not passed on", {}, [], {}),
    ("5.2 both together", {"z": "{{ y }}"}, ["x", "z"], {"x": "1", "z": "2"}),
]


@pytest.mark.parametrize(
    ("args", "params", "expected"), [row[1:] for row in PASSED], ids=[row[0] for row in PASSED]
)
def test_a_follow_up_run_has_the_args_of_the_contract(args, params, expected):
    then = B | {"args": args, "if": {"states": "success"}}
    world = a_world(a_job(params=["x", "y"], action=then), a_job("b", params=params))
    first, [made] = followed(world, x="1", y="2")
    assert (made.job_id, made.args) == ("b", expected)
    assert f"scheduled by action of {first.run_id}" in lines(world, made)
    said = " ".join(f"{name}={value}" for name, value in sorted(expected.items()))
    assert f"action scheduling b({said}) as {made.run_id}" in lines(world, first)


def test_5_2_a_follow_up_run_is_for_now_and_not_expected():
    world = a_world(a_job(successors="b"), a_job("b"))
    first, [made] = followed(world)
    assert 0 <= made.schedule_us - first.times["success"] < 10 * SECOND
    assert made.fingerprint is None


def test_5_2_the_args_of_the_run_are_all_that_templates_know():
    action = ScheduleAction(job_id="b", args={"y": "{{ run_id }}"})
    run = Run(run_id="r7", job_id="a", args={"x": "1"}, state=S.SUCCESS, schedule_us=0)
    item = OutboxItem(action_id="r7.9.0", run=run, action=action, at_us=5)
    failed = Deliveries(ActionSettings()).carry_out(item)
    assert "name 'run_id' is not defined" in failed.error


def test_5_1_what_fails_goes_to_the_runs_log_and_changes_no_state():
    world = a_world(
        a_job(successors=["gone", {"job_id": "b", "args": {"x": "{{ nix }}"}}]), a_job("b")
    )
    first, others = followed(world)
    assert (first.state, others) == (S.SUCCESS, [])
    errors = [line for line in lines(world, first) if line.startswith("error: ")]
    assert sorted(errors) == ["error: name 'nix' is not defined", "error: unknown job gone"]


def test_5_1_an_action_follows_though_its_job_is_gone_by_then():
    world = a_world(a_job(successors="b"), a_job("b"), lasts_us=60 * SECOND)
    [first] = world.wish(ScheduleRun(job_id="a"), "w1").runs
    world.wait_until(lambda: world.states(first.run_id) == [S.RUNNING])
    del world.folder["a"]
    assert world.wish(ReloadJobs(), "w2").result["removed"] == ["a"]
    world.wait_until(lambda: [run.job_id for run in world.runs] == ["a", "b"])
    assert world.states(first.run_id) == [S.SUCCESS]


def test_5_1_an_action_outlives_the_server_unlike_in_apsis():
    world = a_world(a_job(successors="b"), a_job("b"))
    world.kill(RESPONDER, 60 * SECOND)
    [first] = world.wish(ScheduleRun(job_id="a"), "w1").runs
    world.wait_until(lambda: world.states(first.run_id) == [S.SUCCESS])
    assert len(world.runs) == 1
    world.wait_until(lambda: len(world.runs) == 2)
