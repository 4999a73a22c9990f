-- What runs gave back, to be found by. `text` is its beginning (store/results.py says how much),
-- `number` what it is as a number, NULL when it is none. The whole is in the run's record.

CREATE TABLE results (
    key TEXT NOT NULL,
    n INTEGER NOT NULL,
    text TEXT NOT NULL,
    number REAL,
    PRIMARY KEY (key, n)
) WITHOUT ROWID;
CREATE INDEX results_run ON results (n);
