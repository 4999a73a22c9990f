-- A checksum of all else in the row (store/rows.py), by which `verify` finds a row that another hand
-- has altered. NULL: the row is older than that.
ALTER TABLE runs ADD COLUMN sum INTEGER;
ALTER TABLE events ADD COLUMN sum INTEGER;
ALTER TABLE outputs ADD COLUMN sum INTEGER;
ALTER TABLE definitions ADD COLUMN sum INTEGER;
ALTER TABLE schedules ADD COLUMN sum INTEGER;
ALTER TABLE outbox ADD COLUMN sum INTEGER;
ALTER TABLE answers ADD COLUMN sum INTEGER;
