"""The runner's core between ledger, agents and askers: welcome, fencing, inventories, listings."""

from __future__ import annotations

import msgspec
import pytest
from runner_driver import SECOND, SLEEP, START_US, RunnerDriver, a_hello, a_noop, a_run, starts

from callsheet.actors.outputs_seam import PLACEMENTS, KeepPlaced, Placed
from callsheet.actors.runner import RefusedByLedger
from callsheet.jobs.states import State
from callsheet.messages.agents import (
    AgentBeat,
    AgentInfo,
    AgentsAnswer,
    AgentWelcome,
    AskAgents,
    AskHello,
    Fenced,
    ForgetProcess,
    ListProcesses,
    OutputChunk,
    ProcessInfo,
    ProcessList,
    ProcessStarted,
    StartProcess,
    StopProcess,
)
from callsheet.messages.codec import KEYED_AGENT_READER
from callsheet.messages.commands import SignalAttempt, StopAttempt
from callsheet.messages.hello import Hello, Refuse, RunnerWelcome
from callsheet.messages.instructions import AskClaim, AttemptEnded, AttemptUpdated
from callsheet.messages.post import LEDGER, Post
from callsheet.messages.transitions import Beat

AGENT = "agent/x"
HELLO = Post(LEDGER, Hello(role="runner/0", incarnation="one"))
WELCOME = AgentWelcome(epoch=1, server_id="here")


def part(number, *runs, last=False, seq=100, epoch=1):
    return RunnerWelcome(
        epoch=epoch, seq=seq, part=number, last=last, runs=list(runs), incarnation="one"
    )


# --- the welcome ----------------------------------------------------------------------------------


def test_hello_is_said_until_the_ledger_answers():
    driver = RunnerDriver(welcomed=False)
    assert driver.begun == [HELLO]
    assert driver.later(2.5) == [HELLO, HELLO]
    driver.welcome()
    assert driver.later(5) == []


def test_nothing_is_begun_before_the_welcome_is_whole():
    driver = RunnerDriver(welcomed=False, agents=("x",))
    assert driver.tell(LEDGER, part(2, a_run("r3"), last=True)) == []
    assert driver.tell(LEDGER, part(0, a_run("r1"))) == []
    assert driver.tell(LEDGER, part(0, a_run("r1"))) == []
    assert starts(driver.tell(LEDGER, part(1, a_run("r2")))) == [
        (AGENT, "r1"), (AGENT, "r2"), (AGENT, "r3"),
    ]  # fmt: skip


def test_parts_of_two_welcomes_are_not_mixed():
    driver = RunnerDriver(welcomed=False, agents=("x",))
    driver.tell(LEDGER, part(0, a_run("r1")))
    driver.tell(LEDGER, part(0, a_run("r2"), seq=101))
    assert driver.tell(LEDGER, part(1, a_run("r1"), last=True)) == []
    assert starts(driver.tell(LEDGER, part(1, last=True, seq=101))) == [(AGENT, "r2")]


def test_a_welcome_that_comes_twice_begins_nothing_anew():
    driver = RunnerDriver(a_run(), agents=("x",))
    assert driver.welcome(a_run(), a_run("r2")) == []


def test_a_welcome_of_an_older_ledger_is_not_taken():
    driver = RunnerDriver()
    driver.tell("feed", Beat(epoch=3, seq=5))
    driver.welcome(epoch=3)
    driver.tell("feed", Beat(epoch=4, seq=5))
    assert driver.welcome(a_run(), epoch=2) == []


def test_a_new_ledger_on_the_feed_is_greeted_once():
    driver = RunnerDriver()
    assert driver.tell("feed", Beat(epoch=1, seq=999)) == []
    assert driver.tell("feed", Beat(epoch=2, seq=1)) == [HELLO]
    assert driver.tell("feed", Beat(epoch=2, seq=2)) == []


