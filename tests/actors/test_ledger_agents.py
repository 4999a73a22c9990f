"""The registry of agents: tokens for once, ids for good, revocations that do not get lost."""

from __future__ import annotations

import pytest
from ledger_driver import SECOND, LedgerDriver

from callsheet.jobs.programs import BoundProcess
from callsheet.jobs.states import State
from callsheet.messages.commands import (
    AgentsInForce,
    KillOnAgent,
    SessionOver,
    ShutAgentDown,
    StopAttempt,
)
from callsheet.messages.hello import Hello
from callsheet.messages.instructions import AgentsTaken, AttemptStarted
from callsheet.messages.post import RUNNER
from callsheet.messages.registry import AgentRecord, secret_hash
from callsheet.messages.transitions import AgentNoted
from callsheet.messages.wishes import (
    Done,
    DrainAgent,
    EnrolAgent,
    KillProcess,
    MakeAgentToken,
    Refused,
    RevokeAgent,
    ShutDownAgent,
)

HOUR = 3600 * SECOND


@pytest.fixture
def ledger():
    return LedgerDriver()


def a_token(ledger, token_id="t1", group_id="", **fields):
    fields = {"expires_us": ledger.now_us + HOUR} | fields
    hashed = secret_hash(f"secret of {token_id}")
    wish = MakeAgentToken(token_id=token_id, secret_hash=hashed, group_id=group_id, **fields)
    return ledger.wish(wish)


def enrol(ledger, agent_id="w1", token_id="t1", key="key1", group_id="", command_id=None):
    wish = EnrolAgent(
        secret_hash=secret_hash(f"secret of {token_id}"),
        agent_id=agent_id,
        public_key=key,
        group_id=group_id,
    )
    return ledger.wish(wish, command_id, access=None)


def told(ledger):
    """Return what the runner was told of the registry by the last batch."""
    return next((p.message for p in ledger.posts if isinstance(p.message, AgentsInForce)), None)


def refusal(answer):
    assert isinstance(answer, Refused)
    return answer.sentence


def test_a_token_lets_one_agent_in_and_the_runner_knows_before_anybody_is_told(ledger):
    assert isinstance(a_token(ledger, group_id="far"), Done)
    answer = enrol(ledger)
    assert answer.result == {"agent_id": "w1", "group_id": "far"}
    kinds = [type(post.message).__name__ for post in ledger.posts if post.to != "feed"]
    assert kinds == ["AgentsInForce", "Done"]
    record = AgentRecord(
        agent_id="w1", public_key="key1", group_id="far", token_id="t1", since_us=ledger.now_us
    )
    assert told(ledger).agents == [record]
    assert ledger.writer.reader.agents() == [record]
    events = ledger.writer.reader.events_after(0, 10)
    assert [(type(e), e.agent_id, e.cause, e.message) for e in events] == [
        (AgentNoted, "", "ann", "token t1 lets one agent in into group far"),
        (AgentNoted, "w1", "agent/w1", "enrolled into group far by token t1 of ann"),
    ]


def test_a_token_without_a_group_leaves_it_to_the_agent(ledger):
    a_token(ledger, "t1")
    a_token(ledger, "t2")
    a_token(ledger, "t3", group_id="far")
    assert enrol(ledger, "w1", "t1", "k1").result["group_id"] == "default"
    assert enrol(ledger, "w2", "t2", "k2", group_id="near").result["group_id"] == "near"
    assert enrol(ledger, "w3", "t3", "k3", group_id="near").result["group_id"] == "far"


def test_a_token_is_used_once_but_its_agent_may_ask_again(ledger):
    a_token(ledger)
    enrol(ledger)
    assert "has let agent w1 in already" in refusal(enrol(ledger, "w2", key="key2"))
    assert "has let agent w1 in already" in refusal(enrol(ledger, "w1", key="key2"))
    ledger.now_us += 2 * HOUR
    assert enrol(ledger, command_id="again").result == {"agent_id": "w1", "group_id": "default"}
    assert len(ledger.writer.reader.agents()) == 1


