"""Conditions mean what they mean in Apsis: the contract's section 3, statement by statement.

What a job file says is bound here and judged; how runs then move is shown with the real ledger and
waiter over a wire without losses. With losses, and under races, `tests/actors/test_waiter*.py` and
`tests/system/test_conditions.py` show the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ledger_driver import LedgerDriver
from planning_world import SECOND
from waiter_world import a_world, lines, on_success, wish
from world import GOOD

from callsheet.actors.waiting import guard_of
from callsheet.jobs.binding import BindingError, bind
from callsheet.jobs.bound_conditions import (
    BoundCondition,
    BoundConst,
    BoundDependency,
    BoundMaxRunning,
    BoundSkipDuplicate,
)
from callsheet.jobs.job import Job
from callsheet.jobs.jso import condition_jso, job_jso
from callsheet.jobs.judging import judge
from callsheet.jobs.parse import BadJob, job_from_data
from callsheet.jobs.run import args_key
from callsheet.jobs.states import State
from callsheet.jobs.words import condition_words
from callsheet.messages.instructions import AttemptStarted, ClearRun
from callsheet.messages.post import RUNNER, WAITER
from callsheet.messages.wishes import SkipRun, StopRun

S = State
CHECKED = (S.WAITING, S.STARTING, S.RUNNING)
DEP = {"type": "dependency", "job_id": "dep"}
LATER = 10_000 * SECOND


def a_job(*conditions: Any, job_id: str = "a", params: tuple[str, ...] = ()) -> Job:
    data = {"program": {"type": "no-op"}, "condition": list(conditions), "params": list(params)}
    return job_from_data(data, job_id)


OTHERS = {"dep": a_job(job_id="dep"), "grp/two": a_job(job_id="grp/two", params=("date", "flavor"))}


def bound(*conditions: Any, **args: str) -> tuple[BoundCondition, ...]:
    job = a_job(*conditions, params=tuple(args))
    return bind(job, args, "r7", OTHERS.get, {}, schedule_us=0).conds


class Facts:
    """What the judge is told: how many runs of an instance are in which state."""

    def __init__(self, found: Mapping[tuple[str, str], Mapping[State, int]]) -> None:
        self.found = found

    def states_of(self, job_id: str, key: str, after: int = 0) -> Mapping[State, int]:
        return self.found.get((job_id, key), {})

    def checked(self, cond: Any) -> None:
        """No polled condition is among these."""


# --- binding: statement, condition, args, what the run has --------------------------------------

TWO = {"type": "dependency", "job_id": "grp/two"}
FLAVORED = TWO | {"args": {"flavor": "{{ x }}y"}}
BOUND = [
    ("3.1 enabled is true by default", {"type": "const", "value": True}, {},
     BoundConst(value=True)),
    ("3.1 false is not in the run", {"type": "const", "value": True, "enabled": False}, {}, None),
    ("3.1 the text true", {"type": "const", "value": True, "enabled": "true"}, {},
     BoundConst(value=True)),
    ("3.1 the text True", {"type": "const", "value": True, "enabled": "True"}, {},
     BoundConst(value=True)),
    ("3.1 the text false", {"type": "const", "value": True, "enabled": "false"}, {}, None),
    ("3.1 the text False", {"type": "const", "value": True, "enabled": "False"}, {}, None),
    ("3.1 the text no is true", {"type": "const", "value": True, "enabled": "no"}, {},
     BoundConst(value=True)),
    ("3.1 an empty text is false", {"type": "const", "value": True, "enabled": ""}, {}, None),
    ("3.1 a template that becomes False",
     {"type": "const", "value": True, "enabled": "{{ x == 'other' }}"}, {"x": "a"}, None),
    ("3.1 a template that becomes True",
     {"type": "const", "value": True, "enabled": "{{ x == 'a' }}"}, {"x": "a"},
     BoundConst(value=True)),
    ("3.3 a dependency waits for success by default", DEP, {},
     BoundDependency(job_id="dep", args={}, states=(S.SUCCESS,), exist=())),
    ("3.3 its job ID is expanded", {"type": "dependency", "job_id": "d{{ x }}"}, {"x": "ep"},
     BoundDependency(job_id="dep", args={})),
    ("3.3 args are expanded, else the run's of the same name",
     FLAVORED, {"x": "a", "date": "2024-01-06"},
     BoundDependency(job_id="grp/two", args={"date": "2024-01-06", "flavor": "ay"})),
    ("3.3 the run's args are not expanded", FLAVORED, {"x": "a", "date": "{{ x }}"},
     BoundDependency(job_id="grp/two", args={"date": "{{ x }}", "flavor": "ay"})),
    ("3.3 explicit args win", TWO | {"args": {"date": "mine"}}, {"date": "theirs", "flavor": "f"},
     BoundDependency(job_id="grp/two", args={"date": "mine", "flavor": "f"})),
    ("3.3 args that are no params are ignored", DEP | {"args": {"zz": "1"}}, {"x": "a"},
     BoundDependency(job_id="dep", args={})),
    ("3.3 one state is as good as a list", DEP | {"states": "failure"}, {},
     BoundDependency(job_id="dep", args={}, states=(S.FAILURE,))),
    ("3.3 exist true is all from which success is reached", DEP | {"exist": True}, {},
     BoundDependency(job_id="dep", args={}, exist=(
         S.SCHEDULED, S.WAITING, S.STARTING, S.RUNNING, S.STOPPING, S.SUCCESS))),
    ("3.3 exist may be states", DEP | {"exist": ["scheduled", "success"]}, {},
     BoundDependency(job_id="dep", args={}, exist=(S.SCHEDULED, S.SUCCESS))),
    ("3.3 exist false is none", DEP | {"exist": False}, {}, BoundDependency(job_id="dep", args={})),
    ("3.3 max_running is 1 of the own job with the run's args", {"type": "max_running"},
     {"x": "a"}, BoundMaxRunning(count=1, job_id="a", args={"x": "a"})),
    ("3.3 its count is a template", {"type": "max_running", "count": "{{ x }}"}, {"x": "3"},
     BoundMaxRunning(count=3, job_id="a", args={"x": "3"})),
    ("3.3 another job may be counted", {"type": "max_running", "job_id": "dep", "count": 2}, {},
     BoundMaxRunning(count=2, job_id="dep", args={})),
    ("3.3 skip_duplicate looks at waiting, starting and running", {"type": "skip_duplicate"}, {},
     BoundSkipDuplicate(check_states=CHECKED, target_state=S.SKIPPED)),
    ("3.3 or at what it says",
     {"type": "skip_duplicate", "check_states": "running", "target_state": "error"}, {},
     BoundSkipDuplicate(check_states=(S.RUNNING,), target_state=S.ERROR)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "args", "expected"), [row[1:] for row in BOUND], ids=[row[0] for row in BOUND]
)
def test_a_run_waits_for_what_its_job_says(data, args, expected):
    assert bound(data, **args) == (() if expected is None else (expected,))


NOT_BOUND = [
    ("3.3 an unknown job", {"type": "dependency", "job_id": "nobody"}, "unknown job ID"),
    ("3.3 a param without a value", TWO, "no value for param date of job grp/two"),
    ("3.3 a name that is not there", DEP | {"job_id": "{{ nope }}"}, "name 'nope' is not defined"),
    ("3.3 a count that is no number", {"type": "max_running", "count": "{{ 'x' }}"}, "count"),
    ("3.1 enabled that cannot be rendered", DEP | {"enabled": "{{ nope }}"}, "'nope'"),
]


@pytest.mark.parametrize(
    ("data", "words"), [row[1:] for row in NOT_BOUND], ids=[row[0] for row in NOT_BOUND]
)
def test_what_cannot_be_bound_is_a_run_in_error(data, words):
    with pytest.raises(BindingError, match=words):
        bound(data)


REFUSED = [
    ("3.1 enabled is a bool or a text", DEP | {"enabled": 1}, "enabled"),
    ("3.3 a job ID that is no string", DEP | {"job_id": 7}, "write '7' in quotes"),
    ("3.3 exist lacks a state", DEP | {"states": ["success", "error"], "exist": ["success"]},
     "lacks error"),
    ("3.3 an unknown state", DEP | {"states": "happy"}, "bad state: 'happy'"),
    ("3.3 a value is required", {"type": "const"}, "missing key: value"),
    ("3.3 a value is a bool", {"type": "const", "value": "yes"}, "expected true or false"),
    ("3.3 args of max_running are unset", {"type": "max_running", "args": {"x": 1}}, "args"),
    ("3.3 target_state is finished", {"type": "skip_duplicate", "target_state": "running"},
     "expected a finished state"),
    ("3.3 there are no other types", {"type": "sometime"}, "bad type: 'sometime'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_the_contract_refuses_is_refused(data, words):
    with pytest.raises(BadJob, match=words):
        a_job(data)


# --- judging: statement, condition, runs of the dependency, (met, over for good) -----------------

JUDGED = [
    ("3.3 const true passes", {"type": "const", "value": True}, {}, (True, False)),
    ("3.3 const false waits for ever", {"type": "const", "value": False}, {}, (False, False)),
    ("3.3 nothing there: wait", DEP, {}, (False, False)),
    ("3.3 any run in the state", DEP, {S.SUCCESS: 1}, (True, False)),
    ("3.3 an old success among later failures", DEP, {S.SUCCESS: 1, S.FAILURE: 9}, (True, False)),
    ("3.3 a failure is no success", DEP, {S.FAILURE: 1}, (False, False)),
    ("3.3 one of several states", DEP | {"states": ["failure", "error"]}, {S.ERROR: 1},
     (True, False)),
    ("3.3 expected runs count too", DEP | {"states": "scheduled"}, {S.SCHEDULED: 1}, (True, False)),
    ("3.3 exist: one that may still succeed", DEP | {"exist": True}, {S.RUNNING: 1},
     (False, False)),
    ("3.3 exist: an expected one", DEP | {"exist": True}, {S.SCHEDULED: 1}, (False, False)),
    ("3.3 exist: none any more is an error", DEP | {"exist": True}, {S.FAILURE: 1}, (False, True)),
    ("3.3 exist: none at all is an error", DEP | {"exist": True}, {}, (False, True)),
    ("3.3 exist: only the states given", DEP | {"exist": ["running", "success"]}, {S.SCHEDULED: 1},
     (False, True)),
    ("3.3 exist with states error: a skipped one may still become an error",
     DEP | {"states": "error", "exist": True}, {S.SKIPPED: 1}, (False, False)),
    ("3.3 exist with states error: a success may not",
     DEP | {"states": "error", "exist": True}, {S.SUCCESS: 1}, (False, True)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "states", "expected"), [row[1:] for row in JUDGED], ids=[row[0] for row in JUDGED]
)
def test_a_condition_comes_to_what_the_contract_says(data, states, expected):
    [cond] = bound(data)
    found = judge(cond, Facts({("dep", args_key({})): states}), 0)
    assert (found.met, found.final) == expected
    if found.final:
        assert found.else_state is S.ERROR
        assert found.reason.startswith("no dependency dep() exists in ")


def test_3_3_a_dependency_is_met_by_exactly_equal_args_only():
    [cond] = bound(FLAVORED, x="a", date="d")
    own = {"date": "d", "flavor": "ay"}
    for args, met in ((own, True), ({"date": "d"}, False), (own | {"flavor": "b"}, False)):
        found = judge(cond, Facts({("grp/two", args_key(args)): {S.SUCCESS: 1}}), 0)
        assert found.met is met


# --- what is shown ------------------------------------------------------------------------------


def test_3_3_a_bound_dependency_is_shown_with_states_only_where_they_differ():
    [cond] = bound(FLAVORED, x="vanill", date="2024-01-06")
    words = "dependency grp/two(date=2024-01-06 flavor=vanilly) is success"
    assert condition_words(cond) == words
    shown = condition_jso(cond)
    assert shown["type"] == "dependency"
    assert (shown["job_id"], shown["args"]) == (cond.job_id, cond.args)
    assert shown["str"] == words
    assert "states" not in shown
    assert "enabled" not in shown
    [failed] = bound(DEP | {"states": "failure"})
    assert condition_jso(failed)["states"] == ["failure"]
    assert "enabled" in job_jso(a_job(DEP | {"enabled": "{{ 1 }}"}))["condition"][0]


def test_3_3_bound_guards_are_shown_with_their_fields():
    limit, single = map(condition_jso, bound({"type": "max_running"}, {"type": "skip_duplicate"}))
    assert {key: limit[key] for key in ("count", "job_id", "args")} == {
        "count": 1, "job_id": "a", "args": {},
    }  # fmt: skip
    assert single["check_states"] == ["waiting", "starting", "running"]
    assert single["target_state"] == "skipped"


# --- how runs move ------------------------------------------------------------------------------


def quiet(**fields: Any) -> Any:
    world = a_world(**fields)
    world.wire = GOOD
    return world


def test_3_1_a_run_without_conditions_never_waits_and_one_with_any_always_does():
    world = quiet()
    plain, gated = world.add_runs({}, {"conds": (BoundConst(value=True),)})
    world.wait_until(lambda: world.states(plain, gated) == [S.SUCCESS] * 2)
    assert "waiting" not in world.reader.run(plain).times
    assert "waiting" in world.reader.run(gated).times


def test_3_1_conditions_come_one_after_another_and_none_is_looked_at_again():
    world = quiet()
    [run] = world.add_runs({"conds": (on_success("one"), on_success("two"))})
    world.add_runs({"job_id": "two"})
    world.run_until(world.now_us + 20 * SECOND)
    assert lines(world, run)[-1] == "waiting until: dependency one() is success"
    world.add_runs({"job_id": "one"})
    world.wait_until(lambda: world.states(run) == [S.SUCCESS])
    told = [line for line in lines(world, run) if line.startswith("waiting")]
    assert told[:2] == ["waiting", "waiting until: dependency one() is success"]


def test_3_1_waiting_has_an_end_counted_from_when_it_began():
    world = quiet(max_time_us=60 * SECOND)
    [run] = world.add_runs({"conds": (BoundConst(value=False),)})
    world.wait_until(lambda: world.states(run) == [S.ERROR])
    assert "waiting for constant False: timeout after 60 s" in "\n".join(lines(world, run))
    times = world.reader.run(run).times
    assert 60 * SECOND <= times["error"] - times["waiting"] < 62 * SECOND


def test_3_3_exist_is_looked_at_at_the_beginning_and_at_every_move():
    world = quiet()
    exist = BoundDependency(job_id="dep", args={}, exist=(S.SCHEDULED, S.SUCCESS))
    [lone] = world.add_runs({"conds": (exist,)})
    world.wait_until(lambda: world.states(lone) == [S.ERROR])
    reason = "no dependency dep() exists in scheduled|success"
    assert world.reader.run(lone).message == reason
    [dep] = world.add_runs({"job_id": "dep", "schedule_us": world.now_us + LATER})
    [run] = world.add_runs({"conds": (exist,)})
    world.run_until(world.now_us + 20 * SECOND)
    assert world.states(run) == [S.WAITING]
    wish(world, SkipRun(run_id=dep))
    world.wait_until(lambda: world.states(run) == [S.ERROR])


def test_3_3_max_running_counts_runs_with_the_same_args_that_start_or_run():
    world = quiet(lasts_s=30)
    same, other = ({"x": "1"}, {"x": "2"})

    def alone(args: dict[str, str]) -> dict[str, Any]:
        return {"args": args, "conds": (BoundMaxRunning(count=1, job_id="a", args=args),)}

    first, second, third = world.add_runs(alone(same), alone(same), alone(other))
    world.run_until(world.now_us + 10 * SECOND)
    assert sorted(world.states(first, second)) == [S.RUNNING, S.WAITING]
    assert world.states(third) == [S.RUNNING]
    world.wait_until(lambda: world.states(first, second) == [S.SUCCESS] * 2)


@pytest.mark.parametrize(
    ("state", "counts"),
    [(S.STARTING, True), (S.RUNNING, True), (S.STOPPING, False), (S.WAITING, False)],
)
def test_3_3_only_runs_that_start_or_run_count_for_max_running(state, counts):
    ledger = LedgerDriver()
    guard = BoundMaxRunning(count=1, job_id="a", args={})
    first = ledger.a_run(conds=(BoundConst(value=False),) if state is S.WAITING else ())
    started = AttemptStarted(run_id=first.run_id, attempt=1, at_us=ledger.now_us)
    if state in (S.RUNNING, S.STOPPING):
        ledger.tell(started, sender=RUNNER)
    if state is S.STOPPING:
        ledger.wish(StopRun(run_id=first.run_id))
    assert ledger.run(first.run_id).state is state
    second = ledger.a_run(conds=(guard,))
    asked = ClearRun(run_id=second.run_id, guards=[guard_of(guard, second, {})])
    ledger.tell(asked, sender=WAITER)
    assert ledger.run(second.run_id).state is (S.WAITING if counts else S.STARTING)


def test_3_3_a_duplicate_goes_to_its_target_state_and_says_because_of_whom():
    world = quiet(lasts_s=30)
    single = BoundSkipDuplicate(check_states=CHECKED, target_state=S.SKIPPED)
    [first] = world.add_runs({"conds": (single,)})
    world.wait_until(lambda: world.states(first) == [S.RUNNING])
    [second, other] = world.add_runs({"conds": (single,)}, {"job_id": "b", "conds": (single,)})
    world.wait_until(lambda: world.states(second, other) == [S.SKIPPED, S.RUNNING])
    assert world.reader.run(second).message == (f"transitioning to skipped because {first} running")


def test_3_3_of_many_duplicates_released_at_once_one_succeeds():
    world = quiet()
    single = BoundSkipDuplicate(check_states=CHECKED, target_state=S.SKIPPED)
    runs = world.add_runs(*[{"conds": (on_success(), single)}] * 16)
    world.run_until(world.now_us + 10 * SECOND)
    world.add_runs({"job_id": "dep"})
    world.wait_until(lambda: S.WAITING not in world.states(*runs))
    world.wait_until(lambda: sorted(world.states(*runs)) == [S.SKIPPED] * 15 + [S.SUCCESS])
