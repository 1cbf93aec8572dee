-- Sweeps are numbered in the order in which they end, so that whoever tells of ends goes on after the last one that
-- he has told of, whatever the clock says meanwhile.
ALTER TABLE totals ADD COLUMN sweeps_ended INTEGER NOT NULL DEFAULT 0; -- since this migration
ALTER TABLE sweeps ADD COLUMN end_number INTEGER; -- NULL until it ends, and of what ended before this migration
CREATE INDEX sweeps_end ON sweeps (end_number) WHERE end_number IS NOT NULL;
