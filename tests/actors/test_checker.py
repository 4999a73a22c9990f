"""The checker: each kind of planted fault is found within a minute and announced once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from checker_rounds import Rounds, process
from msgspec.structs import replace
from planning_world import SECOND
from scheduler_world import HOUR, MINUTE, SchedulerWorld, a_job, every
from world import GOOD

from callsheet.actors.checker import ANSWER_IN_US
from callsheet.actors.look_around import look_around
from callsheet.actors.surroundings import Disk
from callsheet.jobs.bound_conditions import BoundConst
from callsheet.jobs.calendar_days import CalendarDays
from callsheet.jobs.findings import REMEDIES
from callsheet.jobs.job import Job
from callsheet.jobs.programs import BoundProcess, Shell
from callsheet.jobs.states import State
from callsheet.messages.hello import ScheduleRow
from callsheet.messages.instructions import StoredDefinition
from callsheet.messages.post import LEDGER, RUNNER, SCHEDULER, WAITER
from callsheet.messages.wishes import HoldRun, RescheduleRun, RunChecks, StopRun
from callsheet.store.rows import encode


def plan_of(rounds: Rounds) -> Any:
    return rounds.world.ledger.driver.disk.tables


def a_planned_world() -> Rounds:
    """A whole server with an hourly job, all at rest; the runner is the world's own."""
    world = SchedulerWorld(a_job("a", every(5)), wire=GOOD)
    world.wait_until(world.settled)
    rounds = Rounds(world, runner=False)
    rounds.later(ANSWER_IN_US / SECOND + 60)
    assert rounds.findings() == []
    return rounds


def late(rounds: Rounds) -> None:
    [run] = rounds.world.add_runs({"schedule_us": rounds.world.now_us + HOUR})
    tables = plan_of(rounds)
    number = int(run[1:])
    early = replace(tables.runs[number], schedule_us=rounds.world.now_us - 61 * SECOND)
    tables.runs[number] = tables.scheduled[number] = early


def orphan(rounds: Rounds) -> None:
    rounds.a_process()


def stray(rounds: Rounds) -> None:
    rounds.keep(process("r999"))


def double(rounds: Rounds) -> None:
    run = rounds.a_process()
    rounds.keep(process(run), process(run, attempt=2))


def stuck(rounds: Rounds) -> None:
    """A run whose only condition is met, and a waiter that is not there."""
    rounds.world.add_runs({"conds": (BoundConst(value=True),)})


def silent(rounds: Rounds) -> None:
    rounds.a_process()
    rounds.agent(connected=False, last_seen_us=rounds.world.now_us - 301 * SECOND)


def skewed(rounds: Rounds) -> None:
    rounds.agent(skew_us=-90 * SECOND)


def clock_set(rounds: Rounds) -> None:
    rounds.later(40)
    rounds.world.jump(600 * SECOND)


def disk(rounds: Rounds) -> None:
    rounds.disks = [Disk(path="/data", free_bytes=2**20, all_bytes=2**40)]


def drift(rounds: Rounds) -> None:
    """The ledger's memory forgets a run that is under way."""
    run = rounds.a_process()
    rounds.keep(process(run))
    del rounds.world.ledger.driver.ledger.book.active[run]


def calendar(rounds: Rounds) -> None:
    end_calendars(rounds, "bank")
    job = Job(job_id="b", program=Shell(command="echo {{ get_calendar('bank').name }}"))
    stored = StoredDefinition(hash="of b", job_id="b", body=encode(job))
    rounds.world.ledger.driver.apply(definitions=[stored], set_jobs={"b": "of b"})


def end_calendars(rounds: Rounds, *names: str) -> None:
    """Put calendars in force that end in twenty days."""
    driver = rounds.world.ledger.driver
    driver.now_us = rounds.world.now_us
    today = date(2027, 1, 15).toordinal()
    driver.apply(
        calendars=[
            CalendarDays(name=name, start=today, stop=today + 20, bits=b"\x01") for name in names
        ]
    )


