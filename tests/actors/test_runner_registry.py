"""Who comes in from other hosts: the runner's side of keys, tokens and revocations."""

from __future__ import annotations

from runner_driver import START_US, RunnerDriver, a_run, starts

from callsheet.messages.agents import AgentBeat, AskAgents, ProcessStarted, ShutDown, StopProcess
from callsheet.messages.commands import AgentsInForce, KillOnAgent, ShutAgentDown
from callsheet.messages.hello import Refuse
from callsheet.messages.instructions import AgentsTaken, AttemptEnded, AttemptUpdated
from callsheet.messages.post import GATE, LEDGER, Post
from callsheet.messages.registry import (
    AdmitKeys,
    AgentRecord,
    AgentToken,
    Enrol,
    EnrolDone,
    secret_hash,
)
from callsheet.messages.wishes import Done, EnrolAgent, LedgerWish, Refused

NEW = "enrol/the-key"
TOKEN = AgentToken(token_id="t", secret_hash=secret_hash("s"), expires_us=1)


def a_record(agent_id="w1", **fields):
    return AgentRecord(
        agent_id=agent_id, **({"public_key": f"k-{agent_id}", "group_id": "far"} | fields)
    )


def in_force(driver, *agents, seq=200, tokens=()):
    message = AgentsInForce(epoch=1, seq=seq, agents=list(agents), tokens=list(tokens))
    return driver.tell(LEDGER, message)


def infos(driver):
    [post] = driver.tell("web/0", AskAgents(request="q"))
    return {agent.agent_id: agent for agent in post.message.agents}


def test_the_gate_lets_in_the_keys_that_are_not_revoked():
    driver = RunnerDriver(gated=True)
    posts = in_force(
        driver, a_record("w1"), a_record("w2", revoked_us=5), AgentRecord(agent_id="local")
    )
    assert posts == [
        Post(LEDGER, AgentsTaken(seq=200, session=(1, 0))),
        Post(GATE, AdmitKeys(agents={"k-w1": "w1"})),
    ]


def test_without_agents_of_other_hosts_there_is_no_gate_to_tell():
    assert in_force(RunnerDriver(), a_record()) == [
        Post(LEDGER, AgentsTaken(seq=200, session=(1, 0)))
    ]


def test_an_older_registry_changes_nothing():
    driver = RunnerDriver(gated=True)
    in_force(driver, a_record(revoked_us=5), seq=200)
    assert in_force(driver, a_record(), seq=150) == [
        Post(LEDGER, AgentsTaken(seq=150, session=(1, 0)))
    ]
    assert infos(driver)["w1"].state == "revoked"


def test_a_new_agent_is_brought_to_the_ledger_until_it_answers():
    driver = RunnerDriver(gated=True)
    in_force(driver, tokens=[TOKEN])
    message = Enrol(secret="s", agent_id="w1", group_id="far")
    [post] = driver.tell(NEW, message)
    wish = EnrolAgent(
        secret_hash=secret_hash("s"), agent_id="w1", public_key="the-key", group_id="far"
    )
    assert isinstance(post.message, LedgerWish)
    assert (post.to, post.message.principal, post.message.instruction) == (LEDGER, NEW, wish)
    assert driver.tell(NEW, message) == []
    assert driver.later(1.5) == [post]
    command_id = post.message.command_id
    result = {"agent_id": "w1", "group_id": "far"}
    done = Done(command_id=command_id, seq=1, result=result)
    assert driver.tell(LEDGER, done) == [Post(NEW, EnrolDone(agent_id="w1", group_id="far"))]
    assert driver.later(5) == []
    # The answer may have been lost: the same question is the same wish.
    assert driver.tell(NEW, message)[0].message.command_id == command_id


def test_a_refusal_of_the_ledger_reaches_the_agent():
    driver = RunnerDriver(gated=True)
    in_force(driver, tokens=[TOKEN])
    [post] = driver.tell(NEW, Enrol(secret="s", agent_id="w1"))
    refused = Refused(command_id=post.message.command_id, reason="forbidden", sentence="no")
    assert driver.tell(LEDGER, refused) == [Post(NEW, Refuse(sentence="no"))]
    assert driver.tell(LEDGER, refused) == []


def test_a_guessed_secret_never_reaches_the_ledger():
    driver = RunnerDriver(gated=True)
    in_force(driver, tokens=[TOKEN])
    assert driver.tell(NEW, Enrol(secret="guess", agent_id="w1")) == []
    [post] = driver.later(3)
    assert post.to == NEW
    assert "the token is not known here" in post.message.sentence
    assert driver.later(30) == []


def test_a_token_that_its_agent_shows_before_the_runner_knows_it_lets_it_in():
    driver = RunnerDriver(gated=True)
    assert driver.tell(NEW, Enrol(secret="s", agent_id="w1")) == []
    asked = [post.message for post in in_force(driver, tokens=[TOKEN]) if post.to == LEDGER]
    assert [type(message) for message in asked] == [AgentsTaken, LedgerWish]


