"""An agent of another host is believed about its own attempts only."""

from __future__ import annotations

import pytest
from ledger_driver import LedgerDriver
from runner_driver import START_US, RunnerDriver, a_run, starts

from callsheet.actors.outputs_seam import STORE
from callsheet.jobs.programs import BoundProcess
from callsheet.jobs.states import State
from callsheet.messages.agents import ForgetProcess, OutputChunk, ProcessEnded, ProcessStarted
from callsheet.messages.commands import AgentsInForce, ClaimKnown
from callsheet.messages.instructions import AskClaim, AttemptEnded, AttemptStarted
from callsheet.messages.post import LEDGER, RUNNER, Post
from callsheet.messages.registry import AgentRecord


def ended(run_id="r9", **fields):
    fields = {"status": 0, "at_us": START_US, "started_us": START_US} | fields
    return ProcessEnded(run_id=run_id, attempt=1, **fields)


def chunk(run_id="r9"):
    return OutputChunk(run_id=run_id, attempt=1, name="output", offset=0, data=b"false")


def question(run_id="r9"):
    return Post(LEDGER, AskClaim(run_id=run_id, attempt=1, agent_id="w1"))


@pytest.fixture
def driver():
    """A runner with `w1` of another host, in group far, and `x` of this one."""
    driver = RunnerDriver(gated=True)
    record = AgentRecord(agent_id="w1", public_key="k", group_id="far")
    driver.tell(LEDGER, AgentsInForce(epoch=1, seq=1, agents=[record]))
    driver.hello("w1")
    driver.hello("x")
    return driver


def w1(driver, message):
    return driver.from_agent(message, agent_id="w1")


def verdict(driver, word, run_id="r9"):
    known = ClaimKnown(run_id=run_id, attempt=1, agent_id="w1", verdict=word)
    return driver.tell(LEDGER, known)


def test_what_it_says_of_a_run_given_to_another_agent_changes_nothing(driver):
    assert starts(driver.start(a_run(version=101))) == [("agent/x", "r1")]
    started = ProcessStarted(run_id="r1", attempt=1, pid=5, at_us=START_US)
    for message in (started, chunk("r1"), ended("r1")):
        assert w1(driver, message) == []
    [post] = driver.from_agent(started)
    assert isinstance(post.message, AttemptStarted)
    assert post.message.agent_id == "x"


@pytest.mark.parametrize("message", [chunk(), ended()])
def test_what_it_says_of_an_unknown_run_is_first_asked_about(driver, message):
    assert w1(driver, message) == [question()]
    assert w1(driver, message) == []
    assert question() in driver.later(1.5)
    assert verdict(driver, "foreign") == []
    assert w1(driver, message) == []
    assert driver.later(30) == []


def test_a_guessed_run_starts_nevertheless_and_its_output_is_its_own(driver):
    w1(driver, chunk("r1"))
    verdict(driver, "foreign", "r1")
    assert starts(driver.start(a_run(version=101))) == [("agent/x", "r1")]
    [post] = driver.from_agent(chunk("r1"))
    assert post.to == STORE


def test_its_own_lost_run_is_settled_by_what_it_says(driver):
    w1(driver, ended())
    [post] = verdict(driver, "theirs")
    assert isinstance(post.message, AttemptEnded)
    assert (post.message.run_id, post.message.agent_id) == ("r9", "w1")


def test_its_own_run_whose_end_is_on_record_is_forgotten(driver):
    w1(driver, ended())
    forget = ForgetProcess(epoch=1, run_id="r9", attempt=1)
    assert verdict(driver, "over") == [Post("agent/w1", forget)]


def test_the_output_of_its_own_lost_run_is_taken(driver):
    w1(driver, chunk())
    assert [post.to for post in verdict(driver, "theirs")] == [STORE]


def test_a_path_it_names_is_never_read_on_this_host(driver):
    run = a_run(version=101, program=BoundProcess(argv=("x",), group_id="far"))
    assert starts(driver.start(run)) == [("agent/w1", "r1")]
    said = ended("r1", output_bytes={"output": 5}, spool_path="/etc/shadow")
    [post] = w1(driver, said)
    assert (post.to, post.message.spool_path) == (STORE, None)


def test_an_answer_that_nobody_waits_for_does_nothing(driver):
    assert verdict(driver, "theirs") == []


def test_it_cannot_claim_a_run_of_a_group_that_is_not_its_own():
    driver = RunnerDriver(a_run(), gated=True, start_timeout_us=60_000_000)
    record = AgentRecord(agent_id="w1", public_key="k", group_id="far")
    driver.tell(LEDGER, AgentsInForce(epoch=1, seq=1, agents=[record]))
    assert starts(driver.hello("w1", claims=["r1.1 running"])) == []
    assert w1(driver, ended("r1")) == []
    assert starts(driver.hello("x")) == [("agent/x", "r1")]


# --- the ledger -----------------------------------------------------------------------------------


@pytest.fixture
def ledger():
    return LedgerDriver()


def ask(ledger, run, agent_id="w1", attempt=1):
    message = AskClaim(run_id=run.run_id, attempt=attempt, agent_id=agent_id)
    [known] = ledger.tell(message, sender=RUNNER)
    return known.verdict


def end(ledger, run, state, agent_id="w1"):
    ledger.tell(
        AttemptEnded(
            run_id=run.run_id, attempt=1, at_us=ledger.now_us, state=state, agent_id=agent_id
        ),
        sender=RUNNER,
    )


def running(ledger):
    run = ledger.a_run(program=BoundProcess(argv=("x",)))
    started = AttemptStarted(run_id=run.run_id, attempt=1, at_us=ledger.now_us, agent_id="w1")
    ledger.tell(started, sender=RUNNER)
    return run


def test_an_attempt_is_the_agents_that_has_it_on_record(ledger):
    run = running(ledger)
    assert (ask(ledger, run), ask(ledger, run, "w2")) == ("theirs", "foreign")
    assert ask(ledger, run, attempt=2) == "foreign"
    end(ledger, run, State.LOST)
    assert (ask(ledger, run), ask(ledger, run, "w2")) == ("theirs", "foreign")
    end(ledger, run, State.SUCCESS)
    assert (ask(ledger, run), ask(ledger, run, "w2")) == ("over", "foreign")


def test_a_run_that_no_agent_has_is_nobodys(ledger):
    later = ledger.a_run(schedule_us=ledger.now_us + 1_000_000)
    starting = ledger.a_run(program=BoundProcess(argv=("x",)))
    assert (ask(ledger, later), ask(ledger, starting)) == ("foreign", "foreign")


def test_the_end_of_a_run_is_taken_from_no_other_agent(ledger):
    run = running(ledger)
    end(ledger, run, State.FAILURE, agent_id="w2")
    assert ledger.run(run.run_id).state is State.RUNNING
    end(ledger, run, State.LOST)
    end(ledger, run, State.SUCCESS, agent_id="w2")
    assert ledger.run(run.run_id).state is State.LOST
    end(ledger, run, State.SUCCESS)
    assert ledger.run(run.run_id).state is State.SUCCESS
