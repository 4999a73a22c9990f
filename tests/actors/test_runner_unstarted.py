"""A run that is to be stopped before anybody knows of its process, and agents gone for good."""

from __future__ import annotations

import pytest
from ledger_driver import LedgerDriver
from runner_driver import SECOND, START_US, RunnerDriver, a_run, starts

from callsheet.actors.outputs_seam import Placed
from callsheet.jobs.programs import BoundProcess
from callsheet.jobs.retry import Retry
from callsheet.jobs.states import State
from callsheet.messages.agents import (
    AgentBeat,
    ForgetProcess,
    ProcessEnded,
    ProcessRefused,
    ProcessStarted,
    StopProcess,
)
from callsheet.messages.commands import AgentsInForce, ClaimKnown, Recorded, ShutAgentDown, StartRun
from callsheet.messages.instructions import AskClaim, AttemptEnded, AttemptStarted
from callsheet.messages.post import LEDGER, RUNNER, Post
from callsheet.messages.registry import AgentRecord
from callsheet.messages.wishes import ForgetAgent, StopRun

STOP = Post("agent/x", StopProcess(epoch=1, run_id="r1", attempt=1, boot_id="b"))
AWAY = "lost: agent x is away, so whether it was started is not known"


@pytest.fixture
def driver():
    """A runner with one agent of this version, well after its start."""
    driver = RunnerDriver()
    driver.later(11)
    driver.hello(version=3)
    return driver


def stopped(**fields):
    """The run as the ledger sends it again when somebody has asked for its stop."""
    return a_run(version=102, stop_asked=True, **fields)


def ends(posts):
    return [
        (m.run_id, m.state, m.message, m.agent_id) for _, m in posts if isinstance(m, AttemptEnded)
    ]


def to_agents(posts):
    return [post for post in posts if post.to.startswith("agent/")]


# --- a stop of what has not started ---------------------------------------------------------------


def test_a_run_that_was_given_to_nobody_ends_at_once_and_is_never_started():
    driver = RunnerDriver(start_timeout_us=600 * SECOND)
    driver.later(11)
    assert driver.start(a_run(version=101)) == []
    said = ends(driver.start(stopped()))
    assert said == [("r1", State.ERROR, "stopped before it was started", None)]
    driver.recorded(state=State.ERROR, ended=True)
    assert starts(driver.hello(version=3) + driver.later(30)) == []


def test_the_agent_that_was_told_to_start_it_has_the_last_word(driver):
    driver.start(a_run(version=101))
    assert driver.start(stopped()) == [STOP]
    assert to_agents(driver.later(2)) == [STOP]
    refused = ProcessRefused(run_id="r1", attempt=1, sentence="stopped before it was started")
    assert ends(driver.from_agent(refused)) == [("r1", State.ERROR, refused.sentence, "x")]


def test_if_it_has_started_it_meanwhile_it_is_stopped(driver):
    driver.start(a_run(version=101))
    driver.start(stopped())
    started = ProcessStarted(run_id="r1", attempt=1, pid=5, at_us=START_US)
    posts = driver.from_agent(started)
    assert [type(post.message) for post in posts] == [AttemptStarted, StopProcess]


def test_an_agent_of_an_older_version_is_still_told_to_start_it():
    driver = RunnerDriver(agents=("x",))
    driver.start(a_run(version=101))
    assert starts(driver.start(stopped())) == [("agent/x", "r1")]
    assert starts(driver.later(2)) == [("agent/x", "r1")]


def test_of_an_agent_that_is_away_nobody_knows_and_the_run_is_lost(driver):
    driver.start(a_run(version=101))
    driver.later(25)
    posts = driver.start(stopped())
    assert ends(posts) == [], "the command may be on its way still"
    assert to_agents(posts) == [STOP], "which it finds behind that one, if it stands still"
    assert ends(driver.later(10)) == [("r1", State.LOST, AWAY, "x")]


def test_a_clock_that_is_set_back_does_not_put_off_what_is_to_be_given_up(driver):
    driver.start(a_run(version=101))
    driver.later(25)
    driver.start(stopped())
    driver.now_us -= 3600 * SECOND
    # A stage wakes its core by a clock that no one sets.
    driver.runner.settle(driver.now_us)
    said = [end for _ in range(100) for end in ends(driver.later(1))]
    assert said[0] == ("r1", State.LOST, AWAY, "x")


def test_what_was_told_by_a_clock_that_is_set_back_and_forth_may_begin_as_long_as_it_says(driver):
    driver.start(a_run(version=101))
    told_us = driver.now_us
    driver.now_us -= 30 * SECOND
    beat = AgentBeat(agent_id="x", live=0, at_us=driver.now_us)
    assert starts(driver.from_agent(beat)) == [("agent/x", "r1")]
    driver.later(25)
    driver.now_us = told_us + 10 * SECOND
    assert ends(driver.start(stopped())) == []
    driver.now_us = told_us + 25 * SECOND - 1
    assert ends(driver.later(0)) == [], "the first command may be carried out until then"
    assert ends(driver.later(1)) == [("r1", State.LOST, AWAY, "x")]