def test_nobody_enrols_as_the_agent_of_this_host_nor_from_another_door():
    driver = RunnerDriver(gated=True, agents=("local",))
    in_force(driver, tokens=[TOKEN])
    [post] = driver.tell(NEW, Enrol(secret="s", agent_id="local"))
    assert "there is an agent local already" in post.message.sentence
    assert driver.tell("agent/w1", Enrol(secret="s", agent_id="w1")) == []


def test_the_group_of_an_agent_with_a_key_is_what_its_enrolment_says():
    driver = RunnerDriver(gated=True)
    in_force(driver, a_record(group_id="far"))
    driver.hello("w1", group_id="default")
    assert infos(driver)["w1"].group_id == "far"
    assert starts(driver.start(a_run(version=101))) == []


def test_a_revoked_agent_gets_nothing_and_its_runs_are_unreachable_but_not_over():
    driver = RunnerDriver(gated=True)
    in_force(driver, a_record(group_id="default"))
    driver.hello("w1")
    assert starts(driver.start(a_run(version=101))) == [("agent/w1", "r1")]
    driver.from_agent(ProcessStarted(run_id="r1", attempt=1, pid=5, at_us=START_US), agent_id="w1")
    posts = in_force(driver, a_record(group_id="default", revoked_us=5), seq=201)
    flag = AttemptUpdated(run_id="r1", attempt=1, unreachable=True, session=(1, 0))
    assert Post(LEDGER, flag) in posts
    assert infos(driver)["w1"].state == "revoked"
    assert starts(driver.start(a_run("r2", version=102))) == []
    # What was on its way when it was revoked is not listened to either.
    assert driver.from_agent(AgentBeat(agent_id="w1", live=1), agent_id="w1") == []
    assert driver.hello("w1") == []


def test_an_agent_that_drains_gets_no_new_runs_and_keeps_those_it_has():
    driver = RunnerDriver(agents=("x",))
    driver.start(a_run(version=101))
    in_force(driver, AgentRecord(agent_id="x", draining=True))
    assert infos(driver)["x"].state == "draining"
    assert starts(driver.start(a_run("r2", version=102))) == []
    given = in_force(driver, AgentRecord(agent_id="x"), seq=201)
    assert starts(given) == [("agent/x", "r2")]


def test_a_run_that_finds_only_agents_that_drain_says_so():
    driver = RunnerDriver(agents=("a", "x"))
    driver.hello("w1")
    driver.hello("y", group_id="other")
    records = [AgentRecord(agent_id=name, draining=True) for name in ("x", "a", "y")]
    in_force(driver, *records, a_record("w1", revoked_us=5))
    driver.later(8)
    for name in ("a", "x", "w1"):
        driver.from_agent(AgentBeat(agent_id=name, live=0), agent_id=name)
    driver.later(3)
    [said] = [m.message for _, m in driver.start(a_run(version=101)) if isinstance(m, AttemptEnded)]
    none = "start failed: r1: no connected agent in group: default that gets runs"
    assert said == f"{none}; drained or about to end: a, x"


def test_agents_that_were_let_in_and_never_came_are_listed_as_away():
    driver = RunnerDriver(gated=True)
    in_force(driver, a_record("w1"), a_record("w2", revoked_us=5), AgentRecord(agent_id="x"))
    assert {name: info.state for name, info in infos(driver).items()} == {
        "w1": "away",
        "w2": "revoked",
    }


def test_an_agent_is_told_to_end_if_it_knows_the_word():
    driver = RunnerDriver(agents=("old",))
    driver.hello("new", version=2)

    def told(agent_id, epoch=1):
        return driver.tell(LEDGER, ShutAgentDown(epoch=epoch, agent_id=agent_id, kill=True))

    assert told("new") == [Post("agent/new", ShutDown(epoch=1, kill=True))]
    assert (told("old"), told("nobody"), told("new", epoch=2)) == ([], [], [])
    # To an older agent a stop of all would mean to leave them as they are.
    driver.hello("newer", version=3)
    stops = {name: ShutAgentDown(epoch=1, agent_id=name, stop=True) for name in ("new", "newer")}
    assert driver.tell(LEDGER, stops["new"]) == []
    assert driver.tell(LEDGER, stops["newer"]) == [
        Post("agent/newer", ShutDown(epoch=1, stop=True))
    ]


def test_a_process_that_belongs_to_no_run_is_killed_on_its_agent():
    driver = RunnerDriver(agents=("x",))
    message = KillOnAgent(epoch=1, agent_id="x", run_id="r9", attempt=2)
    kill = StopProcess(epoch=1, run_id="r9", attempt=2, kill=True)
    assert driver.tell(LEDGER, message) == [Post("agent/x", kill)]
