"""Wishes that pass through the scheduler: bound, put on record once, answered to all who asked."""

from __future__ import annotations

import msgspec
import pytest
from people import ADMIN
from scheduler_world import MINUTE, SECOND, SchedulerWorld, a_job, every

from callsheet.actors.bind_one import died_twice
from callsheet.actors.reruns import conds_after, unmade
from callsheet.actors.scheduler_wishes import ANSWERED_RUNS, ad_hoc_id
from callsheet.jobs.bound_conditions import BoundAny, BoundDependency
from callsheet.jobs.conditions import Dependency
from callsheet.jobs.parse import job_from_data
from callsheet.jobs.programs import Shell
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.operations import After, Deed, Target, operation_id
from callsheet.messages.post import BINDER, LEDGER, SCHEDULER, Post
from callsheet.messages.wishes import (
    LedgerWish,
    Operate,
    ReloadJobs,
    RerunRun,
    RerunRuns,
    ScheduleRun,
    SchedulerWish,
)

SEEDS = [1, 2, 3]


def lines(world: SchedulerWorld, run_id: str) -> list[str]:
    return [getattr(event, "message", "") for event in world.reader.log(run_id)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_asked_for_is_made_once_however_often_it_is_asked_for(seed: int) -> None:
    world = SchedulerWorld(a_job("a", params=("date",)), seed=seed)
    answers = [world.wish(ScheduleRun(job_id="a", args={"date": "1"}), f"w{n}") for n in range(5)]
    world.run_until(world.now_us + 30 * SECOND)
    ids = [run.run_id for answer in answers for run in answer.runs]
    assert [run.run_id for run in world.runs] == sorted(ids, key=lambda run_id: int(run_id[1:]))
    assert len(set(ids)) == 5
    assert all(run.state is State.SUCCESS for run in world.runs)


@pytest.mark.parametrize("count", [3, ANSWERED_RUNS + 1])
def test_a_wish_repeated_after_its_answer_is_answered_the_same(count: int) -> None:
    world = SchedulerWorld(a_job("a"))
    first = world.wish(ScheduleRun(job_id="a", count=count), "w1")
    assert len(first.runs) == count
    world.run_until(world.now_us + 30 * SECOND)
    del world.web.answers["w1"]
    again = world.wish(ScheduleRun(job_id="a", count=count), "w1")
    assert [run.run_id for run in again.runs] == [run.run_id for run in first.runs]
    assert len(world.runs) == count


def test_answers_are_kept_while_their_runs_are_few() -> None:
    world = SchedulerWorld(a_job("a"))
    some = ANSWERED_RUNS // 2
    for n in range(3):
        world.wish(ScheduleRun(job_id="a", count=some), f"w{n}")
    asked = ScheduleRun(job_id="a", count=some)
    wishes = [SchedulerWish(command_id=f"w{n}", principal="", instruction=asked) for n in range(3)]
    posts = [world.scheduler.step([("web/9", wish)]) for wish in wishes]
    assert ["web/9" in {post.to for post in some} for some in posts] == [False, True, True]


@pytest.mark.parametrize("seed", SEEDS)
def test_wishes_survive_the_death_of_scheduler_and_ledger(seed: int) -> None:
    world = SchedulerWorld(a_job("a"), seed=seed)
    for n in range(12):
        victim = (SCHEDULER, LEDGER)[n % 2]
        at_us = world.now_us + world.random.randrange(SECOND)
        world.at(at_us, lambda v=victim: world.kill(v, SECOND))
        world.wish(ScheduleRun(job_id="a"), f"w{n}")
    world.run_until(world.now_us + 30 * SECOND)
    assert len(world.runs) == 12
    world.assert_ids_used_once()


def test_a_run_for_later_starts_at_its_time_with_its_stop_time() -> None:
    world = SchedulerWorld(a_job("a"))
    at_us = world.now_us + 10 * MINUTE
    wish = ScheduleRun(job_id="a", schedule_us=at_us, stop_after_us=MINUTE, count=3)
    answer = world.wish(wish, "w1")
    assert [run.stop_us for run in answer.runs] == [at_us + MINUTE] * 3
    world.run_until(at_us - SECOND)
    assert {run.state for run in world.runs} == {State.SCHEDULED}
    world.run_until(at_us + MINUTE)
    assert {run.state for run in world.runs} == {State.SUCCESS}


def test_args_that_do_not_fit_make_a_run_in_error() -> None:
    world = SchedulerWorld(a_job("a", params=("date",)))
    [run] = world.wish(ScheduleRun(job_id="a", args={"zz": "1", "date": "2"}), "w1").runs
    assert (run.state, run.message) == (State.ERROR, "extra args (zz) for job a")
    [run] = world.wish(ScheduleRun(job_id="a"), "w2").runs
    assert (run.state, run.message) == (State.ERROR, "missing args (date) for job a")


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (ScheduleRun(job_id="nix"), "not_found"),
        (ScheduleRun(), "bad_request"),
        (ScheduleRun(job_id="a", count=0), "bad_request"),
        (ScheduleRun(job_id="a", count=10_001), "bad_request"),
        (ScheduleRun(job={"program": {"type": "nix"}}), "bad_request"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_reason(wish: ScheduleRun, reason: str) -> None:
    world = SchedulerWorld(a_job("a"))
    assert world.wish(wish, "w1").reason == reason
    assert not world.runs


def test_an_ad_hoc_job_is_stored_and_can_be_scheduled_again() -> None:
    world = SchedulerWorld(a_job("a"))
    data = {"params": ["x"], "program": {"type": "no-op"}}
    [run] = world.wish(ScheduleRun(job=data, args={"x": "1"}), "w1").runs
    assert run.ad_hoc
    assert run.job_id == ad_hoc_id("w1")
    assert len(run.job_id) == len("adhoc-") + 12
    [again] = world.wish(ScheduleRun(job_id=run.job_id, args={"x": "2"}), "w2").runs
    assert again.args == {"x": "2"}
    world.run_until(world.now_us + 30 * SECOND)
    assert {run.state for run in world.runs} == {State.SUCCESS}


@pytest.mark.parametrize("seed", SEEDS)
def test_an_ad_hoc_jobs_own_schedule_is_honoured(seed: int) -> None:
    world = SchedulerWorld(a_job("a"), seed=seed)
    data = {
        "params": ["x"],
        "program": {"type": "no-op"},
        "schedule": {"type": "interval", "interval": 60, "args": {"x": "2"}},
    }
    [run] = world.wish(ScheduleRun(job=data, args={"x": "1"}), "w1").runs
    begun_us = run.schedule_us
    world.at(world.now_us + 3 * MINUTE, lambda: world.kill(SCHEDULER, SECOND))
    world.folder["b"] = a_job("b")
    world.wish(ReloadJobs(), "w2")
    world.run_until(world.now_us + 10 * MINUTE)
    job = msgspec.structs.replace(job_from_data(data, run.job_id), ad_hoc=True)
    world.assert_exact(job, begun_us, world.now_us - SECOND)
    made = [run for run in world.runs if run.fingerprint is not None]
    assert all(run.ad_hoc and run.args == {"x": "2"} for run in made)
    world.assert_ids_used_once()


def test_a_rerun_by_the_stored_definition_is_what_the_run_was() -> None:
    world = SchedulerWorld(a_job("a", metadata={"labels": ["old"]}))
    [run] = world.wish(ScheduleRun(job_id="a"), "w1").runs
    world.folder = {"c": a_job("c")}
    world.wish(ReloadJobs(), "w2")
    rerun = RerunRun(run_id=run.run_id, job_id="a", args={}, definition=run.definition)
    [again] = world.wish(rerun, "w3").runs
    assert (again.definition, again.labels) == (run.definition, ("old",))
    assert again.state is not State.ERROR
    other = RerunRun(run_id=run.run_id, job_id="c", args={}, definition=run.definition)
    assert world.wish(other, "w4").reason == "not_found"
    unknown = RerunRun(run_id=run.run_id, job_id="a", args={}, definition="nope")
    assert world.wish(unknown, "w5").reason == "not_found"


def test_a_rerun_says_of_what_and_of_a_job_that_is_gone_is_an_error() -> None:
    world = SchedulerWorld(a_job("a", params=("x",)))
    [run] = world.wish(RerunRun(run_id="r1", job_id="a", args={"x": "1"}, stop_us=7), "w1").runs
    assert (run.rerun_of, run.stop_us, run.args) == ("r1", 7, {"x": "1"})
    assert "scheduled as rerun of r1" in lines(world, run.run_id)
    [run] = world.wish(RerunRun(run_id="r1", job_id="gone", args={}), "w2").runs
    assert (run.state, run.message) == (State.ERROR, "unknown job gone")


def test_an_action_passes_on_the_args_that_are_left_open() -> None:
    world = SchedulerWorld(a_job("b", params=("x", "y")))
    wish = ScheduleRun(
        job_id="b",
        args={"x": "mine"},
        source_run="r4",
        source_args={"x": "theirs", "y": "passed", "z": "not"},
    )
    [run] = world.wish(wish, "act-r4.7.0", principal="action:r4").runs
    assert run.args == {"x": "mine", "y": "passed"}
    assert "scheduled by action of r4" in lines(world, run.run_id)


def test_templates_are_bound_by_the_binder() -> None:
    job = a_job(
        "t",
        every(10, args={"who": "you"}),
        params=("who",),
        program=Shell(command="echo {{ who }} {{ run_id }}"),
    )
    world = SchedulerWorld(job)
    world.wait_until(world.settled)
    assert len(world.runs) == 24
    for run in world.runs:
        assert run.program.argv[-1] == f"echo you {run.run_id}"


def test_a_dependency_named_by_a_template_is_found_among_the_jobs() -> None:
    job = a_job("t", params=("n",), conditions=(Dependency(job_id="dep{{ n }}"),))
    world = SchedulerWorld(job, a_job("dep1", params=("n",)))
    [run] = world.wish(ScheduleRun(job_id="t", args={"n": "1"}), "w1").runs
    assert (run.conds[0].job_id, run.conds[0].args) == ("dep1", {"n": "1"})
    [run] = world.wish(ScheduleRun(job_id="t", args={"n": "2"}), "w2").runs
    assert run.message == "unknown job ID in condition: dep2"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_that_kills_the_binder_gets_the_error_and_no_other(seed: int) -> None:
    program = Shell(command="echo {{ job_id }}")
    jobs = [a_job(job_id, program=program) for job_id in ("bomb", "fine")]
    world = SchedulerWorld(*jobs, seed=seed)
    world.bombs = {"bomb"}
    world.wait_until(world.ready)
    for n in range(3):
        world.web.wish(_wish("bomb", f"b{n}"))
        world.web.wish(_wish("fine", f"f{n}"))
    world.wait_until(lambda: len(world.web.answers) == 6, 300)
    for n in range(3):
        assert world.web.answers[f"b{n}"].runs[0].message == died_twice("bomb")
        assert world.web.answers[f"f{n}"].runs[0].message is None
    # Thrice for each: in company, and twice alone; the wire doubles some of the requests.
    assert world.kills[BINDER] <= 18


def _wish(job_id: str, command_id: str) -> Post:
    instruction = ScheduleRun(job_id=job_id)
    wish = SchedulerWish(
        command_id=command_id, principal="ann", instruction=instruction, access=ADMIN
    )
    return Post(SCHEDULER, wish)


def many_reruns(world: SchedulerWorld, runs: list[Run], command_id: str, **deed: object) -> str:
    """Have an operation rerun these runs; return its id."""
    instruction = Operate(
        deed=Deed(verb="rerun", **deed),
        targets=[Target(run_id=run.run_id, seen=run.state) for run in runs],
    )
    wish = LedgerWish(command_id=command_id, principal="ann", instruction=instruction, access=ADMIN)
    world.web.wish(Post(LEDGER, wish))
    own_id = operation_id(command_id)
    world.wait_until(
        lambda: (one := world.reader.operation(own_id)) is not None and one.ended_us is not None
    )
    return own_id


@pytest.mark.parametrize("seed", SEEDS)
def test_an_operation_reruns_each_run_once_whoever_dies(seed: int) -> None:
    world = SchedulerWorld(a_job("a", params=("x",)), seed=seed)
    runs = [
        world.wish(ScheduleRun(job_id="a", args={"x": str(n // 50)}, count=50), f"w{n}").runs
        for n in range(0, 150, 50)
    ]
    world.run_until(world.now_us + 30 * SECOND)
    for n in range(6):
        at_us = world.now_us + world.random.randrange(4 * SECOND)
        world.at(at_us, lambda v=(SCHEDULER, LEDGER)[n % 2]: world.kill(v, SECOND))
    flat = [world.reader.run(run.run_id) for some in runs for run in some]
    own_id = many_reruns(world, flat, "again")
    world.run_until(world.now_us + 30 * SECOND)
    again = [run for run in world.runs if run.rerun_of is not None]
    assert sorted(run.rerun_of for run in again) == sorted(run.run_id for run in flat)
    assert {run.state for run in again} == {State.SUCCESS}
    assert world.reader.operation(own_id).counts == {"done": 150}
    world.assert_ids_used_once()


def test_a_ledger_that_asks_once_more_for_what_is_on_record_is_not_told() -> None:
    world = SchedulerWorld(a_job("a"))
    run = world.wish(ScheduleRun(job_id="a"), "w1").runs[0]
    world.run_until(world.now_us + 30 * SECOND)
    own_id = many_reruns(world, [world.reader.run(run.run_id)], "again")
    world.run_until(world.now_us + 30 * SECOND)
    repeated = SchedulerWish(
        command_id=f"operation/{own_id}/0",
        principal="ann",
        instruction=RerunRuns(reruns=[]),
        access=ADMIN,
    )
    scheduler = world.scheduler.core
    said = scheduler.receive(LEDGER, repeated, world.now_us) + scheduler.settle(world.now_us)
    assert said == []


def test_reruns_with_args_that_do_not_fit_are_not_made() -> None:
    world = SchedulerWorld(a_job("a", params=("x",)))
    run = world.wish(ScheduleRun(job_id="a", args={"x": "1"}), "w1").runs[0]
    answer = world.wish(
        RerunRun(run_id=run.run_id, job_id="a", args=run.args, changes={"y": "2"}), "w2"
    )
    assert (answer.reason, answer.sentence) == ("bad_request", "extra args (y) for job a")
    world.run_until(world.now_us + 30 * SECOND)
    own_id = many_reruns(world, [world.reader.run(run.run_id)], "again", args={"y": "2"})
    [part] = world.reader.operation_parts(own_id, 0, 9)
    assert part.targets[0].sentence == "extra args (y) for job a"
    answer = world.wish(
        RerunRun(run_id=run.run_id, job_id="a", args=run.args, changes={"x": "2"}), "w3"
    )
    assert answer.runs[0].args == {"x": "2"}
    assert len(world.runs) == 2


def test_a_rerun_waits_for_the_new_result_of_what_it_is_downstream_of() -> None:
    world = SchedulerWorld(
        a_job("a"), a_job("b", conditions=(Dependency(job_id="a"),)), lasts_us=5 * SECOND
    )
    upstream = world.wish(ScheduleRun(job_id="a"), "w1").runs[0]
    world.run_until(world.now_us + 30 * SECOND)
    downstream = world.wish(ScheduleRun(job_id="b"), "w2").runs[0]
    world.run_until(world.now_us + 30 * SECOND)
    after = After(job_id="a", args={}, number=upstream.number)
    instruction = Operate(
        deed=Deed(verb="rerun"),
        targets=[
            Target(run_id=upstream.run_id, seen=State.SUCCESS),
            Target(run_id=downstream.run_id, seen=State.SUCCESS, after=(after,)),
        ],
    )
    wish = LedgerWish(command_id="op", principal="ann", instruction=instruction, access=ADMIN)
    world.web.wish(Post(LEDGER, wish))
    world.run_until(world.now_us + 60 * SECOND)
    first, second = (run for run in world.runs if run.rerun_of is not None)
    assert (first.rerun_of, second.rerun_of) == (upstream.run_id, downstream.run_id)
    assert second.state is State.SUCCESS
    assert second.times["starting"] >= first.times["success"]


def test_what_is_downstream_of_a_rerun_that_is_not_made_is_not_made() -> None:
    def rerun(run_id: str, job_id: str, *after: str) -> RerunRun:
        waits = tuple(After(job_id=one, args={}, number=9) for one in after)
        return RerunRun(run_id=run_id, job_id=job_id, args={}, after=waits)

    reruns = [rerun("r1", "a"), rerun("r2", "b", "a"), rerun("r3", "c", "b"), rerun("r4", "d")]
    assert unmade(reruns, {"r1": "unknown job a"}) == {
        "r1": "unknown job a",
        "r2": "it is downstream of r1, which is not run again",
        "r3": "it is downstream of r2, which is not run again",
    }


def test_conditions_that_newer_runs_alone_fulfil() -> None:
    after = After(job_id="a", args={"x": "1"}, number=7, states=(State.FAILURE,))
    own = BoundDependency(job_id="a", args={"x": "1"}, states=(State.FAILURE,))
    newer = msgspec.structs.replace(own, after=7)
    other = BoundDependency(job_id="b", args={})
    assert conds_after((other, own), [after]) == (other, newer)
    assert conds_after((BoundAny(conditions=(own, other)),), [after]) == (
        newer,
        BoundAny(conditions=(own, other)),
    )
    assert conds_after((other,), []) == (other,)