def test_agents_hear_of_a_new_ledger_and_keep_what_they_have():
    driver = RunnerDriver(a_run(), agents=("x",))
    driver.tell("feed", Beat(epoch=2, seq=1))
    assert driver.welcome(a_run(), epoch=2) == [
        Post(
            PLACEMENTS,
            KeepPlaced(placed=[Placed(run_id="r1", attempt=1, agent_id="x", boot_id="b")]),
        ),
        Post(
            AGENT,
            StartProcess(
                epoch=2,
                run_id="r1",
                attempt=1,
                program=SLEEP,
                not_after_us=START_US + 20 * SECOND,
                job_id="a",
                incarnation="x1",
            ),
        ),
        Post(AGENT, AgentWelcome(epoch=2, server_id="here")),
    ]


def test_what_the_ledger_does_not_name_any_more_is_not_started():
    driver = RunnerDriver(a_run())
    driver.tell("feed", Beat(epoch=2, seq=1))
    driver.welcome(epoch=2)
    assert driver.hello() == [Post(AGENT, AgentWelcome(epoch=2, server_id="here"))]
    assert starts(driver.later(5)) == []


def test_a_refusal_by_the_ledger_ends_the_runner_with_its_sentence():
    driver = RunnerDriver(welcomed=False)
    with pytest.raises(RefusedByLedger, match="speaks version 2"):
        driver.tell(LEDGER, Refuse(sentence="speaks version 2"))


# --- fencing --------------------------------------------------------------------------------------


def test_commands_of_another_epoch_are_not_carried_out():
    driver = RunnerDriver(a_run(state=State.RUNNING, agent_id="x"), agents=("x",))
    for epoch in (0, 2):
        assert driver.start(a_run("r2", version=101), epoch=epoch) == []
        for message in (
            StopAttempt(epoch=epoch, run_id="r1", attempt=1),
            SignalAttempt(epoch=epoch, run_id="r1", attempt=1, signal=15, command_id="c"),
        ):
            assert driver.tell(LEDGER, message) == []


def test_a_late_copy_of_a_command_from_before_the_welcome_starts_nothing():
    driver = RunnerDriver(agents=("x",))
    assert driver.start(a_run(version=100)) == []
    assert driver.start(a_noop(version=99)) == []
    assert starts(driver.start(a_run(version=101))) == [(AGENT, "r1")]


def test_an_agent_that_knows_a_newer_ledger_makes_the_runner_ask():
    driver = RunnerDriver(agents=("x",))
    assert driver.from_agent(Fenced(epoch=1)) == []
    assert driver.from_agent(Fenced(epoch=2)) == [HELLO]
    assert driver.from_agent(Fenced(epoch=2)) == []


# --- meeting agents -------------------------------------------------------------------------------


def test_an_agent_is_welcomed():
    driver = RunnerDriver()
    assert driver.hello() == [Post(AGENT, WELCOME)]


def test_an_agent_waits_for_its_welcome_until_the_ledger_is_there():
    driver = RunnerDriver(welcomed=False)
    assert driver.hello() == []
    assert driver.welcome() == [
        Post(PLACEMENTS, KeepPlaced(placed=[])),
        Post(AGENT, WELCOME),
    ]


@pytest.mark.parametrize("version", [1, 2])
def test_an_agent_one_version_behind_is_spoken_with(version):
    driver = RunnerDriver()
    [post] = driver.hello(version=version)
    assert isinstance(post.message, AgentWelcome)


def test_an_agent_that_says_no_version_speaks_the_first():
    # What an older agentd leaves out, since it was its default, must not be read as ours.
    body = {"kind": "AgentHello", "agent_id": "x", "group_id": "g", "incarnation": "i"}
    frame = msgspec.msgpack.encode([body | {"boot_id": "b"}])
    [hello] = KEYED_AGENT_READER.unpack(frame)
    assert (hello.version, hello.slots, hello.labels) == (1, 0, [])


