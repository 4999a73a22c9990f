"""Endpoints of `/api/v2` about agents: who they are, and what people decide about them."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, TypedDict

import msgspec
from msgspec import Meta

from ..jobs.run import run_number
from ..jobs.times import format_time_ms
from ..messages.agents import AgentInfo
from ..messages.registry import NAME, secret_hash
from ..messages.wishes import (
    DrainAgent,
    ForgetAgent,
    KillProcess,
    MakeAgentToken,
    RevokeAgent,
    ShutDownAgent,
)
from .records import agent_record, agents_list
from .routing import Problem, Request, Route
from .shapes import AgentRecord, Instant
from .v2_access import checked_expiry

DEFAULT_EXPIRY_US = 3600 * 1_000_000
# What may become of the processes of an agent that ends, and the version of the dialogue it takes.
SINCE = {"leave": 2, "stop": 3, "kill": 2}
LONGEST_EXPIRY = timedelta(days=30)


class Agents(TypedDict):
    """The agents; `listen`: where those of other hosts come in, null where they cannot."""

    agents: list[AgentRecord]
    now: Instant
    listen: str | None


class OneAgent(TypedDict):
    """An agent."""

    agent: AgentRecord
    now: Instant


class AgentTokenBody(msgspec.Struct, forbid_unknown_fields=True):
    """A token to be made; without a group the agent says its own."""

    group: Annotated[str, Meta(description="1 to 200 letters, digits or . _ @ : -")] = ""
    expires: Annotated[
        str | int | float | None, Meta(description="As 1h, or seconds; up to 30 days.")
    ] = None


class NewAgentToken(TypedDict):
    """A token for one agent's enrolment, shown once."""

    token: str
    token_id: str
    group: str
    expires: Instant


class Draining(TypedDict):
    """Whether an agent gets new runs."""

    agent_id: str
    draining: bool


class AgentState(TypedDict):
    """What became of an agent."""

    agent_id: str
    state: str


class AgentEnd(msgspec.Struct, forbid_unknown_fields=True):
    """What becomes of the processes of an agent that ends. `kill` is the old way to say so."""

    processes: Literal["leave", "stop", "kill"] | None = None
    kill: bool = False


class AgentEnded(TypedDict):
    """An agent that was told to end."""

    agent_id: str
    processes: str


class ProcessKilled(TypedDict):
    """The runs whose process it was."""

    agent_id: str
    runs: list[str]


async def list_agents(request: Request) -> Agents:
    """The agents and the processes they keep."""
    answer = await request.services.hub.agents(processes=True)
    now = format_time_ms(request.services.now_us())
    listen = request.services.settings.agents_listen or None
    return {"agents": agents_list(answer, processes=True), "now": now, "listen": listen}


async def get_agent(request: Request) -> OneAgent:
    """One agent and the processes it keeps."""
    agent = await known_agent(request)
    answer = await request.services.hub.agents(processes=True)
    now = format_time_ms(request.services.now_us())
    record = agent_record(agent, answer.processes.get(agent.agent_id, []))
    return {"agent": record, "now": now}


async def make_token(request: Request, body: AgentTokenBody) -> NewAgentToken:
    """Make a one-time token for a new agent. It is shown here and never again."""
    services = request.services
    group_id = body.group
    if group_id and re.fullmatch(NAME, group_id) is None:
        raise Problem(400, "group: expected 1 to 200 letters, digits or . _ @ : -")
    server_key = _server_key(services.settings.server_key)
    token_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    expiry_us = checked_expiry(body.expires, LONGEST_EXPIRY, "up to 30 days")
    expires_us = services.now_us() + (DEFAULT_EXPIRY_US if expiry_us is None else expiry_us)
    wish = MakeAgentToken(
        token_id=token_id,
        secret_hash=secret_hash(secret),
        expires_us=expires_us,
        group_id=group_id,
    )
    done = await services.wish(request, wish)
    if done.result.get("token_id") != token_id:
        sentence = "the token of this Idempotency-Key was made before: it is shown once only"
        raise Problem(400, sentence)
    return {
        "token": f"cs1.{server_key}.{secret}",
        "token_id": token_id,
        "group": group_id,
        "expires": format_time_ms(expires_us),
    }


async def drain(request: Request) -> Draining:
    """Give the agent no new runs; those it has go on."""
    return await _drain(request, draining=True)


async def undrain(request: Request) -> Draining:
    """Give the agent runs again."""
    return await _drain(request, draining=False)


