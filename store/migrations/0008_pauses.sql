-- What is paused: of what schedules make nothing starts while a row here covers it. Bodies are
-- MessagePack.

CREATE TABLE pauses (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
