"""How an agent ends with its processes, and what it does while no server is there: virtual time."""

from __future__ import annotations

import signal

import pytest
from noting_host import SPEC, NotingHost, a_start

from callsheet.agentd.abandoning import Policy
from callsheet.agentd.core import KEEP, AgentCore
from callsheet.agentd.host import Ended, Exit, Found, Key, Now, Started
from callsheet.messages.agents import (
    AgentHello,
    AgentWelcome,
    ForgetProcess,
    ListProcesses,
    ProcessEnded,
    ProcessList,
    ProcessRefused,
    ShutDown,
    StopProcess,
)
from callsheet.messages.post import RUNNER

SECOND = 1_000_000
DAY = 86_400 * SECOND
KEY = Key("r1", 1)


class KeepingHost(NotingHost):
    """Remembers what it is told to, as a spool does."""

    def __init__(self, *found: Found) -> None:
        super().__init__(*found)
        self.away_us = 0
        self.forgotten: list[Key] = []

    def remember_away(self, away_us: int) -> None:
        self.away_us = away_us

    def forget(self, key: Key) -> None:
        self.forgotten.append(key)

    def usages(self, pids: list[int]) -> dict[int, tuple[int, int]]:
        return {pid: (4096 * pid, 5) for pid in pids}


class Played:
    """An agent with one process, on a clock of its own."""

    def __init__(self, policy: Policy = KEEP, *, host: KeepingHost | None = None) -> None:
        self.now = Now(1_800_000_000 * SECOND, SECOND)
        spec, started_us = SPEC, self.now.wall_us
        found = Found(key=KEY, state="running", spec=spec, pid=7, started_us=started_us)
        self.host = host or KeepingHost(found)
        identity = AgentHello(agent_id="x", group_id="default", incarnation="x1", boot_id="b")
        self.core = AgentCore(
            identity, self.host, lambda _: SPEC, epoch=1, away_us=self.host.away_us, policy=policy
        )
        self.core.begin(self.now)
        self.core.settle(self.now)

    def come(self) -> None:
        """The server comes, and knows the agent."""
        self.core.meet(self.now)
        self.hear(AgentWelcome(epoch=1, server_id="s"))

    def hear(self, message):
        """Take a command; return what is said."""
        posts = self.core.receive(RUNNER, message, self.now)
        return [post.message for post in posts + self.core.settle(self.now)]

    def happens(self, fact):
        posts = self.core.happened(fact, self.now)
        return [post.message for post in posts + self.core.settle(self.now)]

    def later(self, passes_us: int) -> None:
        """Let time pass, waking when asked to; of a long time in no more than some thousand steps:
        outputs are looked at ten times a second."""
        until_us = self.now.monotonic_us + passes_us
        least_us = max(SECOND // 2, passes_us // 5_000)
        while self.now.monotonic_us < until_us:
            wakes_us = self.core.wakes_at() or until_us
            next_us = min(until_us, max(wakes_us, self.now.monotonic_us + least_us))
            self._move(next_us - self.now.monotonic_us)
            self.core.settle(self.now)

    def _move(self, by_us: int) -> None:
        self.now = Now(self.now.wall_us + by_us, self.now.monotonic_us + by_us)

    @property
    def is_closed(self) -> bool:
        return self.core.is_closed(self.now)


def the_end(played, status=-15):
    return played.happens(Ended(KEY, Exit(at_us=played.now.wall_us, status=status, pid=7)))


# --- told to end ----------------------------------------------------------------------------------


def test_told_to_leave_its_processes_it_ends_at_once():
    played = Played()
    played.come()
    played.hear(ShutDown(epoch=1))
    assert (played.is_closed, played.host.signals) == (True, [])
    assert not played.core.leaves_nothing


@pytest.mark.parametrize(("how", "number"), [("stop", signal.SIGTERM), ("kill", signal.SIGKILL)])
def test_told_to_end_them_it_stays_until_the_server_has_their_ends(how, number):
    played = Played()
    played.come()
    played.hear(ShutDown(epoch=1, **{how: True}))
    assert played.host.signals == [number]
    assert not played.is_closed
    assert [type(m) for m in the_end(played)] == [ProcessEnded]
    assert not played.is_closed
    played.hear(ForgetProcess(epoch=1, run_id="r1", attempt=1))
    assert (played.is_closed, played.core.leaves_nothing) == (True, True)


def test_who_does_not_stop_is_killed_after_the_grace():
    played = Played()
    played.come()
    played.hear(ShutDown(epoch=1, stop=True))
    played.later(59 * SECOND)
    assert played.host.signals == [signal.SIGTERM]
    played.later(2 * SECOND)
    assert played.host.signals == [signal.SIGTERM, signal.SIGKILL]


def test_a_stop_may_become_a_kill_and_never_the_other_way():
    played = Played()
    played.come()
    played.hear(ShutDown(epoch=1, stop=True))
    played.hear(ShutDown(epoch=1, kill=True))
    played.hear(ShutDown(epoch=1))
    assert played.host.signals == [signal.SIGTERM, signal.SIGKILL]
    assert not played.is_closed


def test_without_a_server_it_ends_with_its_processes_and_keeps_what_became_of_them():
    played = Played()
    played.core.shut_down("stop", played.now)
    assert (played.host.signals, played.is_closed) == ([signal.SIGTERM], False)
    the_end(played)
    assert (played.is_closed, played.host.forgotten) == (True, [])


def test_ends_that_nobody_takes_are_not_waited_for_for_ever():
    played = Played()
    played.come()
    played.hear(ShutDown(epoch=1, kill=True))
    the_end(played)
    played.later(31 * SECOND)
    assert (played.is_closed, played.host.forgotten) == (True, [])


def test_what_is_just_being_started_is_stopped_too():
    played = Played(host=KeepingHost())
    played.come()
    played.hear(a_start(not_after_us=played.now.wall_us))
    played.hear(ShutDown(epoch=1, stop=True))
    assert not played.is_closed
    played.happens(Started(KEY, 9, played.now.wall_us, played.now.monotonic_us))
    assert played.host.signals == [signal.SIGTERM]


def test_nothing_more_is_started_and_another_agent_may_have_it():
    played = Played()
    played.come()
    played.hear(ShutDown(epoch=1, stop=True))
    start = a_start(run_id="r2", not_after_us=played.now.wall_us)
    [refused] = [m for m in played.hear(start) if isinstance(m, ProcessRefused)]
    assert (refused.retry, refused.elsewhere) == (True, True)
    # Not even by a copy of the command.
    assert played.hear(start) == []
    assert played.host.starts == []


def test_a_stop_of_what_is_not_here_is_refused_for_good():
    played = Played(host=KeepingHost())
    played.come()
    [refused] = played.hear(StopProcess(epoch=1, run_id="r1", attempt=1))
    assert (refused.sentence, refused.retry) == ("stopped before it was started", False)
    assert played.hear(a_start(not_after_us=played.now.wall_us)) == []
    assert played.host.starts == []


# --- no server ------------------------------------------------------------------------------------


def test_processes_and_results_are_kept_for_ever_by_default():
    played = Played()
    played.later(400 * DAY)
    the_end(played)
    played.later(400 * DAY)
    assert (played.host.signals, played.host.forgotten) == ([], [])


def test_abandoned_processes_are_stopped_and_their_results_kept_until_a_server_has_them():
    played = Played(Policy(processes_us=7 * DAY))
    played.later(7 * DAY - 60 * SECOND)
    assert played.host.signals == []
    played.later(61 * SECOND)
    assert played.host.signals == [signal.SIGTERM]
    assert played.core.said == ["r1.1: stopped, since no server was there for 604800 s"]
    the_end(played)
    played.later(400 * DAY)
    assert played.host.forgotten == []
    played.come()
    assert [type(m) for m in played.hear(AgentWelcome(epoch=1, server_id="s"))] == [ProcessEnded]


def test_abandoned_results_are_removed_when_that_is_asked_for():
    played = Played(Policy(results_us=30 * DAY))
    the_end(played)
    played.later(30 * DAY + SECOND)
    assert played.host.forgotten == [KEY]
    assert played.host.signals == []


def test_a_server_that_comes_back_begins_the_time_anew():
    played = Played(Policy(processes_us=7 * DAY))
    played.later(6 * DAY)
    played.come()
    assert played.host.away_us == 0
    played.core.part()
    played.later(6 * DAY)
    assert played.host.signals == []
    played.later(DAY + SECOND)
    assert played.host.signals == [signal.SIGTERM]


def test_a_server_that_does_not_know_the_agent_is_none():
    played = Played(Policy(processes_us=DAY))
    played.core.meet(played.now)
    played.later(DAY + SECOND)
    assert played.host.signals == [signal.SIGTERM]


def test_the_time_goes_on_over_a_death_of_agentd_and_not_over_a_leap_of_the_clock():
    before = Played(Policy(processes_us=7 * DAY))
    before.later(4 * DAY)
    after = Played(Policy(processes_us=7 * DAY), host=before.host)
    after.now = Now(after.now.wall_us + 400 * DAY, after.now.monotonic_us)
    after.later(3 * DAY - 120 * SECOND)
    assert after.host.signals == []
    after.later(240 * SECOND)
    assert after.host.signals == [signal.SIGTERM]


# --- lists ----------------------------------------------------------------------------------------


def test_a_list_says_what_each_process_uses_and_which_job_it_is_of():
    played = Played()
    played.come()
    played.hear(StopProcess(epoch=1, run_id="r1", attempt=1))
    [answer] = played.hear(ListProcesses(epoch=1, request="q"))
    assert isinstance(answer, ProcessList)
    [info] = answer.processes
    assert (info.pid, info.rss_bytes, info.cpu_us, info.is_stopping) == (7, 28_672, 5, True)
