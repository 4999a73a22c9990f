"""The API about agents: tokens, and what people decide."""

from __future__ import annotations

import re

import pytest
from web_stand import WebStand

from callsheet.messages.agents import AgentInfo, ProcessInfo
from callsheet.messages.registry import secret_hash

KEY = "k" * 43


def an_agent(agent_id="w1", **fields):
    fields = {
        "group_id": "far",
        "connected": True,
        "first_seen_us": 1,
        "last_seen_us": 2,
        "version": 3,
    } | fields
    return AgentInfo(agent_id=agent_id, **fields)


@pytest.fixture
def stand(tmp_path):
    path = tmp_path / "server.pub"
    path.write_text(KEY + "\n")
    stand = WebStand(tmp_path, server_key=str(path))
    yield stand
    stand.close()


def ask(stand, path, body=None, **kwargs):
    return stand.ask("POST", f"/api/v2/agents/{path}", {} if body is None else body, **kwargs)


def test_a_token_names_the_server_and_only_its_hash_is_kept(stand):
    status, made = ask(stand, "tokens", {"group": "far", "expires": "2h"})
    assert status == 200
    match = re.fullmatch(rf"cs1\.{KEY}\.([\w-]{{43}})", made["token"])
    [token] = stand.reader.agent_tokens()
    assert token.secret_hash == secret_hash(match[1])
    assert (token.token_id, token.group_id) == (made["token_id"], "far")
    assert match[1] not in repr(stand.reader.events_after(0, 100))


def test_a_token_is_shown_once_also_when_it_is_asked_for_again(stand):
    headers = {"Idempotency-Key": "k1"}
    assert ask(stand, "tokens", headers=headers)[0] == 200
    status, body = ask(stand, "tokens", headers=headers)
    assert (status, "shown once only" in body["error"]) == (400, True)
    assert len(stand.reader.agent_tokens()) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"group": "a b"}, "group: expected 1 to 200 letters"),
        ({"group": 5}, "group: is a whole number: expected a text"),
        ({"expires": "never"}, "expires:"),
        ({"expires": 0}, "expires: expected a duration up to 30 days"),
        ({"expires": "31d"}, "expires: expected a duration up to 30 days"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(stand, body, said):
    status, answer = ask(stand, "tokens", body)
    assert (status, said in answer["error"]) == (400, True), answer
    assert stand.reader.agent_tokens() == []


def test_what_is_decided_about_an_agent_is_in_the_registry(stand):
    stand.agents = [an_agent()]
    assert ask(stand, "w1/drain") == (200, {"agent_id": "w1", "draining": True})
    assert [(a.agent_id, a.draining) for a in stand.reader.agents()] == [("w1", True)]
    assert ask(stand, "w1/undrain") == (200, {"agent_id": "w1", "draining": False})
    for how in ("kill", "stop", "leave"):
        answer = {"agent_id": "w1", "processes": how}
        assert ask(stand, "w1/shutdown", {"processes": how}) == (200, answer)
    assert ask(stand, "w1/shutdown", {"kill": True})[1]["processes"] == "kill"
    stand.processes = {"w1": [ProcessInfo(run_id="r9", attempt=1, state="running", pid=7)]}
    assert ask(stand, "w1/processes/r9.1/kill") == (200, {"agent_id": "w1", "runs": []})
    stand.agents = [an_agent(connected=False, state="away")]
    assert ask(stand, "w1/forget") == (200, {"agent_id": "w1", "state": "forgotten"})
    lines = [event.message for event in stand.reader.events_after(0, 100)]
    assert lines[-3:] == [
        "is shut down, and its processes killed",
        "process r9.1 is killed",
        "is gone for good; what it had is lost",
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("nobody/drain", {}, 404, "unknown agent nobody"),
        ("w1/forget", {}, 400, "agent w1 is active: expected one that is away or revoked"),
        ("nobody/shutdown", {}, 404, "unknown agent nobody"),
        ("w1/revoke", {}, 404, "has no key here"),
        ("w1/shutdown", {"kill": "yes"}, 400, "kill: is a text: expected true or false"),
        ("w1/shutdown", {"processes": "eat"}, 400, "processes: expected one of leave, stop, kill"),
        ("old/shutdown", {"processes": "stop"}, 400, "speaks protocol version 2: expected 3"),
        ("w1/processes/x/kill", {}, 400, "expected a run and its attempt"),
        ("w1/processes/r1.0/kill", {}, 400, "expected a run and its attempt"),
        ("w1/processes/r9.1/kill", {}, 404, "agent w1 keeps no process r9.1"),
        ("w1/processes/r1.2/kill", {}, 404, "agent w1 keeps no process r1.2"),
        ("gone/shutdown", {}, 400, "agent gone is away"),
        ("out/drain", {}, 400, "agent out is revoked: expected one that is let in"),
        ("out/undrain", {}, 400, "agent out is revoked"),
    ],
)
def test_what_cannot_be_done_to_an_agent_is_said(stand, path, body, status, said):
    gone, old = an_agent("gone", connected=False, state="away"), an_agent("old", version=2)
    stand.processes = {}
    stand.agents = [an_agent(), gone, old, an_agent("out", connected=False, state="revoked")]
    found, answer = ask(stand, path, body)
    assert (found, said in answer["error"]) == (status, True), answer


def test_without_agents_of_other_hosts_there_are_no_tokens(tmp_path):
    stand = WebStand(tmp_path)
    try:
        status, answer = ask(stand, "tokens")
        assert (status, "expected the setting agents.listen" in answer["error"]) == (400, True)
    finally:
        stand.close()