def test_an_expired_or_unknown_token_lets_nobody_in(ledger):
    a_token(ledger)
    ledger.now_us += HOUR
    assert "has expired" in refusal(enrol(ledger))
    assert "not known" in refusal(enrol(ledger, token_id="t9"))
    assert ledger.writer.reader.agents() == []


def test_an_id_is_never_given_to_another_key_not_even_after_its_revocation(ledger):
    a_token(ledger, "t1")
    a_token(ledger, "t2")
    enrol(ledger)
    assert "expected an id nobody has had" in refusal(enrol(ledger, "w1", "t2", "key2"))
    ledger.wish(RevokeAgent(agent_id="w1"))
    assert "expected an id nobody has had" in refusal(enrol(ledger, "w1", "t2", "key2"))
    assert "the key is that of agent w1" in refusal(enrol(ledger, "w2", "t2", "key1"))
    assert isinstance(enrol(ledger, "w2", "t2", "key2"), Done)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "x" * 201, "..\n"])
def test_names_that_could_be_taken_for_something_else_are_refused(ledger, name):
    a_token(ledger)
    assert "expected 1 to 200 letters" in refusal(enrol(ledger, agent_id=name))
    if name:
        assert "expected 1 to 200 letters" in refusal(a_token(ledger, "t2", group_id=name))
        assert "expected 1 to 200 letters" in refusal(enrol(ledger, group_id=name))
    assert "expected 1 to 200" in refusal(ledger.wish(DrainAgent(agent_id=name, draining=True)))


def test_a_revocation_is_told_until_the_runner_goes_by_it(ledger):
    a_token(ledger)
    enrol(ledger)
    ledger.tell(Hello(role=RUNNER), sender=RUNNER)
    here = (ledger.ledger.epoch, 1)
    ledger.tell(AgentsTaken(seq=told(ledger).seq, session=here), sender=RUNNER)
    assert ledger.ledger.wakes_at() is None
    ledger.wish(RevokeAgent(agent_id="w1"))
    first = told(ledger)
    assert first.agents[0].revoked_us == ledger.now_us
    ledger.later(2)
    assert told(ledger).agents == first.agents
    ledger.tell(AgentsTaken(seq=first.seq - 1, session=here), sender=RUNNER)
    ledger.later(2)
    assert told(ledger) is not None
    again = AgentsTaken(seq=told(ledger).seq, session=(here[0], 0))
    assert ledger.tell(again, sender=RUNNER) == [SessionOver(session=again.session)]
    ledger.later(2)
    ledger.tell(AgentsTaken(seq=told(ledger).seq, session=here), sender=RUNNER)
    ledger.later(60)
    assert told(ledger) is None


def test_a_new_runner_and_a_new_ledger_have_the_registry(ledger):
    a_token(ledger)
    enrol(ledger)
    ledger.wish(RevokeAgent(agent_id="w1"))
    ledger.restart()
    ledger.tell(Hello(role=RUNNER), sender=RUNNER)
    assert [(a.agent_id, a.admitted) for a in told(ledger).agents] == [("w1", False)]
    assert [token.agent_id for token in told(ledger).tokens] == ["w1"]


def test_only_an_agent_with_a_key_can_be_revoked_and_twice_is_once(ledger):
    assert ledger.wish(RevokeAgent(agent_id="local")).reason == "not_found"
    ledger.wish(DrainAgent(agent_id="local", draining=True))
    assert ledger.wish(RevokeAgent(agent_id="local")).reason == "not_found"
    a_token(ledger)
    enrol(ledger)
    ledger.wish(RevokeAgent(agent_id="w1"))
    seq = ledger.ledger.seq
    assert isinstance(ledger.wish(RevokeAgent(agent_id="w1")), Done)
    assert ledger.ledger.seq == seq