def test_an_agent_of_another_version_is_refused_with_what_was_expected():
    driver = RunnerDriver()
    sentence = "agent x: speaks protocol version 9: expected 1 to 4"
    assert driver.hello(version=9) == [Post(AGENT, Refuse(sentence=sentence))]


def test_an_agent_that_says_it_is_another_is_not_heard():
    driver = RunnerDriver()
    assert driver.tell("agent/y", a_hello("x")) == []


def test_an_agent_that_has_not_introduced_itself_is_asked_to():
    driver = RunnerDriver()
    beat = AgentBeat(agent_id="x", live=0)
    assert driver.from_agent(beat) == [Post(AGENT, AskHello(epoch=1, request="who are you"))]


def test_before_the_welcome_nobody_is_asked_and_nothing_is_taken():
    driver = RunnerDriver(welcomed=False)
    assert driver.from_agent(AgentBeat(agent_id="x", live=0)) == []
    driver.hello()
    chunk = OutputChunk(run_id="r1", attempt=1, name="output", offset=0, data=b"x")
    assert driver.from_agent(chunk) == []


def test_only_agents_report_processes():
    driver = RunnerDriver(a_run(), agents=("x",))
    started = ProcessStarted(run_id="r1", attempt=1, pid=7, at_us=START_US)
    assert driver.tell("web/0", started) == []


@pytest.mark.parametrize(("run_id", "attempt"), [("../r1", 1), ("", 1), ("r01", 1), ("r1", 0)])
def test_what_cannot_be_the_id_of_a_run_names_no_file(run_id, attempt):
    driver = RunnerDriver(agents=("x",))
    chunk = OutputChunk(run_id=run_id, attempt=attempt, name="output", offset=0, data=b"x")
    assert driver.from_agent(chunk) == []


# --- inventories ----------------------------------------------------------------------------------


def test_a_claim_that_nobody_wants_and_never_started_is_forgotten():
    driver = RunnerDriver()
    assert driver.hello(claims=["r8.1 not_started", "r9.1 running", "r10.1 done"]) == [
        Post(AGENT, WELCOME),
        Post(AGENT, ForgetProcess(epoch=1, run_id="r8", attempt=1)),
        Post(LEDGER, AskClaim(run_id="r9", attempt=1, agent_id="x")),
    ]


def test_a_process_its_agent_does_not_list_is_doubted_once_and_then_lost():
    driver = RunnerDriver(a_run(state=State.RUNNING, agent_id="x", times={"running": START_US}))
    ask = Post(AGENT, AskHello(epoch=1, request="doubt one 1"))
    assert driver.hello() == [Post(AGENT, WELCOME), ask]
    lost = AttemptEnded(
        run_id="r1",
        attempt=1,
        at_us=START_US,
        state=State.LOST,
        message="lost: agent x has no record of the process",
        started_us=START_US,
        agent_id="x",
        session=(1, 0),
    )
    assert driver.hello(answers="doubt one 1") == [Post(AGENT, WELCOME), Post(LEDGER, lost)]


def test_a_doubt_is_not_settled_by_a_hello_that_was_said_before_it():
    driver = RunnerDriver(a_run(state=State.RUNNING, agent_id="x"))
    ask = Post(AGENT, AskHello(epoch=1, request="doubt one 1"))
    assert driver.hello() == [Post(AGENT, WELCOME), ask]
    assert driver.hello() == [Post(AGENT, WELCOME), ask]


def test_a_doubt_is_asked_again_with_each_beat_until_it_is_answered():
    driver = RunnerDriver(a_run(state=State.RUNNING, agent_id="x"))
    driver.hello()
    ask = Post(AGENT, AskHello(epoch=1, request="doubt one 1"))
    assert driver.from_agent(AgentBeat(agent_id="x", live=0)) == [ask]
    [_, ended] = driver.hello(answers="doubt one 1")
    assert ended.message.state is State.LOST
    assert driver.from_agent(AgentBeat(agent_id="x", live=0)) == []


