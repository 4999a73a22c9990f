"""The agent's core over the deaths of agentds and keepers: what was to be done is done."""

from __future__ import annotations

from noting_host import NOW, SPEC, NotingHost, a_start

from callsheet.agentd.core import AgentCore
from callsheet.agentd.host import Found, Key, Started
from callsheet.messages.agents import AgentHello, StopProcess
from callsheet.messages.post import RUNNER

KEY = Key("r1", 1)


def a_core(host: NotingHost) -> AgentCore:
    identity = AgentHello(agent_id="x", group_id="default", incarnation="x2", boot_id="b")
    core = AgentCore(identity, host, lambda _: SPEC, epoch=1)
    core.begin(NOW)
    core.meet(NOW)
    return core


def a_claim(*acts: str) -> Found:
    """A claim whose process runs."""
    return Found(key=KEY, state="running", spec=SPEC, pid=7, started_us=1, acts=acts)


def test_a_start_meant_for_an_earlier_life_is_answered_by_who_is_here_now() -> None:
    host = NotingHost()
    [post] = a_core(host).receive(RUNNER, a_start(incarnation="x1"), NOW)
    assert (post.message.incarnation, host.starts) == ("x2", [])


def test_a_start_whose_stop_has_come_with_it_never_begins() -> None:
    host = NotingHost()
    core = a_core(host)
    assert core.receive(RUNNER, a_start(), NOW) == []
    [post] = core.receive(RUNNER, StopProcess(epoch=1, run_id="r1", attempt=1), NOW)
    core.settle(NOW)
    core.receive(RUNNER, a_start(), NOW)
    core.settle(NOW)
    assert (post.message.sentence, host.starts) == ("stopped before it was started", [])


def test_it_does_not_say_of_what_came_before_a_reboot_that_it_never_began() -> None:
    core = a_core(NotingHost())
    stop = StopProcess(epoch=1, run_id="r1", attempt=1, boot_id="b0")
    [post] = core.receive(RUNNER, stop, NOW)
    assert (type(post.message), post.message.boot_id) == (AgentHello, "b")


def test_what_it_has_of_before_a_reboot_is_stopped_and_what_is_of_this_boot_is_refused() -> None:
    host = NotingHost(a_claim())
    core = a_core(host)
    core.receive(RUNNER, StopProcess(epoch=1, run_id="r1", attempt=1, boot_id="b0"), NOW)
    assert host.signals == [15]
    [post] = core.receive(RUNNER, StopProcess(epoch=1, run_id="r2", attempt=1, boot_id="b"), NOW)
    assert (post.message.run_id, post.message.retry) == ("r2", False)


def test_a_start_is_carried_out_once_in_its_turn() -> None:
    host = NotingHost()
    core = a_core(host)
    for _ in range(2):
        core.receive(RUNNER, a_start(), NOW)
        core.settle(NOW)
    assert host.starts == [KEY]


def test_a_stop_that_an_agentd_noted_and_perhaps_did_not_do_is_done_by_the_next() -> None:
    host = NotingHost(a_claim("stop 5 SIGTERM"))
    a_core(host)
    assert host.signals == [15]


def test_of_several_ends_that_were_noted_the_strongest_is_done() -> None:
    host = NotingHost(a_claim("timeout 4 SIGTERM", "stop 5 SIGTERM", "kill 6 SIGKILL"))
    a_core(host)
    assert host.signals == [9]


def test_a_process_that_nothing_was_to_end_is_left_alone() -> None:
    host = NotingHost(a_claim("signal 5 10 c1"))
    a_core(host)
    assert host.signals == []


def test_a_stop_that_was_with_a_keeper_that_died_is_done_again() -> None:
    host = NotingHost(a_claim())
    core = a_core(host)
    core.receive(RUNNER, StopProcess(epoch=1, run_id="r1", attempt=1), NOW)
    core.happened(Started(KEY, 7, 1, 1), NOW)
    assert host.signals == [15, 15]


def test_a_kill_that_is_asked_again_is_done_again_and_a_stop_is_not() -> None:
    host = NotingHost(a_claim())
    core = a_core(host)
    for kill in (False, False, True, True):
        core.receive(RUNNER, StopProcess(epoch=1, run_id="r1", attempt=1, kill=kill), NOW)
    assert host.signals == [15, 9, 9]