def test_a_new_runner_first_waits_for_who_may_have_it():
    driver = RunnerDriver(
        stopped(), placed={("r1", 1): Placed(run_id="r1", attempt=1, agent_id="x")}
    )
    assert ends(driver.later(20)) == []
    assert ends(driver.later(10))[0] == ("r1", State.LOST, AWAY, "x")


def test_a_new_runner_without_its_journal_finds_it_where_it_runs():
    driver = RunnerDriver(stopped())
    posts = driver.hello(version=3, claims=["r1.1 running"])
    assert STOP in posts


# --- an agent that comes back with it -------------------------------------------------------------


def test_a_lost_run_that_was_stopped_is_stopped_when_its_agent_comes_back_with_it(driver):
    driver.start(a_run(version=101))
    driver.later(60)
    driver.start(stopped())
    driver.recorded(state=State.LOST, ended=True)
    question = Post(LEDGER, AskClaim(run_id="r1", attempt=1, agent_id="x"))
    assert question in driver.hello(version=3, claims=["r1.1 running"])
    known = ClaimKnown(run_id="r1", attempt=1, agent_id="x", verdict="theirs", stop=True)
    stop = Post("agent/x", StopProcess(epoch=1, run_id="r1", attempt=1))
    assert driver.tell(LEDGER, known) == [stop]
    assert stop in driver.later(2)
    ended = ProcessEnded(run_id="r1", attempt=1, status=-15, at_us=1, started_us=START_US)
    assert [state for _, state, _, _ in ends(driver.from_agent(ended))] == [State.FAILURE]


def test_what_an_agent_may_still_say_of_a_run_that_was_given_up_is_not_forgotten(driver):
    driver.start(a_run(version=101))
    driver.later(60)
    driver.start(stopped())
    assert driver.recorded(state=State.LOST, ended=True) == []
    ended = ProcessEnded(run_id="r1", attempt=1, status=0, at_us=1, started_us=START_US)
    driver.hello(version=3, claims=["r1.1 done"])
    assert [end[1] for end in ends(driver.from_agent(ended))] == [State.SUCCESS]
    # A late copy of the first answer says nothing of the second report.
    assert driver.recorded(state=State.LOST, ended=True) == []
    [forget] = driver.recorded(state=State.SUCCESS, ended=True)
    assert isinstance(forget.message, ForgetProcess)


def test_a_stray_that_nobody_wanted_stopped_is_left_alone(driver):
    driver.hello(version=3, claims=["r9.1 unkept"])
    known = ClaimKnown(run_id="r9", attempt=1, agent_id="x", verdict="over")
    assert driver.tell(LEDGER, known) == []
    assert driver.later(5) == []


def test_strays_are_asked_about_until_the_ledger_answers(driver):
    question = Post(LEDGER, AskClaim(run_id="r9", attempt=1, agent_id="x"))
    assert question in driver.hello(version=3, claims=["r9.1 running", "r8.1 done"])
    assert question in driver.later(1.5)


# --- agents that end ------------------------------------------------------------------------------


def test_what_an_agent_that_ends_will_not_start_goes_to_another(driver):
    assert starts(driver.start(a_run(version=101))) == [("agent/x", "r1")]
    driver.hello("y", version=3)
    no = ProcessRefused(
        run_id="r1", attempt=1, sentence="the agent is shutting down", retry=True, elsewhere=True
    )
    assert starts(driver.from_agent(no)) == [("agent/y", "r1")]
    assert driver.from_agent(no) == []
    driver.later(3)
    assert starts(driver.start(a_run("r2", version=102))) == [("agent/y", "r2")]


def test_an_agent_that_was_told_to_end_gets_nothing_until_it_lives_anew(driver):
    driver.tell(LEDGER, ShutAgentDown(epoch=1, agent_id="x"))
    driver.hello("y", version=3)
    runs = [a_run(f"r{n}", version=100 + n) for n in range(1, 5)]
    assert {starts(driver.start(run))[0][0] for run in runs[:2]} == {"agent/y"}
    driver.hello(version=3, incarnation="x2")
    assert {starts(driver.start(run))[0][0] for run in runs[2:]} == {"agent/x"}


def test_an_agent_that_beats_though_it_was_told_to_end_is_told_again(driver):
    beat = AgentBeat(agent_id="x", live=0)
    told = driver.tell(LEDGER, ShutAgentDown(epoch=1, agent_id="x", kill=True))
    assert driver.from_agent(beat) == []
    driver.later(5)
    assert driver.from_agent(beat) == told
    assert driver.from_agent(beat) == []
    driver.hello(version=3, incarnation="x2")
    driver.later(5)
    assert driver.from_agent(beat) == []


# --- agents that are gone for good ----------------------------------------------------------------


