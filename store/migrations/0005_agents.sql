-- The registry of agents, and the one-time tokens that let new ones in. Bodies are MessagePack.

CREATE TABLE agents (
    agent_id TEXT PRIMARY KEY,
    body BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE agent_tokens (
    token_id TEXT PRIMARY KEY,
    body BLOB NOT NULL
) WITHOUT ROWID;
