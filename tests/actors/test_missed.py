"""What the feed has lost is read from the store: by the waiter, which must not read everything."""

from __future__ import annotations

import pytest
from planning_world import PlanningWorld, a_runner
from waiter_world import on_success
from world import GOOD

from callsheet.actors.missed import MISSED_AT_MOST, read_missed
from callsheet.actors.waiter import Waiter
from callsheet.jobs.states import State
from callsheet.messages.hello import Welcome
from callsheet.messages.instructions import ClearRun
from callsheet.messages.post import LEDGER
from callsheet.messages.transitions import Beat
from callsheet.store.memory import MemoryReader
from callsheet.wire.feed import FeedFollower


class CountingReader(MemoryReader):
    """Counts how often all that is active was read."""

    count = 0

    def active(self, *states):
        self.count += 1
        return super().active(*states)


@pytest.fixture
def world():
    world = PlanningWorld(wire=GOOD)
    a_runner(world, 1_000_000)
    return world


def heads_of(waiter, world):
    """Tell the waiter where the feed's head is; return the ids of the runs it proposes then."""
    epoch, seq = world.reader.head()
    posts = waiter.receive("feed", Beat(epoch=epoch, seq=seq), world.now_us)
    posts += waiter.settle(world.now_us)
    return [post.message.run_id for post in posts if isinstance(post.message, ClearRun)]


def a_waiter(world):
    reader = CountingReader(world.ledger.driver.disk)
    waiter = Waiter(reader)
    waiter.begin(world.now_us)
    epoch, seq = reader.head()
    waiter.receive(LEDGER, Welcome(epoch=epoch, seq=seq), world.now_us)
    assert heads_of(waiter, world) == []
    return waiter, reader


def test_a_waiter_that_missed_a_success_reads_it_and_nothing_else(world):
    first, other = world.add_runs({"conds": (on_success("dep"),)}, {"conds": (on_success("nix"),)})
    waiter, reader = a_waiter(world)
    [dep] = world.add_runs({"job_id": "dep"})
    world.wait_until(lambda: world.states(dep) == [State.SUCCESS])
    assert heads_of(waiter, world) == [first]
    [late] = world.add_runs({"conds": (on_success("dep"),)})
    assert heads_of(waiter, world) == [late]
    assert reader.count == 1
    assert len(waiter) == 3
    assert world.states(first, other) == [State.WAITING, State.WAITING]


def test_a_waiter_that_missed_very_much_reads_everything(world):
    waiter, reader = a_waiter(world)
    world.add_runs(*({"conds": (on_success("dep"),)} for _ in range(MISSED_AT_MOST // 2)))
    heads_of(waiter, world)
    assert reader.count == 1
    world.add_runs(*({"conds": (on_success("dep"),)} for _ in range(MISSED_AT_MOST // 2 + 1)))
    heads_of(waiter, world)
    assert reader.count == 2
    assert len(waiter) == 2 * (MISSED_AT_MOST // 2) + 1


def test_what_was_missed_of_another_ledger_cannot_be_told(world):
    world.add_runs({})
    epoch, seq = world.reader.head()
    feed = FeedFollower()
    feed.stand(epoch, 0)
    missed = read_missed(world.reader, feed)
    assert missed is not None
    assert [event.seq for event in missed.events] == list(range(1, seq + 1))
    assert [run.run_id for run in missed.runs] == [run.run_id for run in world.runs]
    for stood in ((epoch - 1, 0), (epoch, seq + 1)):
        feed.stand(*stood)
        assert read_missed(world.reader, feed) is None
