"""Who may come in from other hosts, as the runner goes by it, and how new agents get in.

Part of the runner's core. The ledger's registry is the truth; the gate beside the core lets in what
`AdmitKeys` names. A new agent is known by nothing but its key until the ledger has taken it.
"""

from __future__ import annotations

from collections.abc import Callable

from ..messages.commands import AgentsInForce
from ..messages.hello import Refuse, Session
from ..messages.instructions import AgentsTaken
from ..messages.post import GATE, LEDGER, Post
from ..messages.registry import AdmitKeys, AgentRecord, Enrol, EnrolDone, secret_hash
from ..messages.wishes import Done, EnrolAgent, LedgerWish, Refused
from .requests import OpenRequests, earliest

# Agents that may be in the middle of enrolling; they ask again.
ENROLLING_AT_MOST = 1_000
# How long a token that is not known is taken for one that was made just now.
DOUBT_US = 3_000_000
NOT_KNOWN = (
    "the token is not known here: expected one of `callsheetctl agent token`, "
    "which works once and for a limited time"
)


class Registry:
    """See the module. `gated`: there is a gate, since agents of other hosts may come in."""

    def __init__(self, *, gated: bool, is_here: Callable[[str], bool]) -> None:
        """`is_here`: whether an agent of that id is there that needs no key."""
        self.records: dict[str, AgentRecord] = {}
        self._gated = gated
        self._is_here = is_here
        self._as_of = (0, 0)
        self._hashes: frozenset[str] = frozenset()
        self._asking = OpenRequests()
        self._askers: dict[str, str] = {}
        self._doubted: dict[str, tuple[int, Enrol]] = {}

    def in_force(
        self, message: AgentsInForce, session: Session
    ) -> tuple[list[Post], list[str], list[str]]:
        """Go by the ledger's registry, in that session of the runner.

        Returns:
            What to post; the ids of agents whose key has just been revoked; those just forgotten.
        """
        posts = [Post(LEDGER, AgentsTaken(seq=message.seq, session=session))]
        if (message.epoch, message.seq) < self._as_of:
            return posts, [], []
        before, is_first = self.records, self._as_of == (0, 0)
        self._as_of = (message.epoch, message.seq)
        self.records = {record.agent_id: record for record in message.agents}
        self._hashes = frozenset(token.secret_hash for token in message.tokens)
        if self._gated:
            keys = {one.public_key: one.agent_id for one in message.agents if one.admitted}
            posts.append(Post(GATE, AdmitKeys(agents=keys)))
        revoked, forgotten = [], []
        for agent_id, record in self.records.items():
            known = before.get(agent_id, AgentRecord(agent_id=agent_id))
            if record.revoked_us is not None and known.revoked_us is None:
                revoked.append(agent_id)
            if record.forgotten_us != known.forgotten_us and not is_first:
                forgotten.append(agent_id)
        return posts, revoked, forgotten

    def gone(self) -> list[str]:
        """Return the agents that are forgotten, and can never come back: those with a key."""
        return [
            agent_id
            for agent_id, record in self.records.items()
            if record.public_key and record.forgotten_us is not None
        ]

    def revoked(self, agent_id: str) -> bool:
        """Return whether an agent's key is revoked: what it still says is not listened to."""
        record = self.records.get(agent_id)
        return record is not None and record.revoked_us is not None

    def enrol(self, sender: str, message: Enrol, now_us: int) -> list[Post]:
        """A stranger shows a token: ask the ledger, unless there is no such token anyway."""
        role, _, key = sender.partition("/")
        if role != "enrol":
            return []
        hashed = secret_hash(message.secret)
        if hashed not in self._hashes:
            if sender not in self._doubted and len(self._doubted) < ENROLLING_AT_MOST:
                # It may have been made just now, and known here in a moment.
                self._doubted[sender] = now_us + DOUBT_US, message
            return []
        if self._is_here(message.agent_id) and message.agent_id not in self.records:
            sentence = f"there is an agent {message.agent_id} already: expected another id"
            return [Post(sender, Refuse(sentence=sentence))]
        wish = EnrolAgent(
            secret_hash=hashed,
            agent_id=message.agent_id,
            public_key=key,
            group_id=message.group_id,
        )
        words = secret_hash(f"{hashed} {key} {message.agent_id} {message.group_id}")
        command_id = f"enrol-{words[:40]}"
        if command_id in self._asking or len(self._asking) >= ENROLLING_AT_MOST:
            return []
        self._askers[command_id] = sender
        asked = LedgerWish(command_id=command_id, principal=sender, instruction=wish)
        return [self._asking.send(command_id, Post(LEDGER, asked), now_us)]

    def answered(self, message: Done | Refused) -> list[Post]:
        """Bring the ledger's answer to the agent that asked."""
        self._asking.answered(message.command_id)
        asker = self._askers.pop(message.command_id, None)
        if asker is None:
            return []
        if isinstance(message, Refused):
            return [Post(asker, Refuse(sentence=message.sentence))]
        result = message.result
        done = EnrolDone(agent_id=result["agent_id"], group_id=result["group_id"])
        return [Post(asker, done)]

    def settle(self, now_us: int) -> list[Post]:
        """Ask the ledger again where it has not answered; answer who shows a token that is known by
        now, or still is not."""
        posts = self._asking.repeat(now_us)
        for sender, (until_us, message) in list(self._doubted.items()):
            if secret_hash(message.secret) in self._hashes:
                del self._doubted[sender]
                posts += self.enrol(sender, message, now_us)
            elif not now_us < until_us <= now_us + DOUBT_US:
                del self._doubted[sender]
                posts.append(Post(sender, Refuse(sentence=NOT_KNOWN)))
        return posts

    def wakes_at(self) -> int | None:
        """Return when `settle` has something to do."""
        first = min((until_us for until_us, _ in self._doubted.values()), default=None)
        return earliest(self._asking.wakes_at(), first)