PLANTED: dict[str, tuple[Callable[[Rounds], None], str]] = {
    "a run past its time": (late, "late"),
    "a run without its process": (orphan, "orphan"),
    "a process without a run": (stray, "stray"),
    "a run with two processes": (double, "double"),
    "a run that nothing holds": (stuck, "stuck"),
    "an agent that is away with runs": (silent, "silent"),
    "an agent with another clock": (skewed, "clock"),
    "a clock that was set": (clock_set, "clock"),
    "a disk that is full": (disk, "disk"),
    "a memory that is not the store": (drift, "drift"),
    "a calendar that ends": (calendar, "calendar"),
}


def test_of_calendars_that_end_those_are_found_that_a_job_names() -> None:
    rounds = Rounds()
    end_calendars(rounds, "bank", "old")
    rounds.later(60)
    assert rounds.findings() == []
    calendar(rounds)
    end_calendars(rounds, "bank", "old")
    rounds.later(60)
    assert [(one.check, one.key) for one in rounds.findings()] == [("calendar", "calendar:bank")]
    rounds.world.ledger.driver.apply(removed_jobs=["b"])
    rounds.later(60)
    assert rounds.findings() == []
    # A job without a file, which has but a schedule.
    row = ScheduleRow(
        job_id="b",
        fingerprint="f",
        definition="of b",
        valid_from_us=rounds.world.now_us,
        written_upto_us=rounds.world.now_us,
    )
    rounds.world.ledger.driver.apply(opened=[row])
    rounds.later(60)
    assert "calendar:bank" in [one.key for one in rounds.findings()]


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_fault_is_found_within_a_minute(what: str) -> None:
    rounds = Rounds()
    rounds.later(40)
    assert rounds.findings() == []
    plant, check = PLANTED[what]
    plant(rounds)
    rounds.later(60)
    assert check in rounds.checks(), rounds.findings()
    one = next(finding for finding in rounds.findings() if finding.check == check)
    assert one.remedy == REMEDIES[check]
    assert one.sentence
    assert one.since_us > 0


def test_a_time_without_its_run_is_found_and_one_without_its_schedule() -> None:
    rounds = a_planned_world()
    tables = plan_of(rounds)
    rounds.later(10 * 60)
    past = [run for run in tables.runs.values() if run.finished]
    gone, moved = past[-1], past[-2]
    tables._withdraw(gone.number)
    tables.runs[moved.number] = replace(moved, schedule_us=moved.schedule_us + SECOND)
    rounds.later(60)
    found = {(one.check, one.evidence["at_us"]) for one in rounds.findings()}
    assert ("missing", gone.schedule_us) in found
    assert ("missing", moved.schedule_us) in found
    assert ("unscheduled", moved.schedule_us + SECOND) in found
    rounds.world.kill("checker/0", SECOND)
    rounds.later(3600)
    assert ("missing", gone.schedule_us) in {
        (one.check, one.evidence.get("at_us")) for one in rounds.findings()
    }, "it is remembered over a restart of the checker, when it is long past"
    tables._put(gone, gone.times["success"])
    rounds.later(60)
    at_us = {one.evidence.get("at_us") for one in rounds.findings()}
    assert gone.schedule_us not in at_us
    assert len(set(rounds.noted())) == len(rounds.noted()), "each is announced once"


def test_a_run_that_a_person_has_put_to_another_time_is_neither_missing_nor_unscheduled() -> None:
    rounds = a_planned_world()
    world = rounds.world
    runs = [run for run in world.runs if run.state is State.SCHEDULED]
    first = min(runs, key=lambda run: run.schedule_us)
    driver = world.ledger.driver
    driver.now_us = world.now_us
    at_us = first.schedule_us + 90 * SECOND
    assert driver.wish(RescheduleRun(run_id=first.run_id, schedule_us=at_us)).runs
    world.send(LEDGER, driver.posts)
    rounds.later((at_us - world.now_us) / SECOND + 120)
    assert world.reader.run(first.run_id).state is State.SUCCESS
    assert rounds.findings() == []


def test_a_scheduler_that_writes_nothing_is_found_out() -> None:
    rounds = a_planned_world()
    world = rounds.world
    rows = plan_of(rounds).schedules
    [(key, row)] = rows.items()
    for run in [r for r in plan_of(rounds).runs.values() if r.state is State.SCHEDULED]:
        plan_of(rounds)._withdraw(run.number)
    rows[key] = replace(row, written_upto_us=world.now_us)
    world.kill(SCHEDULER, 10 * HOUR)
    rounds.later(5 * 60 + 60 + 60)
    assert rounds.checks() == {"missing"}