def test_a_doubt_is_gone_when_the_agent_lists_the_process():
    driver = RunnerDriver(a_run(state=State.RUNNING, agent_id="x"))
    driver.hello()
    assert driver.hello(answers="doubt one 1", claims=["r1.1 running"]) == [Post(AGENT, WELCOME)]


def test_a_start_that_is_under_way_is_no_doubt_but_asked_again():
    driver = RunnerDriver(a_run(), agents=("x",))
    assert starts(driver.hello(incarnation="x2")) == [(AGENT, "r1")]


def test_an_attempt_an_agent_has_goes_to_it_though_the_journal_is_lost():
    driver = RunnerDriver(a_run(), start_timeout_us=60 * SECOND)
    driver.hello("y", group_id="other")
    posts = driver.hello("x", group_id="third", claims=["r1.1 running"])
    assert Post(PLACEMENTS, Placed(run_id="r1", attempt=1, agent_id="x", boot_id="b")) in posts
    assert starts(posts) == [(AGENT, "r1")]


def test_a_running_process_of_unknown_agent_belongs_to_who_lists_it():
    driver = RunnerDriver(a_run(state=State.RUNNING))
    driver.tell(LEDGER, StopAttempt(epoch=1, run_id="r1", attempt=1))
    assert driver.hello(claims=["r1.1 running"]) == [Post(AGENT, WELCOME)]
    stop = StopAttempt(epoch=1, run_id="r1", attempt=1)
    command = StopProcess(epoch=1, run_id="r1", attempt=1)
    assert driver.tell(LEDGER, stop) == [Post(AGENT, command)]


# --- silence --------------------------------------------------------------------------------------


def test_silence_flags_the_runs_of_an_agent_and_its_voice_clears_them():
    run = a_run(state=State.RUNNING, agent_id="x", times={"running": START_US})
    driver = RunnerDriver(run, a_run("r2", state=State.RUNNING, agent_id="y"))
    driver.hello(claims=["r1.1 running"])
    said = []
    for _ in range(6):
        said += driver.later(2)
        driver.tell("agent/y", a_hello("y", claims=["r2.1 running"]))
    assert said == [
        Post(LEDGER, AttemptUpdated(run_id="r1", attempt=1, unreachable=True, session=(1, 0)))
    ]
    posts = driver.from_agent(AgentBeat(agent_id="x", live=1))
    assert [(m.run_id, m.at_us) for to, m in posts if to == LEDGER] == [("r1", START_US)]
    driver.recorded()
    assert driver.from_agent(AgentBeat(agent_id="x", live=1)) == []


def test_agents_that_beat_are_not_looked_at_besides():
    driver = RunnerDriver()
    driver.hello()
    driver.later(2)
    for _ in range(5):
        driver.from_agent(AgentBeat(agent_id="x", live=0))
        assert driver.runner.wakes_at() > driver.now_us + 2 * SECOND
        driver.now_us += 2 * SECOND


def test_who_falls_silent_beside_one_that_beats_is_found_within_the_second():
    driver = RunnerDriver(a_run(state=State.RUNNING, agent_id="x", times={"running": START_US}))
    driver.hello(claims=["r1.1 running"])
    driver.tell("agent/y", a_hello("y"))
    said = []
    for _ in range(22):
        said += driver.later(0.5)
        driver.tell("agent/y", AgentBeat(agent_id="y", live=0))
    assert said == [
        Post(LEDGER, AttemptUpdated(run_id="r1", attempt=1, unreachable=True, session=(1, 0)))
    ]


def test_nothing_is_flagged_when_this_process_itself_stood_still():
    driver = RunnerDriver(a_run(state=State.RUNNING, agent_id="x"))
    driver.hello(claims=["r1.1 running"])
    driver.later(1)
    driver.now_us += 3_600 * SECOND
    assert driver.runner.settle(driver.now_us) == []
    assert driver.later(5) == []


