-- What the checker found, open or closed, and its rounds. What was open is found anew.

DROP TABLE findings;
CREATE TABLE findings (
    place INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    closed_us INTEGER,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX findings_open ON findings (key) WHERE closed_us IS NULL;
CREATE INDEX findings_closed ON findings (closed_us, place) WHERE closed_us IS NOT NULL;

CREATE TABLE check_rounds (
    place INTEGER PRIMARY KEY,
    body BLOB NOT NULL
);
