"""What the store knows answers why there is no run: real reloads, on virtual time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from scheduler_world import HOUR, MINUTE, SECOND, SchedulerWorld, a_job, every

from callsheet.actors.window import Window
from callsheet.jobs.misfire import Misfire
from callsheet.jobs.programs import NoOp
from callsheet.jobs.states import State
from callsheet.jobs.times import format_time
from callsheet.messages.post import LEDGER, SCHEDULER
from callsheet.messages.wishes import ReloadJobs, ScheduleRun
from callsheet.webui.declared import read_query
from callsheet.webui.routing import Problem, Request
from callsheet.webui.services import WebSettings
from callsheet.webui.v2_why import WhyQuery, get_why


def why(world, query):
    """Ask the endpoint with the world's store behind it."""

    async def read(act):
        return act(world.reader)

    services = SimpleNamespace(
        read=read,
        now_us=lambda: world.now_us,
        settings=WebSettings(database="", outputs_root=""),
    )
    request = Request("GET", f"/api/v2/why?{query}", headers={}, body=b"", services=services)
    return asyncio.run(get_why(request, read_query(WhyQuery, request.query)))


def of(world, job_id, at_us, args=""):
    at = format_time(at_us).replace("+", "%2B")
    return why(world, f"job={job_id}&at={at}{args}")


def a_world(*jobs, **options):
    world = SchedulerWorld(*jobs, **options)
    world.wait_until(world.settled)
    return world


def next_hour(world, hours=1):
    return (world.now_us // HOUR + hours) * HOUR


def test_a_run_that_is_there_is_explained_with_its_schedule():
    world = a_world(a_job("a", every(60)))
    found = of(world, "a", next_hour(world))
    assert (found["verdict"], found["run"]["state"]) == ("run", "scheduled")
    assert found["lines"][0].endswith("by its schedule.")
    assert found["lines"][-1].startswith("Its schedule is every 3600.0 sec, in force since ")
    assert why(world, f"run={found['run_id']}")["lines"] == found["lines"]


def test_a_run_by_a_person_says_who_asked_for_it():
    world = a_world(a_job("a"))
    (run_id,) = world.add_runs({"job_id": "a"})
    world.run_until(world.now_us + SECOND)
    assert "It was asked for by ann." in why(world, f"run={run_id}")["lines"]


def test_a_withdrawn_run_names_the_reload_that_took_it():
    world = a_world(a_job("a", every(60)), a_job("b", every(60)))
    at_us = next_hour(world, 3)
    withdrawn = of(world, "a", at_us)["run_id"]
    for n in range(30):
        world.folder["b"] = a_job("b", every(60), program=NoOp(duration=f"{n}"))
        world.wish(ReloadJobs(), f"before{n}")
    world.folder["a"] = a_job("a", every(60, phase_us=30 * MINUTE))
    world.wish(ReloadJobs(), "w")
    version = world.ledger.driver.disk.tables.jobs_version
    world.folder["b"] = a_job("b")
    world.wish(ReloadJobs(), "after")
    found = of(world, "a", at_us)
    assert found["verdict"] == "withdrawn"
    assert "The job was changed by the reload at " in found["lines"][1]
    assert f"(jobs version {version})" in found["lines"][1]
    assert found["lines"][2] == f"The run {withdrawn} was withdrawn then: jobs reloaded."


def test_a_job_that_was_removed_is_said_with_the_reload():
    world = a_world(a_job("a", every(60)))
    at_us = next_hour(world, 2)
    del world.folder["a"]
    world.wish(ReloadJobs(), "w")
    found = of(world, "a", at_us)
    assert found["verdict"] == "withdrawn"
    assert "The job was removed by the reload at" in found["lines"][1]


def test_times_left_out_after_a_long_downtime_are_said():
    world = a_world(a_job("a", every(60)), window=Window(misfire=Misfire(max_age_us=2 * HOUR)))
    at_us = next_hour(world, 30)
    for address in (SCHEDULER, LEDGER):
        world.kill(address, 48 * HOUR)
    world.run_until(world.now_us + 48 * HOUR + MINUTE)
    world.wait_until(world.settled)
    found = of(world, "a", at_us)
    assert found["verdict"] == "skipped"


def test_a_run_beyond_what_is_written_is_promised():
    world = a_world(a_job("a", every(60)))
    assert of(world, "a", next_hour(world, 24 * 30))["verdict"] == "horizon"


def test_several_runs_of_a_time_are_listed():
    world = a_world(a_job("a"))
    at_us = next_hour(world, 5)
    world.add_runs({"schedule_us": at_us}, {"schedule_us": at_us})
    world.run_until(world.now_us + SECOND)
    found = of(world, "a", at_us)
    assert (found["verdict"], len(found["lines"])) == ("runs", 3)


def test_jobs_may_be_named_by_words_and_those_unknown_have_near_ones():
    world = a_world(a_job("reports/daily", every(60)))
    assert of(world, "daily", next_hour(world))["job_id"] == "reports/daily"
    found = of(world, "reports/dayly", next_hour(world))
    assert found["verdict"] == "unknown_job"
    assert "did you mean reports/daily?" in found["lines"][0]


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 400, "expected run, or job and at"),
        ("job=a", 400, "expected run, or job and at"),
        ("job=a&at=yore", 400, "not a time"),
        ("job=a&at=now&arg=x", 400, "expected name=value"),
        ("run=r99", 404, "unknown run r99"),
    ],
)
def test_what_cannot_be_answered_is_refused(query, status, said):
    world = a_world(a_job("a"))
    with pytest.raises(Problem, match=said) as found:
        why(world, query)
    assert found.value.status == status


def test_a_finished_run_is_explained_by_its_end():
    world = a_world(a_job("a", every(60)))
    run_id = of(world, "a", next_hour(world))["run_id"]
    world.run_until(next_hour(world) + MINUTE)
    assert world.states(run_id) == [State.SUCCESS]
    assert why(world, f"run={run_id}")["lines"][0].startswith("Its program ended well")


def test_an_error_before_the_start_is_not_blamed_on_the_program():
    world = a_world(a_job("a", params=("date",)))
    [run] = world.wish(ScheduleRun(job_id="a"), "w1").runs
    assert why(world, f"run={run.run_id}")["lines"][0] == (
        "It ended before its program was started: missing args (date) for job a."
    )
