"""The folder is looked at when it has stirred, and every few minutes all the same."""

from __future__ import annotations

import pytest
from scheduler_world import MINUTE, SECOND, SchedulerWorld, a_job, every

from callsheet.actors.rescans import ANYWAY_US, PATIENCE_US, QUIET_US, Rescans
from callsheet.actors.scheduler import Scheduler, Stirred
from callsheet.messages.binding import FolderProblem
from callsheet.messages.post import SCHEDULER, WEB, Post
from callsheet.messages.standing import AskStanding, FolderStanding
from callsheet.messages.wishes import ReloadJobs

MISTAKE = FolderProblem(path="a.yaml", line=3, column=5, sentence="unexpected keys: x")


# --- when to look -------------------------------------------------------------------------------


def test_a_folder_that_is_not_watched_is_never_looked_at():
    rescans = Rescans("off")
    rescans.looks(0)
    rescans.stirred(1)
    assert rescans.wakes_at() is None
    assert not rescans.due(10**12)


def test_a_stirred_folder_is_looked_at_when_it_has_been_quiet_for_a_moment():
    rescans = Rescans("auto")
    rescans.looks(0)
    rescans.stirred(SECOND)
    rescans.stirred(SECOND + QUIET_US // 2)
    assert not rescans.due(SECOND + QUIET_US)
    assert rescans.due(SECOND + QUIET_US + QUIET_US // 2)


def test_a_folder_that_never_comes_to_rest_is_looked_at_all_the_same():
    rescans = Rescans("auto")
    rescans.looks(0)
    for n in range(100):
        rescans.stirred(SECOND + n * QUIET_US // 2)
    assert rescans.wakes_at() == SECOND + PATIENCE_US


def test_a_quiet_folder_is_looked_at_every_few_minutes():
    rescans = Rescans("notify")
    rescans.looks(SECOND)
    assert rescans.wakes_at() == SECOND + ANYWAY_US


def test_a_clock_set_back_does_not_stop_the_looking():
    rescans = Rescans("notify")
    rescans.looks(10**12)
    assert rescans.due(5)


# --- what the scheduler does then ---------------------------------------------------------------

# A load of the folder is asked for again each ten seconds, and may be lost each time.
ASKS = 120


class WatchedWorld(SchedulerWorld):
    """A scheduler that watches its folder, and a web that asks it how the folder stands."""

    def __init__(self, watch, *jobs, seed=1):
        super().__init__(*jobs, seed=seed)
        self.scheduler.make = lambda now_us: Scheduler(
            self.reader, "/jobs", watch=watch, began_us=now_us
        )
        self.standings = []
        step = self.web.step
        self.web.step = lambda batch: self.hear(batch) or step(batch)

    def hear(self, batch):
        self.standings += [m for _, m in batch if isinstance(m, FolderStanding)]

    def stir(self):
        """A thread of the scheduler's process tells it."""
        self.send(SCHEDULER, self.scheduler.step([("local", Stirred())]))

    def ask(self):
        """Ask until there is an answer."""
        self.until_told(lambda standing: True)

    def until_told(self, holds):
        """Ask each second, as the web does, until it is said how the folder stands."""
        for _ in range(ASKS):
            self.send(WEB, [Post(SCHEDULER, AskStanding())])
            self.run_until(self.now_us + SECOND)
            if self.standings and holds(self.standings[-1]):
                return
        raise AssertionError(f"in {ASKS} s only {self.standings[-1:]} was said")


def a_world(watch, *jobs, seed=1):
    world = WatchedWorld(watch, *jobs, seed=seed)
    world.kill(SCHEDULER, SECOND)  # so that it is made with its watch
    world.run_until(world.now_us + 2 * SECOND)
    world.wait_until(world.settled)
    return world


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_watched_automatically_a_changed_folder_comes_into_force_by_itself(seed):
    world = a_world("auto", a_job("a", every(60)), seed=seed)
    world.folder["b"] = a_job("b", every(60))
    world.stir()
    world.wait_until(lambda: "b" in world.reader.jobs(), 10)
    world.wait_until(world.settled)
    assert any(run.job_id == "b" for run in world.runs)


def test_watched_with_notice_a_changed_folder_is_reported_and_not_loaded():
    world = a_world("notify", a_job("a", every(60)))
    world.ask()
    assert world.standings[-1].different == 0
    world.folder["b"] = a_job("b", every(60))
    events = world.event_count()
    world.stir()
    world.until_told(lambda standing: standing.different)
    found = world.standings[-1]
    assert (found.watch, found.added, found.changed, found.removed) == ("notify", ["b"], [], [])
    assert world.event_count() == events
    world.wish(ReloadJobs(), "w1")
    world.until_told(lambda standing: standing.different == 0)
    assert "b" in world.reader.jobs()


@pytest.mark.parametrize("watch", ["notify", "auto"])
def test_a_broken_folder_keeps_the_last_good_set_and_says_what_is_wrong(watch):
    world = a_world(watch, a_job("a", every(60)))
    world.ask()
    world.problems = [MISTAKE] * 150
    world.folder["b"] = a_job("b")
    world.stir()
    world.until_told(lambda standing: standing.problems)
    assert world.standings[-1].problem_count == 150
    assert world.standings[-1].problems == [MISTAKE] * 100
    assert set(world.reader.jobs()) == {"a"}
    world.problems = []
    world.stir()
    world.until_told(lambda standing: not standing.problems)
    assert ("b" in world.reader.jobs()) is (watch == "auto")


def test_what_nobody_saw_stir_is_found_within_minutes():
    world = a_world("auto", a_job("a", every(60)))
    world.folder["b"] = a_job("b")
    world.run_until(world.now_us + ANYWAY_US + MINUTE)
    assert "b" in world.reader.jobs()


def test_a_folder_that_is_not_watched_stays_as_it_was_loaded():
    world = a_world("off", a_job("a", every(60)))
    world.folder["b"] = a_job("b")
    world.stir()
    world.run_until(world.now_us + 2 * ANYWAY_US)
    assert set(world.reader.jobs()) == {"a"}


def test_a_dry_run_shows_in_how_the_folder_stands_though_it_is_not_watched():
    world = a_world("off", a_job("a", every(60)))
    world.ask()
    world.folder["b"] = a_job("b")
    world.wish(ReloadJobs(dry_run=True), "w1")
    world.until_told(lambda standing: standing.different == 1)
