"""Plans: what another set of jobs would change, told and kept."""

from __future__ import annotations

from callsheet.jobs.parse import job_from_data
from callsheet.jobs.plan import (
    RUNS_A_JOB,
    WaitingRun,
    make_plan,
    plan_id,
    set_digest,
    staleness,
    waiting_run,
)
from callsheet.jobs.plan_words import plan_data, plan_from_data, plan_markdown, plan_text
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.jobs.times import format_time, parse_time

FROM_US = parse_time("2026-01-15T00:00:00Z")


def jobs_of(**data):
    return {
        job_id: job_from_data({"program": {"type": "no-op"}} | fields, job_id)
        for job_id, fields in data.items()
    }


def a_plan(before, after, days=2, waiting=()):
    return make_plan("a-b", jobs_of(**before), jobs_of(**after), FROM_US, days, {}, waiting)


def runs(plan):
    return [
        (run.what, run.job_id, format_time(run.at_us)[5:16])
        + ((format_time(run.to_us)[5:16],) if run.to_us is not None else ())
        for run in plan.runs
    ]


def daily(daytime, **fields):
    return {"schedule": {"type": "daily", "tz": "UTC", "daytime": daytime}} | fields


def test_jobs_that_are_equal_change_nothing():
    plan = a_plan({"a": daily("09:00")}, {"a": daily("09:00")})
    assert (plan.jobs, plan.runs) == ((), ())
    assert plan_text(plan) == "plan a-b: no changes"


def test_added_and_removed_jobs_bring_and_take_their_runs():
    plan = a_plan({"old": daily("09:00")}, {"new": daily("10:00")})
    assert [(job.what, job.job_id) for job in plan.jobs] == [("added", "new"), ("removed", "old")]
    assert runs(plan) == [
        ("vanishes", "old", "01-15T09:00"),
        ("appears", "new", "01-15T10:00"),
        ("vanishes", "old", "01-16T09:00"),
        ("appears", "new", "01-16T10:00"),
    ]


def test_a_run_of_the_same_args_on_the_same_day_moves():
    plan = a_plan({"a": daily("09:00")}, {"a": daily("10:30")})
    assert plan.jobs[0].parts == ("schedule",)
    assert runs(plan) == [
        ("moves", "a", "01-15T09:00", "01-15T10:30"),
        ("moves", "a", "01-16T09:00", "01-16T10:30"),
    ]


def test_an_instance_moves_to_another_day_where_its_args_tell_it_apart():
    dated = {"params": ["date"]}
    late = {"type": "daily", "tz": "UTC", "daytime": "01:00", "date_shift": 1}
    plan = a_plan({"a": daily("23:00", **dated)}, {"a": {"schedule": late} | dated})
    assert ("moves", "a", "01-15T23:00", "01-16T01:00") in runs(plan)


def test_runs_that_neither_move_nor_stay_appear_and_vanish():
    plan = a_plan({"a": daily(["09:00", "12:00"])}, {"a": daily(["12:00"])}, days=1)
    assert runs(plan) == [("vanishes", "a", "01-15T09:00")]
    assert plan.jobs[0].kept == 1


def test_another_program_keeps_the_runs_at_their_time_and_binds_them_anew():
    plan = a_plan({"a": daily("09:00")}, {"a": daily("09:00", program="echo hello")})
    assert runs(plan) == []
    assert (plan.jobs[0].parts, plan.jobs[0].kept) == (("program",), 2)
    assert "2 runs stay at their time and are bound anew" in plan_text(plan)


def test_another_description_leaves_the_runs_alone():
    told = {"metadata": {"description": "x"}}
    plan = a_plan({"a": daily("09:00")}, {"a": daily("09:00", **told)})
    assert plan.jobs[0].parts == ("metadata",)
    assert "~ a: metadata; its runs stay as they are" in plan_text(plan)


def test_of_a_job_that_runs_all_the_time_only_the_first_runs_are_told():
    often = {"schedule": {"type": "interval", "interval": 1}}
    plan = a_plan({}, {"a": often})
    assert len(plan.runs) == RUNS_A_JOB
    assert plan.jobs[0].more
    text = plan_text(plan)
    assert f"and {RUNS_A_JOB - 10} more of a" in text
    assert len(text.splitlines()) < 20


def test_waiting_runs_of_jobs_that_change_or_that_wait_for_them_are_named():
    waiting = [
        WaitingRun(run_id="r1", job_id="a", args={}, about=("a",)),
        WaitingRun(run_id="r2", job_id="b", args={"x": "1"}, about=("a", "b")),
        WaitingRun(run_id="r3", job_id="c", args={}, about=("c",)),
    ]
    plan = a_plan({"a": daily("09:00")}, {}, waiting=waiting)
    assert [run.run_id for run in plan.waiting] == ["r1", "r2"]
    assert "  r2  b(x=1)" in plan_text(plan)


def test_a_run_is_about_its_job_and_those_it_waits_for():
    from callsheet.jobs.bound_conditions import BoundConst, BoundDependency

    conds = (BoundConst(value=True), BoundDependency(job_id="z", args={}))
    run = Run(run_id="r1", job_id="a", args={}, state=State.WAITING, schedule_us=1, conds=conds)
    assert waiting_run(run).about == ("a", "z")


def test_a_schedule_that_cannot_be_computed_does_not_break_the_plan():
    plan = a_plan({}, {"a": {"schedule": {**daily("09:00")["schedule"], "calendar": "moon"}}})
    assert (plan.jobs[0].what, plan.runs) == ("added", ())


def test_data_of_a_plan_makes_the_plan_again():
    waiting = [WaitingRun(run_id="r1", job_id="a", args={"x": "1"})]
    plan = a_plan({"a": daily("09:00"), "b": daily("09:00")}, {"a": daily("10:30")}, 2, waiting)
    assert plan_from_data(plan_data(plan)) == plan


def test_markdown_says_the_same_and_lets_no_name_out_of_its_cell():
    before = {"a|b`c": daily("09:00"), "moved": daily("09:00")}
    plan = make_plan("a-b", jobs_of(**before), jobs_of(moved=daily("10:00")), FROM_US, 1, {})
    text = plan_markdown(plan)
    assert "### Jobs: 1 removed, 1 changed" in text
    assert "| removed | ``a\\|b`c`` |  |" in text
    assert "- moves: `2026-01-15T09:00:00+00:00 → 2026-01-15T10:00:00+00:00  moved()`" in text


# --- what a plan is known by --------------------------------------------------------------------


def test_sets_have_digests_by_what_they_hold():
    assert set_digest({"a": "1", "b": "2"}) == set_digest({"b": "2", "a": "1"})
    assert len({set_digest(s) for s in ({}, {"a": "1"}, {"a": "2"}, {"a1": ""}, {"b": "1"})}) == 5


def test_a_plan_is_stale_when_either_side_is_another_set():
    before, after = {"a": "1"}, {"a": "2"}
    plan = plan_id(before, after)
    assert staleness(plan, before, after) == ""
    assert "other jobs are in force" in staleness(plan, {"a": "3"}, after)
    assert "the job folder holds other jobs" in staleness(plan, before, {"a": "3"})
    assert staleness("nonsense", before, after)
