"""The registry of agents: who may come in by which key, and what people decided about them.

Part of the ledger's core. It is given to the runner whole, and again until the runner has said that
it goes by it: a revocation must not get lost. Ids are for good, tokens are for once.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from ..jobs.states import State
from ..messages.commands import AgentsInForce, KillOnAgent, ShutAgentDown
from ..messages.instructions import AgentsTaken
from ..messages.post import RUNNER, Post
from ..messages.registry import NAME, AgentRecord, AgentToken
from ..messages.transitions import AgentNoted
from ..messages.wishes import (
    DrainAgent,
    EnrolAgent,
    ForgetAgent,
    KillProcess,
    MakeAgentToken,
    OfAgents,
    RevokeAgent,
    ShutDownAgent,
)
from ..store.interface import Opening
from .ledger_book import Book, Unwilling
from .ledger_sending import Outgoing

REPEAT_US = 2_000_000
# Open tokens at one time; each may let somebody in.
TOKENS_AT_MOST = 1_000
# A token that has let somebody in, or has expired, is remembered so long to say so.
REMEMBERED_US = 30 * 86_400 * 1_000_000
DEFAULT_GROUP = "default"


class AgentBook:
    """See the module."""

    def __init__(self, opening: Opening, book: Book, outgoing: Outgoing) -> None:
        self._book = book
        self._outgoing = outgoing
        self._agents = {record.agent_id: record for record in opening.agents}
        self._tokens = {token.token_id: token for token in opening.agent_tokens}
        self._to_tell = False
        self._told_seq: int | None = None
        self._told_us = 0

    # --- wishes ---------------------------------------------------------------------------------

    def carry_out(self, wish: OfAgents, now_us: int, who: str) -> dict[str, Any]:
        """Do what is wished; return what the answer says of it.

        Raises:
            Unwilling: it is not to be done.
        """
        match wish:
            case MakeAgentToken():
                return self._make_token(wish, now_us, who)
            case EnrolAgent():
                return self._enrol(wish, now_us)
            case RevokeAgent():
                return self._revoke(wish.agent_id, now_us, who)
            case ForgetAgent():
                return self._forget(wish.agent_id, now_us, who)
            case DrainAgent():
                return self._drain(wish, now_us, who)
            case ShutDownAgent():
                return self._shut_down(wish, now_us, who)
            case KillProcess():
                return self._kill(wish, now_us, who)

    def _make_token(self, wish: MakeAgentToken, now_us: int, who: str) -> dict[str, Any]:
        if wish.group_id and re.fullmatch(NAME, wish.group_id) is None:
            raise Unwilling("bad_request", _bad_name("group", wish.group_id))
        if wish.expires_us <= now_us:
            raise Unwilling("bad_request", "the token would have expired: expected a later time")
        for token in list(self._tokens.values()):
            if token.expires_us < now_us - REMEMBERED_US:
                del self._tokens[token.token_id]
                self._book.changes.agent_tokens[token.token_id] = None
        if sum(token.is_open(now_us) for token in self._tokens.values()) >= TOKENS_AT_MOST:
            sentence = f"{TOKENS_AT_MOST} tokens are open: expected fewer; they expire"
            raise Unwilling("wrong_state", sentence)
        token = AgentToken(
            token_id=wish.token_id,
            secret_hash=wish.secret_hash,
            expires_us=wish.expires_us,
            made_by=who,
            group_id=wish.group_id,
        )
        self._keep_token(token)
        into = f" into group {wish.group_id}" if wish.group_id else ""
        self._note("", f"token {wish.token_id} lets one agent in{into}", now_us, who)
        return {"token_id": wish.token_id}

    def _enrol(self, wish: EnrolAgent, now_us: int) -> dict[str, Any]:
        """Let a key in by a token. The same agent may ask again: it may have missed the answer."""
        token = next((t for t in self._tokens.values() if t.secret_hash == wish.secret_hash), None)
        if token is None:
            raise Unwilling("forbidden", "the token is not known: expected one made here")
        known = self._agents.get(wish.agent_id)
        if (token.agent_id, token.public_key) == (wish.agent_id, wish.public_key) and known:
            return _answer(known)
        if token.agent_id:
            sentence = f"the token has let agent {token.agent_id} in already: expected a new one"
            raise Unwilling("forbidden", sentence)
        if not token.is_open(now_us):
            raise Unwilling("forbidden", "the token has expired: expected a new one")
        if re.fullmatch(NAME, wish.agent_id) is None:
            raise Unwilling("bad_request", _bad_name("agent", wish.agent_id))
        if known is not None:
            sentence = f"there is, or was, an agent {wish.agent_id}: expected an id nobody has had"
            raise Unwilling("wrong_state", sentence)
        owner = next((a for a in self._agents.values() if a.public_key == wish.public_key), None)
        if owner is not None:
            sentence = f"the key is that of agent {owner.agent_id}: expected a key of its own"
            raise Unwilling("wrong_state", sentence)
        group_id = token.group_id or wish.group_id or DEFAULT_GROUP
        if re.fullmatch(NAME, group_id) is None:
            raise Unwilling("bad_request", _bad_name("group", group_id))
        self._keep_token(replace(token, agent_id=wish.agent_id, public_key=wish.public_key))
        record = AgentRecord(
            agent_id=wish.agent_id,
            public_key=wish.public_key,
            group_id=group_id,
            token_id=token.token_id,
            since_us=now_us,
        )
        self._keep(record)
        line = f"enrolled into group {group_id} by token {token.token_id} of {token.made_by}"
        self._note(wish.agent_id, line, now_us, f"agent/{wish.agent_id}")
        return _answer(record)

    def _revoke(self, agent_id: str, now_us: int, who: str) -> dict[str, Any]:
        record = self._agents.get(agent_id)
        if record is None or not record.public_key:
            sentence = f"agent {agent_id} has no key here: expected an agent of another host"
            raise Unwilling("not_found", sentence)
        if record.revoked_us is None:
            record = replace(record, revoked_us=now_us)
            self._keep(record)
            self._note(agent_id, "its key is revoked", now_us, who)
        return _answer(record)

    def _forget(self, agent_id: str, now_us: int, who: str) -> dict[str, Any]:
        """Take an agent for gone for good: its key, if it has one, is never let in again, and the
        runner ends what it had as lost."""
        if re.fullmatch(NAME, agent_id) is None:
            raise Unwilling("bad_request", _bad_name("agent", agent_id))
        record = self._agents.get(agent_id) or AgentRecord(agent_id=agent_id, since_us=now_us)
        if record.public_key:
            if record.forgotten_us is not None:
                return _answer(record)
            record = replace(record, revoked_us=record.revoked_us or now_us)
        self._keep(replace(record, forgotten_us=now_us, draining=False))
        self._note(agent_id, "is gone for good; what it had is lost", now_us, who)
        return _answer(record)

    def _drain(self, wish: DrainAgent, now_us: int, who: str) -> dict[str, Any]:
        record = self._agents.get(wish.agent_id)
        if record is None:
            if re.fullmatch(NAME, wish.agent_id) is None:
                raise Unwilling("bad_request", _bad_name("agent", wish.agent_id))
            record = AgentRecord(agent_id=wish.agent_id, since_us=now_us)
        if record.draining != wish.draining:
            record = replace(record, draining=wish.draining)
            self._keep(record)
            line = "gets no new runs" if wish.draining else "gets runs again"
            self._note(wish.agent_id, line, now_us, who)
        return _answer(record)

    def _shut_down(self, wish: ShutDownAgent, now_us: int, who: str) -> dict[str, Any]:
        done = "killed" if wish.kill else "stopped" if wish.stop else "left"
        line = f"is shut down, and its processes {done}"
        self._note(wish.agent_id, line, now_us, who)
        epoch = self._book.epoch
        command = ShutAgentDown(epoch=epoch, agent_id=wish.agent_id, kill=wish.kill, stop=wish.stop)
        self._outgoing.reply(RUNNER, command)
        return {"agent_id": wish.agent_id}

    def _kill(self, wish: KillProcess, now_us: int, who: str) -> dict[str, Any]:
        """Have a process killed; that of a run under way by stopping the run."""
        run = self._book.get(wish.run_id)
        if run is not None and run.attempt == wish.attempt and run.agent_id == wish.agent_id:
            if run.state is State.RUNNING:
                line = "stopping: kill"
                run = self._book.move(run, State.STOPPING, now_us, line, who, kill_asked=True)
            elif run.state is State.STOPPING and not run.kill_asked:
                run = self._book.note(run, now_us, "killing", who, kill_asked=True)
            if run.state is State.STOPPING:
                self._outgoing.stop(run.run_id)
                return {"run_ids": [run.run_id]}
        line = f"process {wish.run_id}.{wish.attempt} is killed"
        self._note(wish.agent_id, line, now_us, who)
        command = KillOnAgent(
            epoch=self._book.epoch,
            agent_id=wish.agent_id,
            run_id=wish.run_id,
            attempt=wish.attempt,
        )
        self._outgoing.reply(RUNNER, command)
        return {"run_ids": []}

    # --- the runner -----------------------------------------------------------------------------

    def runner_new(self) -> None:
        """The runner has said hello: it knows nothing."""
        self._to_tell = True

    def taken(self, sender: str, message: AgentsTaken, now_us: int) -> None:
        """The runner goes by the registry as of a seq."""
        if message.seq == self._told_seq:
            self._told_seq = None

    def settle(self, now_us: int) -> list[Post]:
        """Return what the runner is to be told after the commit."""
        late = self._told_seq is not None and now_us >= self._told_us + REPEAT_US
        if not (self._to_tell or late):
            return []
        self._to_tell, self._told_us, self._told_seq = False, now_us, self._book.seq
        whole = AgentsInForce(
            epoch=self._book.epoch,
            seq=self._book.seq,
            agents=list(self._agents.values()),
            tokens=list(self._tokens.values()),
        )
        return [Post(RUNNER, whole)]

    def wakes_at(self) -> int | None:
        """Return when the runner is to be told again."""
        return None if self._told_seq is None else self._told_us + REPEAT_US

    # --- inside ---------------------------------------------------------------------------------

    def _keep(self, record: AgentRecord) -> None:
        self._agents[record.agent_id] = record
        self._book.changes.agents[record.agent_id] = record
        self._to_tell = True

    def _keep_token(self, token: AgentToken) -> None:
        self._tokens[token.token_id] = token
        self._book.changes.agent_tokens[token.token_id] = token
        self._to_tell = True

    def _note(self, agent_id: str, message: str, now_us: int, cause: str) -> None:
        event = AgentNoted(seq=0, at_us=now_us, cause=cause, agent_id=agent_id, message=message)
        self._book.log(event)


def _answer(record: AgentRecord) -> dict[str, Any]:
    return {"agent_id": record.agent_id, "group_id": record.group_id}


def _bad_name(what: str, name: str) -> str:
    return f"{what} {name[:60]!r}: expected 1 to 200 letters, digits or . _ @ : -"
