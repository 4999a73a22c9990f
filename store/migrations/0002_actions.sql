-- Deadlines that runs may still miss, and how the latest runs of a job or an instance ended.

-- A row goes when its deadline is met, missed (on record in the run), or of no use any more.
CREATE TABLE deadlines (
    n INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    PRIMARY KEY (n, kind)
) WITHOUT ROWID;

-- `args` is an args text, or empty for all runs of the job; `body` the last ends, oldest first.
CREATE TABLE streaks (
    job_id TEXT NOT NULL,
    args TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (job_id, args)
) WITHOUT ROWID;
