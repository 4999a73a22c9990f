-- The calendars in force, each as the days of a range, in one transaction with the schedules that
-- were written by them.

CREATE TABLE calendars (
    name TEXT PRIMARY KEY,
    body BLOB NOT NULL
) WITHOUT ROWID;
