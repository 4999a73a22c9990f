"""Backfills by the scheduler, the ledger and the runner together, on virtual time, with deaths."""

from __future__ import annotations

import pytest
from people import ADMIN
from scheduler_world import HOUR, MINUTE, SECOND, SchedulerWorld, a_job, every

from callsheet.actors.checks import LateStarts
from callsheet.jobs.bound_conditions import BoundNotAfter
from callsheet.jobs.conditions import Dependency, Moment, NotAfter
from callsheet.jobs.deadlines import Deadline
from callsheet.jobs.programs import Shell
from callsheet.jobs.schedules import StopAfter
from callsheet.jobs.states import OCCUPYING, State
from callsheet.messages.backfills import StartBackfill
from callsheet.messages.post import BINDER, LEDGER, SCHEDULER, Post
from callsheet.messages.transitions import RunMoved
from callsheet.messages.wishes import Done, LedgerWish, SkipRun

SEEDS = [1, 2, 3]


def a_span(world: SchedulerWorld, hours: int, **fields: object) -> StartBackfill:
    """A backfill of job a for the hours before now."""
    to_us = world.now_us - world.now_us % HOUR
    return StartBackfill(job_id="a", from_us=to_us - hours * HOUR, to_us=to_us, **fields)


def over(world: SchedulerWorld, number: int = 1) -> bool:
    one = world.reader.backfill(number)
    return one is not None and one.ended_us is not None


def most_at_once(world: SchedulerWorld) -> int:
    """How many runs of backfills were under way at one time, by the log."""
    of_backfill = {run.run_id for run in world.runs if run.backfill is not None}
    now: set[str] = set()
    most = 0
    for event in world.ledger.driver.disk.tables.events:
        if isinstance(event, RunMoved) and event.run_id in of_backfill:
            (now.add if event.after in OCCUPYING else now.discard)(event.run_id)
            most = max(most, len(now))
    return most


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("templates", [False, True])
def test_all_times_have_one_run_and_never_more_than_allowed_at_once(seed, templates):
    program = {"program": Shell(command="echo {{ time }}")} if templates else {}
    world = SchedulerWorld(a_job("a", every(60), params=("time",), **program), seed=seed)
    world.wait_until(world.settled)
    span = a_span(world, 20, parallel=3)
    assert isinstance(world.wish(span, "w1"), Done)
    for number, address in enumerate((LEDGER, SCHEDULER, BINDER) * 2):
        world.run_until(world.now_us + (number + 1) * SECOND)
        world.kill(address, SECOND)
    world.wait_until(lambda: over(world))
    made = [run for run in world.runs if run.backfill == 1]
    assert sorted(run.schedule_us for run in made) == [
        span.from_us + hour * HOUR for hour in range(20)
    ]
    assert {run.state for run in made} == {State.SUCCESS}
    assert most_at_once(world) <= 3
    assert [run.args["time"][11:13] for run in made[:1]] == [f"{span.from_us // HOUR % 24:02}"]


def test_what_has_a_run_is_left_out_unless_it_is_asked_for():
    world = SchedulerWorld(a_job("a", every(60)), since_us=0)
    world.wait_until(world.settled)
    assert isinstance(world.wish(a_span(world, 4), "w1"), Done)
    world.wait_until(lambda: over(world))
    assert world.reader.backfill(1).total == 4
    refused = world.wish(a_span(world, 4), "w2")
    assert refused.reason == "bad_request"
    assert "all 4 runs are there" in refused.sentence
    assert isinstance(world.wish(a_span(world, 6), "w3"), Done)
    one = world.reader.backfill(2)
    assert (one.total, one.left_out) == (2, 4)
    world.wait_until(lambda: over(world, 2))
    assert isinstance(world.wish(a_span(world, 6, again=True), "w4"), Done)
    assert world.reader.backfill(3).total == 6


def test_what_was_skipped_is_made_up_for():
    world = SchedulerWorld(a_job("a", every(60)))
    world.wait_until(world.settled)
    [ahead, *_] = sorted(
        (run for run in world.runs if run.fingerprint), key=lambda run: run.schedule_us
    )
    skip = LedgerWish(
        command_id="s", principal="ann", instruction=SkipRun(run_id=ahead.run_id), access=ADMIN
    )
    world.web.wish(Post(LEDGER, skip))
    world.run_until(ahead.schedule_us + HOUR + MINUTE)
    span = StartBackfill(
        job_id="a", from_us=ahead.schedule_us, to_us=ahead.schedule_us + HOUR + MINUTE
    )
    assert isinstance(world.wish(span, "w1"), Done)
    one = world.reader.backfill(1)
    assert (one.total, one.left_out) == (1, 1)


