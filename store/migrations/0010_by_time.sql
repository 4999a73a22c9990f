-- Lists in the order of time start at any place of it.
CREATE INDEX runs_time ON runs (schedule_us);
