"""Agents and servers one version apart understand each other, whichever of them is the older."""

from __future__ import annotations

import agents_v2 as v2
import msgspec
import pytest
from noting_host import SPEC, NotingHost
from runner_driver import START_US, RunnerDriver, a_run

from callsheet.agentd.core import AgentCore
from callsheet.agentd.host import Ended, Exit, Key, Noted, Now, Started
from callsheet.jobs.programs import BoundProcess, Launch
from callsheet.jobs.states import State
from callsheet.messages.agents import AGENT_VERSIONS, AgentHello, AskAgents, ProcessNoted
from callsheet.messages.codec import KEYED_AGENT_READER, TO_AGENT_READER, pack
from callsheet.messages.commands import ShutAgentDown, SignalAttempt, StopAttempt
from callsheet.messages.hello import Refuse
from callsheet.messages.instructions import AttemptEnded, AttemptStarted
from callsheet.messages.post import LEDGER, RUNNER

AGENT = "agent/old"
encode = msgspec.msgpack.Encoder().encode


# --- an older agent, this server ------------------------------------------------------------------


class OldAgent:
    """A runner of today, and a peer that reads and writes version 2 alone."""

    def __init__(self) -> None:
        self.driver = RunnerDriver()
        self.driver.later(11)

    def say(self, *messages):
        """Say something in version 2; return what the runner says to others, and to this agent."""
        read = KEYED_AGENT_READER.unpack(encode(list(messages)))
        return self.sort(self.driver.tell(AGENT, *read))

    def sort(self, posts):
        ours = [message for to, message in posts if to == AGENT]
        told = [one for frame in pack(ours) for one in v2.TO_AGENT.decode(frame)]
        assert len(told) == len(ours)
        return [message for to, message in posts if to != AGENT], told


HELLO = v2.AgentHello(
    agent_id="old", group_id="default", incarnation="o1", boot_id="b", version=2, slots=4
)


def test_an_older_agent_is_welcomed_and_runs_a_process_to_its_end():
    old = OldAgent()
    _, [welcome] = old.say(HELLO)
    assert isinstance(welcome, v2.AgentWelcome)
    program = BoundProcess(argv=("echo", "hi"), env={"A": "b"}, grace_us=None)
    _, [start] = old.sort(old.driver.start(a_run(version=101, program=program)))
    assert (start.program.argv, start.program.env) == (("echo", "hi"), {"A": "b"})
    assert start.incarnation == "o1"
    reports, _ = old.say(v2.ProcessStarted(run_id="r1", attempt=1, pid=5, at_us=START_US))
    assert isinstance(reports[0], AttemptStarted)
    reports, _ = old.say(
        v2.ProcessEnded(run_id="r1", attempt=1, status=0, at_us=START_US, started_us=START_US)
    )
    assert [(type(m), m.state) for m in reports] == [(AttemptEnded, State.SUCCESS)]
    _, [forget] = old.sort(old.driver.recorded(state=State.SUCCESS, ended=True))
    assert isinstance(forget, v2.ForgetProcess)


def test_an_older_agent_reads_every_command_that_is_meant_for_it():
    old = OldAgent()
    old.say(HELLO)
    old.driver.start(a_run(version=101))
    old.say(v2.ProcessStarted(run_id="r1", attempt=1, pid=5, at_us=START_US))
    stop = StopAttempt(epoch=1, run_id="r1", attempt=1)
    kick = SignalAttempt(epoch=1, run_id="r1", attempt=1, signal=10, command_id="c")
    for sender, message, kind in (
        (LEDGER, stop, v2.StopProcess),
        (LEDGER, kick, v2.SignalProcess),
        ("web/0", AskAgents(request="q", processes=True), v2.ListProcesses),
        (LEDGER, ShutAgentDown(epoch=1, agent_id="old", kill=True), v2.ShutDown),
    ):
        _, told = old.sort(old.driver.tell(sender, message))
        assert kind in map(type, told)


@pytest.mark.parametrize(
    ("version", "launch", "knows_no"),
    [(2, Launch(stdin="hello"), "stdin"), (3, Launch(stdin="x", secrets={"T": "s"}), "secrets")],
)
def test_what_an_older_agent_would_leave_out_without_a_word_is_an_error(version, launch, knows_no):
    old = OldAgent()
    old.say(msgspec.structs.replace(HELLO, version=version))
    program = BoundProcess(argv=("x",), launch=launch)
    reports, told = old.sort(old.driver.start(a_run(version=101, program=program)))
    assert told == []
    expected = f"agent old speaks protocol version {version}, which knows no {knows_no}"
    assert expected in reports[-1].message


