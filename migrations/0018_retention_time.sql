-- Retention counts ages from a time of its own, which follows the clock by two days in a day at most (store/retention.h).
ALTER TABLE totals ADD COLUMN retention_ms INTEGER NOT NULL DEFAULT 0; -- 0: nothing is known, the clock is believed
ALTER TABLE totals ADD COLUMN retention_noted_ms INTEGER NOT NULL DEFAULT 0; -- what the clock said then
UPDATE totals SET retention_ms = coalesce((SELECT max(finished_ms) FROM sweeps), 0);