def test_times_missed_while_the_server_was_down_are_those_of_the_schedule():
    """What is asked for at once after a start does not come before what is made up for."""
    world = SchedulerWorld(a_job("a", every(60)))
    world.wait_until(world.settled)
    from_us = world.now_us
    for address in (LEDGER, SCHEDULER):
        world.kill(address, 48 * HOUR)
    world.run_until(from_us + 48 * HOUR - SECOND)
    span = StartBackfill(job_id="a", from_us=from_us, to_us=from_us + 47 * HOUR)
    refused = world.wish(span, "w1")
    assert "all 47 runs are there" in refused.sentence


def test_a_wish_that_is_repeated_makes_one_backfill():
    world = SchedulerWorld(a_job("a", every(60)))
    world.wait_until(world.settled)
    span = a_span(world, 3)
    first = world.wish(span, "w1")
    del world.web.answers["w1"]
    world.kill(SCHEDULER, SECOND)
    assert world.wish(span, "w1").result == first.result
    assert world.reader.last_backfill() == 1


def test_the_newest_times_begin_first_where_that_is_asked_for():
    world = SchedulerWorld(a_job("a", every(60)))
    world.wait_until(world.settled)
    world.wish(a_span(world, 3, newest_first=True), "w1")
    world.wait_until(lambda: over(world))
    made = [run for run in world.runs if run.backfill == 1]
    began = sorted(made, key=lambda run: run.times["starting"])
    assert [run.schedule_us for run in began] == sorted(
        (run.schedule_us for run in made), reverse=True
    )


def test_no_deadline_of_a_time_that_is_over_holds_and_conditions_do():
    deadline = Deadline(
        start_by=StopAfter(duration_us=MINUTE), finish_by=StopAfter(duration_us=MINUTE)
    )
    conds = (NotAfter(moment=Moment(time="2020-01-01T00:00:00Z")), Dependency(job_id="b"))
    hourly = every(60, stop=StopAfter(duration_us=MINUTE))
    job = a_job("a", hourly, conditions=conds, deadline=deadline)
    world = SchedulerWorld(a_job("b"), job)
    world.wait_until(world.settled)
    assert isinstance(world.wish(a_span(world, 1), "w1"), Done)
    [run] = [run for run in world.runs if run.backfill == 1]
    assert run.state is State.WAITING
    assert (run.due, run.stop_us) == (None, None)
    assert not any(isinstance(cond, BoundNotAfter) for cond in run.conds)
    assert len(run.conds) == 1


def test_the_longest_time_a_run_may_take_holds():
    deadline = Deadline(start_by=StopAfter(duration_us=MINUTE), max_duration_us=HOUR)
    world = SchedulerWorld(a_job("a", every(60), deadline=deadline))
    world.wait_until(world.settled)
    world.wish(a_span(world, 1), "w1")
    [run] = [run for run in world.runs if run.backfill == 1]
    assert (run.due.start_by_us, run.due.max_duration_us) == (None, HOUR)


def test_a_run_that_came_when_it_was_its_turn_is_not_found_to_be_late():
    world = SchedulerWorld(a_job("a", every(60)), lasts_us=65 * SECOND)
    world.wait_until(world.settled)
    world.wish(a_span(world, 2), "w1")
    world.wait_until(lambda: over(world), seconds=900)
    assert LateStarts([], every_us=30 * SECOND).look(world.reader, world.now_us) == []


@pytest.mark.parametrize(
    ("fields", "reason", "said"),
    [
        ({"job_id": "z"}, "not_found", "unknown job z"),
        ({"job_id": "b"}, "bad_request", "has no schedule that is enabled"),
        ({"to_us": 2**60}, "bad_request", "a span of time that is over"),
        ({"from_us": 0}, "bad_request", "more than 10000 runs"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, reason, said):
    world = SchedulerWorld(a_job("a", every(60)), a_job("b"))
    world.wait_until(world.settled)
    span = a_span(world, 1)
    wish = StartBackfill(**{"job_id": "a", "from_us": span.from_us, "to_us": span.to_us} | fields)
    refused = world.wish(wish, "w1")
    assert (refused.reason, said in refused.sentence) == (reason, True)