def test_draining_is_durable_also_for_an_agent_without_a_key(ledger):
    ledger.wish(DrainAgent(agent_id="local", draining=True))
    ledger.restart()
    assert ledger.writer.reader.agents()[0].draining
    ledger.wish(DrainAgent(agent_id="local", draining=False))
    assert not ledger.writer.reader.agents()[0].draining
    lines = [event.message for event in ledger.writer.reader.events_after(0, 10)]
    assert lines == ["gets no new runs", "gets runs again"]


def test_tokens_are_bounded_in_number_and_forgotten_in_time(ledger, monkeypatch):
    monkeypatch.setattr("callsheet.actors.ledger_agents.TOKENS_AT_MOST", 2)
    a_token(ledger, "t1")
    a_token(ledger, "t2")
    assert "2 tokens are open" in refusal(a_token(ledger, "t3"))
    ledger.now_us += HOUR
    assert isinstance(a_token(ledger, "t3"), Done)
    ledger.now_us += 32 * 24 * HOUR
    a_token(ledger, "t4")
    assert [token.token_id for token in ledger.writer.reader.agent_tokens()] == ["t4"]
    assert "would have expired" in refusal(a_token(ledger, "t5", expires_us=ledger.now_us))


# --- processes ------------------------------------------------------------------------------------


def running(ledger, agent_id="w1"):
    run = ledger.a_run(program=BoundProcess(argv=("x",)))
    started = AttemptStarted(run_id=run.run_id, attempt=1, at_us=ledger.now_us, agent_id=agent_id)
    ledger.tell(started, sender=RUNNER)
    return run


def to_runner(ledger):
    return [post.message for post in ledger.posts if post.to == RUNNER]


def test_to_kill_the_process_of_a_run_is_to_stop_the_run(ledger):
    run = running(ledger)
    answer = ledger.wish(KillProcess(agent_id="w1", run_id=run.run_id, attempt=1))
    assert [(one.run_id, one.state) for one in answer.runs] == [(run.run_id, State.STOPPING)]
    stop = StopAttempt(epoch=ledger.ledger.epoch, run_id=run.run_id, attempt=1, kill=True)
    assert to_runner(ledger) == [stop]
    ledger.wish(KillProcess(agent_id="w1", run_id=run.run_id, attempt=1))
    assert to_runner(ledger) == [stop]


@pytest.mark.parametrize(("agent_id", "attempt"), [("w2", 1), ("w1", 2)])
def test_another_process_of_that_name_is_killed_and_the_run_goes_on(ledger, agent_id, attempt):
    run = running(ledger)
    answer = ledger.wish(KillProcess(agent_id=agent_id, run_id=run.run_id, attempt=attempt))
    assert answer.runs == []
    kill = KillOnAgent(
        epoch=ledger.ledger.epoch, agent_id=agent_id, run_id=run.run_id, attempt=attempt
    )
    assert to_runner(ledger) == [kill]
    assert ledger.run(run.run_id).state is State.RUNNING


def test_a_process_of_no_run_at_all_can_be_killed(ledger):
    answer = ledger.wish(KillProcess(agent_id="w1", run_id="r99", attempt=1))
    assert isinstance(answer, Done)
    assert [type(message) for message in to_runner(ledger)] == [KillOnAgent]
    [event] = ledger.writer.reader.events_after(0, 9)
    assert (event.agent_id, event.cause, event.message) == ("w1", "ann", "process r99.1 is killed")


@pytest.mark.parametrize("kill", [True, False])
def test_a_shut_down_is_told_once_and_is_in_the_log(ledger, kill):
    wish = ShutDownAgent(agent_id="w1", kill=kill)
    ledger.wish(wish, "c")
    command = ShutAgentDown(epoch=ledger.ledger.epoch, agent_id="w1", kill=kill)
    assert to_runner(ledger) == [command]
    ledger.wish(wish, "c")
    assert to_runner(ledger) == []
    assert [event.agent_id for event in ledger.writer.reader.events_after(0, 9)] == ["w1"]