def test_a_run_that_started_late_is_remembered_for_a_day() -> None:
    from callsheet.messages.instructions import RunsDue

    rounds = Rounds()
    world = rounds.world
    [run] = world.add_runs({"schedule_us": world.now_us + SECOND})
    rounds.later(100)
    world.ledger.driver.tell(RunsDue(run_ids=[run]))
    rounds.later(60)
    assert rounds.checks() == {"started-late"}
    world.kill("checker/0", SECOND)
    rounds.later(3600)
    assert rounds.checks() == {"started-late"}
    assert rounds.noted().count(("opened", f"started-late:{run}")) == 1
    world.ledger.beat_every_us = 120 * SECOND
    rounds.later(24 * 3600)
    assert rounds.checks() == set()


def test_a_downtime_is_no_fault_of_the_runs_that_it_made_late() -> None:
    """All roles are down for twenty minutes; what was due then runs after it."""
    rounds = a_planned_world()
    world = rounds.world
    rounds.later(180)
    for address in (LEDGER, SCHEDULER, WAITER, RUNNER, "checker/0"):
        world.kill(address, 20 * MINUTE)
    rounds.later(40 * 60)
    late = rounds.findings()
    assert {one.check for one in late} == {"started-late"}
    assert {one.severity for one in late} == {"info"}
    assert {outcome for outcome, _ in rounds.noted()} == {"opened"}


def test_a_stop_that_does_not_end_its_process_is_found() -> None:
    rounds = Rounds()
    program = BoundProcess(argv=("true",), grace_us=5 * SECOND)
    run = rounds.a_process(program=program)
    rounds.keep(process(run))
    driver = rounds.world.ledger.driver
    driver.now_us = rounds.world.now_us
    driver.wish(StopRun(run_id=run))
    rounds.later(60)
    assert rounds.checks() == set()
    rounds.later(40)
    [finding] = rounds.findings()
    assert (finding.check, finding.run_id) == ("stuck", run)
    assert "was to be killed" in finding.sentence


def test_a_timeout_that_nobody_keeps_is_found() -> None:
    rounds = Rounds()
    program = BoundProcess(argv=("true",), timeout_us=10 * SECOND, grace_us=5 * SECOND)
    run = rounds.a_process(program=program)
    rounds.keep(process(run))
    rounds.later(120)
    assert [finding.key for finding in rounds.findings()] == [f"stuck:{run}.running"]


# --- what is no fault -----------------------------------------------------------------------------


def test_a_run_whose_process_has_just_ended_is_no_orphan() -> None:
    rounds = Rounds()
    run = rounds.a_process()
    rounds.keep(process(run, state="done"))
    rounds.later(90)
    assert rounds.findings() == []


@pytest.mark.parametrize("how", ["away", "mute"])
def test_an_agent_that_is_silent_says_nothing_new_about_its_runs(how: str) -> None:
    rounds = Rounds()
    run = rounds.a_process()
    rounds.keep(process(run))
    rounds.later(40)
    rounds.keep()
    if how == "away":
        rounds.agent(connected=False, last_seen_us=rounds.world.now_us)
    else:
        rounds.runner.kept = {}
    rounds.later(120)
    assert rounds.findings() == []


def test_what_an_agent_has_told_stays_while_it_is_away() -> None:
    rounds = Rounds()
    run = rounds.a_process()
    rounds.later(60)
    assert rounds.checks() == {"orphan"}
    rounds.agent(connected=False, last_seen_us=rounds.world.now_us)
    rounds.later(60)
    rounds.agent()
    rounds.later(60)
    rounds.keep(process(run))
    rounds.later(60)
    assert rounds.noted() == [("opened", f"orphan:{run}.1"), ("closed", f"orphan:{run}.1")]


def test_a_held_run_is_not_late_and_waits_for_somebody() -> None:
    rounds = Rounds()
    world = rounds.world
    later, waiting = world.add_runs(
        {"schedule_us": world.now_us + SECOND}, {"conds": (BoundConst(value=True),)}
    )
    for run in (later, waiting):
        world.ledger.driver.wish(HoldRun(run_id=run))
    rounds.later(200)
    assert rounds.findings() == []


