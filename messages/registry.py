"""The registry of agents: who may come in from other hosts, and what people decided about them.

The ledger keeps it and gives it to the runner whole. `Enrol` and `EnrolDone` are spoken between a
new agent and the runner, before the agent's key is known; nothing else is heard there.
"""

from __future__ import annotations

import hashlib

import msgspec

# Of agents and groups: what may stand in an address and in a file name.
NAME = r"[A-Za-z0-9._@:-]{1,200}"


class AgentRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An agent as the ledger has it, for good: an id is never given to another key.

    `public_key` is empty for an agent of the server's own host, which has none. `revoked_us`: its
    key is not let in any more since then. `draining`: it gets no new runs. `forgotten_us`: it was
    said to be gone for good then, so that what it had is lost.
    """

    agent_id: str
    public_key: str = ""
    group_id: str = ""
    token_id: str = ""
    since_us: int = 0
    draining: bool = False
    revoked_us: int | None = None
    forgotten_us: int | None = None

    @property
    def admitted(self) -> bool:
        """Whether its key is let in."""
        return bool(self.public_key) and self.revoked_us is None


class AgentToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A one-time token for enrolment. Its secret is kept nowhere, only its hash.

    `group_id` empty: the agent says itself which group it belongs to. `agent_id` and `public_key`
    are of whom it let in, empty while it is unused.
    """

    token_id: str
    secret_hash: str
    expires_us: int
    made_by: str = ""
    group_id: str = ""
    agent_id: str = ""
    public_key: str = ""

    def is_open(self, now_us: int) -> bool:
        """Return whether it lets an agent in at that instant."""
        return not self.agent_id and now_us < self.expires_us


class Enrol(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="Enrol"):
    """New agent → runner, repeated until answered: let the key of this connection in as
    `agent_id`."""

    secret: str
    agent_id: str
    group_id: str = ""


class EnrolDone(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="EnrolDone"):
    """Runner → new agent: the key is known now, and the agent is of that group."""

    agent_id: str
    group_id: str


class AdmitKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Runner → its own gate: these keys are let in from now on, and no others; never on a wire."""

    agents: dict[str, str]


def secret_hash(secret: str) -> str:
    """Return what is kept of a token's secret: it has 256 random bits, so that one hash will do."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