async def revoke(request: Request) -> AgentState:
    """Never let the agent's key in again, and cut it off; its processes are left as they are."""
    agent_id = request.params["agent_id"]
    await request.services.wish(request, RevokeAgent(agent_id=agent_id))
    return {"agent_id": agent_id, "state": "revoked"}


async def forget(request: Request) -> AgentState:
    """Take an agent that is away, or revoked, for gone for good: what it had is lost."""
    agent = await known_agent(request)
    if agent.connected:
        expected = "expected one that is away or revoked"
        raise Problem(400, f"agent {agent.agent_id} is {agent.state}: {expected}")
    await request.services.wish(request, ForgetAgent(agent_id=agent.agent_id))
    return {"agent_id": agent.agent_id, "state": "forgotten"}


async def shut_down(request: Request, body: AgentEnd) -> AgentEnded:
    """End the agent now; its processes are left where the body does not say otherwise."""
    how = body.processes or ("kill" if body.kill else "leave")
    agent = _there(await known_agent(request))
    if agent.version < SINCE[how]:
        sentence = f"agent {agent.agent_id} speaks protocol version {agent.version}"
        raise Problem(400, f"{sentence}: expected {SINCE[how]} or later for {how}")
    wish = ShutDownAgent(agent_id=agent.agent_id, kill=how == "kill", stop=how == "stop")
    await request.services.wish(request, wish)
    return {"agent_id": agent.agent_id, "processes": how}


async def kill_process(request: Request) -> ProcessKilled:
    """Kill a process that an agent keeps, named as run.attempt; a run under way is stopped."""
    agent = _there(await known_agent(request))
    run_id, _, attempt = request.params["claim"].partition(".")
    if run_number(run_id) is None or re.fullmatch("[1-9][0-9]{0,8}", attempt) is None:
        raise Problem(400, "process: expected a run and its attempt, as in r12.1")
    kept = (await request.services.hub.agents(processes=True)).processes.get(agent.agent_id)
    # One that has not said in time what it keeps may keep it.
    if kept is not None and (run_id, int(attempt)) not in {(p.run_id, p.attempt) for p in kept}:
        raise Problem(404, f"agent {agent.agent_id} keeps no process {run_id}.{attempt}")
    wish = KillProcess(agent_id=agent.agent_id, run_id=run_id, attempt=int(attempt))
    done = await request.services.wish(request, wish)
    return {"agent_id": agent.agent_id, "runs": [run.run_id for run in done.each()]}


def _there(agent: AgentInfo) -> AgentInfo:
    if not agent.connected:
        raise Problem(
            400, f"agent {agent.agent_id} is {agent.state}: expected one that is heard of"
        )
    return agent


async def _drain(request: Request, *, draining: bool) -> Draining:
    agent = await known_agent(request)
    if agent.state == "revoked":
        raise Problem(400, f"agent {agent.agent_id} is revoked: expected one that is let in")
    wish = DrainAgent(agent_id=agent.agent_id, draining=draining)
    await request.services.wish(request, wish)
    return {"agent_id": agent.agent_id, "draining": draining}


async def known_agent(request: Request) -> AgentInfo:
    """Return the agent that a request's path names.

    Raises:
        Problem: 404, there is none.
    """
    agent_id = request.params["agent_id"]
    answer = await request.services.hub.agents()
    for agent in answer.agents:
        if agent.agent_id == agent_id:
            return agent
    raise Problem(404, f"unknown agent {agent_id[:100]}")


def _server_key(path: str) -> str:
    """Return the server's public key, as the runner wrote it beside the secret one."""
    if not path:
        sentence = "agents of other hosts cannot come in: expected the setting agents.listen"
        raise Problem(400, sentence)
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError as error:
        sentence = f"the server's public key cannot be read: {error.strerror}"
        raise Problem(503, sentence) from None


ROUTES = [
    Route("GET", "/api/v2/agents", list_agents),
    Route("GET", "/api/v2/agents/{agent_id}", get_agent),
    Route("POST", "/api/v2/agents/tokens", make_token),
    Route("POST", "/api/v2/agents/{agent_id}/drain", drain),
    Route("POST", "/api/v2/agents/{agent_id}/undrain", undrain),
    Route("POST", "/api/v2/agents/{agent_id}/revoke", revoke),
    Route("POST", "/api/v2/agents/{agent_id}/forget", forget),
    Route("POST", "/api/v2/agents/{agent_id}/shutdown", shut_down),
    Route("POST", "/api/v2/agents/{agent_id}/processes/{claim}/kill", kill_process),
]
