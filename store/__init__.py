"""The store of runs, events, jobs and schedules: one interface, SQLite and an in-memory twin."""