def in_force(driver, *agents, seq=200):
    return driver.tell(LEDGER, AgentsInForce(epoch=1, seq=seq, agents=list(agents)))


def gone(agent_id="w1"):
    return AgentRecord(agent_id=agent_id, public_key="k", revoked_us=5, forgotten_us=5)


def test_what_a_forgotten_agent_had_is_lost_started_or_not():
    driver = RunnerDriver(gated=True)
    in_force(driver, AgentRecord(agent_id="w1", public_key="k", group_id="default"))
    driver.hello("w1", version=3)
    driver.start(a_run("r1", version=101))
    driver.start(a_run("r2", version=102))
    started = ProcessStarted(run_id="r1", attempt=1, pid=5, at_us=START_US)
    driver.from_agent(started, agent_id="w1")
    assert ends(in_force(driver, gone(), seq=201)) == [
        ("r1", State.LOST, "lost: agent w1 is gone for good, so how it ends is not known", "w1"),
        (
            "r2",
            State.LOST,
            "lost: agent w1 is gone for good, so whether it was started is not known",
            "w1",
        ),
    ]
    assert ends(in_force(driver, gone(), seq=202)) == []


def test_a_new_runner_frees_the_runs_of_who_can_never_come_back():
    running = a_run(state=State.RUNNING, agent_id="w1", times={"running": START_US})
    driver = RunnerDriver(running, gated=True)
    assert [end[:2] for end in ends(in_force(driver, gone()))] == [("r1", State.LOST)]
    other = RunnerDriver(welcomed=False, gated=True)
    in_force(other, gone())
    assert [end[:2] for end in ends(other.welcome(running))] == [("r1", State.LOST)]


def test_an_agent_without_a_key_that_came_back_keeps_its_runs_with_a_new_runner():
    running = a_run(state=State.RUNNING, agent_id="x", times={"running": START_US})
    driver = RunnerDriver(running)
    assert ends(in_force(driver, AgentRecord(agent_id="x", forgotten_us=5))) == []
    again = AgentRecord(agent_id="x", forgotten_us=9)
    assert [end[:2] for end in ends(in_force(driver, again, seq=201))] == [("r1", State.LOST)]


# --- the ledger's side ----------------------------------------------------------------------------


def a_starting(ledger, **fields):
    return ledger.a_run(program=BoundProcess(argv=("x",)), **fields)


def test_the_runner_hears_at_once_of_a_stop_while_a_run_starts():
    ledger = LedgerDriver()
    run = a_starting(ledger)
    ledger.wish(StopRun(run_id=run.run_id))
    [start] = [post.message for post in ledger.posts if post.to == RUNNER]
    assert isinstance(start, StartRun)
    assert start.run.stop_asked


def test_the_ledger_says_of_a_lost_run_that_it_was_to_be_stopped():
    ledger = LedgerDriver()
    run = a_starting(ledger)
    question = AskClaim(run_id=run.run_id, attempt=1, agent_id="x")
    ledger.wish(StopRun(run_id=run.run_id, kill=True))
    lost = AttemptEnded(
        run_id=run.run_id,
        attempt=1,
        at_us=ledger.now_us,
        state=State.LOST,
        message=AWAY,
        agent_id="x",
    )
    answers = ledger.tell(lost, sender=RUNNER)
    assert [type(answer) for answer in answers] == [Recorded]
    assert (ledger.run(run.run_id).state, ledger.run(run.run_id).message) == (State.LOST, AWAY)
    [known] = ledger.tell(question, sender=RUNNER)
    assert (known.verdict, known.stop, known.kill) == ("theirs", True, True)


def test_what_a_forgotten_agent_had_runs_again_where_its_job_says_so():
    ledger = LedgerDriver()
    run = a_starting(ledger, retry=Retry(attempts=3, on_lost="rerun"))
    lost = AttemptEnded(
        run_id=run.run_id, attempt=1, at_us=ledger.now_us, state=State.LOST, agent_id="w1"
    )
    ledger.tell(lost, sender=RUNNER)
    assert ledger.run(run.run_id).state is State.WAITING


def test_to_forget_an_agent_is_durable_and_never_lets_its_key_in():
    ledger = LedgerDriver()
    answer = ledger.wish(ForgetAgent(agent_id="x"))
    assert answer.result == {"agent_id": "x", "group_id": ""}
    [record] = ledger.writer.reader.agents()
    assert (record.forgotten_us, record.revoked_us) == (ledger.now_us, None)
    assert ledger.wish(ForgetAgent(agent_id="no such\nname")).reason == "bad_request"


def test_a_beat_of_an_agent_that_was_silent_brings_it_what_waits():
    driver = RunnerDriver(agents=("x",), start_timeout_us=600 * SECOND)
    driver.later(25)
    assert starts(driver.start(a_run(version=101))) == []
    assert starts(driver.from_agent(AgentBeat(agent_id="x", live=0))) == [("agent/x", "r1")]
