"""Calendars reach the scheduler with the jobs, are stored with them, and a change re-plans."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from scheduler_world import HOUR, MINUTE, SECOND, SchedulerWorld, a_job, every

from callsheet.jobs.calendar_days import CalendarDays, calendars_by_name, pack_days
from callsheet.jobs.programs import BoundProcess, Shell
from callsheet.jobs.schedules import Daily, fires
from callsheet.messages.binding import FolderProblem
from callsheet.messages.post import BINDER, LEDGER, SCHEDULER
from callsheet.messages.wishes import ReloadJobs

DAY = 24 * HOUR
SEEDS = [1, 2, 3]


def a_calendar(world: SchedulerWorld, every_days: int, name: str = "mine") -> CalendarDays:
    """A calendar of every n-th day from today on, for a year."""
    start = datetime.fromtimestamp(world.now_us / SECOND, UTC).date()
    bits = sum(1 << n for n in range(0, 365, every_days))
    return pack_days(name, start.toordinal(), start.toordinal() + 365, bits)


def on_days(calendar: str = "mine") -> Daily:
    return Daily(tz="UTC", daytimes_s=(43_200.0,), calendar=calendar)


def a_world(seed: int = 1) -> SchedulerWorld:
    world = SchedulerWorld(
        a_job("named", on_days()), a_job("other", on_days("Mon-Fri")), a_job("often", every(60)),
        seed=seed,
    )  # fmt: skip
    world.calendars = [a_calendar(world, 3)]
    return world


def ids(world: SchedulerWorld, job_id: str) -> set[str]:
    return {run.run_id for run in world.runs if run.job_id == job_id}


def assert_planned(world: SchedulerWorld) -> None:
    """The next runs of the job are those of the calendar in force."""
    found = [at_us for at_us in world.nominal("named") if at_us > world.now_us]
    calendars = calendars_by_name(world.calendars)
    wanted = fires(on_days(), world.now_us + 1, world.now_us + 40 * DAY, calendars)
    assert found == [fire.at_us for fire in wanted][: len(found)]
    assert found


@pytest.mark.parametrize("seed", SEEDS)
def test_a_changed_calendar_plans_anew_just_what_names_it(seed: int) -> None:
    world = a_world(seed)
    world.wait_until(world.settled)
    assert_planned(world)
    assert world.reader.calendars() == world.calendars
    before = {job_id: ids(world, job_id) for job_id in ("named", "other", "often")}
    world.calendars = [a_calendar(world, 5), a_calendar(world, 2, "unused")]
    world.wish(ReloadJobs(), "c1")
    world.wait_until(world.settled)
    assert_planned(world)
    assert world.reader.calendars() == world.calendars
    assert not before["named"] & ids(world, "named")
    assert before["other"] <= ids(world, "other")
    assert before["often"] <= ids(world, "often")


def test_a_dry_run_with_another_calendar_changes_nothing() -> None:
    world = a_world()
    world.wait_until(world.settled)
    calendars, count = world.calendars, world.event_count()
    world.calendars = [a_calendar(world, 5)]
    world.wish(ReloadJobs(dry_run=True), "c1")
    assert world.reader.calendars() == calendars
    assert world.event_count() == count
    # What is planned anew for another reason goes by the calendars in force.
    world.scheduler.core._planner.misplaced.add("named")
    world.run_until(world.now_us + MINUTE)
    world.wait_until(world.settled)
    assert world.reader.calendars() == calendars


@pytest.mark.parametrize("seed", SEEDS)
def test_a_restart_with_the_same_calendars_writes_nothing(seed: int) -> None:
    world = a_world(seed)
    world.wait_until(world.settled)
    count = world.event_count()
    for address in (SCHEDULER, LEDGER, BINDER):
        world.kill(address, SECOND)
    world.run_until(world.now_us + 20 * SECOND)
    world.wait_until(world.settled)
    assert world.event_count() == count


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_with_a_broken_folder_the_stored_calendars_go_on(seed: int) -> None:
    world = a_world(seed)
    world.wait_until(world.settled)
    world.problems = [FolderProblem(path="c.cal", line=1, column=1, sentence="wrong")]
    for address in (SCHEDULER, LEDGER):
        world.kill(address, 8 * DAY)
    world.run_until(world.now_us + 8 * DAY + SECOND)
    world.wait_until(world.settled, 600)
    assert_planned(world)
    assert world.scheduler.core.health.startswith("jobs: c.cal:1:1: wrong")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [*SEEDS, 4, 5, 6])
def test_deaths_during_a_change_of_calendars_leave_exactly_the_last_ones(seed: int) -> None:
    world = SchedulerWorld(
        *[a_job(f"named {n}", on_days()) for n in range(700)], a_job("named", on_days()), seed=seed
    )
    world.calendars = [a_calendar(world, 3)]
    world.wait_until(world.settled, 600)
    for step in (5, 4, 7):
        world.calendars = [a_calendar(world, step)]
        for _ in range(3):
            address = (SCHEDULER, LEDGER)[world.random.randrange(2)]
            after_us = world.random.randrange(5 * SECOND)
            world.at(world.now_us + after_us, lambda a=address: world.kill(a, SECOND))
        world.wish(ReloadJobs(), f"c{step}")
        world.wait_until(world.settled, 600)
    assert world.reader.calendars() == world.calendars
    assert_planned(world)
    one = {run.schedule_us for run in world.runs if run.job_id == "named 5"}
    assert one == set(world.nominal("named"))


def test_templates_and_runs_are_bound_by_the_calendars_in_force() -> None:
    world = SchedulerWorld()
    command = Shell(command="{{ get_calendar('mine').shift(date, 1) }}")
    daily = Daily(tz="UTC", daytimes_s=(43_200.0,))
    job = a_job("next", daily, program=command, params=("date",))
    world.folder = {"next": job}
    for step in (3, 4):
        world.calendars = [a_calendar(world, step)]
        if step == 4:
            # The binder's process knows nothing: the calendars come with what is to be bound.
            world.wish(ReloadJobs(), "c1")
        world.wait_until(world.settled)
        run = min(
            (run for run in world.runs if run.schedule_us > world.now_us),
            key=lambda run: run.schedule_us,
        )
        assert isinstance(run.program, BoundProcess)
        start = date.fromordinal(world.calendars[0].start)
        at = date.fromisoformat(run.args["date"])
        ahead = (at - start).days // step * step + step
        assert run.program.argv[-1] == str(start + timedelta(days=ahead))


def test_a_schedule_whose_calendar_is_gone_is_told_of_and_stops_nothing_else() -> None:
    world = a_world()
    world.wait_until(world.settled)
    world.problems = [FolderProblem(path="c.cal", line=1, column=1, sentence="wrong")]
    world.ledger.driver.disk.tables.calendars = []
    for address in (SCHEDULER, LEDGER):
        world.kill(address, 5 * DAY)
    world.run_until(world.now_us + 5 * DAY + 30 * SECOND)
    world.wait_until(world.settled, 600)
    core = world.scheduler.core
    assert set(core._planner.stuck.values()) == {"no such calendar: mine"}
    core._reload.problems = []
    assert core.health == "job named: its schedule makes no runs: no such calendar: mine"
    assert max(world.nominal("often")) > world.now_us
    world.problems = []
    world.wish(ReloadJobs(), "c1")
    world.wait_until(world.settled)
    assert core.health == ""
    assert_planned(world)
