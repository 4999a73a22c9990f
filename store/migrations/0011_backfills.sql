-- Backfills, and which runs are of one. Bodies are MessagePack; `is_open`: it is not over.

CREATE TABLE backfills (
    n INTEGER PRIMARY KEY,
    is_open INTEGER NOT NULL,
    body BLOB NOT NULL
);

-- The runs of a backfill begin in the order of their numbers.
CREATE TABLE backfill_runs (
    n INTEGER PRIMARY KEY,
    backfill INTEGER NOT NULL
);
CREATE INDEX backfill_runs_backfill ON backfill_runs (backfill);
