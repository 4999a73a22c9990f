-- The calendars that ever were in force, by which schedules of then are computed again.
CREATE TABLE calendar_versions (
    name TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (name, body)
) WITHOUT ROWID;
INSERT INTO calendar_versions (name, body) SELECT name, body FROM calendars;