def test_a_round_without_an_answer_ends_and_says_what_it_left_out() -> None:
    rounds = Rounds()
    rounds.a_process()
    rounds.later(60)
    rounds.runner.mute = True
    rounds.later(70)
    assert rounds.checks() == {"orphan"}, "it is not closed by who could not look"
    last = rounds.world.reader.check_rounds(1)[0]
    assert "orphan" in last.left_out
    assert "late" in last.checks
    assert last.at_us - last.began_us >= ANSWER_IN_US


def test_a_round_is_made_when_somebody_asks_for_it() -> None:
    rounds = Rounds()
    rounds.later(6)
    rounds.a_process()
    rounds.later(21)
    [before] = rounds.world.reader.check_rounds(9)
    driver = rounds.world.ledger.driver
    driver.now_us = rounds.world.now_us
    done = driver.wish(RunChecks())
    rounds.world.send(LEDGER, driver.posts)
    rounds.later(1)
    last = rounds.world.reader.check_rounds(9)[0]
    assert last.began_us >= done.result["asked_us"] > before.at_us
    assert rounds.checks() == {"orphan"}


def test_a_finding_that_changes_is_not_announced_again() -> None:
    rounds = Rounds()
    rounds.agent(skew_us=10 * SECOND)
    rounds.later(60)
    rounds.agent(skew_us=90 * SECOND)
    rounds.later(60)
    [finding] = rounds.findings()
    assert finding.severity == "error"
    rounds.agent()
    rounds.later(60)
    assert rounds.noted() == [("opened", "clock:host"), ("closed", "clock:host")]
    [closed] = rounds.world.reader.closed_findings(9)
    assert closed.closed_us is not None
    assert closed.closed_us > closed.since_us


def test_findings_are_open_still_after_the_ledgers_death() -> None:
    rounds = Rounds()
    run = rounds.a_process()
    rounds.later(60)
    rounds.world.kill(LEDGER, SECOND)
    rounds.later(90)
    assert rounds.checks() == {"orphan"}
    assert rounds.noted() == [("opened", f"orphan:{run}.1")]


def test_this_host_is_looked_at(tmp_path: Any) -> None:
    database = tmp_path / "callsheet.db"
    database.write_bytes(b"")
    around = look_around(str(database), str(tmp_path / "absent"))
    [disk_found] = around.disks
    assert 0 < disk_found.free_bytes <= disk_found.all_bytes
    assert around.begun_us > 0


# --- normal work ----------------------------------------------------------------------------------


def test_a_normal_day_raises_nothing() -> None:
    """With a reload, a pause, restarts of every role, and clocks of Europe put forward."""
    from eventful_day import BEGIN_US, JOBS

    from callsheet.messages.wishes import PauseRuns, ReloadJobs, ResumeRuns

    world = SchedulerWorld(*JOBS, wire=GOOD)
    world.jump(BEGIN_US - world.now_us)
    world.ledger.beat_every_us = 30 * SECOND
    world.web.asks_every_us = 10 * SECOND
    world.wait_until(world.settled)
    rounds = Rounds(world, runner=False)

    def hour(hours: float) -> None:
        world.run_until(BEGIN_US + round(hours * HOUR))
        assert rounds.findings() == [], f"in hour {hours}"

    driver = world.ledger.driver

    def person(wish: Any) -> None:
        driver.now_us = world.now_us
        driver.wish(wish)
        world.send(LEDGER, driver.posts)

    hour(1.5)
    world.folder["changes"] = a_job("changes", every(45))
    del world.folder["goes"]
    world.wish(ReloadJobs(), "reload")
    hour(3.2)
    person(PauseRuns(pause_kind="all", reason="moving"))
    hour(4.2)
    person(ResumeRuns(pause_kind="all"))
    for index, address in enumerate((SCHEDULER, LEDGER, WAITER, RUNNER, "checker/0")):
        hour(5 + index / 3)
        world.kill(address, 20 * SECOND)
    hour(24)
    assert rounds.noted() == []
    done = world.reader.check_rounds(10**4)
    assert sum(not one.left_out for one in done) > 1_000
