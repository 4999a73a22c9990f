-- The first schema. Instants are microseconds UTC; blobs are MessagePack unless said otherwise.
-- Numbers in `runs.state` are fixed: see STATE_CODES in store/rows.py; 0 is scheduled.

CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    server_id TEXT NOT NULL,
    since_us INTEGER NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0,
    seq INTEGER NOT NULL DEFAULT 0,
    next_run_number INTEGER NOT NULL DEFAULT 1,
    jobs_version INTEGER NOT NULL DEFAULT 0,
    checked_at_us INTEGER
);

-- A row per run; `record` is the whole run, the other columns are what it is found by.
-- `planned` is 1 when a schedule made the run. `labels` are JSON strings without their quotes, each
-- between a unit and a record separator (1F, 1E). `record` is last so that a filter never reads its
-- overflow pages.
CREATE TABLE runs (
    n INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL,
    args TEXT NOT NULL,
    state INTEGER NOT NULL,
    held INTEGER NOT NULL,
    planned INTEGER NOT NULL,
    schedule_us INTEGER NOT NULL,
    changed_us INTEGER NOT NULL,
    labels TEXT NOT NULL,
    record BLOB NOT NULL
);

-- Every index ends in the row's number, so a list by job and state comes out newest first.
CREATE INDEX runs_job ON runs (job_id, state);
CREATE INDEX runs_state ON runs (state);
CREATE INDEX runs_instance ON runs (job_id, args, state);
CREATE UNIQUE INDEX runs_planned ON runs (job_id, schedule_us, args) WHERE planned = 1;
CREATE INDEX runs_due ON runs (schedule_us) WHERE state = 0 AND held = 0;

-- For each 4,096 run numbers the least and greatest times in them. Numbers and times rise together,
-- so a time range is a few ranges of numbers, without an index that every write would pay for.
CREATE TABLE spans (
    block INTEGER PRIMARY KEY,
    least_schedule_us INTEGER NOT NULL,
    most_schedule_us INTEGER NOT NULL,
    most_changed_us INTEGER NOT NULL
);

-- A row holds the events of one run (n NULL: of no run) in one commit, under the seq of its first;
-- `batch` is the first seq of the commit. Rows of a commit interleave; commits do not.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    batch INTEGER NOT NULL,
    n INTEGER,
    body BLOB NOT NULL
);
CREATE INDEX events_run ON events (n) WHERE n IS NOT NULL;

CREATE TABLE definitions (
    hash TEXT PRIMARY KEY,
    job_id TEXT NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY,
    definition TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE ad_hoc_jobs (
    job_id TEXT PRIMARY KEY,
    definition TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE schedules (
    job_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    valid_from_us INTEGER NOT NULL,
    valid_to_us INTEGER,
    written_upto_us INTEGER NOT NULL,
    definition TEXT NOT NULL,
    spec BLOB NOT NULL,
    PRIMARY KEY (job_id, fingerprint, valid_from_us)
) WITHOUT ROWID;
CREATE INDEX schedules_open ON schedules (job_id, fingerprint) WHERE valid_to_us IS NULL;

CREATE TABLE skips (
    seq INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX skips_schedule ON skips (job_id, fingerprint);

CREATE TABLE outputs (
    n INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    output_id TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (n, attempt, output_id)
);

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    action_id TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL
);

CREATE TABLE answers (
    command_id TEXT PRIMARY KEY,
    at_us INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX answers_age ON answers (at_us);

CREATE TABLE findings (
    place INTEGER PRIMARY KEY,
    body BLOB NOT NULL
);