# --- an older server, this agent ------------------------------------------------------------------


class OldServer:
    """An agent of today, and a server that reads and writes version 2 alone."""

    def __init__(self, *, versions=v2.VERSIONS) -> None:
        self.now = Now(START_US, 1_000_000)
        self.versions = versions
        self.heard = []
        identity = AgentHello(
            agent_id="new",
            group_id="default",
            incarnation="n1",
            boot_id="b",
            version=AGENT_VERSIONS[-1],
            labels=["big"],
        )
        self.core = AgentCore(identity, NotingHost(), lambda _: SPEC)
        self.core.begin(self.now)
        self.hear(self.core.meet(self.now))

    def hear(self, posts):
        """Read what the agent says, and answer as a server of that version does."""
        said = [
            one for frame in pack(p.message for p in posts) for one in v2.FROM_AGENT.decode(frame)
        ]
        assert len(said) == len(posts)
        self.heard += said
        for message in said:
            if isinstance(message, v2.AgentHello):
                if message.version not in self.versions:
                    self.tell(v2.Refuse(sentence="expected 1 to 2"))
                else:
                    self.tell(v2.AgentWelcome(epoch=1, server_id="s"))

    def tell(self, message):
        for read in TO_AGENT_READER.unpack(encode([message])):
            if isinstance(read, Refuse):
                self.core.refused()
            else:
                said = self.core.receive(RUNNER, read, self.now)
                self.hear(said + self.core.settle(self.now))

    def later(self, seconds):
        for _ in range(seconds):
            self.now = Now(self.now.wall_us + 1_000_000, self.now.monotonic_us + 1_000_000)
            self.hear(self.core.settle(self.now))

    def versions_said(self):
        return [m.version for m in self.heard if isinstance(m, v2.AgentHello)]


def test_an_agent_speaks_the_version_of_an_older_server():
    old = OldServer()
    assert not old.core.has_server
    old.later(3)
    assert (old.core.has_server, old.versions_said()) == (True, [4, 3, 2])
    old.later(20)
    assert old.versions_said() == [4, 3, 2]


def test_it_runs_a_process_for_an_older_server_and_says_nothing_that_it_does_not_know():
    old = OldServer()
    old.later(3)
    program = v2.BoundProcess(argv=("sleep", "600"))
    command = v2.StartProcess(
        epoch=1, run_id="r1", attempt=1, program=program, not_after_us=START_US + 10**9
    )
    old.tell(command)
    key = Key("r1", 1)
    assert old.core._host.starts == [key]
    for fact in (
        Started(key, 7, START_US, 1_000_000),
        Noted(key, "a remark"),
        Ended(key, Exit(at_us=START_US, pid=7)),
    ):
        old.hear(old.core.happened(fact, old.now))
    kinds = [type(message).__name__ for message in old.heard]
    assert "ProcessStarted" in kinds
    assert kinds[-1] == "ProcessEnded"
    assert ProcessNoted.__name__ not in kinds
    for message in (
        v2.ListProcesses(epoch=1, request="q"),
        v2.StopProcess(epoch=1, run_id="r9", attempt=1),
        v2.ForgetProcess(epoch=1, run_id="r1", attempt=1),
        v2.AskHello(epoch=2, request="who are you"),
        v2.ShutDown(epoch=2),
    ):
        old.tell(message)
    assert old.core.is_closed(old.now)


def test_after_an_upgrade_of_the_server_it_speaks_its_own_version_again():
    old = OldServer()
    old.later(3)
    old.core.part()
    old.versions = AGENT_VERSIONS
    old.hear(old.core.meet(old.now))
    assert (old.core.has_server, old.versions_said()[-1]) == (True, AGENT_VERSIONS[-1])


def test_a_server_that_takes_no_version_is_asked_with_each_in_turn():
    old = OldServer(versions=())
    old.later(7)
    assert old.versions_said() == [4, 3, 2, 1] * 2


@pytest.mark.parametrize("late", [1, 2])
def test_refusals_that_come_late_do_not_make_it_older_than_need_be(late):
    old = OldServer()
    for _ in range(late):
        old.core.refused()
    assert old.core.spoken == AGENT_VERSIONS[-2]
