-- Of each table but those whose rows the log tells of, how many rows it has and the sum of what they
-- are (store/tallies.py): the writer keeps them, and `verify` misses by them what another hand took.
CREATE TABLE tallies (
    name TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    total INTEGER NOT NULL
) WITHOUT ROWID;
