-- Operations on many runs, and what became of each: a part is written anew when it is carried out.
-- Bodies are MessagePack.

CREATE TABLE operations (
    operation_id TEXT NOT NULL PRIMARY KEY,
    begun_us INTEGER NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX operations_begun ON operations (begun_us);

CREATE TABLE operation_parts (
    operation_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (operation_id, number)
) WITHOUT ROWID;

-- Runs that somebody put to another time than the one their schedule made them for: that time is
-- taken all the same. `n` is the number of the run.
CREATE TABLE moved (
    n INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL,
    schedule_us INTEGER NOT NULL,
    args TEXT NOT NULL
);
CREATE UNIQUE INDEX moved_from ON moved (job_id, schedule_us, args);

-- Which runs repeat the run numbered `root`, or one that repeats it.
CREATE TABLE reruns (
    n INTEGER PRIMARY KEY,
    root INTEGER NOT NULL
);
CREATE INDEX reruns_root ON reruns (root, n);