def test_nothing_is_flagged_when_the_clock_is_set_back():
    driver = RunnerDriver(a_run(state=State.RUNNING, agent_id="x"))
    driver.hello(claims=["r1.1 running"])
    driver.later(1)
    driver.now_us -= 3_600 * SECOND
    assert driver.runner.settle(driver.now_us) == []
    assert driver.later(8) == []


@pytest.mark.parametrize("by_s", [-3_600, 3_600])
def test_an_agent_that_is_heard_first_by_a_clock_that_was_set_is_as_silent_as_it_is(by_s):
    driver = RunnerDriver(a_run(state=State.RUNNING, agent_id="x"))
    driver.hello(claims=["r1.1 running"])
    driver.later(1)
    driver.now_us += by_s * SECOND
    assert driver.from_agent(AgentBeat(agent_id="x", live=1)) == []
    assert driver.later(9) == []
    assert driver.later(3) == [
        Post(LEDGER, AttemptUpdated(run_id="r1", attempt=1, unreachable=True, session=(1, 0)))
    ]


def test_a_flag_the_last_ledger_did_not_record_is_told_to_the_next():
    run = a_run(state=State.RUNNING, agent_id="x")
    driver = RunnerDriver(run)
    driver.hello(claims=["r1.1 running"])
    flags = [
        Post(LEDGER, AttemptUpdated(run_id="r1", attempt=1, unreachable=True, session=(epoch, 0)))
        for epoch in (1, 2)
    ]
    assert driver.later(12) == flags[:1]
    driver.tell("feed", Beat(epoch=2, seq=1))
    assert flags[1] in driver.welcome(run, epoch=2)


# --- askers ---------------------------------------------------------------------------------------


def test_agents_are_listed_as_they_are_known():
    driver = RunnerDriver(agents=("x",))
    driver.hello("y", group_id="g", hostname="h", pid=5)
    [post] = driver.tell("web/0", AskAgents(request="q"))
    assert post == Post(
        "web/0",
        AgentsAnswer(
            request="q",
            agents=[
                AgentInfo(
                    agent_id="x", group_id="default", connected=True, first_seen_us=START_US,
                    last_seen_us=START_US, received=1, connected_us=START_US,
                ),
                AgentInfo(
                    agent_id="y", group_id="g", connected=True, first_seen_us=START_US,
                    last_seen_us=START_US, received=1, hostname="h", pid=5, connected_us=START_US,
                ),
            ],
        ),
    )  # fmt: skip


def test_processes_are_listed_when_every_agent_has_answered():
    driver = RunnerDriver(agents=("x", "y"))
    ask = ListProcesses(epoch=1, request="web/0 q")
    assert driver.tell("web/0", AskAgents(request="q", processes=True)) == [
        Post("agent/x", ask), Post("agent/y", ask),
    ]  # fmt: skip
    listed = [ProcessInfo(run_id="r1", attempt=1, state="running", pid=7)]
    assert driver.from_agent(ProcessList(request="web/0 q", processes=listed)) == []
    [post] = driver.from_agent(ProcessList(request="web/0 q", processes=[]), agent_id="y")
    assert (post.to, post.message.request) == ("web/0", "q")
    assert post.message.processes == {"x": listed, "y": []}


def test_an_asker_is_answered_though_an_agent_is_not():
    driver = RunnerDriver(agents=("x", "y"))
    driver.tell("web/0", AskAgents(request="q", processes=True))
    driver.from_agent(ProcessList(request="web/0 q", processes=[]))
    [post] = driver.later(1.5)
    assert post.message.processes == {"x": []}
    late = ProcessList(request="web/0 q", processes=[])
    assert driver.from_agent(late, agent_id="y") == []


def test_without_agents_an_asker_is_answered_at_once():
    driver = RunnerDriver()
    answer = AgentsAnswer(request="q", agents=[])
    ask = AskAgents(request="q", processes=True)
    assert driver.tell("checker/0", ask) == [Post("checker/0", answer)]
